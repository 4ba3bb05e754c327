# SPDX-License-Identifier: MIT
"""EXP: the exponential function."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff.ir import Array
from tinyeff.ops.operator import Node
from tinyeff.ops.pointwise_table import (
    PlainTable,
    PointwiseAttrs,
    float_limits,
    float_table,
    quants,
    rounded_to_float32,
)

_exp = rounded_to_float32(np.exp)


class Exp(PlainTable):
    """Source of the arithmetic: exp.cc of LiteRT; the steps are those of float32."""

    kind = "EXP"
    version = 2
    options = schema.ExpOptionsT
    quantizations = (
        (0.02, -7, 0.1, -128), (0.02, 100, 0.01, -100), (0.5, 0, 1.0, 3), (4.0, -20, 0.5, 0),
        (0.0001, 0, 0.01, 0),
    )

    def scale_limits(self, node: Node[PointwiseAttrs]) -> Iterator[str]:
        yield from float_limits(node)

    def table(self, node: Node[PointwiseAttrs]) -> Array:
        return float_table(_exp, *quants(node))


OPERATOR = Exp()
