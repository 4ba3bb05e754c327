# SPDX-License-Identifier: MIT
"""SUB: elementwise difference of two operands, of the same shape or broadcast."""

from __future__ import annotations

from typing import Any

from ai_edge_litert import schema_py_generated as schema

from tinyeff.ops.add import Add
from tinyeff.ops.elementwise import ElementwiseAttrs
from tinyeff.ops.operator import Node


class Sub(Add):
    """Source of the arithmetic: reference_ops::SubElementwise and sub.cc of LiteRT.

    As ADD, with the second operand's sign changed after it has been scaled.
    """

    kind = "SUB"
    function = "te_subtract"
    sign = -1

    def write(self, node: Node[ElementwiseAttrs]) -> Any:
        options = schema.SubOptionsT()
        options.fusedActivationFunction = self.activation_number(node)
        return options


OPERATOR = Sub()
