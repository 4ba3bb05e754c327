# SPDX-License-Identifier: MIT
"""Weights for the inputs that an operator gets, in place of those that it had in float.

The operators before have rounded their results. Where inputs are alike, as neighbouring pixels are,
part of that error can be told from the inputs themselves: least squares finds the weights whose
results on the rounded inputs are closest to those of the weights in float on the float inputs. Two
halves of the samples judge each other's weights, so that only what also holds for new samples is
taken. Source of the idea: Li et al., GPTAQ, 2025.
"""

from __future__ import annotations

import numpy as np

from tinyeff.ir import Array

RIDGES = (1.0, 0.1, 0.01, 0.001, 0.0001)
"""Penalties on changes that are tried, as parts of the mean power of an input."""
CLEARLY = 0.98
"""The error on samples held back must fall below this part of what it is without a change."""


def refitted(weights: Array, wanted: Array, given: Array, samples: Array) -> Array:
    """Weights (groups, outputs, depth) for the inputs `given` in place of `wanted`.

    Both are (groups, depth, positions), `samples` (positions,) the sample that each belongs to.
    """
    halves = [_moments(wanted[:, :, part], given[:, :, part])
              for part in (samples % 2 == 0, samples % 2 == 1) if part.any()]
    if len(halves) < 2:
        return weights
    if not any(missing.any() for _, missing, _ in halves):
        return weights
    errors = [CLEARLY * sum(_error(weights, np.zeros_like(weights), *other) for other in halves)]
    for ridge in RIDGES:
        errors.append(sum(_error(weights, _change(weights, *mine[:2], ridge), *other)
                          for mine, other in (halves, halves[::-1])))
    best = int(np.argmin(errors))
    if best == 0:
        return weights
    whole = halves[0][0] + halves[1][0], halves[0][1] + halves[1][1]
    result: Array = weights + _change(weights, *whole, RIDGES[best - 1])
    return result


def _moments(wanted: Array, given: Array) -> tuple[Array, Array, Array]:
    """Of inputs without their means: given given', missing given', missing missing'."""
    missing = wanted - given
    missing = missing - missing.mean(2, keepdims=True)
    given = given - given.mean(2, keepdims=True)
    turned = given.transpose(0, 2, 1)
    return (np.matmul(given, turned).astype(np.float64),
            np.matmul(missing, turned).astype(np.float64),
            np.matmul(missing, missing.transpose(0, 2, 1)).astype(np.float64))


def _change(weights: Array, power: Array, missing: Array, ridge: float) -> Array:
    """What must be added to the weights."""
    depth = power.shape[1]
    mean = np.einsum("gkk->g", power) / depth
    damped = power + (ridge * np.where(mean > 0, mean, 1.0))[:, None, None] * np.eye(depth)
    result: Array = np.linalg.solve(damped, np.matmul(weights, missing).transpose(0, 2, 1))
    return result.transpose(0, 2, 1)


def _error(weights: Array, change: Array, power: Array, missing: Array, lost: Array) -> float:
    """The squared error of the results, each output relative to what it is without a change."""
    before = np.einsum("gok,gkl,gol->go", weights, lost, weights, optimize=True)
    difference = (np.einsum("gok,gkl,gol->go", change, power, change, optimize=True)
                  - 2 * np.einsum("gok,gkl,gol->go", weights, missing, change, optimize=True))
    return float((1 + difference / np.where(before > 0, before, np.inf)).sum())
