# SPDX-License-Identifier: MIT
"""SUM over rows, pixels, channels or any of them together."""

from __future__ import annotations

import math

from tinyeff import fixed_point
from tinyeff.ir import Graph
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.mean import Mean, MeanAttrs
from tinyeff.ops.operator import Node


class Sum(Mean):
    """Source of the arithmetic: reference_ops::QuantizedMeanOrSum of LiteRT.

    LiteRT's reference kernel hands int8 values to it as if they were uint8, which gives nonsense
    for negative ones; what is meant is what it computes in uint8, 128 higher.
    """

    kind = "SUM"
    version = 2

    def scaling(self, node: Node[MeanAttrs]) -> tuple[int, int]:
        x, out = node.input(0).quant, node.output.quant
        assert x is not None and out is not None
        return fixed_point.quantize_multiplier(x.scale / out.scale)

    def case(
        self, g: GraphBuilder, inputs: list[int | None], attrs: MeanAttrs, scale: float,
        zero_point: int,
    ) -> Graph:
        x = inputs[0]
        assert x is not None
        # As much larger than a mean's scale as sums are larger.
        count = math.prod(g.tensor(x).shape[axis] for axis in attrs.axes)
        return super().case(g, inputs, attrs, scale * count, zero_point)


OPERATOR = Sum()
