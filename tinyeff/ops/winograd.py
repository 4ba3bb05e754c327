# SPDX-License-Identifier: MIT
"""3x3 convolutions with stride 1 by Winograd's F(2x2, 3x3) on the DSP extension, exact in integers.

16 multiplications make a tile of 2x2 outputs where a window by window sum takes 36; for it every
filter of 9 bytes becomes one of 16 numbers of two bytes. firmware/kernels/te_conv_2d_winograd_dsp.h
has the arithmetic. Source of the algorithm: Lavin and Gray, Fast Algorithms for Convolutional
Neural Networks, 2016.
"""

from __future__ import annotations

import numpy as np

from tinyeff.ir import Array, ConstArray, Kernel, Variant
from tinyeff.ops import dsp_rounding
from tinyeff.ops.dsp_packing import lanes
from tinyeff.ops.dsp_product import SCRATCH_LIMIT_BYTES, Product, RoundingWith
from tinyeff.ops.dsp_rounding import Rounding
from tinyeff.ops.operator import int8

NAME = "dsp_winograd"
SOURCE = "te_conv_2d_winograd_dsp"

CODE_BYTES = 2980
"""Of the kernel on a Cortex-M4."""

TILE = 2
"""Output rows and columns of a tile."""

PLACES = 16
"""Multiplications of a tile, for each pair of an input and an output channel."""

LEAST_TILES, MOST_TILES = 2, 3
"""Of a block: each reads all weights, so that one tile would read them too often."""

SUMS_BYTES = 4 * PLACES * 2 * MOST_TILES
"""Of one pair of output channels at all places of a block."""

ROUNDING_WORDS = 8
"""Of a pair of output channels."""

DOUBLED_FILTER_TRANSFORM = np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]], np.int64)
"""2 G; the results of filters within int8 fit 16 bits, and products of two with inputs 31."""


def applies(product: Product) -> bool:
    """True where the convolution is one of 3x3 windows that the kernel's parameters can say."""
    return (product.weights.shape[1:3] == (3, 3) and product.dilation == (1, 1)
            and (product.stride_y, product.stride_x) == (1, 1) and product.is_small)


def transformed(filters: Array) -> Array:
    """2 G g (2 G)^T of filters (channels, 3, 3, depth), int64, shape (channels, 16, depth)."""
    g = DOUBLED_FILTER_TRANSFORM
    places = np.einsum("iy,oyxc,jx->oijc", g, filters.astype(np.int64), g)
    result: Array = places.reshape(len(filters), PLACES, filters.shape[3])
    return result


def variant(product: Product, rounding_with: RoundingWith | None) -> Variant | None:
    """The variant for a convolution to which it `applies`, or None where it is not proven exact.

    A float graph has no `rounding_with`; it is planned as if everything were proven.
    """
    channels = product.out.channels
    rounding = rounding_with(dsp_rounding.ACCUMULATOR_BITS) if rounding_with is not None else None
    if rounding is None and rounding_with is not None:
        return None
    computed = channels if rounding is None else int(np.count_nonzero(rounding.computed))
    pairs, fours = -(-computed // 2), -(-product.x.channels // 4)
    per_tile = 8 * PLACES * fours
    tiles = min(MOST_TILES, (SCRATCH_LIMIT_BYTES - SUMS_BYTES) // per_tile)
    if tiles < LEAST_TILES:
        return None
    down, across = -(-product.out.rows // TILE), -(-product.out.pixels // TILE)
    constant_bytes = 0 if computed == channels else channels
    return Variant(
        NAME, rows_per_call=TILE, tile_pixels=TILE * tiles,
        scratch_bytes=tiles * per_tile + SUMS_BYTES,
        const_bytes=4 * max(pairs * (PLACES * 4 * fours + ROUNDING_WORDS), 1) + constant_bytes,
        code_bytes=CODE_BYTES,
        cost=_cost(down * max(across, LEAST_TILES), pairs, fours, tiles))


def _cost(tiles: int, pairs: int, fours: int, block: int) -> int:
    """Cycles: transforms of inputs and outputs, and the inner loop, of all `tiles`."""
    per_four = {2: 18, 3: 26}[block] * fours
    per_pair = (PLACES * (per_four + 28) + 100) / block + 240
    return int(tiles * (300 * fours + pairs * per_pair))


def kernel(
    product: Product, bias: Array, rounding: Rounding, clamp: tuple[int, int], chosen: Variant
) -> Kernel:
    """The kernel call; `bias` has the input zero point folded in."""
    x, out = product.x, product.out
    assert x.quant is not None
    fields: tuple[tuple[str, int | ConstArray], ...] = (
        ("weights", ConstArray("int32_t", packed(product.weights, bias, rounding))),
        ("constants", 0 if rounding.computed.all() else int8(rounding.constants)),
        ("in_width", x.pixels),
        ("in_pitch", x.channels),
        ("out_pitch", out.channels),
        ("pad_left", product.padding.left),
        ("in_channels", x.channels),
        ("out_channels", out.channels),
        ("pairs", -(-int(np.count_nonzero(rounding.computed)) // 2)),
        ("block_tiles", chosen.tile_pixels // TILE),
        ("rounding", rounding.how),
        ("in_zero_point", x.quant.zero_point),
        ("out_min", clamp[0]),
        ("out_max", clamp[1]),
    )
    return Kernel(SOURCE, f"{SOURCE}_params", fields, (SOURCE, "te_winograd_dsp", "te_product_dsp"))


def packed(filters: Array, bias: Array, rounding: Rounding) -> Array:
    """The words of all pairs of computed channels in reading order, int32.

    Behind an odd number of channels comes one of zeros, written to the place of the last channel
    before that is.
    """
    places = np.flatnonzero(rounding.computed)
    if len(places) == 0:
        return np.zeros(1, np.int32)  # C has no empty arrays
    odd = len(places) % 2
    padded = np.pad(filters[places], ((0, odd), (0, 0), (0, 0), (0, -filters.shape[3] % 4)))
    halves = lanes(transformed(padded))  # (channels, words, 2)
    words = (halves[..., 0] & 0xFFFF) | ((halves[..., 1] & 0xFFFF) << 16)
    rows = np.concatenate([bias.astype(np.int64)[:, None] << 8, rounding.rows], axis=1)[places]
    rows[:, 3] += places << 8
    if odd:
        rows = np.concatenate([rows, [[0, 0, 0, places[-1] << 8]]])
    pairs = len(words) // 2
    stream = np.concatenate([
        words.reshape(pairs, 2, -1).swapaxes(1, 2).reshape(pairs, -1),
        rows.reshape(pairs, 2, 4)[:, ::-1].reshape(pairs, -1),
    ], axis=1)
    result: Array = (stream.reshape(-1) & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
    return result
