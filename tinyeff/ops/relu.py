# SPDX-License-Identifier: MIT
"""RELU on its own, where it could not join the operator before it; RELU6 and others build on it."""

from __future__ import annotations

from collections.abc import Iterator

from tinyeff import fixed_point
from tinyeff.ir import Array
from tinyeff.ops import operator as o
from tinyeff.ops.operator import Node
from tinyeff.ops.pointwise_table import (
    VALUES,
    PlainTable,
    PointwiseAttrs,
    float32_ratio,
    quants,
    shift_limits,
)


class Relu(PlainTable):
    """Source of the arithmetic: ReluPrepare, QuantizedReluX and reference_ops::ReluX of LiteRT."""

    kind = "RELU"
    version = 2
    uint8 = True
    activation = "relu"
    told_apart = fixed_point.activation_bounds(activation)
    quantizations = (
        (0.05, -7, 0.05, -7), (0.05, 100, 0.031, -128), (0.5, 0, 1.0, -3), (1000.0, 1, 0.00025, 5),
        (1e-12, 5, 1.0, 17), (0.02, 127, 0.03, 127), (0.02, -128, 0.06, 3), (0.11, 3, 0.01, -20),
    )

    def scale_limits(self, node: Node[PointwiseAttrs]) -> Iterator[str]:
        yield from o.bound_limits(self.activation, node.output)
        yield from shift_limits(node, float32_ratio(*quants(node)))

    def table(self, node: Node[PointwiseAttrs]) -> Array:
        x, out = quants(node)
        scaled = fixed_point.multiply_by_quantized_multiplier(
            VALUES - x.zero_point, *fixed_point.quantize_multiplier(float32_ratio(x, out)))
        low, high = fixed_point.activation_range(self.activation, out)
        return fixed_point.clamp_int8(scaled + out.zero_point, low, high)


OPERATOR = Relu()
