# SPDX-License-Identifier: MIT
"""NEG: each stored value changes its sign."""

from __future__ import annotations

from collections.abc import Iterator

from ai_edge_litert import schema_py_generated as schema

from tinyeff.ir import Array
from tinyeff.ops.operator import Node
from tinyeff.ops.pointwise_table import VALUES, PlainTable, PointwiseAttrs


class Neg(PlainTable):
    """Source of the arithmetic: reference_ops::Negate of LiteRT.

    It looks at no scale and no zero point, and leaves -128 as it is.
    """

    kind = "NEG"
    options = schema.NegOptionsT
    quantizations = ((0.05, -7, 0.05, 7), (0.05, 0, 0.05, 0), (0.02, 30, 0.1, 2))

    def scale_limits(self, node: Node[PointwiseAttrs]) -> Iterator[str]:
        yield from ()

    def table(self, node: Node[PointwiseAttrs]) -> Array:
        return -VALUES.astype("int8")


OPERATOR = Neg()
