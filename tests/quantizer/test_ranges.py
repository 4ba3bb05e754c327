# SPDX-License-Identifier: MIT
"""Ranges of activations, and how they are chosen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.quantizer.floating import random_samples
from tests.quantizer.test_equalization import network
from tinyeff.ir import Array
from tinyeff.quantizer.observation import Observation, observe
from tinyeff.quantizer.prepared import prepared
from tinyeff.quantizer.ranges import AUTO, range_by, rules
from tinyeff.quantizer.scales import fake, groups_of, quant_of
from tinyeff.quantizer.sensitivity import FOLDS, Search, chosen_rules, roots, softened


def seen(values: Array) -> Observation:
    one = np.ones(1)
    return Observation(values.astype(np.float32), one, one, (0.1, 0.1))


def error(values: Array, rule: str) -> float:
    values = values.astype(np.float32)
    return float(np.square(fake(values, quant_of(*range_by(rule, seen(values)))) - values).sum())


@pytest.mark.parametrize("rule", rules(AUTO))
def test_a_range_holds_zero_and_is_finite(rule: str) -> None:
    rng = np.random.default_rng(0)
    for values in (rng.normal(size=5000), rng.uniform(1, 2, 5000), np.zeros(10), np.full(10, -3.0)):
        low, high = range_by(rule, seen(values))
        assert -np.inf < low <= 0 <= high < np.inf


def test_pixels_around_zero_do_not_lie_halfway_between_steps() -> None:
    pixels = np.arange(256) / 127.5 - 1
    assert error(pixels, "grid") < 0.4 * error(pixels, "minmax")
    exact = np.arange(256) / 255
    assert range_by("grid", seen(exact)) == range_by("minmax", seen(exact))


def test_entropy_cuts_off_little_where_half_of_the_values_are_zero() -> None:
    """As behind ReLU: the zeros once made the narrowest range look best, a third of the values."""
    values = np.maximum(np.random.default_rng(0).normal(size=100_000), 0)
    assert error(values, "entropy") < 2 * error(values, "minmax")


def test_less_certain_probabilities_tell_what_is_near_the_largest() -> None:
    logits = np.array([[20.0, 18.0, -30.0], [0.0, 3.0, -40.0]])
    far, near = logits.copy(), logits.copy()
    far[:, 2] += 5
    near[0, 1] += 1
    same = softened(logits, logits)
    np.testing.assert_allclose(same.sum(-1), 1)
    changes = [np.abs(softened(changed, logits) - same).max() for changed in (far, near)]
    assert changes[0] < 1e-6 < 0.05 < changes[1]


def test_errors_are_those_of_the_changed_tensor_alone() -> None:
    graph = prepared(network())
    samples = random_samples(graph, 8)
    search = Search.on(graph, samples, 8)
    index = graph.ops[0].outputs[0]
    fine, coarse = (quant_of(0.0, float(search.values[index].max()) * k) for k in (1, 8))
    one_part = (coarse, *(fine,) * (FOLDS - 1))
    errors = search.errors(index, [(fine,), (coarse,), (fine,) * FOLDS, one_part])
    assert 0 < errors[0] < errors[1] / 8
    assert errors[2] == errors[0]
    assert errors[0] < errors[3] < errors[1]
    assert set(search.folds.tolist()) == set(range(FOLDS))
    assert search.errors(-5, [(fine,)]) == [0.0]
    assert search.difference(search.values) == 0.0


def test_the_rule_with_clearly_less_error_is_chosen_and_inputs_keep_all_their_values() -> None:
    """One value in each sample, a hundred times as large as the others, is of no use."""
    graph = prepared(network())
    samples = random_samples(graph, 24)
    groups, fixed = groups_of(graph)
    members = {g: m for g, m in roots(graph, groups).items() if g not in fixed}
    others = [observe(graph, tuple(s[np.arange(24) % FOLDS != fold] for s in samples))
              for fold in range(FOLDS)]
    (first,) = graph.ops[0].outputs
    for part in others:
        values = part[first].values.copy()
        values[0] = 100 * values.max()
        part[first] = replace(part[first], values=values)
    search = Search.on(graph, samples, 24)
    chosen = chosen_rules(search, AUTO, graph, members, others, lambda done, total: None)
    assert chosen[groups[first]] not in ("minmax", "wide", "grid")
    assert chosen[groups[graph.inputs[0]]] == "grid"
    without = chosen_rules(None, AUTO, graph, members, others, lambda done, total: None)
    assert without[groups[first]] == "minmax"
