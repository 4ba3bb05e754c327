# SPDX-License-Identifier: MIT
"""SOFTMAX over the channels of each pixel."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff import fixed_point
from tinyeff.ir import Array, Graph, Kernel, Quant, Target, Variant
from tinyeff.ops import operator as o
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.operator import Node, Operator

OUTPUT_SCALE, OUTPUT_ZERO_POINT = 1 / 256, -128
MAX_CHANNELS = 4095
"""What a sum of exponentials in 12.19 fixed point has room for."""

INTEGER_BITS = 5
"""Of the exponent's fixed-point format, 5.26."""

SUM_SHIFT = 12
CODE_BYTES, TABLE_CODE_BYTES = 808, 488
"""Of the kernels on a Cortex-M4."""

TABLE = "table"
"""The kernel that finds its exponentials in a table."""


@dataclass(frozen=True)
class SoftmaxAttrs:
    """`beta` multiplies the exponents; a float32 value held exactly."""

    beta: float = 1.0


@dataclass(frozen=True)
class _Scaling:
    """From a difference of int8 values to 5.26 fixed point; below `diff_min` exp counts as 0."""

    multiplier: int
    shift: int
    diff_min: int


def _factor(node: Node[SoftmaxAttrs]) -> float:
    """What a difference is multiplied by, in units of 2**-26."""
    quant = node.input(0).quant
    assert quant is not None
    return factor_of(node.attrs.beta, quant.scale)


def factor_of(beta: float, scale: float) -> float:
    """As `_factor`, of the attribute and the input's scale."""
    return float(beta * scale * (1 << (31 - INTEGER_BITS)))


def _scaling(factor: float) -> _Scaling:
    """Source: PreprocessSoftmaxScaling and CalculateInputRadius of LiteRT."""
    # Beyond the cap, an input that is 1 below the largest gives 0 either way.
    factor = min(factor, 2.0**31 - 1)
    multiplier, shift = fixed_point.quantize_multiplier(factor)
    radius = ((1 << INTEGER_BITS) - 1) * (1 << (31 - INTEGER_BITS)) >> shift
    return _Scaling(multiplier, shift, -radius)


def exps_of(factor: float) -> Array:
    """exp in 0.31 fixed point of inputs 0, 1, 2 ... below the largest, as far as they count."""
    scaling = _scaling(factor)
    diff = -np.arange(min(-scaling.diff_min, 255) + 1, dtype=np.int64)
    scaled = fixed_point.saturating_rounding_doubling_high_multiply(
        diff << scaling.shift, scaling.multiplier)
    return np.trim_zeros(fixed_point.exp_on_negative_values(scaled), "b")


class Softmax(Operator[SoftmaxAttrs]):
    """Source of the arithmetic: reference_ops::Softmax of LiteRT for int8.

    Where the sum of exponentials reaches 512, LiteRT aborts; here the outputs are then what its
    formula gives when carried on: each below 1/2 of 1/256, that is 0.
    """

    kind = "SOFTMAX"
    output_quant = Quant((OUTPUT_SCALE,), (OUTPUT_ZERO_POINT,))
    version = 2
    uint8 = True

    def read(self, options: Any, node: Node[None]) -> SoftmaxAttrs:
        return SoftmaxAttrs(float(np.float32(options.beta)))

    def write(self, node: Node[SoftmaxAttrs]) -> Any:
        options = schema.SoftmaxOptionsT()
        options.beta = node.attrs.beta
        return options

    def output_shapes(self, node: Node[SoftmaxAttrs]) -> tuple[tuple[int, ...], ...]:
        if not node.input(0).shape:
            raise ValueError("its input has no dimension to go over")
        return (node.input(0).shape,)

    def limits(self, node: Node[SoftmaxAttrs]) -> Iterator[str]:
        x, out = node.input(0), node.output
        if x.channels > MAX_CHANNELS:
            yield f"it goes over {x.channels} channels; at most {MAX_CHANNELS} are supported"
        if not o.is_int8(x, out):
            return
        assert out.quant is not None
        if (out.quant.zero_point != OUTPUT_ZERO_POINT
                or abs(out.quant.scale - OUTPUT_SCALE) > 0.001 * OUTPUT_SCALE):
            yield (f"its output has scale {out.quant.scale:.9g} and zero point "
                   f"{out.quant.zero_point}; TFLite's int8 SOFTMAX has 1/256 and -128")
        factor = _factor(node)
        if not (math.isfinite(factor) and factor > 1):
            yield (f"its beta {node.attrs.beta:.9g} times its input scale is "
                   f"{factor / 2**26:.3g}; it must be greater than 2**-26")

    def evaluate(self, node: Node[SoftmaxAttrs], inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        multiply = fixed_point.saturating_rounding_doubling_high_multiply
        divide = fixed_point.rounding_divide_by_power_of_two
        x = inputs[0].astype(np.int64)
        exps = np.pad(exps_of(_factor(node)), (0, 256))[x.max(-1, keepdims=True) - x]
        total = divide(exps, SUM_SHIFT).sum(-1, keepdims=True)
        inverse, bits = fixed_point.reciprocal(total)
        # From 31 binary places to 8; a shift beyond 31 leaves nothing.
        shares = divide(multiply(inverse, exps), np.minimum(bits + 23, 31))
        shares = np.where(bits + 23 <= 31, shares, 0)
        return (fixed_point.clamp_int8(shares + OUTPUT_ZERO_POINT),)

    def variants(self, node: Node[SoftmaxAttrs], target: Target) -> tuple[Variant, ...]:
        computed = Variant("portable", code_bytes=CODE_BYTES, cost=250 * node.output.elements,
                           consumes=1, flat=True)
        entries = len(exps_of(_factor(node))) if o.is_int8(node.input(0)) else 256
        if entries >= node.output.elements:
            return (computed,)
        return computed, replace(computed, name=TABLE, code_bytes=TABLE_CODE_BYTES,
                                 const_bytes=4 * entries, cost=45 * node.output.elements)

    def lower(self, node: Node[SoftmaxAttrs], variant: Variant) -> Kernel:
        scaling = _scaling(_factor(node))
        pixels = (
            ("channels", node.input(0).channels),
            ("in_pitch", node.input(0).channels),
            ("out_pitch", node.output.channels),
        )
        if variant.name == TABLE:
            exps = exps_of(_factor(node))
            table = (("exps", o.int32(exps)), ("entries", len(exps)), *pixels)
            source = "te_softmax_table"
            return Kernel(source, f"{source}_params", table, (source,))
        fields = (
            *pixels,
            ("multiplier", scaling.multiplier),
            ("shift", scaling.shift),
            ("diff_min", scaling.diff_min),
        )
        return Kernel("te_softmax", "te_softmax_params", fields, ("te_softmax",))

    def cases(self) -> Iterator[Graph]:
        shapes: list[tuple[str, tuple[int, ...], float, float]] = [
            # name, shape, input scale, beta
            ("classes", (1, 10), 0.1, 1.0),
            ("two", (1, 2), 0.004, 1.0),
            ("one", (1, 1), 0.1, 1.0),
            ("flat", (1, 12), 1e-6, 1.0),
            ("barely_scaled", (1, 5), 1.6e-8, 1.0),
            ("sharp", (1, 12), 3.0, 1.5),
            ("steps", (1, 9), 40.0, 1.0),
            ("capped", (1, 9), 100.0, 7.0),
            ("beta", (1, 33), 0.07, 0.37),
            ("many", (1, 500), 0.05, 1.0),
            ("map", (1, 3, 4, 7), 0.2, 1.0),
            ("sequence", (1, 6, 5), 0.2, 1.0),
        ]
        for seed, (name, shape, scale, beta) in enumerate(shapes):
            g = GraphBuilder(f"softmax_{name}", seed)
            x = g.input(shape, scale, 9 - seed)
            attrs = SoftmaxAttrs(float(np.float32(beta)))
            yield g.graph(g.op(self.kind, [x], attrs, OUTPUT_SCALE, OUTPUT_ZERO_POINT))


OPERATOR = Softmax()
