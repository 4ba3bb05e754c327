# SPDX-License-Identifier: MIT
"""Rounding of weights."""

from __future__ import annotations

import numpy as np
import pytest

from tinyeff.ir import Array
from tinyeff.quantizer.rounding import (
    BLOCK,
    LEVELS,
    factor_of_inverse,
    hessian_of,
    largest_scales,
    nearest,
    rounded,
    second_order,
)


def costs(weights: Array, values: Array, scales: Array, hessian: Array) -> Array:
    wrong = values * scales[:, :, None] - weights
    found: Array = np.einsum("gok,gkl,gol->go", wrong, hessian, wrong)
    return found


@pytest.mark.parametrize(("groups", "outputs", "depth"), [(5, 1, 9), (1, 7, 27), (2, 3, 300)])
@pytest.mark.parametrize("second_order", [False, True])
def test_no_row_is_rounded_worse_than_to_nearest(
    groups: int, outputs: int, depth: int, second_order: bool
) -> None:
    rng = np.random.default_rng(depth)
    weights = rng.normal(size=(groups, outputs, depth))
    inputs = np.maximum(rng.normal(size=(groups, depth, 400)), 0).cumsum(1)
    unit = np.broadcast_to(np.eye(depth), (groups, depth, depth))
    hessian = hessian_of(inputs, False) if second_order else unit
    least = np.zeros((groups, outputs))
    values, scales = rounded(weights, least, hessian if second_order else None)
    plain = largest_scales(weights, least)
    before = costs(weights, nearest(weights, plain), plain, hessian)
    after = costs(weights, values, scales, hessian)
    assert (after <= before * (1 + 1e-4)).all()  # scales are float32
    if second_order or depth < 100:  # long rows have no scale that suits all weights
        assert after.sum() < 0.9 * before.sum()
    assert np.abs(values).max() <= LEVELS
    np.testing.assert_array_equal(values, np.rint(values))


def test_scales_respect_what_the_bias_needs_and_rows_without_weights() -> None:
    weights = np.zeros((1, 3, 4))
    weights[0, 0] = [1, -2, 3, 4]
    least = np.array([[0.5, 0.0, 0.25]])
    values, scales = rounded(weights, least, None)
    assert scales[0, 0] >= 0.5 and scales[0, 2] >= 0.25 and (scales > 0).all()
    assert not values[0, 1:].any()


@pytest.mark.parametrize("depth", [1, 9, BLOCK, BLOCK + 1, 200])
def test_the_factor_of_the_inverse(depth: int) -> None:
    hessian = hessian_of(np.random.default_rng(depth).normal(size=(2, depth, 100)), False)
    upper = factor_of_inverse(hessian)
    np.testing.assert_array_equal(upper, np.triu(upper))
    inverse = np.matmul(upper.transpose(0, 2, 1), upper)
    unit = np.broadcast_to(np.eye(depth), hessian.shape)
    np.testing.assert_allclose(np.matmul(inverse, hessian), unit, atol=1e-12)


@pytest.mark.parametrize("depth", [20, 2 * BLOCK + 20])
def test_in_the_end_no_weight_is_better_elsewhere(depth: int) -> None:
    rng = np.random.default_rng(depth)
    weights = rng.normal(size=(2, 3, depth))
    hessian = hessian_of(rng.normal(size=(2, depth, 50)).cumsum(1), False)
    scales = largest_scales(weights, np.zeros((2, 3)))
    found = second_order(weights, scales, hessian, sweeps=1000)
    least = costs(weights, found, scales, hessian)
    for place in range(depth):
        for move in (-1, 1):
            moved = found.copy()
            moved[:, :, place] += move
            worse = costs(weights, moved, scales, hessian) >= least
            assert (worse | (np.abs(moved[:, :, place]) > LEVELS)).all()
