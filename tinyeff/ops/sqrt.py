# SPDX-License-Identifier: MIT
"""SQRT: the square root, rounded down."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinyeff import fixed_point
from tinyeff.ir import Array
from tinyeff.ops.operator import Node
from tinyeff.ops.pointwise_table import (
    VALUES,
    Floats,
    PlainTable,
    PointwiseAttrs,
    float_limits,
    quants,
)


def _roots(node: Node[PointwiseAttrs]) -> Floats:
    """The root of every int8 value in units of the output scale, all steps in float32."""
    x, out = quants(node)
    values = np.maximum(VALUES - x.zero_point, 0).astype(np.float32)
    with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
        roots: Floats = np.sqrt(np.float32(x.scale) * values) / np.float32(out.scale)
    return roots


class Sqrt(PlainTable):
    """Source of the arithmetic: SqrtEvalQuantized of LiteRT (elementwise.cc), in float32.

    LiteRT stops at a value below zero; here its root is that of zero.
    """

    kind = "SQRT"
    version = 2
    quantizations = (
        (0.05, -128, 0.05, -90), (0.02, -128, 0.013, -128), (1.0, -128, 1.0, 3),
        (0.25, -128, 0.5, -1), (1e6, -128, 1e-3, 0),
    )

    def scale_limits(self, node: Node[PointwiseAttrs]) -> Iterator[str]:
        yield from float_limits(node)
        root = float(_roots(node).max())
        if not root < 2**31:
            yield (f"its root can be {root:.3g} times its output scale, beyond 32 bits; quantize "
                   "the model again")

    def table(self, node: Node[PointwiseAttrs]) -> Array:
        whole = _roots(node).astype(np.int64)
        return fixed_point.clamp_int8(whole + quants(node)[1].zero_point)


OPERATOR = Sqrt()
