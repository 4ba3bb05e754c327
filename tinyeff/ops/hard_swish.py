# SPDX-License-Identifier: MIT
"""HARD_SWISH: x * min(max(x + 3, 0), 6) / 6."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff import fixed_point
from tinyeff.ir import Array
from tinyeff.ops.operator import Node
from tinyeff.ops.pointwise_table import VALUES, PlainTable, PointwiseAttrs, quants

INT16_MIN, INT16_MAX = -(2**15), 2**15 - 1
HIRES_SHIFT = 7
"""Binary places that an input gains, so that it fills 16 bits."""


@dataclass(frozen=True)
class _Factor:
    """multiplier * 2**(exponent - 15), the multiplier in 16 bits."""

    multiplier: int
    exponent: int


def _factor(real: float) -> _Factor:
    """Source: QuantizeMultiplier and DownScaleInt32ToInt16Multiplier of LiteRT."""
    multiplier, exponent = fixed_point.quantize_multiplier(real)
    return _Factor(min((multiplier + (1 << 15)) >> 16, INT16_MAX), exponent)


def _factors(node: Node[PointwiseAttrs]) -> tuple[_Factor, _Factor]:
    """Towards the output scale, and towards 3 being 2**15; both computed in float32."""
    x, out = quants(node)
    with np.errstate(over="ignore", under="ignore"):
        hires = np.float32(1 / (1 << HIRES_SHIFT)) * np.float32(x.scale)
        return (_factor(float(hires / np.float32(out.scale))),
                _factor(float(hires / np.float32(3 / 32768))))


def _saturated(x: Array) -> Array:
    return np.clip(x, INT16_MIN, INT16_MAX)


def _rounding_multiply(a: Array, b: int) -> Array:
    """round(a * b / 2**15), halves up."""
    return _saturated((a * b + (1 << 14)) >> 15)


def _truncating_multiply(a: Array, b: Array) -> Array:
    """a * b / 2**15 towards zero."""
    product = a * b
    return _saturated(np.where(product < 0, -(-product >> 15), product >> 15))


def _as_int16(value: int) -> int:
    return (value + (1 << 15)) % (1 << 16) - (1 << 15)


def _round_shift(x: Array, exponent: int) -> Array:
    """round(x / 2**exponent), halves away from zero, with gemmlowp's mask of 16 bits."""
    mask = _as_int16((1 << exponent) - 1)
    threshold = (mask >> 1) + (x < 0)
    return (x >> exponent) + ((x & mask) > threshold)


class HardSwish(PlainTable):
    """Source of the arithmetic: HardSwishPrepare and reference_ops::HardSwish of LiteRT."""

    kind = "HARD_SWISH"
    told_apart = (-3.0, math.inf)
    uint8 = True
    options = schema.HardSwishOptionsT
    quantizations = (
        (0.05, -7, 0.03, -90), (0.02, 30, 0.02, 0), (1.0, 0, 1.0, 3), (0.004, 3, 0.003, -2),
        (0.1, -128, 0.1, -128), (30.0, 3, 30.0, 0), (0.01, 0, 1.0, 9), (0.0001, 100, 5.0, -1),
    )

    def scale_limits(self, node: Node[PointwiseAttrs]) -> Iterator[str]:
        x, out = quants(node)
        with np.errstate(over="ignore", under="ignore"):
            ratio = float(np.float32(x.scale) / np.float32(out.scale))
        if not np.isfinite(ratio) or _factors(node)[0].exponent > 0:
            yield (f"its input scale is {ratio:.3g} times its output scale; less than "
                   f"{1 << HIRES_SHIFT} is supported")
        elif _factors(node)[1].exponent > 31:
            yield f"its input scale {x.scale:.3g} is beyond what 16-bit arithmetic holds"

    def table(self, node: Node[PointwiseAttrs]) -> Array:
        x, out = quants(node)
        to_output, to_gate = _factors(node)
        hires = (VALUES - x.zero_point) << HIRES_SHIFT
        before_shift = _rounding_multiply(hires, to_output.multiplier)
        gate = hires  # from -1 to 1 in 0.15 fixed point, then from 0 to 1
        if to_gate.exponent > 0:
            gate = _saturated(gate << (to_gate.exponent - 1))
        gate = _rounding_multiply(gate, to_gate.multiplier)
        if to_gate.exponent > 0:
            gate = _saturated(gate << 1)
        if to_gate.exponent < 0:
            gate = _round_shift(gate, -to_gate.exponent)
        gate = (gate + (1 << 15)) >> 1
        product = _truncating_multiply(gate, before_shift)
        return fixed_point.clamp_int8(_round_shift(product, -to_output.exponent) + out.zero_point)


OPERATOR = HardSwish()
