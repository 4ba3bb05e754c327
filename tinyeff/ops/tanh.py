# SPDX-License-Identifier: MIT
"""TANH: hyperbolic tangent."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from tinyeff.ir import Array, Quant
from tinyeff.ops.operator import Node
from tinyeff.ops.pointwise_table import (
    PlainTable,
    PointwiseAttrs,
    float_limits,
    float_table,
    quants,
    rounded_to_float32,
)

_tanh = rounded_to_float32(np.tanh)


class Tanh(PlainTable):
    """Source of the arithmetic: TanhPrepare of LiteRT; the steps are those of float32."""

    kind = "TANH"
    output_quant = Quant((1 / 128,), (0,))
    told_apart = (-math.atanh(1 - 1 / 256), math.atanh(1 - 1 / 256))
    version = 2
    uint8 = True
    quantizations = (
        (0.05, -7, 1 / 128, 0), (0.02, 30, 0.007, -3), (3.0, 0, 1 / 128, 0), (0.01, -128, 0.1, 5),
    )

    def scale_limits(self, node: Node[PointwiseAttrs]) -> Iterator[str]:
        yield from float_limits(node)

    def table(self, node: Node[PointwiseAttrs]) -> Array:
        return float_table(_tanh, *quants(node))


OPERATOR = Tanh()
