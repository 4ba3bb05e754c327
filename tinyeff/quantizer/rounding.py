# SPDX-License-Identifier: MIT
"""Rounding weights so that the operator's result changes least on the calibration data.

With the inputs x of a product, the squared error of its result is e' H e for the error e of a row
of weights and H = x x'. Rounding to nearest minimises e' e instead. Here weights are rounded one
after the other and those not yet rounded take up the error that was made, which is the method of
Optimal Brain Surgeon (Hassibi and Stork, 1993) for rounding, known as OBQ and GPTQ (Frantar et
al., 2022). Then each
is moved once more to where the error is least, given all others.
"""

from __future__ import annotations

import numpy as np

from tinyeff.ir import Array

LEVELS = 127
"""TFLite's int8 weights are symmetric: -127 to 127."""
DAMPING = 0.01
"""The least part that the unit matrix has in H, so that it can be inverted."""
SMALLEST = 1e-30
"""Weights below so many are none: their scale could not be held in float32."""
BLOCK = 64
TRIAL_STEP = 0.01
"""Scales are tried in such steps, from that which holds the largest weight upwards. With 8 bits,
cutting weights off costs more than finer steps win."""
TRIALS_DEPTH, MOST_TRIALS = 1024, 24
"""So many scales are tried, times the weights of a row, and at most."""
MAX_DEPTH = 2304
"""Rows longer than this are rounded to nearest: their Hessian would not fit memory."""


def hessian_of(x: Array, centred: bool) -> Array:
    """x x' / positions of inputs (groups, depth, positions): (groups, depth, depth), float64.

    With `centred` the means are taken off first, where a bias takes up what an error of the weights
    changes in the mean. Its unit is arbitrary: the mean of the diagonal is 1. The fewer positions
    there are for each row, the more it is drawn towards the unit matrix, for which rounding to
    nearest is best: what is not in the samples must not be taken for impossible.
    """
    depth, positions = x.shape[1:]
    x = x - x.mean(2, keepdims=True) if centred else x
    largest = np.abs(x).max((1, 2), keepdims=True)
    x = x / np.where(largest > 0, largest, 1)
    products = np.matmul(x, x.transpose(0, 2, 1)).astype(np.float64)
    size = np.einsum("gkk->g", products) / depth
    unit = np.eye(depth)
    products /= np.where(size > 0, size, 1)[:, None, None]
    part = max(DAMPING, depth / (depth + positions))
    result: Array = np.where((size > 0)[:, None, None], (1 - part) * products + part * unit, unit)
    return result


def nearest(weights: Array, scales: Array) -> Array:
    """Weights (groups, outputs, depth) rounded to nearest, as float64 integers."""
    result: Array = np.clip(np.rint(weights / scales[:, :, None]), -LEVELS, LEVELS)
    return result


def largest_scales(weights: Array, least: Array) -> Array:
    """Scales that hold every weight, at least `least`; (groups, outputs).

    An output without weights gets the largest scale of all outputs, or 1.
    """
    scales = np.maximum(np.abs(weights).max(2, initial=0.0) / LEVELS, least)
    scales = np.where(scales < SMALLEST, 0.0, scales)
    result: Array = np.where(scales > 0, scales, scales.max(initial=0.0) or 1.0)
    return result


def rounded(weights: Array, least: Array, hessian: Array | None) -> tuple[Array, Array]:
    """Weights (groups, outputs, depth) as float64 integers, and their scales (groups, outputs).

    With regard to the Hessian, or to nearest. Scales are at least `least`; for each output that one
    is taken which holds the largest weight, or a somewhat larger one whose steps suit all weights
    of the row: there is such a one for short rows, and these take little time.
    """
    full = largest_scales(weights, least)
    values, scales = np.zeros_like(weights, np.float64), full
    lowest = np.full(full.shape, np.inf)
    trials = int(np.clip(TRIALS_DEPTH // max(1, weights.shape[2]), 1, MOST_TRIALS))
    for n in range(trials):
        trial = np.maximum((1 + n * TRIAL_STEP) * full, least).astype(np.float32).astype(np.float64)
        found = (nearest(weights, trial) if hessian is None
                 else second_order(weights, trial, hessian))
        wrong = found * trial[:, :, None] - weights
        felt = wrong if hessian is None else np.matmul(wrong, hessian)
        error = np.einsum("gok,gok->go", felt, wrong)
        better = error < lowest
        values = np.where(better[:, :, None], found, values)
        scales, lowest = np.where(better, trial, scales), np.where(better, error, lowest)
    return values, scales


def second_order(weights: Array, scales: Array, hessian: Array, sweeps: int = 2) -> Array:
    """Weights (groups, outputs, depth) rounded with regard to the Hessian, as float64 integers."""
    return _settled(weights, _compensated(weights, scales, hessian), scales, hessian, sweeps)


def _compensated(weights: Array, scales: Array, hessian: Array) -> Array:
    """One weight after the other, inputs with the most power first; the rest takes up its error."""
    order = np.argsort(-np.einsum("gkk->gk", hessian), axis=1, kind="stable")
    w = np.take_along_axis(weights, order[:, None, :], 2).astype(np.float64)
    h = np.take_along_axis(hessian, order[:, :, None], 1)
    # Row k of this factor says how the error of weight k is spread over those after it.
    upper = factor_of_inverse(np.take_along_axis(h, order[:, None, :], 2))
    q = np.empty_like(w)
    for start in range(0, w.shape[2], BLOCK):
        stop = min(start + BLOCK, w.shape[2])
        errors = np.empty((*w.shape[:2], stop - start))
        for k in range(start, stop):
            q[:, :, k] = np.clip(np.rint(w[:, :, k] / scales), -LEVELS, LEVELS)
            error = (w[:, :, k] - q[:, :, k] * scales) / upper[:, k, k][:, None]
            w[:, :, k:stop] -= error[:, :, None] * upper[:, None, k, k:stop]
            errors[:, :, k - start] = error
        w[:, :, stop:] -= np.matmul(errors, upper[:, start:stop, stop:])
    back = np.argsort(order, axis=1, kind="stable")
    return np.take_along_axis(q, back[:, None, :], 2)


def factor_of_inverse(h: Array) -> Array:
    """The upper triangular U with U' U = h**-1, of symmetric h (groups, depth, depth).

    From last to first, h = R R' is a Cholesky decomposition as well, with R upper triangular and
    U its inverse: less than a third of the work of inverting h and decomposing the inverse.
    """
    return _inverse_of_upper(np.linalg.cholesky(h[:, ::-1, ::-1])[:, ::-1, ::-1])


def _inverse_of_upper(r: Array) -> Array:
    """The inverse of upper triangular matrices (groups, depth, depth), by halves."""
    if r.shape[2] <= BLOCK:
        return np.linalg.inv(r)
    half = r.shape[2] // 2
    result = np.zeros_like(r)
    first, last = _inverse_of_upper(r[:, :half, :half]), _inverse_of_upper(r[:, half:, half:])
    result[:, :half, :half], result[:, half:, half:] = first, last
    result[:, :half, half:] = -np.matmul(np.matmul(first, r[:, :half, half:]), last)
    return result


def _settled(weights: Array, rounded: Array, scales: Array, hessian: Array, sweeps: int) -> Array:
    """Each weight in turn moved to where the error is least, given all others.

    What a move changes is added at once within a block only, and to the rest by one product.
    """
    q = rounded.copy()
    slope = np.matmul(q * scales[:, :, None] - weights, hessian)  # half the error's derivative
    for _ in range(sweeps):
        moved = False
        for start in range(0, q.shape[2], BLOCK):
            stop = min(start + BLOCK, q.shape[2])
            near, moves = slope[:, :, start:stop].copy(), np.zeros_like(q[:, :, start:stop])
            for k in range(start, stop):
                best = q[:, :, k] - near[:, :, k - start] / (hessian[:, k, k][:, None] * scales)
                change = np.clip(np.rint(best), -LEVELS, LEVELS) - q[:, :, k]
                if change.any():
                    q[:, :, k] += change
                    moves[:, :, k - start] = change * scales
                    near += moves[:, :, k - start, None] * hessian[:, None, k, start:stop]
            if moves.any():
                moved = True
                slope += np.matmul(moves, hessian[:, start:stop])
        if not moved:
            break
    return q
