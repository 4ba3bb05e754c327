# SPDX-License-Identifier: MIT
"""Weights for inputs that are rounded."""

from __future__ import annotations

import numpy as np
import pytest

from tinyeff.ir import Array
from tinyeff.quantizer.refitting import refitted

RNG = np.random.default_rng(3)
WEIGHTS = RNG.normal(size=(2, 4, 9))
COUNT, EACH = 16, 50


def alike(seed: int) -> Array:
    """Inputs (2, 9, positions) that are nearly the same, as neighbours in a smooth image are."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(2, 1, COUNT * EACH))
    return common + 0.05 * rng.normal(size=(2, 9, COUNT * EACH))


def rounded(x: Array) -> Array:
    """With errors as rounding makes them, each its own."""
    return x + np.random.default_rng(9).uniform(-0.17, 0.17, x.shape)


def samples() -> Array:
    return np.repeat(np.arange(COUNT), EACH)


def error(weights: Array, x: Array) -> float:
    """Of the results on rounded inputs, without what a bias takes up."""
    wrong = weights @ rounded(x) - WEIGHTS @ x
    return float(wrong.var(2).sum())


def test_alike_inputs_tell_each_other_s_rounding_error_on_new_samples_too() -> None:
    x, new = alike(0), alike(1)
    found = refitted(WEIGHTS, x, rounded(x), samples())
    assert error(found, new) < 0.5 * error(WEIGHTS, new)


@pytest.mark.parametrize("count", [1, COUNT])
def test_what_does_not_hold_for_other_samples_is_not_taken(count: int) -> None:
    """Errors by chance on few positions, or one sample that nothing can be tried out on."""
    rng = np.random.default_rng(0)
    positions = 12 if count > 1 else COUNT * EACH
    x = rng.normal(size=(2, 9, positions))
    given = x + 0.1 * rng.normal(size=x.shape)
    owners = np.arange(positions) % count
    assert refitted(WEIGHTS, x, given, owners) is WEIGHTS


def test_exact_inputs_change_nothing() -> None:
    x = alike(0)
    assert refitted(WEIGHTS, x, x, samples()) is WEIGHTS


def test_dead_inputs_do_not_divide_by_zero() -> None:
    x = alike(0)
    given = rounded(x)
    x[0] = given[0] = 0
    with np.errstate(all="raise", under="ignore"):
        found = refitted(WEIGHTS, x, given, samples())
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found[0], WEIGHTS[0])
