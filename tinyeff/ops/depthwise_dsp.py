# SPDX-License-Identifier: MIT
"""DEPTHWISE_CONV_2D on cores with the DSP extension: packing, scratch memory and parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyeff import fixed_point
from tinyeff.ir import Array, ConstArray, Kernel, Variant
from tinyeff.ops import dsp_rounding
from tinyeff.ops.dsp_rounding import Rounding
from tinyeff.ops.operator import Node, fits_uint16

GENERAL, SMALL, ROWS = "dsp", "dsp_3x3", "dsp_3x3_rows"
NAMES = (GENERAL, SMALL, ROWS)
SOURCES = {GENERAL: "te_depthwise_conv_2d_dsp", SMALL: "te_depthwise_3x3_dsp",
           ROWS: "te_depthwise_3x3_rows_dsp"}
CODE_BYTES = {GENERAL: 1664, SMALL: 1336, ROWS: 1400}
"""Of the kernels on a Cortex-M4."""

FIXED = {
    GENERAL: (), SMALL: ("kernel_height", "kernel_width", "rounding"),
    ROWS: ("kernel_height", "kernel_width", "stride_x", "dilation_y", "rounding"),
}
"""Parameters that a kernel knows without being told."""

SCRATCH_LIMIT_BYTES = 4000
"""Kernels stay below the 4,096 bytes that a whole plan may take beside its activations."""

BLOCK_CHANNELS = 4
ROUNDING_WORDS = 4
"""A channel's bias stands before its weights, multiplier, constant and shift behind them."""

GROUP_WORDS = 4
"""The general kernel reads words in groups; a window reads up to 3 words behind its last."""

SMALL_COLUMN_BYTES = 24
"""Of a column that the kernel for 3x3 has expanded: six words for four channels."""

AT_ONCE = 2
"""Output rows that the kernel of that name computes in one call."""

ROWS_COLUMN_BYTES = 32
"""Of a column that it has expanded: four rows of four channels."""


def _pairs(height: int) -> int:
    return (height + 1) // 2


def _tile(node: Node[Any], width: int, column_bytes: int, rest: int) -> tuple[int, int]:
    """(output pixels that scratch memory has room for, up to a whole row; its bytes)."""
    stride: int = node.attrs.stride[1]
    room = (SCRATCH_LIMIT_BYTES - rest) // column_bytes
    pixels = min((room - width) // stride + 1, node.output.pixels)
    return pixels, column_bytes * ((pixels - 1) * stride + width) + rest


def variants(
    node: Node[Any], filters: Array, rounding: Rounding | None
) -> tuple[Variant, ...]:
    """The DSP variants for filters (channels, height, width, 1); none where they do not apply.

    They take one filter per channel and no dilation along rows. A float graph, which has no
    `rounding`, is planned as if everything were proven.
    """
    channels, height, width, _ = filters.shape
    if channels != node.input(0).channels or node.attrs.dilation[1] != 1:
        return ()
    if not fits_uint16(*filters.shape, node.output.pixels, *node.attrs.stride,
                       node.attrs.dilation[0], node.attrs.padding.left):
        return ()
    found = [_general(node, channels, height, width)]
    up = rounding is None or rounding.how == dsp_rounding.HALF_UP
    if (height, width) == (3, 3) and node.attrs.stride[1] <= 2 and up:
        found.append(_small(node, channels))
        if node.attrs.stride == (1, 1) and node.attrs.dilation[0] == 1 and node.output.rows > 1:
            found.append(_rows(node, channels))
    return tuple(v for v in found if v.tile_pixels > 0)


def _general(node: Node[Any], channels: int, height: int, width: int) -> Variant:
    pairs = _pairs(height)
    pixels, scratch_bytes = _tile(
        node, width, 4 * BLOCK_CHANNELS * pairs, 4 * (GROUP_WORDS - 1))
    words = -(-width * pairs // GROUP_WORDS) * GROUP_WORDS
    x, out = node.input(0), node.output
    expanded = out.rows * x.pixels * -(-channels // BLOCK_CHANNELS) * pairs
    return Variant(
        GENERAL, tile_pixels=pixels, scratch_bytes=scratch_bytes,
        const_bytes=4 * channels * (words + ROUNDING_WORDS), code_bytes=CODE_BYTES[GENERAL],
        cost=26 * expanded + out.rows * channels * (out.pixels * (2 * width * pairs + 28) + 80))


def _small(node: Node[Any], channels: int) -> Variant:
    pixels, scratch_bytes = _tile(node, 3, SMALL_COLUMN_BYTES, 0)
    x, out = node.input(0), node.output
    blocks = out.rows * -(-channels // BLOCK_CHANNELS)
    return Variant(
        SMALL, tile_pixels=pixels, scratch_bytes=scratch_bytes,
        const_bytes=4 * channels * (6 + ROUNDING_WORDS), code_bytes=CODE_BYTES[SMALL],
        cost=blocks * (30 * x.pixels + 80) + out.rows * channels * (26 * out.pixels + 40))


def _rows(node: Node[Any], channels: int) -> Variant:
    pixels, scratch_bytes = _tile(node, 3, ROWS_COLUMN_BYTES, 0)
    x, out = node.input(0), node.output
    calls = -(-out.rows // AT_ONCE)
    blocks = calls * -(-channels // BLOCK_CHANNELS)
    return Variant(
        ROWS, rows_per_call=AT_ONCE, tile_pixels=pixels, scratch_bytes=scratch_bytes,
        const_bytes=4 * channels * (6 + ROUNDING_WORDS), code_bytes=CODE_BYTES[ROWS],
        cost=blocks * (42 * x.pixels + 120) + calls * channels * (36 * out.pixels + 50))


def packed(filters: Array, bias: Array, rounding: Rounding) -> Array:
    """The words of all channels in reading order, int32, weights filled up to whole groups.

    A word holds the weights of two kernel rows. Of a last single row, channels 0 and 1 of four
    read the low lane, 2 and 3 the high one. Bias and weights have the places of `rounding`.
    """
    channels, height, width, _ = filters.shape
    pairs = _pairs(height)
    lanes = np.zeros((channels, width, pairs, 2), np.int64)
    weights = filters[:, :, :, 0].astype(np.int64).transpose(0, 2, 1)  # channel, column, row
    weights = weights << rounding.places[:, None, None]
    full = height // 2
    lanes[:, :, :full] = weights[:, :, :2 * full].reshape(channels, width, full, 2)
    if height % 2:
        high = np.arange(channels) % BLOCK_CHANNELS >= 2
        lanes[~high, :, full, 0] = weights[~high, :, -1]
        lanes[high, :, full, 1] = weights[high, :, -1]
    words = (lanes[..., 0] & 0xFFFF) | ((lanes[..., 1] & 0xFFFF) << 16)
    return _stream(words, bias, rounding, GROUP_WORDS)


def packed_3x3(filters: Array, bias: Array, rounding: Rounding) -> Array:
    """The same for 3x3: channels 1 and 3 of four are read as 0 and 2 are.

    Channels 2 and 3 of four find the single row before the pair, in its high lane.
    """
    channels = len(filters)
    order = np.arange(channels) % BLOCK_CHANNELS
    weights = filters[:, :, :, 0].astype(np.int64).transpose(0, 2, 1)  # channel, column, row
    weights = weights << rounding.places[:, None, None]
    pair = (weights[:, :, 0] & 0xFFFF) | ((weights[:, :, 1] & 0xFFFF) << 16)
    single = (weights[:, :, 2] & 0xFFFF) << np.where(order >= 2, 16, 0)[:, None]
    words = np.stack([pair, single], axis=2)
    words[order >= 2] = words[order >= 2, :, ::-1]
    return _stream(words, bias, rounding, 1)


def packed_3x3_rows(filters: Array, bias: Array, rounding: Rounding) -> Array:
    """The same for 3x3 in two output rows: of each column of taps rows (0, 1) and rows (1, 2).

    The bias stands last.
    """
    weights = filters[:, :, :, 0].astype(np.int64).transpose(0, 2, 1)  # channel, column, row
    weights = (weights << rounding.places[:, None, None]) & 0xFFFF
    words = weights[:, :, :2] | (weights[:, :, 1:] << 16)
    stream = _stream(words, bias, rounding, 1).reshape(len(filters), -1)
    return np.roll(stream, -1, axis=1).reshape(-1)


def _stream(words: Array, bias: Array, rounding: Rounding, group_words: int) -> Array:
    run = words.reshape(len(words), -1)
    run = np.pad(run, ((0, 0), (0, -run.shape[1] % group_words)))
    rows = np.where(rounding.computed[:, None], rounding.rows, _constant_rows(rounding))
    scaled = bias.astype(np.int64) << rounding.places
    stream = np.concatenate([scaled[:, None], run, rows], axis=1)
    return (stream & 0xFFFFFFFF).astype(np.uint32).view(np.int32).reshape(-1)


def _constant_rows(rounding: Rounding) -> Array:
    """Rounding that makes every accumulator the channel's constant, halfway up from it."""
    constants = np.asarray(rounding.constants, np.int64)
    return np.stack([0 * constants, (constants << 8) + 128, 0 * constants + 8], axis=1)


def kernel(
    node: Node[Any], filters: Array, bias: Array, rounding: Rounding, chosen: Variant
) -> Kernel:
    """The kernel call of a variant that `variants` made; `bias` has the zero point folded in."""
    x, out, a = node.input(0), node.output, node.attrs
    assert x.quant is not None and out.quant is not None
    low, high = fixed_point.activation_range(a.activation, out.quant)
    pack = {GENERAL: packed, SMALL: packed_3x3, ROWS: packed_3x3_rows}[chosen.name]
    fields: tuple[tuple[str, int | ConstArray], ...] = (
        ("weights", ConstArray("int32_t", pack(filters, bias, rounding))),
        ("in_width", x.pixels),
        ("channels", out.channels),
        ("in_pitch", x.channels),
        ("out_pitch", out.channels),
        ("kernel_height", filters.shape[1]),
        ("kernel_width", filters.shape[2]),
        ("stride_x", a.stride[1]),
        ("dilation_y", a.dilation[0]),
        ("pad_left", a.padding.left),
        ("in_zero_point", x.quant.zero_point),
        ("block_pixels", chosen.tile_pixels),
        ("rounding", rounding.how),
        ("out_min", low),
        ("out_max", high),
    )
    fields = tuple((name, value) for name, value in fields if name not in FIXED[chosen.name])
    source = SOURCES[chosen.name]
    return Kernel(source, f"{source}_params", fields, (source,))
