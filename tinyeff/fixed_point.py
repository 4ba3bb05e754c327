# SPDX-License-Identifier: MIT
"""The integer arithmetic of int8 inference; twin of firmware/kernels/te_fixed_point.h.

These functions define what the generated C must compute. All work on numpy arrays of int64, with
the range of int32 where the C twin uses int32, so that no intermediate step wraps.
Source: gemmlowp's fixed-point rules as LiteRT's reference kernels apply them.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from tinyeff.ir import Quant

Ints = npt.NDArray[np.int64]

INT8_MIN, INT8_MAX = -128, 127
INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1


def round_half_away(value: float) -> int:
    """Nearest integer, halves away from zero (C's `round`)."""
    return int(math.floor(abs(value) + 0.5)) * (1 if value >= 0 else -1)


def quantize_multiplier(real: float) -> tuple[int, int]:
    """A real factor >= 0 as (multiplier, shift): real ~ multiplier * 2**(shift - 31).

    The multiplier lies in [2**30, 2**31), or is 0. Factors below 2**-31 become 0.
    Source: QuantizeMultiplier of LiteRT.
    """
    if real == 0.0:
        return 0, 0
    mantissa, shift = math.frexp(real)
    multiplier = round_half_away(mantissa * (1 << 31))
    if multiplier == 1 << 31:
        multiplier //= 2
        shift += 1
    if shift < -31:
        return 0, 0
    return multiplier, shift


def saturating_rounding_doubling_high_multiply(a: Ints, b: Ints | int) -> Ints:
    """round(a * b / 2**31), halves up; the one overflow (both INT32_MIN) saturates."""
    product: Ints = (np.asarray(a, np.int64) * np.asarray(b, np.int64) + (1 << 30)) >> 31
    return np.minimum(product, INT32_MAX)


def rounding_divide_by_power_of_two(x: Ints, exponent: Ints | int) -> Ints:
    """round(x / 2**exponent), halves away from zero, for 0 <= exponent <= 31."""
    x = np.asarray(x, np.int64)
    exponent = np.asarray(exponent, np.int64)
    mask = (np.int64(1) << exponent) - 1
    threshold = (mask >> 1) + (x < 0)
    result: Ints = (x >> exponent) + ((x & mask) > threshold)
    return result


def multiply_by_quantized_multiplier(x: Ints, multiplier: Ints | int, shift: Ints | int) -> Ints:
    """x * multiplier * 2**(shift - 31) with gemmlowp's two roundings.

    `x * 2**shift` must fit int32 where shift > 0; codegen proves that.
    """
    shift = np.asarray(shift, np.int64)
    left = np.maximum(shift, 0)
    right = np.maximum(-shift, 0)
    high = saturating_rounding_doubling_high_multiply(np.asarray(x, np.int64) << left, multiplier)
    return rounding_divide_by_power_of_two(high, right)


def multiply_by_quantized_multiplier_64(x: Ints, multiplier: int, shift: int) -> Ints:
    """The single-rounding form of LiteRT for 64-bit accumulators with a 16-bit multiplier."""
    reduced = (multiplier + (1 << 15)) >> 16 if multiplier < 0x7FFF0000 else 0x7FFF
    total_shift = 15 - shift
    result: Ints = (np.asarray(x, np.int64) * reduced + (1 << (total_shift - 1))) >> total_shift
    return result


def activation_range(activation: str, quant: Quant) -> tuple[int, int]:
    """Lowest and highest int8 value that a fused activation lets through.

    Source: CalculateActivationRangeQuantized of LiteRT.
    """

    def quantized(real: float) -> int:
        # LiteRT divides and rounds in float32.
        ratio = np.float32(real) / np.float32(quant.scale)
        return quant.zero_point + round_half_away(float(ratio))

    low, high = INT8_MIN, INT8_MAX
    if activation in ("relu", "relu6"):
        low = max(low, quantized(0.0))
    if activation == "relu6":
        high = min(high, quantized(6.0))
    if activation == "relu_n1_to_1":
        low, high = max(low, quantized(-1.0)), min(high, quantized(1.0))
    return low, high


def clamp_int8(values: Ints, low: int = INT8_MIN, high: int = INT8_MAX) -> npt.NDArray[np.int8]:
    """Clamp to [low, high] and narrow to int8."""
    return np.clip(values, low, high).astype(np.int8)
