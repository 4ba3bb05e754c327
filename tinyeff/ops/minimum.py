# SPDX-License-Identifier: MIT
"""MINIMUM: the smaller of two values, of maps of the same shape or broadcast."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff.ir import Array, Kernel, Variant
from tinyeff.ops.elementwise import Elementwise, ElementwiseAttrs
from tinyeff.ops.operator import Node


class Minimum(Elementwise):
    """Source: MinimumOp in maximum_minimum.cc of LiteRT.

    It compares the int8 values themselves: all scales and zero points are taken to be equal.
    """

    kind = "MINIMUM"
    uint8 = True
    shares_scale = True
    version = 2
    fused = ("none",)
    code_bytes = 348
    cycles_per_value = 10
    function = "te_minimum"
    choose: Any = np.minimum

    def read(self, options: Any, node: Node[None]) -> ElementwiseAttrs:
        return ElementwiseAttrs()

    def write(self, node: Node[ElementwiseAttrs]) -> Any:
        return schema.MaximumMinimumOptionsT()

    def evaluate(
        self, node: Node[ElementwiseAttrs], inputs: tuple[Array, ...]
    ) -> tuple[Array, ...]:
        return (self.choose(*self.values(node, inputs)),)

    def lower(self, node: Node[ElementwiseAttrs], variant: Variant) -> Kernel:
        fields = (
            *(f for n in (0, 1) for f in self.operand_fields(node, n)[:-1]),  # no zero points
            ("channels", node.output.channels),
            ("out_pitch", node.output.channels),
        )
        return Kernel(self.function, "te_minmax_params", fields, ("te_minmax",))


OPERATOR = Minimum()
