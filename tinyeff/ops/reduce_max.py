# SPDX-License-Identifier: MIT
"""REDUCE_MAX over rows, pixels, channels or any of them together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinyeff.ir import Array, Graph, Kernel, Target, Variant
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.mean import Mean, MeanAttrs, shape_fields
from tinyeff.ops.operator import Node


class ReduceMax(Mean):
    """Source: EvalType in reduce.cc of LiteRT, which compares the int8 values themselves."""

    kind = "REDUCE_MAX"
    shares_scale = True
    version = 2

    def scale_limits(self, node: Node[MeanAttrs]) -> Iterator[str]:
        x, out = node.input(0).quant, node.output.quant
        assert x is not None and out is not None
        if (x.scale, x.zero_point) != (out.scale, out.zero_point):
            yield ("its output has another scale or zero point than its input; TFLite does not "
                   "rescale here: they must be equal")

    def evaluate(self, node: Node[MeanAttrs], inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        a = node.attrs
        return (np.asarray(inputs[0].max(a.axes, keepdims=a.keep_dims)),)

    def variants(self, node: Node[MeanAttrs], target: Target) -> tuple[Variant, ...]:
        form, out = self.form_of(node), node.output
        cost = 5 * node.input(0).elements + 5 * out.elements
        if form == "accumulate":
            return (Variant("portable", state_bytes=out.elements, code_bytes=252, cost=cost),)
        return (Variant("portable", code_bytes=272 if form == "rows" else 176, cost=cost),)

    def lower(self, node: Node[MeanAttrs], variant: Variant) -> Kernel:
        function = {"rows": "te_reduce_max", "accumulate": "te_reduce_max_accumulate",
                    "whole": "te_reduce_max_whole"}[self.form_of(node)]
        return Kernel(function, "te_reduce_max_params", shape_fields(node), ("te_reduce_max",))

    def case(
        self, g: GraphBuilder, inputs: list[int | None], attrs: MeanAttrs, scale: float,
        zero_point: int,
    ) -> Graph:
        return g.graph(g.op(self.kind, inputs, attrs, like=inputs[0]))


OPERATOR = ReduceMax()
