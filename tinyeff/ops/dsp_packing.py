# SPDX-License-Identifier: MIT
"""Weights and rounding as the DSP kernels read them; see firmware/kernels/te_product_dsp.h.

Two output channels share a lane, first + 256 * second, and their sums are told apart afterwards.
That is exact only within limits which are checked here, channel by channel, over all int8 inputs;
where one is broken the functions return None and the portable kernel computes the operator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyeff.ir import Array

HALF_UP, HALF_AWAY = 0, 1
"""TE_HALF_UP and TE_HALF_AWAY."""

GROUP_WORDS = 4
"""Words are read in groups; each holds two values of a pixel."""

PAIR_WORDS = 8
"""Words of a pair of channels beside its weights: two biases, twice multiplier, constant, shift."""

ACCUMULATOR_BITS = 23
"""Accumulators are scaled by 256 within 32 bits."""

MOST_SHIFT = 15
"""Of the second rounding, so that constants fit 32 bits."""


@dataclass(frozen=True, eq=False)
class Rounding:
    """How accumulators become outputs: one row (multiplier, constant, shift) for each channel.

    `how` is HALF_UP or HALF_AWAY; `rows` has shape (channels, 3), int64.
    """

    how: int
    rows: Array


def run_words(values: int) -> int:
    """Words that a run of values takes: its last 1 to 3 as many as they have pairs of bytes."""
    return values // 4 * 2 + min(values % 4, 2)


def group_count(runs: int, values: int) -> int:
    """Groups of words that `runs` runs of `values` values take."""
    return -(-runs * run_words(values) // GROUP_WORDS)


def stream_bytes(channels: int, groups: int) -> int:
    """Bytes of the packed weights of all output channels, biases and rounding included."""
    return -(-channels // 2) * 4 * (PAIR_WORDS + GROUP_WORDS * groups)


def lanes(filters: Array) -> Array:
    """The two lanes of every word, in reading order, of filters (channels, runs, values).

    Four values give the words (0, 2) and (1, 3), the order in which SXTB16 and its rotated form
    unpack bytes. Zeros fill up to whole groups. Shape (channels, words, 2), int64.
    """
    channels, runs, values = filters.shape
    padded = np.zeros((channels, runs, -(-values // 4) * 4), np.int64)
    padded[:, :, :values] = filters
    words = padded.reshape(channels, runs, -1, 2, 2).swapaxes(3, 4).reshape(channels, runs, -1, 2)
    used = words[:, :, :run_words(values)].reshape(channels, -1, 2)
    result = np.zeros((channels, group_count(runs, values) * GROUP_WORDS, 2), np.int64)
    result[:, :used.shape[1]] = used
    return result


def fits_lanes(filters: Array, low: Array, high: Array) -> bool:
    """True where filters (channels, ...) can share lanes; accumulators lie in [low, high]."""
    reach = max(int(np.max(high)), -int(np.min(low)))
    flat = filters.reshape(len(filters), -1).astype(np.int64)
    first, second = flat[0::2], flat[1::2]
    shared = first[:len(second)] + 256 * second
    return reach < 1 << ACCUMULATOR_BITS and int(shared.min(initial=0)) >= -(1 << 15)


def pack(filters: Array, bias: Array, rounding: Rounding) -> Array:
    """The stream of all output channels as int32 words, in the order in which it is read.

    `filters` has shape (channels, runs, values) and has passed `fits_lanes`; `bias` has the input
    zero point folded in.
    """
    odd = len(filters) % 2
    words = np.pad(lanes(filters), ((0, odd), (0, 0), (0, 0)))
    biases = np.pad(bias.astype(np.int64), (0, odd))
    rows = np.pad(rounding.rows, ((0, odd), (0, 0)))
    shared = words[0::2] + 256 * words[1::2]
    stream = np.concatenate([
        biases[0::2, None],
        biases[0::2, None] + 256 * biases[1::2, None],
        (shared[:, :, 0] & 0xFFFF) | (shared[:, :, 1] << 16),
        rows.reshape(len(shared), -1),
    ], axis=1)
    return (stream & 0xFFFFFFFF).astype(np.uint32).view(np.int32).reshape(-1)


def conv_rounding(
    multipliers: Array, shifts: Array, reach: Array, zero_point: int, out_min: int
) -> Rounding | None:
    """gemmlowp's two roundings for channels whose accumulators lie within +- `reach`.

    With x = acc * multiplier / 2**31 and n = -shift, a convolution computes
    zero_point + round(round(x) / 2**n), where round(x) takes halves up and the outer one takes
    halves away from zero. Where n <= 0 there is no second rounding, and where no output lies
    below the zero point the outer one may as well take halves up:

        half up    floor((floor(2**7 * x) + 2**6 + 2**(n + 6)) / 2**(n + 7)) + zero_point
        half away  floor((round(x) - (acc < 0) + 2**(n - 1)) / 2**n) + zero_point
    """
    right = -shifts.astype(np.int64)
    # Channels that never leave the zero point, such as those without any weights.
    silent = (multipliers == 0) | (_rounded_reach(multipliers, right, reach) == 0)
    multipliers = np.where(silent, 0, multipliers)
    right = np.where(silent, 1, right)
    up = out_min >= zero_point or bool(np.all((right <= 0) | silent))
    if up and right.min() >= -6 and right.max() <= MOST_SHIFT:
        first = np.int64(1) << (6 - np.maximum(-right, 0))
        second = np.where(right > 0, np.int64(1) << np.maximum(right + 6, 0), 0)
        shift = right + 7
        return _rounding(HALF_UP, multipliers, first + second, shift, zero_point)
    if not up and right.min() >= 1 and right.max() <= MOST_SHIFT:
        half = np.int64(1) << (right - 1)
        return _rounding(HALF_AWAY, multipliers, half, right, zero_point)
    return None


def _rounded_reach(multipliers: Array, right: Array, reach: Array) -> Array:
    """The most that a channel's output can differ from the zero point, before clamping."""
    high = (reach * multipliers + (1 << 30)) >> 31
    half = np.where(right > 0, np.int64(1) << np.clip(right - 1, 0, 40), 0)
    return np.where(right > 0, (high + half) >> np.clip(right, 0, 40), high)


def _rounding(
    how: int, multipliers: Array, halves: Array, shift: Array, zero_point: int
) -> Rounding:
    constants = halves + (np.int64(zero_point) << shift)
    return Rounding(how, np.stack([multipliers, constants, shift], axis=1))
