# SPDX-License-Identifier: MIT
"""LEAKY_RELU: values below zero are multiplied by alpha."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff import fixed_point
from tinyeff.ir import Array, Graph
from tinyeff.ops.operator import Node
from tinyeff.ops.pointwise_table import (
    SHAPES,
    VALUES,
    PointwiseTable,
    case_of,
    float32_ratio,
    quants,
    shift_limits,
)


@dataclass(frozen=True)
class LeakyReluAttrs:
    """`alpha` is a float32 value held exactly; it may be negative or above 1."""

    alpha: float


def _slope(node: Node[LeakyReluAttrs]) -> float:
    """What values below zero are multiplied by, computed in float32."""
    x, out = quants(node)
    with np.errstate(over="ignore", under="ignore"):
        product = np.float32(x.scale) * np.float32(node.attrs.alpha)
        return float(product / np.float32(out.scale))


def _times(values: Array, factor: float) -> Array:
    """The values times a factor of either sign; the sign is applied last."""
    scaled = fixed_point.multiply_by_quantized_multiplier(
        values, *fixed_point.quantize_multiplier(abs(factor)))
    return -scaled if factor < 0 else scaled


class LeakyRelu(PointwiseTable[LeakyReluAttrs]):
    """Source of the arithmetic: LeakyReluPrepare and reference_ops::QuantizeLeakyRelu of LiteRT."""

    kind = "LEAKY_RELU"
    version = 2
    uint8 = True

    def read(self, options: Any, node: Node[None]) -> LeakyReluAttrs:
        return LeakyReluAttrs(float(np.float32(options.alpha)))

    def write(self, node: Node[LeakyReluAttrs]) -> Any:
        options = schema.LeakyReluOptionsT()
        options.alpha = node.attrs.alpha
        return options

    def scale_limits(self, node: Node[LeakyReluAttrs]) -> Iterator[str]:
        yield from shift_limits(node, float32_ratio(*quants(node)))
        if not np.isfinite(node.attrs.alpha):
            yield f"its alpha is {node.attrs.alpha}, not a number"
        elif not list(shift_limits(node, float32_ratio(*quants(node)))):
            yield from (f"with its alpha of {node.attrs.alpha:.3g}, {reason}"
                        for reason in shift_limits(node, _slope(node)))

    def table(self, node: Node[LeakyReluAttrs]) -> Array:
        x, out = quants(node)
        values = VALUES - x.zero_point
        scaled = np.where(values >= 0, _times(values, float32_ratio(x, out)),
                          _times(values, _slope(node)))
        return fixed_point.clamp_int8(scaled + out.zero_point)

    def cases(self) -> Iterator[Graph]:
        cases = [
            (0.1, (0.05, -7, 0.05, -7)), (0.3, (0.05, 100, 0.031, -20)), (0.2, (0.5, 0, 1.0, 3)),
            (1.7, (0.02, 60, 0.03, 50)), (0.0, (0.02, 10, 0.03, -128)), (1e-12, (0.1, 5, 0.1, 5)),
            (100.0, (100.0, 1, 0.01, 5)), (0.25, (1.0, 0, 1.0, 0)), (-0.3, (0.05, 3, 0.04, -2)),
        ]
        for number, (alpha, quantization) in enumerate(cases):
            attrs = LeakyReluAttrs(float(np.float32(alpha)))
            yield case_of(self.kind, attrs, quantization, SHAPES[number % len(SHAPES)],
                          str(number))


OPERATOR = LeakyRelu()
