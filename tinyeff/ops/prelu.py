# SPDX-License-Identifier: MIT
"""PRELU: values below zero are multiplied by an alpha of their own, or of their channel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tinyeff import fixed_point
from tinyeff.ir import Array, Graph, Kernel, Variant
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.elementwise import Elementwise, ElementwiseAttrs, reach_of
from tinyeff.ops.operator import Node
from tinyeff.ops.pointwise_table import float32_ratio, shift_limits


def _ratio(node: Node[ElementwiseAttrs]) -> float:
    """What values from zero on are multiplied by."""
    x, out = node.input(0).quant, node.output.quant
    assert x is not None and out is not None
    return float32_ratio(x, out)


def _slope(node: Node[ElementwiseAttrs]) -> float:
    """What products with alpha are multiplied by, computed in float32."""
    x, alpha, out = node.input(0).quant, node.input(1).quant, node.output.quant
    assert x is not None and alpha is not None and out is not None
    with np.errstate(over="ignore", under="ignore"):
        return float(np.float32(x.scale) * np.float32(alpha.scale) / np.float32(out.scale))


class Prelu(Elementwise):
    """Source of the arithmetic: PreluPrepare and reference_ops::Prelu of LiteRT."""

    kind = "PRELU"
    uint8 = True
    version = 1
    fused = ("none",)
    code_bytes = 576
    cycles_per_value = 32

    def read(self, options: Any, node: Node[None]) -> ElementwiseAttrs:
        return ElementwiseAttrs()

    def write(self, node: Node[ElementwiseAttrs]) -> Any:
        return None

    def output_shapes(self, node: Node[ElementwiseAttrs]) -> tuple[tuple[int, ...], ...]:
        (shape,) = super().output_shapes(node)
        if shape != node.input(0).shape:
            raise ValueError(f"its alpha of shape {node.input(1).shape} is larger than its input "
                             f"of shape {node.input(0).shape}")
        return (shape,)

    def limits(self, node: Node[ElementwiseAttrs]) -> Iterator[str]:
        if node.input(0).is_constant:
            yield "its input is a constant; fold it before quantizing"
            return
        yield from super().limits(node)

    def scale_limits(self, node: Node[ElementwiseAttrs]) -> Iterator[str]:
        broken = list(shift_limits(node, _ratio(node)))
        yield from broken
        slope = _slope(node)
        if broken or not np.isfinite(slope):
            if not broken:
                yield "the product of its input scales over its output scale leaves float32"
            return
        reach = reach_of(node.input(0)) * reach_of(node.input(1))
        reach <<= max(fixed_point.quantize_multiplier(slope)[1], 0)
        if reach > fixed_point.INT32_MAX + fixed_point.INT8_MIN:
            yield (f"its product with alpha times 2**shift can reach {reach}, beyond 32 bits: "
                   "its output scale is too small for its input scales")

    def evaluate(
        self, node: Node[ElementwiseAttrs], inputs: tuple[Array, ...]
    ) -> tuple[Array, ...]:
        requantize = fixed_point.multiply_by_quantized_multiplier
        x, alpha = self.operands(node, inputs)
        upper = requantize(x, *fixed_point.quantize_multiplier(_ratio(node)))
        lower = requantize(x * alpha, *fixed_point.quantize_multiplier(_slope(node)))
        return self.finish(node, np.where(x >= 0, upper, lower))

    def lower(self, node: Node[ElementwiseAttrs], variant: Variant) -> Kernel:
        multiplier, shift = fixed_point.quantize_multiplier(_ratio(node))
        fields = (
            *self.operand_fields(node, 0),
            ("in1_multiplier", multiplier),
            ("in1_shift", shift),
            *self.operand_fields(node, 1),
            *self.output_fields(node, *fixed_point.quantize_multiplier(_slope(node))),
        )
        return Kernel("te_prelu", "te_prelu_params", fields, ("te_prelu",))

    def cases(self) -> Iterator[Graph]:
        full = (1, 4, 5, 6)
        cases: list[tuple[str, tuple[int, ...], tuple[int, ...], float, float]] = [
            # name, input, alpha, alpha's scale, output's scale
            ("channels", full, (1, 1, 6), 0.01, 0.05),
            ("map", full, (4, 5, 6), 0.003, 0.03),
            ("scalar", full, (1,), 0.02, 0.1),
            ("vector", (1, 17), (17,), 0.01, 0.06),
            ("ties", (1, 16, 16, 4), (4,), 0.25, 0.5),
        ]
        for seed, (name, shape, alpha_shape, scale, out_scale) in enumerate(cases):
            g = GraphBuilder(f"prelu_{name}", seed)
            x = g.input(shape, 0.05 if name != "ties" else 0.25, 5 * seed - 9)
            alpha = g.constant(g.rng.integers(-128, 128, alpha_shape, dtype=np.int8), scale,
                               -seed)
            yield g.graph(g.op(self.kind, [x, alpha], ElementwiseAttrs(), out_scale, 3 - seed))
        g = GraphBuilder("prelu_computed_alpha")
        x, alpha = g.input(full, 0.05, 3), g.input((1, 1, 1, 6), 0.01, -8)
        yield g.graph(g.op(self.kind, [x, alpha], ElementwiseAttrs(), 0.04, 7))


OPERATOR = Prelu()
