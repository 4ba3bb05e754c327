# SPDX-License-Identifier: MIT
"""The integer arithmetic of int8 inference; twin of firmware/kernels/te_fixed_point.h.

These functions define what the generated C must compute. All work on numpy arrays of int64, with
the range of int32 where the C twin uses int32, so that no intermediate step wraps.
Source: gemmlowp's fixed-point rules as LiteRT's reference kernels apply them.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from tinyeff.ir import Array, Quant

Ints = npt.NDArray[np.int64]

INT8_MIN, INT8_MAX = -128, 127
INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1


def round_half_away(value: float) -> int:
    """Nearest integer, halves away from zero (C's `round`)."""
    return math.floor(abs(value) + 0.5) * (1 if value >= 0 else -1)


def int8_of_uint8(values: Array) -> Array:
    """uint8 values as the int8 values 128 below them."""
    result: Array = (values ^ np.uint8(0x80)).view(np.int8)
    return result


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


BOUNDS = {"relu": (0.0, None), "relu6": (0.0, 6.0), "relu_0_to_1": (0.0, 1.0),
          "relu_n1_to_1": (-1.0, 1.0)}
"""The lowest and the highest real value that a fused activation lets through."""


def _steps(real: float, quant: Quant) -> float:
    """`real` in units of the scale; LiteRT divides in float32."""
    with np.errstate(over="ignore"):
        return float(np.float32(real) / np.float32(quant.scale))


def activation_fits(activation: str, quant: Quant) -> bool:
    """False where a bound of the activation leaves 32 bits, so that LiteRT has no range for it."""
    bounds = BOUNDS.get(activation, (None, None))
    return all(abs(_steps(bound, quant)) < 2**31 for bound in bounds if bound is not None)


def activation_bounds(activation: str) -> tuple[float, float]:
    """The least and the largest real value that a fused activation lets through."""
    low, high = BOUNDS.get(activation, (None, None))
    return (-math.inf if low is None else float(low), math.inf if high is None else float(high))


def activation_range(activation: str, quant: Quant) -> tuple[int, int]:
    """Lowest and highest int8 value that a fused activation lets through.

    Source: CalculateActivationRangeQuantized of LiteRT.
    """

    def quantized(bound: float) -> int:
        steps = min(max(_steps(bound, quant), INT32_MIN), INT32_MAX)
        return quant.zero_point + round_half_away(steps)

    low, high = BOUNDS.get(activation, (None, None))
    return (INT8_MIN if low is None else max(INT8_MIN, quantized(low)),
            INT8_MAX if high is None else min(INT8_MAX, quantized(high)))


def clamp_int8(values: Ints, low: int = INT8_MIN, high: int = INT8_MAX) -> npt.NDArray[np.int8]:
    """Clamp to [low, high] and narrow to int8."""
    return np.clip(values, low, high).astype(np.int8)


# FULLY_CONNECTED: one rounding of a product in double precision ---------------------------------


def rounded_double_product(acc: Ints, scale: float | npt.NDArray[np.float64]) -> Ints:
    """round(double(acc) * scale), halves away from zero: what LiteRT's FULLY_CONNECTED computes."""
    product = np.asarray(acc, np.int64).astype(np.float64) * scale
    size = np.abs(product)
    whole = np.floor(size)
    whole += size - whole >= 0.5  # exact, where floor(size + 0.5) would round a second time
    result: Ints = np.copysign(whole, product).astype(np.int64)
    return result


def multiply_round_half_away(acc: Ints, multiplier: Ints | int, shift: Ints | int) -> Ints:
    """round(acc * multiplier / 2**shift), halves away from zero, shift >= 1; all within 63 bits."""
    acc = np.asarray(acc, np.int64)
    shift = np.asarray(shift, np.int64)
    half = np.int64(1) << (shift - 1)
    result: Ints = (acc * np.asarray(multiplier, np.int64) + half - (acc < 0)) >> shift
    return result


def output_thresholds(scale: float, acc_low: int, acc_high: int, low: int, high: int) -> Ints:
    """The least accumulator of [acc_low, acc_high] whose product rounds to at least each value.

    One row (accumulator, value) for each value in (low, high], counted before the zero point is
    added; the accumulator is acc_high + 1 where none reaches the value. Shape (high - low, 2).
    """
    values = np.arange(low + 1, high + 1, dtype=np.int64)
    least = np.full(values.shape, acc_low, np.int64)
    most = np.full(values.shape, acc_high + 1, np.int64)
    while np.any(least < most):  # bisection: the threshold lies in [least, most]
        middle = (least + most) // 2
        reached = rounded_double_product(middle, scale) >= values
        most = np.where(reached, middle, most)
        least = np.where(reached, least, np.minimum(middle + 1, most))
    return np.stack([most, values], axis=1)


def exact_multiplier(
    scale: float, acc_low: int, acc_high: int, low: int, high: int
) -> tuple[int, int]:
    """(multiplier, shift) such that integers round as LiteRT's double product does.

    For every accumulator in [acc_low, acc_high], `multiply_round_half_away` clamped to [low, high]
    equals `rounded_double_product` clamped. Both only grow with the accumulator, so it is enough
    that they agree on both sides of each value's threshold, which is checked here. The multiplier
    has 31 bits, or as many more as the scale needs. ValueError where 63 bits do not hold the
    product; |acc * scale| must stay below 2**53.
    """
    table = output_thresholds(scale, acc_low, acc_high, low, high)
    at = table[table[:, 0] <= acc_high]
    before = table[table[:, 0] > acc_low] - (1, 0)
    reach = max(abs(acc_low), abs(acc_high), 1)
    interval = _multiplier_interval(at, before)
    # 31 bits to start with, at least 1 of them after the binary point.
    for shift in range(min(max(31 - math.frexp(scale)[1], 1), 62), 63):
        multiplier = _integer_within(Fraction(scale), *interval, shift)
        if multiplier is None:
            continue
        if reach * multiplier + (1 << (shift - 1)) >= 1 << 63:
            break
        if _agrees(at, before, multiplier, shift):
            return multiplier, shift
    raise ValueError(f"a scale of {scale} with accumulators up to {reach} needs a multiplier of "
                     "more than 63 bits")


def _multiplier_interval(at: Ints, before: Ints) -> tuple[Fraction, Fraction | None]:
    """The real multipliers [least, beyond) that reach each value `at` its row, not `before`.

    Halves go away from zero: a value above zero is reached where acc * m >= value - 1/2, any
    other where acc * m > value - 1/2. Either way that bounds m from below where acc and value - 1/2
    are positive, and from above where they are negative; `before` the other way round.
    """
    least, beyond = Fraction(0), None
    for acc, value in (*at[at[:, 1] > 0].tolist(), *before[before[:, 1] <= 0].tolist()):
        if acc:
            least = max(least, Fraction(2 * value - 1, 2 * acc))
    for acc, value in (*at[at[:, 1] <= 0].tolist(), *before[before[:, 1] > 0].tolist()):
        if acc * (2 * value - 1) > 0:
            ratio = Fraction(2 * value - 1, 2 * acc)
            beyond = ratio if beyond is None else min(beyond, ratio)
    return least, beyond


def _integer_within(
    scale: Fraction, least: Fraction, beyond: Fraction | None, shift: int
) -> int | None:
    """The integer in [least, beyond) * 2**shift that is nearest to scale * 2**shift, if any."""
    unit = 1 << shift
    lowest = math.ceil(least * unit)
    nearest = max(round(scale * unit), lowest)
    if beyond is not None:
        nearest = min(nearest, math.ceil(beyond * unit) - 1)
    return nearest if nearest >= lowest else None


def _agrees(at: Ints, before: Ints, multiplier: int, shift: int) -> bool:
    """True where the integer product reaches each value `at` its row and not yet `before` it."""
    reached = multiply_round_half_away(at[:, 0], multiplier, shift) >= at[:, 1]
    early = multiply_round_half_away(before[:, 0], multiplier, shift) >= before[:, 1]
    return bool(np.all(reached) and not np.any(early))


# SOFTMAX: exp and reciprocal in fixed point -----------------------------------------------------

EXP_MINUS_EIGHTH = 1895147668
ONE_THIRD = 715827883
EXP_FACTORS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
"""exp(-1/4), exp(-1/2), exp(-1) ... exp(-16) times 2**31."""


def exp_on_negative_values(x: Ints) -> Ints:
    """exp of x <= 0 given in 5.26 fixed point, in 0.31; exp(0) is 2**31 - 1.

    Source: exp_on_negative_values of gemmlowp: x is a multiple of -1/4 plus a rest in [-1/4, 0);
    a polynomial around -1/8 serves the rest, one factor per bit the multiple.
    """
    x = np.asarray(x, np.int64)
    quarter = 1 << 24
    rest = (x & (quarter - 1)) - quarter
    result = _exp_on_quarter(rest << 5)
    quarters = (rest - x) >> 24
    for bit, factor in enumerate(EXP_FACTORS):
        shrunk = saturating_rounding_doubling_high_multiply(result, factor)
        result = np.where((quarters >> bit) & 1, shrunk, result)
    return np.where(x == 0, INT32_MAX, result)


def _exp_on_quarter(a: Ints) -> Ints:
    """exp of a in [-1/4, 0), both in 0.31 fixed point."""
    multiply = saturating_rounding_doubling_high_multiply
    x = a + (1 << 28)
    x2 = multiply(x, x)
    x3 = multiply(x2, x)
    x4 = multiply(x2, x2)
    higher = multiply(rounding_divide_by_power_of_two(x4, 2) + x3, ONE_THIRD) + x2
    series = x + rounding_divide_by_power_of_two(higher, 1)
    return EXP_MINUS_EIGHTH + multiply(series, EXP_MINUS_EIGHTH)


def one_over_one_plus_x(x: Ints) -> Ints:
    """1 / (1 + x) for x in [0, 1), both in 0.31 fixed point.

    Source: gemmlowp's Newton-Raphson division, three steps from 48/17 - 32/17 * d.
    """
    multiply = saturating_rounding_doubling_high_multiply
    half_denominator = (np.asarray(x, np.int64) + (1 << 31)) >> 1
    estimate = 1515870810 + multiply(half_denominator, -1010580540)  # 2.29 fixed point
    for _ in range(3):
        error = (1 << 29) - multiply(half_denominator, estimate)
        estimate = estimate + 4 * multiply(estimate, error)
    return np.minimum(2 * estimate, INT32_MAX)


def reciprocal(x: Ints) -> tuple[Ints, Ints]:
    """(r, bits) with 1 / x = r * 2**-31 * 2**-bits for x > 0 in 12.19 fixed point.

    r lies in (2**30, 2**31). Source: GetReciprocal of LiteRT.
    """
    x = np.asarray(x, np.int64)
    leading_zeros = 32 - np.frexp(x.astype(np.float64))[1].astype(np.int64)
    return one_over_one_plus_x((x << leading_zeros) - (1 << 31)), 12 - leading_zeros


# L2_NORMALIZATION and RSQRT: inverse square root in fixed point ----------------------------------

HALF_SQRT_2 = 1518500250
"""sqrt(1/2) times 2**31."""


def inverse_square_root(x: Ints) -> tuple[Ints, Ints]:
    """(multiplier, shift) with 1 / sqrt(x) ~ multiplier * 2**(shift - 31) for 0 < x < 2**31.

    Source: GetInvSqrtQuantizedMultiplierExp of LiteRT: x is shifted by pairs of bits into
    [2**27, 2**29); five steps of Newton and Raphson from 1, in 3.28 fixed point.
    """
    multiply = saturating_rounding_doubling_high_multiply
    x = np.asarray(x, np.int64)
    shift = np.full(x.shape, 11, np.int64)
    for _ in range(2):
        large = x >= 1 << 29
        x, shift = np.where(large, x // 4, x), shift + large
    pairs = (32 - np.frexp(x.astype(np.float64))[1].astype(np.int64) - 1) // 2 - 1
    shift -= pairs
    value = (x << 2 * pairs) >> 1
    half = rounding_divide_by_power_of_two(value, 1)
    root = np.full(x.shape, 1 << 28, np.int64)
    for _ in range(5):
        cube = np.clip(multiply(multiply(root, root), root) << 6, INT32_MIN, INT32_MAX)
        step = multiply(np.full_like(root, 3 << 27), root) - multiply(half, cube)
        root = np.clip(step << 3, INT32_MIN, INT32_MAX)
    root = multiply(root, HALF_SQRT_2)
    root, shift = root << np.maximum(-shift, 0), np.maximum(shift, 0)
    is_one = x <= 1
    return np.where(is_one, INT32_MAX, root), np.where(is_one, 0, -shift)
