# SPDX-License-Identifier: MIT
"""One rounding for the three of ADD and SUB, proven for every pair of int8 values."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tinyeff import fixed_point
from tinyeff.ir import Array

VALUES: Array = np.arange(-128, 128)
"""Of an operand."""

SUM_BITS, MOST_SHIFT = 31, 24
"""Sums keep below 31 bits. Partial ones may wrap around 32."""

STEPS = sorted(((i, j) for i in range(-4, 5) for j in range(-4, 5)),
               key=lambda step: (step[0] ** 2 + step[1] ** 2, step))
"""By how much both multipliers are tried beside their nearest integers."""

STRETCHES = [2.0 ** -n for n in range(20, 9, -1)]
"""By how much, as a fraction, both are tried larger: halves then go away from zero."""


@dataclass(frozen=True)
class Linear:
    """out = (a * multipliers[0] + b * multipliers[1] + base) >> shift."""

    multipliers: tuple[int, int]
    base: int
    shift: int


def linear_sum(
    wanted: Array, factors: tuple[float, float], zero_points: tuple[int, int],
    clamp: tuple[int, int],
) -> Linear | None:
    """Parameters that give `wanted` (256, 256) for all pairs of values, or None.

    `factors` are the real ones of both operands. Each pair of multipliers leaves an interval of
    bases that give what is wanted everywhere; the first interval that is not empty is taken.
    Outputs at the ends of `clamp` may also come from beyond.
    """
    ends = [sorted((f * (-128 - z), f * (127 - z)))
            for f, z in zip(factors, zero_points, strict=True)]
    reach = max(abs(ends[0][0] + ends[1][0]), abs(ends[0][1] + ends[1][1])) + 130
    shift = min(SUM_BITS - math.ceil(math.log2(reach)), MOST_SHIFT)
    if shift < 1:
        return None
    least, most = wanted << shift, (wanted + 1 << shift) - 1
    inner, outer = wanted > clamp[0], wanted < clamp[1]
    for m, n in _multipliers(factors, shift):
        sums = VALUES[:, None] * m + VALUES * n
        first = int((least - sums).max(initial=-1 << 40, where=inner))
        last = int((most - sums).min(initial=1 << 40, where=outer))
        base = _middle(first, last)
        reached = (base, 128 * m, 128 * n, base + int(sums.min()), base + int(sums.max()))
        if first <= last and max(map(abs, reached)) <= fixed_point.INT32_MAX:
            return Linear((m, n), base, shift)
    return None


def _multipliers(factors: tuple[float, float], shift: int) -> Iterator[tuple[int, int]]:
    first, second = (math.ldexp(f, shift) for f in factors)
    for i, j in STEPS:
        yield round(first) + i, round(second) + j
    for stretch in STRETCHES:
        yield round(first * (1 + stretch)), round(second * (1 + stretch))


def _middle(first: int, last: int) -> int:
    """A number inside of an interval, both ends of which may be open."""
    limit = 1 << SUM_BITS - 1
    middle = (max(first, -limit) + min(last, limit)) // 2
    return min(max(middle, first), last)  # all of the interval may lie beyond the limit
