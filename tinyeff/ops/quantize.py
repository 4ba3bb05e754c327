# SPDX-License-Identifier: MIT
"""QUANTIZE: from one int8 scale to another by a table of 256 bytes.

A QUANTIZE of a float input at the model's start becomes a helper function of the generated header;
the simplifier strips it, and only `evaluate` is needed for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff import fixed_point
from tinyeff.ir import Array, Graph, Kernel, Quant, Target, Variant
from tinyeff.ops import operator as o
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.operator import Node, Operator

MAX_SHIFT = 22
"""The largest shift at which an input of at most 255, and all that follows, stays in 32 bits."""


@dataclass(frozen=True)
class QuantizeAttrs:
    """Nothing: scales and zero points are the tensors'."""


def quantized(values: Array, quant: Quant) -> Array:
    """float32 values as int8: round(value / scale) half away from zero, plus the zero point.

    Source: reference_ops::AffineQuantize of LiteRT, which divides and rounds in float32.
    """
    ratio = values.astype(np.float32) / np.float32(quant.scale)
    # The sum with 0.5 is exact in float64, where in float32 it might round up.
    rounded = np.copysign(np.floor(np.abs(ratio.astype(np.float64)) + 0.5), ratio)
    result: Array = np.clip(rounded + quant.zero_point, -128, 127).astype(np.int8)
    return result


def rescaled(values: Array, before: Quant, after: Quant) -> Array:
    """int8 values of one quantization as those of another.

    Source: reference_ops::Requantize of LiteRT.
    """
    multiplier, shift = fixed_point.quantize_multiplier(before.scale / after.scale)
    scaled = fixed_point.multiply_by_quantized_multiplier(
        values.astype(np.int64) - before.zero_point, multiplier, shift)
    return fixed_point.clamp_int8(scaled + after.zero_point)


class Quantize(Operator[QuantizeAttrs]):
    """Source of the arithmetic: quantize.cc of LiteRT."""

    kind = "QUANTIZE"
    version = 2

    def read(self, options: Any, node: Node[None]) -> QuantizeAttrs:
        return QuantizeAttrs()

    def write(self, node: Node[QuantizeAttrs]) -> Any:
        return schema.QuantizeOptionsT()

    def output_shapes(self, node: Node[QuantizeAttrs]) -> tuple[tuple[int, ...], ...]:
        return (node.input(0).shape,)

    def limits(self, node: Node[QuantizeAttrs]) -> Iterator[str]:
        x, out = node.input(0), node.output
        if x.dtype != "int8" or out.dtype != "int8":
            yield (f"it turns {x.dtype} into {out.dtype} inside the graph; only int8 to int8 is "
                   "supported there, and float32 to int8 right at a model input")
        elif o.is_int8(x, out):
            assert x.quant is not None and out.quant is not None
            if max(len(x.quant.scales), len(out.quant.scales)) > 1:
                yield "its input or output has several scales; only one per tensor is supported"
            ratio = x.quant.scale / out.quant.scale
            if fixed_point.quantize_multiplier(ratio)[1] > MAX_SHIFT:
                yield (f"its input scale is {ratio:.3g} times its output scale; at most "
                       f"{2**MAX_SHIFT} is supported")

    def evaluate(self, node: Node[QuantizeAttrs], inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        x, out = node.input(0), node.output
        assert out.quant is not None
        if x.dtype == "float32":
            return (quantized(inputs[0], out.quant),)
        assert x.quant is not None
        return (rescaled(inputs[0], x.quant, out.quant),)

    def variants(self, node: Node[QuantizeAttrs], target: Target) -> tuple[Variant, ...]:
        return (Variant("portable", const_bytes=256, code_bytes=248,
                        cost=5 * node.output.elements, consumes=1, flat=True),)

    def lower(self, node: Node[QuantizeAttrs], variant: Variant) -> Kernel:
        x, out = node.input(0), node.output
        assert x.quant is not None and out.quant is not None
        fields = (
            ("table", o.int8(rescaled(np.arange(-128, 128), x.quant, out.quant))),
            ("in_pitch", x.channels),
            ("out_pitch", out.channels),
            ("channels", out.channels),
        )
        return Kernel("te_table", "te_table_params", fields, ("te_table",))

    def cases(self) -> Iterator[Graph]:
        cases: list[tuple[str, tuple[int, ...], float, int, float, int]] = [
            ("finer", (1, 3, 4, 5), 0.05, -7, 0.031, 12),
            ("coarser", (1, 2, 3, 4), 0.021, 127, 0.093, -128),
            ("shifted", (1, 16), 0.1, -128, 0.1, 127),
            ("same", (1, 5, 3), 0.25, 3, 0.25, 3),
            ("half", (1, 256), 0.5, 0, 1.0, 0),
            ("magnifies", (1, 256), 1000.0, 1, 0.00025, -3),
            ("vanishes", (1, 256), 1e-12, 5, 1.0, 17),
        ]
        for name, shape, scale, zero_point, out_scale, out_zero_point in cases:
            g = GraphBuilder(f"quantize_{name}")
            x = g.input(shape, scale, zero_point)
            yield g.graph(g.op("QUANTIZE", [x], QuantizeAttrs(), out_scale, out_zero_point))


OPERATOR = Quantize()
