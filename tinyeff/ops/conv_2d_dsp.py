# SPDX-License-Identifier: MIT
"""CONV_2D on cores with the DSP extension: kernel, scratch memory, cost and parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tinyeff import fixed_point
from tinyeff.ir import Array, ConstArray, Kernel, Variant
from tinyeff.ops import dsp_packing
from tinyeff.ops.operator import Node
from tinyeff.ops.weights import accumulator_range

SCRATCH_LIMIT_BYTES = 4000
"""Kernels stay below the 4,096 bytes that a whole plan may take beside its activations."""

PREFIX = "dsp_"
CODE_BYTES = {"dsp_1x1": 2828, "dsp": 3272}
"""Of each kernel with all it calls, on a Cortex-M4."""


@dataclass(frozen=True, eq=False)
class Filters:
    """What a convolution multiplies with: `weights` (channels, height, width, in_channels).

    `bias` has the input zero point folded in; `multipliers` and `shifts` are per channel.
    """

    weights: Array
    bias: Array
    multipliers: Array
    shifts: Array


def _is_1x1(node: Node[Any], weights: Array) -> bool:
    return weights.shape[1:3] == (1, 1) and node.attrs.padding.is_none


def _runs(node: Node[Any], weights: Array) -> Array:
    """The weights as (channels, kernel rows, values of a row)."""
    return weights.reshape(weights.shape[0], weights.shape[1], -1)


def rounding_of(node: Node[Any], filters: Filters) -> dsp_packing.Rounding | None:
    """The rounding of every channel, or None where the DSP kernels are not proven exact."""
    quant = node.output.quant
    assert quant is not None
    low, high = accumulator_range(filters.bias, filters.weights)
    if not dsp_packing.fits_lanes(filters.weights, low, high):
        return None
    out_min, _ = fixed_point.activation_range(node.attrs.activation, quant)
    return dsp_packing.conv_rounding(filters.multipliers, filters.shifts,
                                     abs(low).clip(min=abs(high)), quant.zero_point, out_min)


def variant(node: Node[Any], weights: Array, pointwise: bool) -> Variant | None:
    """The DSP variant for weights (channels, height, width, in_channels) of one group.

    None where not even a block of one pixel fits the scratch memory.
    """
    channels, height, _, _ = weights.shape
    values = weights[0, 0].size
    groups = dsp_packing.group_count(height, values)
    name = "dsp_1x1" if _is_1x1(node, weights) else "dsp"
    staged = 0 if name == "dsp_1x1" else -(-values // 4) * 4
    pixels = next((n for n in (3, 2, 1) if 16 * groups * n + staged <= SCRATCH_LIMIT_BYTES), 0)
    if pixels == 0:
        return None
    return Variant(
        f"{name}_{pixels}", tile_pixels=pixels, scratch_bytes=16 * groups * pixels + staged,
        const_bytes=dsp_packing.stream_bytes(channels, groups), code_bytes=CODE_BYTES[name],
        cost=_cost(node, groups, height, pixels), consumes=1 if pointwise else 0, flat=pointwise)


def _cost(node: Node[Any], groups: int, runs: int, pixels: int) -> int:
    """Cycles: expanding the input, the inner loop, rounding, and what each block takes."""
    out = node.output
    maps, pairs = out.rows * out.pixels, -(-out.channels // 2)
    inner = {3: 8.4, 2: 8.9, 1: 11.0}[pixels] * 4 * groups
    per_pair = inner + 60 / pixels + 12
    return int(maps * (pairs * per_pair + 18 * groups + (60 + 40 * runs) / pixels))


def kernel(node: Node[Any], filters: Filters, chosen: Variant) -> Kernel:
    """The kernel call of a variant that `variant` made."""
    x, out, a = node.input(0), node.output, node.attrs
    rounding = rounding_of(node, filters)
    assert rounding is not None and x.quant is not None and out.quant is not None
    runs = _runs(node, filters.weights)
    low, high = fixed_point.activation_range(a.activation, out.quant)
    stream = ConstArray("int32_t", dsp_packing.pack(runs, filters.bias, rounding))
    shape: tuple[tuple[str, int | ConstArray], ...] = (
        ("in_channels", x.channels),
        ("out_channels", out.channels),
        ("groups", dsp_packing.group_count(runs.shape[1], runs.shape[2])),
        ("block_pixels", chosen.tile_pixels),
        ("rounding", rounding.how),
        ("out_min", low),
        ("out_max", high),
    )
    pitches = (("in_pitch", x.channels), ("out_pitch", out.channels))
    if _is_1x1(node, filters.weights):
        return _named("te_conv_2d_1x1_dsp", (
            ("weights", stream), *pitches, ("stride_x", a.stride[1]), *shape))
    return _named("te_conv_2d_dsp", (
        ("weights", stream),
        ("in_width", x.pixels),
        *pitches,
        ("kernel_height", filters.weights.shape[1]),
        ("kernel_width", filters.weights.shape[2]),
        ("stride_x", a.stride[1]),
        ("dilation_y", a.dilation[0]),
        ("dilation_x", a.dilation[1]),
        ("pad_left", a.padding.left),
        ("in_zero_point", x.quant.zero_point),
        *shape,
    ))


def _named(source: str, fields: tuple[tuple[str, int | ConstArray], ...]) -> Kernel:
    return Kernel(source, f"{source}_params", fields, (source, "te_product_dsp"))
