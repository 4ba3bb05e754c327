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
from tinyeff.ops.dsp_packing import GROUP_WORDS, PAIR_WORDS
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

POINTWISE, GENERAL, OVERLAPPING = "dsp_1x1", "dsp_kxk", "dsp_3x3"

KERNEL_BYTES = {POINTWISE: 290, GENERAL: 960, OVERLAPPING: 2130, LONG: 620}
PRODUCT_BYTES, COMMON_BYTES = 2100, 1000
"""Code on a Cortex-M4: of each kernel alone, of the products that all but the overlapping one
share, and of what all of them share."""

PRODUCT_CODE = (("te_expand_dsp", COMMON_BYTES), ("te_product_dsp", PRODUCT_BYTES))
"""`Variant.shared_code` of the products; the overlapping kernel has the first part only."""

BLOCK_PIXELS = 3
"""Of most blocks: as many as registers allow for two channels."""

LEAST_BLOCKS, MOST_BLOCKS = 3, 16
SOME_BLOCKS = (4, 8)
"""Blocks that share what is read of a pair of channels: the fewest for which the copy of it in
SRAM pays, the most that are of use, and compromises between memory and time."""

FLASH_CYCLES, COPY_CYCLES = 2.5, 2.25
"""Of a word: reading it from flash at a high clock, and copying it."""


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
    stride_y: int = 1

    @property
    def is_1x1(self) -> bool:
        """True where every output pixel is made from one input pixel."""
        return self.weights.shape[1:3] == (1, 1) and self.padding.is_none

    @property
    def overlaps(self) -> bool:
        """True where the kernel for 3x3 windows that share columns can compute it."""
        return (self.weights.shape[1:3] == (3, 3) and self.weights.shape[3] % 8 == 0
                and self.stride_x == 1 and self.dilation[1] == 1)

    @property
    def is_small(self) -> bool:
        """True where all parameters fit their fields."""
        return fits_uint16(self.x.channels, self.out.channels, *self.weights.shape, self.stride_x,
                           self.stride_y, *self.dilation, self.padding.left, self.groups)

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


def variants(
    product: Product, rounding_with: RoundingWith | None, flat: bool, consumes: bool
) -> tuple[Variant, ...]:
    """The DSP variants that are proven to be exact, each with more or less memory.

    A float graph has no `rounding_with`; it is planned as if everything were proven.
    """
    pairs = pair_count(product, rounding_with, dsp_rounding.ACCUMULATOR_BITS)
    if pairs is not None and product.is_small:
        names = (OVERLAPPING, GENERAL) if product.overlaps else (
            (POINTWISE if product.is_1x1 else GENERAL),)
        found = tuple(Variant(
            name, tile_pixels=pixels, scratch_bytes=scratch_bytes,
            const_bytes=pairs.bytes_in(1, product.groups), shared_code=_code(name),
            cost=_cost(product, name, pairs.count, pixels), consumes=int(consumes), flat=flat)
            for name in names for pixels, scratch_bytes in _product_tiles(product, name, flat))
        if found:
            return found
    pairs = pair_count(product, rounding_with, dsp_rounding.LONG_BITS)
    if pairs is None or product.x.channels < LEAST_PART_VALUES:
        return ()
    return (_long(product, pairs, flat),)


def _long(product: Product, pairs: Pairs, flat: bool) -> Variant:
    parts = product.parts
    return Variant(
        LONG, tile_pixels=1, scratch_bytes=16 * parts.groups + 8 * min(pairs.count, LONG_PAIRS),
        const_bytes=pairs.bytes_in(parts.count, parts.groups) + 8 * pairs.count,
        shared_code=_code(LONG), flat=flat,
        cost=product.out.rows * product.out.pixels * parts.count * (
            pairs.count * (23 * parts.groups + 45) + 28 * parts.groups))


def _code(name: str) -> tuple[tuple[str, int], ...]:
    shared = PRODUCT_CODE[:1] if name == OVERLAPPING else PRODUCT_CODE
    return ((name, KERNEL_BYTES[name]), *shared)


def bits_of(chosen: Variant) -> int:
    """The bits of an accumulator with which the chosen variant works."""
    return dsp_rounding.LONG_BITS if chosen.name == LONG else dsp_rounding.ACCUMULATOR_BITS


def pair_count(
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


def _product_tiles(product: Product, name: str, flat: bool) -> tuple[tuple[int, int], ...]:
    staged = product.runs.shape[2] if name == GENERAL else 0
    row = product.out.rows * product.out.pixels if flat else product.out.pixels
    return tiles(product.groups, row, staged, shared_columns=name == OVERLAPPING)


def tiles(
    groups: int, row: int, staged: int = 0, shared_columns: bool = False
) -> tuple[tuple[int, int], ...]:
    """(pixels of a call's tiles, bytes of scratch memory): one block, some, and as many as fit.

    A pixel takes `groups` groups of words, and `row` pixels follow each other; `staged` are bytes
    beside the tile. Several blocks share the words of a pair of channels, for which there is room
    as well.
    """
    pixel = 16 * groups
    sizes = {n: pixel * n for n in range(1, BLOCK_PIXELS + 1)}
    if shared_columns:
        sizes = {n: pixel * (n + 2) // 3 for n in sizes}
    least = max((n for n in sizes if n <= row and sizes[n] + staged <= SCRATCH_LIMIT_BYTES),
                default=0)
    found = [(least, sizes[least] + staged)] if least else []
    block = sizes[BLOCK_PIXELS]
    copy = dsp_packing.stream_bytes(1, groups)
    most = min((SCRATCH_LIMIT_BYTES - staged - copy) // block, row // BLOCK_PIXELS, MOST_BLOCKS)
    for blocks in dict.fromkeys((*SOME_BLOCKS, most)):
        if LEAST_BLOCKS <= blocks <= most:
            calls = -(-(row // BLOCK_PIXELS) // blocks)
            even = -(-(row // BLOCK_PIXELS) // calls)  # calls of much the same size
            found.append((BLOCK_PIXELS * even, block * even + copy + staged))
    return tuple(dict.fromkeys(found))


def _cost(product: Product, name: str, pairs: int, pixels: int) -> int:
    """Cycles: expanding the input, the inner loop, rounding, reading weights, and each call."""
    groups, maps = product.groups, product.out.rows * product.out.pixels
    shares_columns = name == OVERLAPPING and pixels >= BLOCK_PIXELS
    expand = (8 if shares_columns else 14) * groups
    per_pair = pair_cost(groups, pixels, 45 if shares_columns else None)
    per_block = 140 + 40 * product.runs.shape[1]
    edges = product.out.rows * _edge_cost(product) if name == GENERAL else 0
    return int(maps * (pairs * per_pair + expand + per_block / pixels) + edges)


def _edge_cost(product: Product) -> int:
    """Cycles of a row for windows that reach over the border, or that no whole block is made of."""
    first = np.arange(product.out.pixels) * product.stride_x - product.padding.left
    span = (product.weights.shape[2] - 1) * product.dilation[1] + 1
    outside = (first < 0) | (first + span > product.x.pixels)
    blocks = np.add.reduceat(outside, np.arange(0, len(outside), BLOCK_PIXELS))
    single = np.count_nonzero(blocks) * BLOCK_PIXELS + len(outside) % BLOCK_PIXELS
    return int(product.weights.shape[1] * (100 * single + 400 * np.count_nonzero(outside)))


def pair_cost(groups: int, pixels: int, inner: int | None = None) -> float:
    """Cycles that a pair of channels takes for one of `pixels` pixels that share its words.

    `inner` is what a group of words takes in a block, where it is not the usual product.
    """
    block = min(pixels, BLOCK_PIXELS)
    words = GROUP_WORDS * groups + PAIR_WORDS
    read = FLASH_CYCLES * words / pixels
    if pixels > block:
        read += COPY_CYCLES * words / pixels
    in_block = (inner or {3: 50, 2: 52, 1: 66}[block]) * groups
    return (in_block + 60) / block + 10 + read


def kernel(
    product: Product, bias: Array, rounding: Rounding, clamp: tuple[int, int], chosen: Variant
) -> Kernel:
    """The kernel call of a variant that `variant` made; `bias` has the zero point folded in."""
    x, out = product.x, product.out
    assert x.quant is not None
    long, pairs = chosen.name == LONG, dsp_packing.pairing(product.weights, rounding)
    if long:
        stream = dsp_packing.pack_parts(product.parts.filters, rounding, pairs, LONG_PAIRS)
    elif chosen.name == OVERLAPPING:
        stream = dsp_packing.pack_overlapping(product.weights, bias, rounding, pairs)
    else:
        stream = dsp_packing.pack(product.runs, bias, rounding, pairs)
    packed: tuple[tuple[str, int | ConstArray], ...] = (
        ("weights", ConstArray("int32_t", stream)),
        ("constants", 0 if rounding.computed.all() else int8(rounding.constants)),
        ("in_pitch", x.channels),
        ("out_pitch", out.channels),
        ("in_channels", x.channels),
        ("out_channels", out.channels),
        ("pairs", len(pairs)),
        ("groups", product.parts.groups if long else product.groups),
        ("rounding", rounding.how),
        ("out_min", clamp[0]),
        ("out_max", clamp[1]),
    )
    stride = ("stride_x", product.stride_x)
    blocks = (("block_pixels", chosen.tile_pixels),
              ("has_room", int(chosen.tile_pixels > BLOCK_PIXELS)))
    if chosen.name == POINTWISE:
        return call_of("te_conv_2d_1x1_dsp", (*packed, stride, *blocks))
    if chosen.name == OVERLAPPING:
        return call_of("te_conv_2d_3x3_dsp", (
            *packed,
            ("in_width", x.pixels),
            ("dilation_y", product.dilation[0]),
            ("pad_left", product.padding.left),
            ("in_zero_point", x.quant.zero_point),
            *blocks))
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
        return call_of("te_conv_2d_long_dsp", (*packed, stride, *window, *part))
    return call_of("te_conv_2d_dsp", (*packed, stride, *window, *blocks))


def call_of(source: str, fields: tuple[tuple[str, int | ConstArray], ...]) -> Kernel:
    """The call of the kernel in `source`, which multiplies by te_product_dsp."""
    return Kernel(source, f"{source}_params", fields, (source, "te_product_dsp"))
