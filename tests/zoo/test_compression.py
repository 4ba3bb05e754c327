# SPDX-License-Identifier: MIT
"""Pruning, factorisation, fewer classes, removal of residuals, layers in a row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.shared import needs
from tinyeff.worker import run_job

pytestmark = pytest.mark.slow
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    needs("tensorflow")
    return run_job("tests.zoo.compression_job", tmp_path_factory.mktemp("small"), {}, "networks")


def close(report: dict[str, Any]) -> bool:
    return bool(report["difference"] <= TOLERANCE * max(1.0, report["largest"]))


def test_residuals_are_removed_exactly(reports: dict[str, Any]) -> None:
    report = reports["remove_residuals"]
    assert close(report)
    assert "Add" not in report["layers"]
    assert report["untouched"] == 3


@pytest.mark.parametrize("name", ["prune_nothing", "dead_channels", "exact_low_rank"])
def test_what_computes_nothing_can_go(reports: dict[str, Any], name: str) -> None:
    assert close(reports[name])
    before, after = reports[name]["parameters"]
    assert after == before if name == "prune_nothing" else after < before


def test_pruning_takes_channels_that_no_sum_needs(reports: dict[str, Any]) -> None:
    report = reports["prune_quarter"]
    before, after = report["parameters"]
    assert after < 0.8 * before
    assert report["output"] == [None, 10]


def test_low_rank_is_smaller(reports: dict[str, Any]) -> None:
    sizes = [reports[name]["parameters"][1] for name in ("full_rank", "low_rank", "rank_1")]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[2] < sizes[0]
    assert close(reports["full_rank"])


def test_a_higher_rank_is_nearer_to_each_kernel(reports: dict[str, Any]) -> None:
    errors = reports["kernel_errors"]
    assert max(errors["full_rank"].values()) == 0  # two layers of full rank would not be smaller
    assert errors["low_rank"].keys() == errors["rank_1"].keys()
    assert all(errors["low_rank"][name] <= errors["rank_1"][name] for name in errors["rank_1"])
    assert any(errors["low_rank"][name] < errors["rank_1"][name] for name in errors["rank_1"])


def test_fewer_classes_keep_their_order(reports: dict[str, Any]) -> None:
    report = reports["two_classes"]
    wanted, found = np.array(report["wanted"]), np.array(report["found"])
    expected = wanted[:, [7, 1]] / wanted[:, [7, 1]].sum(1, keepdims=True)  # softmax over the two
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_numbers_that_make_no_sense_are_refused(reports: dict[str, Any]) -> None:
    assert "fraction of 1" in reports["errors"]["fraction"]
    assert "energy 0" in reports["errors"]["energy"]
    assert "[3, 10]" in reports["errors"]["classes"]


@pytest.mark.parametrize("name", ["DepthwiseOverConv2D", "DiracConv2D", "TrivialConv2D"])
def test_overparameterized_layers_become_convolutions(reports: dict[str, Any], name: str) -> None:
    assert close(reports[name])
    assert reports[name]["layers"] == ["InputLayer", "Conv2D", "ReLU"]


def test_a_learned_shift_becomes_a_depthwise_convolution(reports: dict[str, Any]) -> None:
    assert close(reports["LearnedShift2D"])
    assert reports["LearnedShift2D"]["layers"] == ["InputLayer", "DepthwiseConv2D", "ReLU"]


@pytest.mark.parametrize("stride", [1, 2])
def test_convolutions_in_a_row_become_one(reports: dict[str, Any], stride: int) -> None:
    report = reports[f"pointwise_then_3x3_stride_{stride}"]
    assert close(report)
    assert report["layers"].count("Conv2D") == 1
    assert "Add" not in report["layers"]


def test_what_would_cost_more_stays(reports: dict[str, Any]) -> None:
    report = reports["separable"]
    assert close(report)
    assert report["layers"] == ["InputLayer", "DepthwiseConv2D", "Conv2D", "Add", "ReLU"]


def test_the_three_forms_of_resnext_are_equal(reports: dict[str, Any]) -> None:
    forms = reports["resnext"]
    assert len(forms) == 3
    assert len({form["parameters"] for form in forms.values()}) == 1
    assert all(close(form) for form in forms.values())
