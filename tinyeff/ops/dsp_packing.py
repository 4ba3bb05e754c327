# SPDX-License-Identifier: MIT
"""Weights as the DSP kernels read them; see firmware/kernels/te_product_dsp.h.

Two output channels share a lane, first + 256 * second, and their sums are told apart afterwards.
That is exact only within limits which are checked here, channel by channel, over all int8 inputs;
where one is broken another kernel computes the operator. Channels whose output is the same
for every input (there are many in some trained networks) are not computed at all.
"""

from __future__ import annotations

import numpy as np

from tinyeff.ir import Array
from tinyeff.ops.dsp_rounding import Rounding

GROUP_WORDS = 4
"""Words are read in groups; each holds two values of a pixel."""

PAIR_WORDS = 8
"""Words of a pair of channels beside its weights: two biases, twice multiplier, constant, shift."""


def run_words(values: int) -> int:
    """Words that a run of values takes: its last 1 to 3 as many as they have pairs of bytes."""
    return values // 4 * 2 + min(values % 4, 2)


def group_count(runs: int, values: int) -> int:
    """Groups of words that `runs` runs of `values` values take."""
    return -(-runs * run_words(values) // GROUP_WORDS)


def stream_bytes(pairs: int, groups: int) -> int:
    """Bytes of the packed weights of pairs of channels, with biases and rounding."""
    return 4 * pairs * (PAIR_WORDS + GROUP_WORDS * groups)


def lanes(filters: Array) -> Array:
    """The two lanes of every word, in reading order, of filters (channels, runs, values).

    Four values give the words (0, 2) and (1, 3), the order in which SXTB16 and its rotated form
    unpack bytes. Zeros fill up to whole groups. Shape (channels, words, 2), int64.
    """
    channels, runs, values = filters.shape
    fours = -(-values // 4)
    padded = np.zeros((channels, runs, 4 * fours), np.int64)
    padded[:, :, :values] = filters
    words = padded.reshape(channels, runs, fours, 2, 2).swapaxes(3, 4)
    used = words.reshape(channels, runs, 2 * fours, 2)[:, :, :run_words(values)]
    used = used.reshape(channels, runs * run_words(values), 2)
    result = np.zeros((channels, group_count(runs, values) * GROUP_WORDS, 2), np.int64)
    result[:, :used.shape[1]] = used
    return result


def pairing(filters: Array, rounding: Rounding) -> Array:
    """Which computed channels of filters (channels, ...) share lanes; shape (pairs, 2).

    A lane has 16 bits, which a second weight of -128 with a first one below zero would leave.
    Channels with weights of -128 therefore come first in their pairs; behind some channels none
    comes, which is written as -1.
    """
    places = np.flatnonzero(rounding.computed)
    natural = _by_two(places)
    flat = np.pad(filters.reshape(len(filters), -1).astype(np.int64), ((0, 1), (0, 0)))
    shared = flat[natural[:, 0]] + 256 * flat[natural[:, 1]]
    if int(shared.min(initial=0)) >= -(1 << 15):
        return natural
    lowest = flat[places].min(1) == -128
    wide, others = places[lowest], places[~lowest]
    seconds = np.append(others, np.full(len(wide), -1))[:len(wide)]
    return np.concatenate([np.stack([wide, seconds], axis=1), _by_two(others[len(wide):])])


def _by_two(places: Array) -> Array:
    result: Array = np.append(places, [-1] * (len(places) % 2)).astype(np.int64).reshape(-1, 2)
    return result


def pack(filters: Array, bias: Array, rounding: Rounding, pairs: Array) -> Array:
    """The stream of all computed channels as int32 words, in the order in which it is read.

    `filters` has shape (channels, runs, values), `bias` the input zero point folded in, and
    `pairs` come from `pairing`.
    """
    return _as_words(_streams(lanes(filters), bias, rounding, pairs))


def pack_overlapping(
    filters: Array, bias: Array, rounding: Rounding, pairs: Array
) -> Array:
    """The same for windows that overlap, a kernel's columns innermost.

    `filters` has shape (channels, height, width, in_channels), the last a multiple of 4.
    """
    channels, height, width, depth = filters.shape
    words = lanes(filters.reshape(channels, height * width, depth))
    words = words.reshape(channels, height, width, depth // 2, 2)
    return _as_words(_streams(words.swapaxes(2, 3).reshape(channels, -1, 2), bias, rounding, pairs))


def pack_parts(filters: Array, rounding: Rounding, pairs: Array, block: int) -> Array:
    """The same without biases where every run is multiplied on its own.

    Run by run for each `block` of pairs; only the first run has the rounding.
    """
    none = Rounding(rounding.how, np.zeros_like(rounding.rows), rounding.computed,
                    rounding.constants, rounding.places)
    bias = np.zeros(len(filters), np.int64)
    every = np.stack([
        _streams(lanes(filters[:, run:run + 1]), bias, none if run else rounding, pairs)
        for run in range(filters.shape[1])])  # (runs, pairs, words)
    blocks = [every[:, first:first + block].reshape(-1)
              for first in range(0, every.shape[1], block)]
    return _as_words(np.concatenate([np.zeros(0, np.int64), *blocks]))


def pair_biases(bias: Array, pairs: Array) -> Array:
    """The biases of all pairs of channels, zero where there is no second one."""
    return _as_words(np.append(bias.astype(np.int64), 0)[pairs])


def _streams(words: Array, bias: Array, rounding: Rounding, pairs: Array) -> Array:
    """What each pair of channels reads, shape (pairs, words), from the lanes of all channels.

    Where there is no second channel, one of zeros is written to the place of the first, before it.
    """
    first, second = pairs[:, 0], pairs[:, 1]
    words = np.pad(words, ((0, 1), (0, 0), (0, 0)))
    biases = np.pad(bias.astype(np.int64), (0, 1))
    rows = np.pad(rounding.rows, ((0, 1), (0, 0)))
    shared = words[first] + 256 * words[second]
    seconds, firsts = rows[second], rows[first]
    seconds[:, 2] += np.where(second < 0, first, second) << 8
    firsts[:, 2] += first << 8
    result: Array = np.concatenate([
        biases[first, None],
        biases[first, None] + 256 * biases[second, None],
        (shared[:, :, 0] & 0xFFFF) | (shared[:, :, 1] << 16),
        seconds,
        firsts,
    ], axis=1)
    return result


def _as_words(stream: Array) -> Array:
    """Integers modulo 2**32 as int32; C has no empty arrays, so that there is at least one."""
    words = (stream.reshape(-1) & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
    return words if len(words) else np.zeros(1, np.int32)
