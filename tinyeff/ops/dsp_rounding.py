# SPDX-License-Identifier: MIT
"""From accumulators to outputs on the DSP extension, proven equal to the reference at codegen.

te_product_dsp.h names two forms. With them an output is saturated to int8:

    HALF_UP    (constant + floor(acc * 2**places * multiplier / 2**32)) >> shift
    HALF_AWAY  (constant - (acc < 0) + round(acc * 2**places * multiplier / 2**32)) >> shift

where `places` is 1 for HALF_AWAY, and for HALF_UP 8, or less where accumulators have no room for
them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tinyeff import fixed_point
from tinyeff.ir import Array

HALF_UP, HALF_AWAY = 0, 1
"""TE_HALF_UP and TE_HALF_AWAY."""

ACCUMULATOR_BITS = 23
"""Accumulators are scaled by 256 within 32 bits."""

UP_PLACES, LEAST_UP_PLACES, AWAY_PLACES = 8, 2, 1
"""Binary places that accumulators gain before they are multiplied."""

LONG_BITS = 31
"""Of accumulators that are rounded with 64-bit products."""

MOST_SHIFT = 22
"""Of the whole shift, so that constants fit 32 bits."""


@dataclass(frozen=True, eq=False)
class Rounding:
    """How accumulators become outputs, channel by channel.

    `how` is HALF_UP or HALF_AWAY; `rows` has the columns multiplier, constant, shift. Channels that
    are not `computed` have the same output for every input, which `constants` holds. The
    accumulators of channel c gain `places[c]` binary places.
    """

    how: int
    rows: Array
    computed: Array
    constants: Array
    places: Array


Reach = tuple[Array, Array]
"""The least and the greatest accumulator of each channel."""

Reference = Callable[[Array], Array]
"""The exact outputs of accumulators of shape (channels, n); they only grow with the accumulator."""


def outputs(acc: Array, how: int, rows: Array, places: Array | int) -> Array:
    """What the kernels make of accumulators (channels, n), before they clamp to less than int8."""
    multiplier, constant, shift = (rows[:, i, None] for i in range(3))
    product = acc * multiplier
    right = 32 - np.broadcast_to(places, len(rows))[:, None]
    if how == HALF_UP:
        scaled = constant + (product >> right)
    else:
        scaled = constant - (acc < 0) + ((product + (np.int64(1) << right - 1)) >> right)
    result: Array = np.clip(scaled >> shift, fixed_point.INT8_MIN, fixed_point.INT8_MAX)
    return result


def conv_rounding(
    multipliers: Array, shifts: Array, reach: Reach, zero_point: int, clamp: tuple[int, int],
    bits: int | None = ACCUMULATOR_BITS,
) -> Rounding | None:
    """gemmlowp's two roundings of a convolution, or None where they are not proven to be kept.

    `bits` are those of an accumulator, its sign aside; with None it may have as many as leave room
    for the least number of places, and gains as many as there is room for.

    With x = acc * multiplier / 2**31 and n = -shift, a convolution computes
    zero_point + round(round(x) / 2**n), where round(x) takes halves up and the outer one takes
    halves away from zero. Where n <= 0 there is no second rounding, and where no output lies
    below the zero point the outer one may as well take halves up:

        half up    floor((floor(2**7 * x) + 2**6 + 2**(n + 6)) / 2**(n + 7)) + zero_point
        half away  floor((round(x) - (acc < 0) + 2**(n - 1)) / 2**n) + zero_point

    With p places, p - 1 stands for 7.
    """
    def reference(acc: Array, at: Array | slice = slice(None)) -> Array:
        scaled = fixed_point.multiply_by_quantized_multiplier(
            acc, multipliers[at, None], shifts[at, None])
        return np.clip(scaled + zero_point, *clamp)

    computed, constants = _constant_channels(reference, reach)
    right = np.where(computed, -shifts.astype(np.int64), 1)
    how = HALF_UP if clamp[0] >= zero_point or np.all(right[computed] <= 0) else HALF_AWAY
    places = _places(how, computed, reach, bits)
    least = 2 - places if how == HALF_UP else 1
    if places.min(initial=AWAY_PLACES) < AWAY_PLACES or np.any(right < least):
        return None
    extra = places - 1
    # A shift that is too long costs bits of the multiplier; the rest must prove to be enough.
    excess = np.maximum(right + extra - MOST_SHIFT, 0)
    right = right - excess
    first = ((np.int64(1) << extra - 1 - np.maximum(-right, 0)) >> excess
             if how == HALF_UP else 0)
    second = np.where(right > 0, np.int64(1) << np.maximum(right + extra - 1, 0), 0)
    shift = right + extra
    rows = np.stack([(multipliers + (1 << excess >> 1)) >> excess,
                     first + second + (np.int64(zero_point) << shift), shift], axis=1)
    doubtful = np.flatnonzero(computed & (excess > 0))
    points = around_steps(lambda acc: reference(acc, doubtful), _at(reach, doubtful))
    found = np.clip(outputs(points, how, rows[doubtful], places[doubtful]), *clamp)
    exact = np.array_equal(found, reference(points, doubtful))
    return Rounding(how, rows, computed, constants, places) if exact else None


def _places(how: int, computed: Array, reach: Reach, bits: int | None) -> Array:
    """The places that each channel's accumulators gain; 0 where there is no room."""
    most = UP_PLACES if how == HALF_UP else AWAY_PLACES
    if bits is not None:
        return np.full(len(computed), most if _fits(computed, reach, bits) else 0)
    magnitude = np.where(computed, np.maximum(reach[1], -1 - reach[0]), 0)
    room = 31 - np.ceil(np.log2(magnitude + 1.0)).astype(np.int64)
    least = LEAST_UP_PLACES if how == HALF_UP else AWAY_PLACES
    return np.where(room < least, 0, np.minimum(room, most))


def product_rounding(
    scales: Array, reach: Reach, zero_point: int, clamp: tuple[int, int],
    bits: int = ACCUMULATOR_BITS,
) -> Rounding | None:
    """The one rounding of FULLY_CONNECTED: zero_point + round(acc * scale), halves away from zero.

    `scales` holds one double for all channels, or one for each. The multiplier of each is tried
    beside its neighbours until one is exact on both sides of every step; None where none is.
    """
    def reference(acc: Array) -> Array:
        scaled = fixed_point.rounded_double_product(acc, scales[:, None])
        return np.clip(scaled + zero_point, *clamp)

    computed, constants = _constant_channels(reference, reach)
    exponents = np.frexp(scales)[1].astype(np.int64)
    if np.any(exponents > 6) or not _fits(computed, reach, bits):
        return None
    shift = np.minimum(7 - exponents, MOST_SHIFT)
    nearest = np.rint(np.ldexp(scales, shift + 24)).astype(np.int64)
    constant = (np.int64(1) << (shift - 1)) + (np.int64(zero_point) << shift)
    if len(scales) == 1:
        reach = (reach[0].min(keepdims=True), reach[1].max(keepdims=True))
    points = around_steps(reference, reach)
    wanted = reference(points)
    proven, rows = np.zeros(len(scales), bool), np.zeros((len(scales), 3), np.int64)
    for step in (0, 1, -1, 2, -2):
        tried = np.stack([np.minimum(nearest + step, fixed_point.INT32_MAX), constant, shift], 1)
        found = np.clip(outputs(points, HALF_UP, tried, UP_PLACES), *clamp)
        exact = np.all(found == wanted, axis=1)
        rows = np.where((exact & ~proven)[:, None], tried, rows)
        proven |= exact
    if not np.all(proven | ~computed):
        return None
    every = np.broadcast_to(rows, (len(computed), 3)).copy()
    return Rounding(HALF_UP, every, computed, constants, np.full(len(computed), UP_PLACES))


def _at(reach: Reach, channels: Array) -> Reach:
    return reach[0][channels], reach[1][channels]


def _constant_channels(reference: Reference, reach: Reach) -> tuple[Array, Array]:
    """(which channels have different outputs for different inputs, the output of the others).

    Outputs only grow with the accumulator, so both ends tell.
    """
    low, high = reference(reach[0][:, None])[:, 0], reference(reach[1][:, None])[:, 0]
    return low != high, np.where(low == high, low, 0)


def _fits(computed: Array, reach: Reach, bits: int) -> bool:
    """True where no computed accumulator leaves its bits."""
    limit = 1 << bits
    return not np.any(computed & ((reach[0] < -limit) | (reach[1] >= limit)))


def around_steps(reference: Reference, reach: Reach) -> Array:
    """Accumulators (channels, n) on both sides of every step of functions that only grow.

    Other such functions that agree with them there agree everywhere within `reach`.
    """
    ends = np.stack(reach, axis=1)
    first, last = np.split(reference(ends), 2, axis=1)
    values = first + np.arange(1, int((last - first).max(initial=0)) + 1)
    least = np.broadcast_to(ends[:, :1], values.shape)
    most = np.broadcast_to(ends[:, 1:], values.shape)
    while np.any(least < most):  # the first accumulator that reaches a value is in [least, most]
        middle = (least + most) // 2
        reached = reference(middle) >= values
        most, least = np.where(reached, middle, most), np.where(reached, least, middle + 1)
    return np.concatenate([np.maximum(least - 1, ends[:, :1]), least, ends], axis=1)
