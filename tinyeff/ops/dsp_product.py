# SPDX-License-Identifier: MIT
"""Products with constant weights on the DSP extension: kernel, scratch memory, cost, parameters.

CONV_2D and FULLY_CONNECTED run on the same two kernels: a fully connected layer is a 1x1
convolution of every pixel, or a convolution whose kernel is as large as the map.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tinyeff.ir import Array, ConstArray, Kernel, Tensor, Variant
from tinyeff.ops import dsp_packing
from tinyeff.ops.dsp_rounding import Rounding
from tinyeff.ops.operator import Padding, int8

SCRATCH_LIMIT_BYTES = 4000
"""Kernels stay below the 4,096 bytes that a whole plan may take beside its activations."""

PREFIX = "dsp_"
CODE_BYTES = {"dsp_1x1": 2996, "dsp_kxk": 3640}
"""Of each kernel with all it calls, on a Cortex-M4."""


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
    def runs(self) -> Array:
        """The weights as (channels, kernel rows, values of a row of the window)."""
        return self.weights.reshape(*self.weights.shape[:2], -1)

    @property
    def groups(self) -> int:
        """Groups of words that a window takes."""
        return dsp_packing.group_count(self.runs.shape[1], self.runs.shape[2])


def variant(product: Product, computed: int, consumes: int, flat: bool) -> Variant | None:
    """The variant that computes `computed` of the output channels.

    None where not even a block of one pixel fits the scratch memory.
    """
    groups, values = product.groups, product.runs.shape[2]
    name = "dsp_1x1" if product.is_1x1 else "dsp_kxk"
    staged = 0 if product.is_1x1 else -(-values // 4) * 4
    most = min(product.out.rows * product.out.pixels if flat else product.out.pixels, 3)
    pixels = next((n for n in range(most, 0, -1) if 16 * groups * n + staged
                   <= SCRATCH_LIMIT_BYTES), 0)
    if pixels == 0:
        return None
    return Variant(
        name, tile_pixels=pixels, scratch_bytes=16 * groups * pixels + staged,
        const_bytes=dsp_packing.stream_bytes(computed, groups)
        + (product.out.channels if computed < product.out.channels else 0),
        code_bytes=CODE_BYTES[name], cost=_cost(product, computed, pixels), consumes=consumes,
        flat=flat)


def _cost(product: Product, computed: int, pixels: int) -> int:
    """Cycles: expanding the input, the inner loop, rounding, and what each block takes."""
    groups, maps = product.groups, product.out.rows * product.out.pixels
    inner = {3: 33, 2: 35, 1: 44}[pixels] * groups
    per_pair = inner + 60 / pixels + 12
    per_block = 80 + 25 * product.runs.shape[1]
    return int(maps * (-(-computed // 2) * per_pair + 18 * groups + per_block / pixels))


def kernel(
    product: Product, bias: Array, rounding: Rounding, clamp: tuple[int, int], chosen: Variant
) -> Kernel:
    """The kernel call of a variant that `variant` made; `bias` has the zero point folded in."""
    x, out = product.x, product.out
    assert x.quant is not None
    stream = dsp_packing.pack(product.runs, bias, rounding)
    all_computed = bool(rounding.computed.all())
    packed: tuple[tuple[str, int | ConstArray], ...] = (
        ("weights", ConstArray("int32_t", stream)),
        ("constants", 0 if all_computed else int8(rounding.constants)),
    )
    shape = (
        ("in_channels", x.channels),
        ("out_channels", out.channels),
        ("pairs", -(-int(rounding.computed.sum()) // 2)),
        ("groups", product.groups),
        ("block_pixels", chosen.tile_pixels),
        ("rounding", rounding.how),
        ("out_min", clamp[0]),
        ("out_max", clamp[1]),
    )
    pitches = (("in_pitch", x.channels), ("out_pitch", out.channels))
    if product.is_1x1:
        return _named("te_conv_2d_1x1_dsp", (
            *packed, *pitches, ("stride_x", product.stride_x), *shape))
    return _named("te_conv_2d_dsp", (
        *packed,
        ("in_width", x.pixels),
        *pitches,
        ("kernel_height", product.weights.shape[1]),
        ("kernel_width", product.weights.shape[2]),
        ("stride_x", product.stride_x),
        ("dilation_y", product.dilation[0]),
        ("dilation_x", product.dilation[1]),
        ("pad_left", product.padding.left),
        ("in_zero_point", x.quant.zero_point),
        *shape,
    ))


def _named(source: str, fields: tuple[tuple[str, int | ConstArray], ...]) -> Kernel:
    return Kernel(source, f"{source}_params", fields, (source, "te_product_dsp"))
