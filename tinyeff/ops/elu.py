# SPDX-License-Identifier: MIT
"""ELU: values below zero become exp(x) - 1."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinyeff.ir import Array
from tinyeff.ops.operator import Node
from tinyeff.ops.pointwise_table import (
    Floats,
    PlainTable,
    PointwiseAttrs,
    float_limits,
    float_table,
    quants,
    rounded_to_float32,
)

_expm1 = rounded_to_float32(np.expm1)


def _elu(x: Floats) -> Floats:
    result: Floats = np.where(x < 0, _expm1(x), x)
    return result


class Elu(PlainTable):
    """Source of the arithmetic: EluPrepare of LiteRT; the steps are those of float32."""

    kind = "ELU"
    version = 1
    quantizations = (
        (0.05, -7, 0.03, -90), (0.02, 30, 0.02, 0), (1.0, 0, 1.0, 3), (0.3, -128, 0.2, -128),
        (0.3, 127, 0.0077, 127),
    )

    def scale_limits(self, node: Node[PointwiseAttrs]) -> Iterator[str]:
        yield from float_limits(node)

    def table(self, node: Node[PointwiseAttrs]) -> Array:
        return float_table(_elu, *quants(node))


OPERATOR = Elu()
