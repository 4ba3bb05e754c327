# SPDX-License-Identifier: MIT
"""Products with constant weights on the DSP extension: kernel, scratch memory, cost, parameters.

CONV_2D and FULLY_CONNECTED run on the same two kernels: a fully connected layer is a 1x1
convolution of every pixel, or a convolution whose kernel is as large as the map.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from tinyeff.ir import Array, ConstArray, Kernel, Tensor, Variant
from tinyeff.ops import dsp_packing, dsp_rounding
from tinyeff.ops.dsp_rounding import Rounding
from tinyeff.ops.operator import Padding, fits_uint16, int8

SCRATCH_LIMIT_BYTES = 4000
"""Kernels stay below the 4,096 bytes that a whole plan may take beside its activations."""

PREFIX, LONG = "dsp_", "dsp_long"

LONG_PAIRS = 32
"""TE_LONG_PAIRS."""

PART_VALUES = 504
LEAST_PART_VALUES = 32
"""The most values that are multiplied at once where a window is too long for a tile or its
accumulators for 23 bits (those of a part never are), and the fewest for which that pays."""

KERNEL_BYTES = {"dsp_1x1": 226, "dsp_kxk": 990, LONG: 620}
PRODUCT_BYTES = 2840
"""Code on a Cortex-M4: of each kernel alone, and of what they share."""


@dataclass(frozen=True, eq=False)
class Parts:
    """A window cut into equal parts: `filters` (channels, count, values), zeros where need be."""

    filters: Array

    @property
    def count(self) -> int:
        """Parts of a window."""
        return int(self.filters.shape[1])

    @property
    def values(self) -> int:
        """Values of a part."""
        return int(self.filters.shape[2])

    @property
    def groups(self) -> int:
        """Groups of words that a part takes."""
        return dsp_packing.group_count(1, self.values)


@dataclass(frozen=True, eq=False)
class Product:
    """A convolution of one group of `x` (its map seen as such) into `out`.

    `weights` have shape (channels, height, width, in_channels).
    """

    x: Tensor
    out: Tensor
    weights: Array
    stride_x: int = 1
    dilation: tuple[int, int] = (1, 1)
    padding: Padding = field(default_factory=Padding)

    @property
    def is_1x1(self) -> bool:
        """True where every output pixel is made from one input pixel."""
        return self.weights.shape[1:3] == (1, 1) and self.padding.is_none

    @property
    def is_small(self) -> bool:
        """True where all parameters fit their fields."""
        return fits_uint16(self.x.channels, self.out.channels, *self.weights.shape, self.stride_x,
                           *self.dilation, self.padding.left, self.groups)

    @property
    def runs(self) -> Array:
        """The weights as (channels, kernel rows, values of a row of the window)."""
        return self.weights.reshape(*self.weights.shape[:2], -1)

    @property
    def groups(self) -> int:
        """Groups of words that a window takes."""
        return dsp_packing.group_count(self.runs.shape[1], self.runs.shape[2])

    @property
    def parts(self) -> Parts:
        """The window tap by tap, each in as few parts of whole groups as a tile can hold."""
        channels, height, width, depth = self.weights.shape
        per_tap = -(-depth // PART_VALUES)
        values = -(-depth // per_tap // 8) * 8
        padded = np.pad(self.weights, ((0, 0), (0, 0), (0, 0), (0, per_tap * values - depth)))
        return Parts(padded.reshape(channels, height * width * per_tap, values))


@dataclass(frozen=True)
class Pairs:
    """How many pairs of channels are computed, and bytes of the outputs of all others."""

    count: int
    constant_bytes: int

    def bytes_in(self, parts: int, groups: int) -> int:
        """Bytes of constants where each pair reads so many parts of so many groups."""
        return max(parts * dsp_packing.stream_bytes(self.count, groups), 4) + self.constant_bytes


RoundingWith = Callable[[int], Rounding | None]
"""The rounding of accumulators of so many bits, or None where it is not proven exact."""


def variant(
    product: Product, rounding_with: RoundingWith | None, flat: bool, consumes: bool
) -> Variant | None:
    """The fastest DSP variant that is proven to be exact, or None.

    A float graph has no `rounding_with`; it is planned as if everything were proven.
    """
    pairs = _pair_count(product, rounding_with, dsp_rounding.ACCUMULATOR_BITS)
    pixels, scratch_bytes = _tile(product, flat)
    if pairs is not None and pixels > 0 and product.is_small:
        name = "dsp_1x1" if product.is_1x1 else "dsp_kxk"
        return Variant(
            name, tile_pixels=pixels, scratch_bytes=scratch_bytes,
            const_bytes=pairs.bytes_in(1, product.groups),
            shared_code=_code(name), cost=_cost(product, pairs.count, pixels),
            consumes=int(consumes), flat=flat)
    pairs = _pair_count(product, rounding_with, dsp_rounding.LONG_BITS)
    if pairs is None or product.x.channels < LEAST_PART_VALUES:
        return None
    parts = product.parts
    return Variant(
        LONG, tile_pixels=1, scratch_bytes=16 * parts.groups + 8 * min(pairs.count, LONG_PAIRS),
        const_bytes=pairs.bytes_in(parts.count, parts.groups) + 8 * pairs.count,
        shared_code=_code(LONG), flat=flat,
        cost=product.out.rows * product.out.pixels * parts.count * (
            pairs.count * (23 * parts.groups + 45) + 28 * parts.groups))


def _code(name: str) -> tuple[tuple[str, int], ...]:
    return (name, KERNEL_BYTES[name]), ("te_product_dsp", PRODUCT_BYTES)


def bits_of(chosen: Variant) -> int:
    """The bits of an accumulator with which the chosen variant works."""
    return dsp_rounding.LONG_BITS if chosen.name == LONG else dsp_rounding.ACCUMULATOR_BITS


def _pair_count(
    product: Product, rounding_with: RoundingWith | None, bits: int
) -> Pairs | None:
    """The pairs that are computed, or None where that is not exact."""
    channels = product.out.channels
    if rounding_with is None:
        return Pairs(-(-channels // 2), 0)
    rounding = rounding_with(bits)
    if rounding is None:
        return None
    pairs = dsp_packing.pairing(product.weights, rounding)
    return Pairs(len(pairs), 0 if rounding.computed.all() else channels)


def _tile(product: Product, flat: bool) -> tuple[int, int]:
    """(pixels of a block, bytes of scratch memory): as many of both as there may be; or zeros."""
    staged = 0 if product.is_1x1 else -(-product.runs.shape[2] // 4) * 4
    most = min(product.out.rows * product.out.pixels if flat else product.out.pixels, 3)
    for pixels in range(most, 0, -1):
        scratch_bytes = 16 * product.groups * pixels + staged
        if scratch_bytes <= SCRATCH_LIMIT_BYTES:
            return pixels, scratch_bytes
    return 0, 0


def _cost(product: Product, pairs: int, pixels: int) -> int:
    """Cycles: expanding the input, the inner loop, rounding, and what each block takes."""
    groups, maps = product.groups, product.out.rows * product.out.pixels
    inner = {3: 17, 2: 18, 1: 23}[pixels] * groups
    per_pair = inner + 35 / pixels + 18
    per_block = 140 + 40 * product.runs.shape[1]
    return int(maps * (pairs * per_pair + 14 * groups + per_block / pixels))


def kernel(
    product: Product, bias: Array, rounding: Rounding, clamp: tuple[int, int], chosen: Variant
) -> Kernel:
    """The kernel call of a variant that `variant` made; `bias` has the zero point folded in."""
    x, out = product.x, product.out
    assert x.quant is not None
    long, pairs = chosen.name == LONG, dsp_packing.pairing(product.weights, rounding)
    if long:
        stream = dsp_packing.pack_parts(product.parts.filters, rounding, pairs, LONG_PAIRS)
    else:
        stream = dsp_packing.pack(product.runs, bias, rounding, pairs)
    packed: tuple[tuple[str, int | ConstArray], ...] = (
        ("weights", ConstArray("int32_t", stream)),
        ("constants", 0 if rounding.computed.all() else int8(rounding.constants)),
        ("in_pitch", x.channels),
        ("out_pitch", out.channels),
        ("stride_x", product.stride_x),
        ("in_channels", x.channels),
        ("out_channels", out.channels),
        ("pairs", len(pairs)),
        ("groups", product.parts.groups if long else product.groups),
        ("rounding", rounding.how),
        ("out_min", clamp[0]),
        ("out_max", clamp[1]),
    )
    block = ("block_pixels", chosen.tile_pixels)
    if chosen.name == "dsp_1x1":
        return _named("te_conv_2d_1x1_dsp", (*packed, block))
    window = (
        ("in_width", x.pixels),
        ("kernel_height", product.weights.shape[1]),
        ("kernel_width", product.weights.shape[2]),
        ("dilation_y", product.dilation[0]),
        ("dilation_x", product.dilation[1]),
        ("pad_left", product.padding.left),
        ("in_zero_point", x.quant.zero_point),
    )
    if long:
        sums = ConstArray("int32_t", dsp_packing.pair_biases(bias, pairs))
        part = (("bias", sums), ("part_values", product.parts.values))
        return _named("te_conv_2d_long_dsp", (*packed, *window, *part))
    return _named("te_conv_2d_dsp", (*packed, *window, block))


def _named(source: str, fields: tuple[tuple[str, int | ConstArray], ...]) -> Kernel:
    return Kernel(source, f"{source}_params", fields, (source, "te_product_dsp"))
