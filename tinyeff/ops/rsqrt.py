# SPDX-License-Identifier: MIT
"""RSQRT: one over the square root."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from tinyeff import fixed_point
from tinyeff.ir import Array
from tinyeff.ops.operator import Node
from tinyeff.ops.pointwise_table import VALUES, PlainTable, PointwiseAttrs, quants

PLACES = 20
"""Binary places that a root keeps until it meets the output scale."""

MAX_SHIFT = 10
"""The largest shift at which a root of at most 2**PLACES stays in 32 bits."""


def _scaling(node: Node[PointwiseAttrs]) -> tuple[int, int]:
    """(multiplier, shift) of 1 / (sqrt(input scale) * output scale), the product in float32."""
    return fixed_point.quantize_multiplier(_factor(node))


def _factor(node: Node[PointwiseAttrs]) -> float:
    x, out = quants(node)
    with np.errstate(over="ignore", under="ignore"):
        product = float(np.sqrt(np.float32(x.scale)) * np.float32(out.scale))
    return 1 / product if product else math.inf


class Rsqrt(PlainTable):
    """Source of the arithmetic: RsqrtEvalQuantizedInt8 of LiteRT (elementwise.cc).

    LiteRT stops at a value below zero; here it counts as zero, which becomes 127.
    """

    kind = "RSQRT"
    version = 2
    quantizations = (
        (0.05, -128, 0.05, -90), (0.02, -128, 0.013, -128), (1.0, -128, 1 / 128, 3),
        (0.004, -128, 0.1, -1), (1e-6, -128, 1e6, 0),
    )

    def scale_limits(self, node: Node[PointwiseAttrs]) -> Iterator[str]:
        factor = _factor(node)
        if not math.isfinite(factor) or _scaling(node)[1] - PLACES > MAX_SHIFT:
            yield (f"1 / (sqrt(input scale) * output scale) is {factor:.3g}; at most "
                   f"2**{PLACES + MAX_SHIFT} is supported")

    def table(self, node: Node[PointwiseAttrs]) -> Array:
        x, out = quants(node)
        values = np.maximum(VALUES - x.zero_point, 1)
        multiplier, shift = fixed_point.inverse_square_root(values)
        root = fixed_point.multiply_by_quantized_multiplier(
            np.ones_like(values), multiplier, shift + PLACES)
        scaled = fixed_point.multiply_by_quantized_multiplier(
            root, _scaling(node)[0], _scaling(node)[1] - PLACES)
        result = fixed_point.clamp_int8(scaled + out.zero_point)
        return np.where(x.zero_point < VALUES, result, np.int8(127))


OPERATOR = Rsqrt()
