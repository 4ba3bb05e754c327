# SPDX-License-Identifier: MIT
"""Ways to quantize are tried on samples held back, the plain one among them."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from tests.quantizer.floating import random_samples
from tests.quantizer.test_equalization import network
from tinyeff.errors import UnsupportedError
from tinyeff.quantizer import quantize, quantize_and_explain
from tinyeff.quantizer.attempt import RECIPE_CLEARLY, compared
from tinyeff.quantizer.prepared import prepared
from tinyeff.quantizer.sensitivity import steady_error
from tinyeff.quantizer.settings import EFFORTS, PLAIN, Recipe


def silent(done: int, total: int) -> None:
    """Nobody watches."""


@pytest.mark.parametrize("effort", ["fast", "default"])
def test_the_chosen_way_is_never_clearly_worse_than_the_plain_one(effort: str) -> None:
    graph = network()
    made = quantize_and_explain(graph, random_samples(graph, 16), effort=effort)
    errors = {t.recipe: t.error for t in made.trials}
    assert made.attempt.recipe == made.trials[0].recipe
    assert set(errors) == set(EFFORTS[effort].recipes)
    assert made.trials[0].error * RECIPE_CLEARLY <= errors[PLAIN]


def test_the_plain_way_is_taken_where_another_one_spoils_the_output() -> None:
    graph = prepared(network())
    spoilt = Recipe("percentile", second_order=False, refit=False, correct_bias=False)
    module = sys.modules["tinyeff.quantizer.attempt"]
    with pytest.MonkeyPatch.context() as patch:
        usual = module.group_range

        def narrow(tensors: object, rule: str, seen: object) -> tuple[float, float]:
            low, high = usual(tensors, rule, seen)
            return (low / 8, high / 8) if rule.startswith("percentile") else (low, high)

        patch.setattr(module, "group_range", narrow)
        effort = replace(EFFORTS["fast"], recipes=(spoilt, PLAIN))
        trials = compared(graph, random_samples(graph, 16), effort, silent)
    assert [t.recipe for t in trials] == [PLAIN, spoilt]


def test_one_sample_does_not_decide_alone() -> None:
    usual, bad_once = np.full(32, 1.0), np.full(32, 0.5)
    bad_once[7] = 20.0
    assert bad_once.mean() > usual.mean()
    assert steady_error(bad_once) < steady_error(usual)
    assert steady_error(np.ones(1)) == 1.0


def test_ranges_that_were_found_are_confirmed_with_high_effort() -> None:
    graph = network()
    effort = replace(EFFORTS["high"], recipes=(Recipe(), PLAIN))
    trials = compared(prepared(graph), random_samples(graph, 24), effort, silent)
    methods = {t.recipe.method for t in trials if t.recipe != PLAIN}
    assert methods <= {"auto", "minmax"} and len(trials) >= 2


def test_a_limit_that_no_scale_changes_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules["tinyeff.quantizer.attempt"]
    monkeypatch.setattr(module, "broken_limits", lambda graph: {graph.ops[0].outputs[0]: (
        "'first': 9 dimensions, and at most 4 are supported")})
    graph = network()
    with pytest.raises(UnsupportedError, match="at most 4 are supported"):
        quantize(graph, random_samples(graph, 3), effort="fast")
