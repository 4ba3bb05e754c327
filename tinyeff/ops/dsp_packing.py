# SPDX-License-Identifier: MIT
"""Weights as the DSP kernels read them; see firmware/kernels/te_product_dsp.h.

Two output channels share a lane, first + 256 * second, and their sums are told apart afterwards.
That is exact only within limits which are checked here, channel by channel, over all int8 inputs;
where one is broken the portable kernel computes the operator. Channels whose output is the same
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


def stream_bytes(channels: int, groups: int) -> int:
    """Bytes of the packed weights of `channels` computed channels, with biases and rounding."""
    return -(-channels // 2) * 4 * (PAIR_WORDS + GROUP_WORDS * groups)


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


def fits_lanes(filters: Array, rounding: Rounding) -> bool:
    """True where pairs of the computed channels of filters (channels, ...) can share lanes."""
    flat = filters.reshape(len(filters), -1)[rounding.computed].astype(np.int64)
    first, second = flat[0::2], flat[1::2]
    shared = first[:len(second)] + 256 * second
    return int(shared.min(initial=0)) >= -(1 << 15)


def pack(filters: Array, bias: Array, rounding: Rounding) -> Array:
    """The stream of all computed channels as int32 words, in the order in which it is read.

    `filters` has shape (channels, runs, values) and has passed `fits_lanes`; `bias` has the input
    zero point folded in.
    """
    return _as_words(_pairs(filters, bias, rounding))


def pack_parts(filters: Array, rounding: Rounding, block: int) -> Array:
    """The same without biases where every run is multiplied on its own.

    Run by run for each `block` of pairs; only the first run has the rounding.
    """
    none = Rounding(rounding.how, np.zeros_like(rounding.rows), rounding.computed,
                    rounding.constants)
    bias = np.zeros(len(filters), np.int64)
    every = np.stack([_pairs(filters[:, run:run + 1], bias, none if run else rounding)
                      for run in range(filters.shape[1])])  # (runs, pairs, words)
    blocks = [every[:, first:first + block].reshape(-1)
              for first in range(0, every.shape[1], block)]
    return _as_words(np.concatenate([np.zeros(0, np.int64), *blocks]))


def pair_biases(bias: Array, rounding: Rounding) -> Array:
    """The biases of all computed channels, a zero behind an odd number of them."""
    places = np.flatnonzero(rounding.computed)
    return _as_words(np.pad(bias[places].astype(np.int64), (0, len(places) % 2)))


def _pairs(filters: Array, bias: Array, rounding: Rounding) -> Array:
    """What each pair of computed channels reads, shape (pairs, words).

    Behind an odd number of channels comes one of zeros, whose output is written to the place of
    the last channel, before it.
    """
    places = np.flatnonzero(rounding.computed)
    odd = len(places) % 2
    words = np.pad(lanes(filters[places]), ((0, odd), (0, 0), (0, 0)))
    biases = np.pad(bias[places].astype(np.int64), (0, odd))
    rows = np.pad(rounding.rows[places], ((0, odd), (0, 0)))
    rows[:, 2] += np.append(places, places[-1:])[:len(rows)] << 8
    shared = words[0::2] + 256 * words[1::2]
    result: Array = np.concatenate([
        biases[0::2, None],
        biases[0::2, None] + 256 * biases[1::2, None],
        (shared[:, :, 0] & 0xFFFF) | (shared[:, :, 1] << 16),
        rows[1::2],
        rows[0::2],
    ], axis=1)
    return result


def _as_words(stream: Array) -> Array:
    """Integers modulo 2**32 as int32; C has no empty arrays, so that there is at least one."""
    words = (stream.reshape(-1) & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
    return words if len(words) else np.zeros(1, np.int32)
