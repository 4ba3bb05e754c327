# SPDX-License-Identifier: MIT
"""CONV_2D of narrow maps on the DSP extension, one output row or several at a time.

A row of few pixels has few windows to share what is read of the weights, and of these windows some
reach over the border. firmware/kernels/te_conv_2d_rows_dsp.h says how several rows avoid both.
"""

from __future__ import annotations

from collections.abc import Iterator

from tinyeff.ir import Array, ConstArray, Kernel, Variant
from tinyeff.ops import dsp_packing, dsp_product, dsp_rounding
from tinyeff.ops.dsp_product import (
    BLOCK_PIXELS,
    LEAST_BLOCKS,
    SCRATCH_LIMIT_BYTES,
    Product,
    RoundingWith,
    pair_count,
)
from tinyeff.ops.dsp_rounding import Rounding
from tinyeff.ops.operator import int8

NAME = "dsp_rows"
SOURCE = "te_conv_2d_rows_dsp"

KERNEL_BYTES = 760
"""Code on a Cortex-M4, without the products."""

PIXELS = (1, 12, 24)
"""Pixels of a call: as many rows as have at least so many."""

NARROW = 12
"""Of a wider row the windows at the border are few."""

MOST_VALUES = 16
"""Of a row of a window: where there are more, it matters less how they are gathered."""


def variants(product: Product, rounding_with: RoundingWith | None) -> Iterator[Variant]:
    """The variants that are proven to be exact, with few rows and more; none where a row has enough
    pixels, or windows are too large.

    A float graph has no `rounding_with`; it is planned as if everything were proven.
    """
    applies = (product.weights.shape[1:3] != (1, 1) and product.dilation == (1, 1)
               and product.is_small and product.runs.shape[2] <= MOST_VALUES
               and BLOCK_PIXELS <= product.out.pixels < NARROW)
    if not applies:
        return
    pairs = pair_count(product, rounding_with, dsp_rounding.ACCUMULATOR_BITS)
    if pairs is None:
        return
    for rows in dict.fromkeys(_rows(product, n) for n in PIXELS):
        blocks = _blocks(product, rows)
        if blocks < (1 if rows == 1 else LEAST_BLOCKS):
            continue
        room = dsp_packing.stream_bytes(1, product.groups) if blocks >= LEAST_BLOCKS else 0
        yield Variant(
            NAME, rows_per_call=rows, tile_pixels=BLOCK_PIXELS * blocks,
            scratch_bytes=_block_bytes(product) * blocks + room + _padded_bytes(product, rows),
            const_bytes=pairs.bytes_in(1, product.groups),
            shared_code=((NAME, KERNEL_BYTES), *dsp_product.PRODUCT_CODE),
            cost=_cost(product, pairs.count, rows, blocks))


def _rows(product: Product, pixels: int) -> int:
    """Output rows that have at least so many pixels, several in whole blocks where the map is that
    high."""
    width = product.out.pixels
    rows = -(-pixels // width)
    if rows > 1 and width % BLOCK_PIXELS:
        rows = -(-rows // BLOCK_PIXELS) * BLOCK_PIXELS
    return min(rows, product.out.rows)


def _block_bytes(product: Product) -> int:
    return 16 * product.groups * BLOCK_PIXELS


def _padded_bytes(product: Product, rows: int) -> int:
    return _columns(product) * product.x.channels * _input_rows(product, rows)


def _columns(product: Product) -> int:
    return int((product.out.pixels - 1) * product.stride_x + product.weights.shape[2])


def _input_rows(product: Product, rows: int) -> int:
    return int((rows - 1) * product.stride_y + product.weights.shape[1])


def _blocks(product: Product, rows: int) -> int:
    """Blocks of a product: those of a call in as few products of much the same size as fit."""
    beside = dsp_packing.stream_bytes(1, product.groups) + _padded_bytes(product, rows)
    room = SCRATCH_LIMIT_BYTES - beside
    most, all_blocks = room // _block_bytes(product), rows * product.out.pixels // BLOCK_PIXELS
    if most < 1 or all_blocks < 1:
        return 0
    return -(-all_blocks // -(-all_blocks // most))


def _cost(product: Product, pairs: int, rows: int, blocks: int) -> int:
    """Cycles: padding the input, expanding windows, the inner loop, and each call."""
    calls = -(-product.out.rows // rows)
    values = _columns(product) * product.x.channels
    per_call = 300 + _input_rows(product, rows) * (60 + values)
    per_pixel = pairs * dsp_product.pair_cost(product.groups, BLOCK_PIXELS * blocks)
    per_pixel += 14 * product.groups + 8 * product.weights.shape[1] + 60
    return int(calls * per_call + product.out.rows * product.out.pixels * per_pixel)


def kernel(
    product: Product, bias: Array, rounding: Rounding, clamp: tuple[int, int], chosen: Variant
) -> Kernel:
    """The kernel call; `bias` has the input zero point folded in."""
    x, out = product.x, product.out
    assert x.quant is not None
    pairs = dsp_packing.pairing(product.weights, rounding)
    stream = dsp_packing.pack(product.runs, bias, rounding, pairs)
    return dsp_product.call_of(SOURCE, (
        ("weights", ConstArray("int32_t", stream)),
        ("constants", 0 if rounding.computed.all() else int8(rounding.constants)),
        ("in_width", x.pixels),
        ("in_channels", x.channels),
        ("out_channels", out.channels),
        ("out_pitch", out.channels),
        ("kernel_height", product.weights.shape[1]),
        ("kernel_width", product.weights.shape[2]),
        ("stride_y", product.stride_y),
        ("stride_x", product.stride_x),
        ("pad_left", product.padding.left),
        ("pairs", len(pairs)),
        ("groups", product.groups),
        ("block_pixels", chosen.tile_pixels),
        ("has_room", int(chosen.tile_pixels >= BLOCK_PIXELS * LEAST_BLOCKS)),
        ("rounding", rounding.how),
        ("in_zero_point", x.quant.zero_point),
        ("out_min", clamp[0]),
        ("out_max", clamp[1]),
    ))
