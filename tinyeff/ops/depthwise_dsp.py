# SPDX-License-Identifier: MIT
"""DEPTHWISE_CONV_2D on cores with the DSP extension: packing, scratch memory and parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyeff import fixed_point
from tinyeff.ir import Array, ConstArray, Kernel, Variant
from tinyeff.ops.dsp_rounding import Rounding
from tinyeff.ops.operator import Node

NAME = "dsp"
SOURCE = "te_depthwise_conv_2d_dsp"
CODE_BYTES = 2320
"""Of the kernel on a Cortex-M4."""

SCRATCH_LIMIT_BYTES = 4000
"""Kernels stay below the 4,096 bytes that a whole plan may take beside its activations."""

BLOCK_CHANNELS = 4
ROUNDING_WORDS = 4
"""A channel's bias stands before its weights, multiplier, constant and shift behind them."""


GROUP_WORDS = 4
"""Words are read in groups; a window reads up to 3 words behind its last."""


def _scratch_bytes(columns: int, pairs: int) -> int:
    return 4 * (BLOCK_CHANNELS * columns * pairs + GROUP_WORDS - 1)


def _pairs(height: int) -> int:
    return (height + 1) // 2


def _block_pixels(node: Node[Any], height: int, width: int) -> int:
    """How many output pixels the scratch memory has room for, up to a whole row."""
    room = (SCRATCH_LIMIT_BYTES - 12) // (4 * BLOCK_CHANNELS * _pairs(height))
    stride: int = node.attrs.stride[1]
    pixels = (room - width) // stride + 1
    return min(pixels, node.output.pixels)


def variant(node: Node[Any], filters: Array) -> Variant | None:
    """The DSP variant for filters (channels, height, width, 1), None where it does not apply.

    It takes one filter per channel and no dilation along rows.
    """
    channels, height, width, _ = filters.shape
    pixels = _block_pixels(node, height, width)
    if channels != node.input(0).channels or node.attrs.dilation[1] != 1 or pixels < 1:
        return None
    columns = (pixels - 1) * node.attrs.stride[1] + width
    pairs = _pairs(height)
    words = -(-width * pairs // GROUP_WORDS) * GROUP_WORDS
    blocks = -(-channels // BLOCK_CHANNELS)
    out = node.output.rows * node.output.pixels * channels
    expanded = node.output.rows * node.input(0).pixels * blocks * pairs
    return Variant(
        NAME, tile_pixels=pixels, scratch_bytes=_scratch_bytes(columns, pairs),
        const_bytes=4 * channels * (words + ROUNDING_WORDS),
        code_bytes=CODE_BYTES, cost=16 * expanded + out * (2 * width * pairs + 12))


def packed(filters: Array, bias: Array, rounding: Rounding) -> Array:
    """The words of all channels in reading order, int32, weights filled up to whole groups.

    A word holds the weights of two kernel rows. Of a last single row, channels 0 and 1 of four
    read the low lane, 2 and 3 the high one.
    """
    channels, height, width, _ = filters.shape
    pairs = _pairs(height)
    lanes = np.zeros((channels, width, pairs, 2), np.int64)
    weights = filters[:, :, :, 0].astype(np.int64).transpose(0, 2, 1)  # channel, column, row
    full = height // 2
    lanes[:, :, :full] = weights[:, :, :2 * full].reshape(channels, width, full, 2)
    if height % 2:
        high = np.arange(channels) % BLOCK_CHANNELS >= 2
        lanes[~high, :, full, 0] = weights[~high, :, -1]
        lanes[high, :, full, 1] = weights[high, :, -1]
    words = (lanes[..., 0] & 0xFFFF) | ((lanes[..., 1] & 0xFFFF) << 16)
    rows = np.where(rounding.computed[:, None], rounding.rows, _constant_rows(rounding))
    run = np.pad(words.reshape(channels, -1), ((0, 0), (0, -width * pairs % GROUP_WORDS)))
    stream = np.concatenate([bias.astype(np.int64)[:, None], run, rows], axis=1)
    return (stream & 0xFFFFFFFF).astype(np.uint32).view(np.int32).reshape(-1)


def _constant_rows(rounding: Rounding) -> Array:
    """Rounding that makes every accumulator the channel's constant, halfway up from it."""
    constants = np.asarray(rounding.constants, np.int64)
    return np.stack([0 * constants, (constants << 8) + 128, 0 * constants + 8], axis=1)


def kernel(
    node: Node[Any], filters: Array, bias: Array, rounding: Rounding, chosen: Variant
) -> Kernel:
    """The kernel call of the variant that `variant` made; `bias` has the zero point folded in."""
    x, out, a = node.input(0), node.output, node.attrs
    assert x.quant is not None and out.quant is not None
    low, high = fixed_point.activation_range(a.activation, out.quant)
    fields = (
        ("weights", ConstArray("int32_t", packed(filters, bias, rounding))),
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
    return Kernel(SOURCE, f"{SOURCE}_params", fields, (SOURCE,))
