# SPDX-License-Identifier: MIT
"""GELU: x times the normal distribution function, or its approximation with tanh."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff.ir import Array, Graph
from tinyeff.ops.operator import Node
from tinyeff.ops.pointwise_table import (
    SHAPES,
    Floats,
    PointwiseTable,
    case_of,
    float_limits,
    float_table,
    quants,
    rounded_to_float32,
)

HALF, ONE = np.float32(0.5), np.float32(1)
MINUS_SQRT_HALF = np.float32(-math.sqrt(0.5))
SQRT_2_OVER_PI = np.float32(math.sqrt(2 / math.pi))
CUBIC = np.float32(0.044715)

_erfc = rounded_to_float32(lambda x: np.array([math.erfc(v) for v in x.tolist()]))
_tanh = rounded_to_float32(np.tanh)


@dataclass(frozen=True)
class GeluAttrs:
    """`approximate` chooses the form with tanh."""

    approximate: bool = False


def _gelu(x: Floats) -> Floats:
    result: Floats = HALF * x * _erfc(x * MINUS_SQRT_HALF)
    return result


def _gelu_with_tanh(x: Floats) -> Floats:
    result: Floats = HALF * x * (ONE + _tanh(SQRT_2_OVER_PI * (x + CUBIC * x * x * x)))
    return result


class Gelu(PointwiseTable[GeluAttrs]):
    """Source of the arithmetic: GeluTransform and GeluTransformApproximate of LiteRT (gelu.h)."""

    kind = "GELU"
    version = 2
    uint8 = True

    def read(self, options: Any, node: Node[None]) -> GeluAttrs:
        return GeluAttrs(options is not None and bool(options.approximate))

    def write(self, node: Node[GeluAttrs]) -> Any:
        options = schema.GeluOptionsT()
        options.approximate = node.attrs.approximate
        return options

    def scale_limits(self, node: Node[GeluAttrs]) -> Iterator[str]:
        yield from float_limits(node)

    def table(self, node: Node[GeluAttrs]) -> Array:
        function = _gelu_with_tanh if node.attrs.approximate else _gelu
        return float_table(function, *quants(node))

    def cases(self) -> Iterator[Graph]:
        quantizations = (
            (0.05, -7, 0.03, -90), (0.02, 30, 0.02, 0), (1.0, 0, 1.0, 3), (1e14, 5, 1e12, 0),
        )
        for approximate in (False, True):
            for number, quantization in enumerate(quantizations):
                yield case_of(self.kind, GeluAttrs(approximate), quantization,
                              SHAPES[number % len(SHAPES)],
                              f"{'tanh' if approximate else 'exact'}_{number}")


OPERATOR = Gelu()
