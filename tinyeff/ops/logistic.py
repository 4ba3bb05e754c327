# SPDX-License-Identifier: MIT
"""LOGISTIC: 1 / (1 + exp(-x)), the sigmoid."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from tinyeff.ir import Array, Quant
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

OUTPUT_SCALE = 1 / 256

_exp = rounded_to_float32(np.exp)


def _logistic(x: Floats) -> Floats:
    result: Floats = np.float32(1) / (np.float32(1) + _exp(-x))
    return result


class Logistic(PlainTable):
    """Source of the arithmetic: SigmoidPrepare of LiteRT; the steps are those of float32."""

    kind = "LOGISTIC"
    output_quant = Quant((OUTPUT_SCALE,), (-128,))
    told_apart = (-math.log(2 / OUTPUT_SCALE - 1), math.log(2 / OUTPUT_SCALE - 1))
    version = 2
    uint8 = True
    quantizations = (
        (0.05, -7, OUTPUT_SCALE, -128), (0.1, 30, OUTPUT_SCALE, -128),
        (3.0, 0, OUTPUT_SCALE, -128), (0.002, -128, OUTPUT_SCALE, 5),
    )

    def scale_limits(self, node: Node[PointwiseAttrs]) -> Iterator[str]:
        yield from float_limits(node)
        if quants(node)[1].scale != OUTPUT_SCALE:
            yield (f"its output has the scale {quants(node)[1].scale:.9g}; TFLite's int8 LOGISTIC "
                   "has 1/256")

    def table(self, node: Node[PointwiseAttrs]) -> Array:
        return float_table(_logistic, *quants(node))


OPERATOR = Logistic()
