# SPDX-License-Identifier: MIT
"""ABS: the magnitude of each value."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff import fixed_point
from tinyeff.ir import Array
from tinyeff.ops.operator import Node
from tinyeff.ops.pointwise_table import (
    VALUES,
    PlainTable,
    PointwiseAttrs,
    float32_ratio,
    quants,
    shift_limits,
)


class Abs(PlainTable):
    """Source of the arithmetic: AbsEvalQuantized of LiteRT (elementwise.cc)."""

    kind = "ABS"
    version = 2
    options = schema.AbsOptionsT
    quantizations = (
        (0.05, -7, 0.05, -90), (0.02, 30, 0.013, 0), (1.0, 0, 2.0, 3), (0.3, -128, 0.4, -128),
        (1000.0, 1, 0.00025, -3), (1e-12, 5, 1.0, 17),
    )

    def scale_limits(self, node: Node[PointwiseAttrs]) -> Iterator[str]:
        yield from shift_limits(node, float32_ratio(*quants(node)))

    def table(self, node: Node[PointwiseAttrs]) -> Array:
        x, out = quants(node)
        size = np.abs(VALUES - x.zero_point)
        if x.scale != out.scale:
            size = fixed_point.multiply_by_quantized_multiplier(
                size, *fixed_point.quantize_multiplier(float32_ratio(x, out)))
        return fixed_point.clamp_int8(size + out.zero_point)


OPERATOR = Abs()
