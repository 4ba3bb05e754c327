# SPDX-License-Identifier: MIT
"""Convolutions of several groups on the DSP extension: kernel, scratch memory, cost, parameters.

Each group is a product of its own (dsp_product.py) over its part of the channels. Small groups
leave words half empty and spend their time on expanding few values at a time: several of them are
computed as one, whose other weights are zeros.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from tinyeff.ir import Array, Kernel, Variant
from tinyeff.ops import dsp_packing, dsp_product, dsp_rounding
from tinyeff.ops.dsp_product import BLOCK_PIXELS, Product, RoundingWith
from tinyeff.ops.dsp_rounding import Rounding
from tinyeff.ops.operator import fits_uint16, int8, int32

NAME = "dsp_grouped"

KERNEL_BYTES = 800
"""Of the kernel alone on a Cortex-M4."""

JOINED_BYTES = 1.5
"""How much of the least flash the zeros of joined groups may bring the weights to."""


@dataclass(frozen=True, eq=False)
class Grouped:
    """What is computed as `count` groups: `filters` (channels, taps, values of a tap)."""

    count: int
    filters: Array

    @property
    def out_channels(self) -> int:
        """Output channels of a group."""
        return len(self.filters) // self.count

    @property
    def words(self) -> int:
        """Words that a window of a group takes, in fours."""
        return dsp_packing.group_count(*self.filters.shape[1:])

    def parts(self, rounding: Rounding) -> Iterator[tuple[slice, Rounding, Array]]:
        """Of each group its channels, their rounding, and which of them share lanes."""
        for first in range(0, len(self.filters), self.out_channels):
            part = slice(first, first + self.out_channels)
            how = replace(rounding, rows=rounding.rows[part], computed=rounding.computed[part],
                          constants=rounding.constants[part], places=rounding.places[part])
            yield part, how, dsp_packing.pairing(self.filters[part], how)


def grouped(product: Product) -> Grouped:
    """The groups of a convolution, joined as is fastest within JOINED_BYTES of the least flash."""
    channels, height, width, depth = product.weights.shape
    count, taps = product.x.channels // depth, height * width
    outputs = channels // count
    ways = [n for n in range(1, count + 1) if count % n == 0]
    pairs = {n: -(-n * outputs // 2) * (count // n) for n in ways}
    words = {n: dsp_packing.group_count(taps, n * depth) for n in ways}
    sizes = {n: dsp_packing.stream_bytes(pairs[n], words[n]) for n in ways}
    joined = min((n for n in ways if sizes[n] <= JOINED_BYTES * min(sizes.values())),
                 key=lambda n: _cost(count // n, taps, words[n], pairs[n], BLOCK_PIXELS))
    # (joined groups, groups in each, outputs of one, taps, groups in each, inputs of one)
    spread = np.zeros((count // joined, joined, outputs, taps, joined, depth),
                      product.weights.dtype)
    own = np.arange(joined)
    weights = product.weights.reshape(count // joined, joined, outputs, taps, depth)
    spread[:, own, :, :, own] = weights.swapaxes(0, 1)
    return Grouped(count // joined, spread.reshape(channels, taps, joined * depth))


def _cost(count: int, taps: int, words: int, pairs: int, pixels: int) -> float:
    """Cycles of a pixel: of each group expanding the input and a call, and what all pairs take."""
    expand = 28 * words + taps * (20 + 40 / min(pixels, BLOCK_PIXELS))
    return pairs * dsp_product.pair_cost(words, pixels) + count * (expand + 140 / pixels)


def variants(
    product: Product, rounding_with: RoundingWith | None, flat: bool
) -> tuple[Variant, ...]:
    """The variants that are proven to be exact, each with more or less memory.

    A float graph has no `rounding_with`; it is planned as if everything were proven.
    """
    of = grouped(product)
    rounding = rounding_with and rounding_with(dsp_rounding.ACCUMULATOR_BITS)
    if rounding_with is not None and rounding is None:
        return ()
    if not (product.is_small and fits_uint16(of.count, of.words)):
        return ()
    channels, every = product.out.channels, -(-of.out_channels // 2) * of.count
    pairs = every if rounding is None else sum(len(p) for *_, p in of.parts(rounding))
    constants = 0 if rounding is None or rounding.computed.all() else channels
    size = max(dsp_packing.stream_bytes(pairs, of.words), 4) + 4 * of.count + constants
    taps, maps = of.filters.shape[1], product.out.rows * product.out.pixels
    tiles = dsp_product.tiles(of.words, maps if flat else product.out.pixels)
    return tuple(Variant(
        NAME, tile_pixels=pixels, scratch_bytes=scratch_bytes, const_bytes=size,
        code_bytes=KERNEL_BYTES, shared_code=dsp_product.PRODUCT_CODE, flat=flat,
        cost=int(maps * _cost(of.count, taps, of.words, pairs, pixels)))
        for pixels, scratch_bytes in tiles)


def kernel(
    product: Product, bias: Array, rounding: Rounding, clamp: tuple[int, int], chosen: Variant
) -> Kernel:
    """The kernel call of a variant that `variants` made; `bias` has the zero point folded in."""
    x, out, of = product.x, product.out, grouped(product)
    assert x.quant is not None
    parts = list(of.parts(rounding))
    streams = [dsp_packing.pack(of.filters[part], bias[part], how, pairs)
               for part, how, pairs in parts if len(pairs)]
    return dsp_product.call_of("te_conv_2d_grouped_dsp", (
        ("weights", int32(np.concatenate(streams or [np.zeros(1, np.int32)]))),
        ("pairs", int32([len(pairs) for *_, pairs in parts])),
        ("constants", 0 if rounding.computed.all() else int8(rounding.constants)),
        ("in_width", x.pixels),
        ("in_pitch", x.channels),
        ("out_pitch", out.channels),
        ("kernel_height", product.weights.shape[1]),
        ("kernel_width", product.weights.shape[2]),
        ("stride_x", product.stride_x),
        ("dilation_y", product.dilation[0]),
        ("dilation_x", product.dilation[1]),
        ("pad_left", product.padding.left),
        ("in_channels", of.filters.shape[2]),
        ("out_channels", of.out_channels),
        ("groups", of.count),
        ("words", of.words),
        ("block_pixels", chosen.tile_pixels),
        ("rounding", rounding.how),
        ("has_room", int(chosen.tile_pixels > BLOCK_PIXELS)),
        ("in_zero_point", x.quant.zero_point),
        ("out_min", clamp[0]),
        ("out_max", clamp[1]),
    ))
