# SPDX-License-Identifier: MIT
"""Candidate ranges for the values of a tensor.

minmax      every value of the calibration data
wide        more than that, by half the standard deviation of extremes between samples
percentile  all but a part of the values on each side
grid        all values, in slightly wider steps where that suits values which lie on a grid
mse         the least mean squared error: rounding within against clipping beyond
entropy     the least information lost (Migacz, 8-bit inference with TensorRT, 2017)
"""

from __future__ import annotations

import numpy as np

from tinyeff.ir import Array
from tinyeff.quantizer.observation import Observation
from tinyeff.quantizer.scales import Range, fake, quant_of

METHODS = ("minmax", "percentile", "mse", "entropy")
AUTO = "auto"
"""Of all candidates, for each tensor that which causes the least error at the output."""
PARTS = (0.9, 0.8, 0.7, 0.6, 0.5)
"""Of the range of all values."""
PERCENTILES = (1e-5, 1e-4, 1e-3)
"""Parts of the values that lie beyond each end."""
MARGIN = 0.5
"""Of "wide". Without a margin, an input that is unlike all calibration data is cut off hard; with
one of a whole standard deviation, all others lose more than that one wins."""
GRIDS = tuple(1 + n / 254 for n in range(6))
"""Times the range of all values. Pixels from -1 to 1 in steps of 1/127.5, for one, lie halfway
between the steps of a scale of 1/127.5, since 0 must be a value and is no pixel: each is wrong by
half a step, unless steps are a little wider."""
GRID_CLEARLY = 0.8
"""Wider steps must have less than this part of the error."""
SHRINKS = tuple(np.linspace(1.0, 0.3, 29).tolist())
MAX_VALUES = 1 << 16
BINS = 2048


def rules(method: str) -> tuple[str, ...]:
    """The rules that `range_by` knows: that of a method, or all, the usual one first."""
    if method == "percentile":
        return (f"percentile {PERCENTILES[0]:g}",)
    if method != AUTO:
        return (method,)
    return ("minmax", "wide", *(f"minmax x {part:g}" for part in PARTS),
            *(f"percentile {p:g}" for p in PERCENTILES), "mse", "entropy")


def range_by(rule: str, seen: Observation) -> Range:
    """The range that a rule gives for these values; 0 is always within."""
    flat = seen.values
    full = (float(flat.min(initial=0.0)), float(flat.max(initial=0.0)))
    if full[0] == full[1] or rule == "minmax":
        return full
    if rule == "wide":
        return (full[0] - MARGIN * seen.spread[0] * (full[0] < 0),
                full[1] + MARGIN * seen.spread[1] * (full[1] > 0))
    if rule.startswith("minmax x"):
        part = float(rule.split()[-1])
        return part * full[0], part * full[1]
    if rule == "grid":
        return _grid(_thinned(flat), full)
    if rule == "mse":
        return _least_squares(_thinned(flat), full)
    if rule == "entropy":
        return _entropy(flat, full)
    part = float(rule.split()[1])
    low, high = np.quantile(flat, (part, 1 - part))
    return min(float(low), 0.0), max(float(high), 0.0)


def _thinned(flat: Array) -> Array:
    """At most MAX_VALUES of the values, evenly spaced in their sorted order, ends included."""
    if flat.size <= MAX_VALUES:
        return flat
    ordered = np.sort(flat)
    places = np.linspace(0, flat.size - 1, MAX_VALUES).round().astype(np.int64)
    return ordered[places]


def _squares(values: Array, low: float, high: float) -> float:
    """The squared error of the values in this range, summed."""
    difference = fake(values, quant_of(low, high)) - values
    return float(np.dot(difference, difference))


def _grid(values: Array, full: Range) -> Range:
    """All values, in steps that are wider by the least error."""
    ranges = [(wider * full[0], wider * full[1]) for wider in GRIDS]
    errors = [_squares(values, *r) for r in ranges]
    errors[0] *= GRID_CLEARLY
    return ranges[int(np.argmin(errors))]


def _least_squares(values: Array, full: Range) -> Range:
    """Both ends shrunk in turn, as long as that helps."""
    low, high = full
    best = _squares(values, low, high)
    for _ in range(2):
        for end in (0, 1):
            for shrink in SHRINKS[1:]:
                trial = (full[0] * shrink, high) if end == 0 else (low, full[1] * shrink)
                found = _squares(values, *trial)
                if found < best:
                    best, (low, high) = found, trial
    return low, high


def _entropy(flat: Array, full: Range) -> Range:
    """Both ends cut by the same part, where the histogram in 255 steps tells most of the whole.

    Zeros are left out, as in Migacz's method: every range has them exactly, and half of all values
    in one bin would make any step that is wider than the bin look bad.
    """
    counts, edges = np.histogram(flat[flat != 0], BINS, full)
    zero = int(np.searchsorted(edges, 0.0))
    best, chosen = np.inf, full
    for shrink in SHRINKS:
        first = min(round(zero * (1 - shrink)), zero)
        last = max(BINS - round((BINS - zero) * (1 - shrink)), zero)
        if last - first < 255:
            break
        divergence = _divergence(counts.astype(np.float64), first, last)
        if divergence < best:
            best, chosen = divergence, (float(edges[first]), float(edges[last]))
    return chosen


def _divergence(counts: Array, first: int, last: int) -> float:
    """Kullback-Leibler divergence between the histogram, clipped, and its form in 255 steps."""
    p = counts[first:last].copy()
    step = np.arange(last - first) * 255 // (last - first)
    full = p > 0
    sums, filled = np.bincount(step, p, 255), np.bincount(step, full, 255)
    q = np.where(full, (sums / np.maximum(filled, 1))[step], 0.0)
    p[0] += counts[:first].sum()
    p[-1] += counts[last:].sum()
    q = np.where((p > 0) & (q == 0), 1e-4, q)
    p, q = p / p.sum(), q / max(q.sum(), 1e-12)
    used = p > 0
    return float((p[used] * np.log(p[used] / q[used])).sum())
