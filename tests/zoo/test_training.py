# SPDX-License-Identifier: MIT
"""The training helpers: losses as defined, and that they train what they should."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.shared import needs
from tinyeff import zoo
from tinyeff.errors import UsageError
from tinyeff.worker import run_job


def test_temperature_softens_as_published() -> None:
    np.testing.assert_allclose(zoo.soften(np.array([100.0, 10.0, 1.0]), 100.0),
                               [0.5624, 0.2286, 0.2090], atol=5e-5)
    np.testing.assert_allclose(zoo.soften(np.array([100.0, 10.0, 1.0]), 1.0), [1, 0, 0], atol=1e-9)


def test_compound_scaling_doubles_the_work_with_each_step() -> None:
    base = zoo.architecture("efficientnet_b0")
    work = [zoo.compound_scaling(base, phi).network().macs for phi in (0, 6)]
    assert work[0] == base.network().macs
    # 1.2 * 1.1**2 * 1.15**2 = 1.92 for a step; repeats are rounded upwards, channels to eights.
    assert 1.92 < (work[1] / work[0]) ** (1 / 6) < 2.1
    small = zoo.compound_scaling(base, -2)
    assert small.network().macs < work[0] / 2 and small.input_shape == (169, 169, 3)


def test_redistribution_refuses_what_it_cannot_do() -> None:
    with pytest.raises(UsageError, match="rows of a table of"):
        zoo.redistribute(zoo.architecture("mobilenet_v2"), 40)
    with pytest.raises(UsageError, match="nothing that can be moved"):
        zoo.redistribute(zoo.architecture("mobilenet_v2"), 1)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    needs("tensorflow")
    return run_job("tests.zoo.training_job", tmp_path_factory.mktemp("trained"), {}, "training")


@pytest.mark.slow
def test_distillation_and_fine_tuning(found: dict[str, Any]) -> None:
    assert found["found"] == pytest.approx(found["expected"], rel=1e-4)
    assert found["losses"][-1] < found["losses"][0]
    assert found["student_moved"] and not found["teacher_moved"]
    assert not found["student_moved_by_fine_tuning"]
    assert found["plain"] == ["InputLayer", "Conv2D", "ReLU", "GlobalAveragePooling2D", "Dense"]
    assert found["softmax"] == [False, True]
    assert "must have the same classes" in found["refused"]


@pytest.mark.slow
def test_multiplied_gradients_train_as_branches_would(found: dict[str, Any]) -> None:
    apart = found["gradient_multiplier"]
    assert apart["with"] < 1e-4
    assert min(apart["without"], apart["untrained"]) > 100 * apart["with"]


@pytest.mark.slow
def test_adder_layers_compute_and_learn_as_published(found: dict[str, Any]) -> None:
    assert max(found["adder"].values()) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("rounded", [False, True])
def test_a_shift_layer_learns_where_its_channels_go(found: dict[str, Any], rounded: bool) -> None:
    report = found["shift"][str(rounded)]
    assert report["loss"] < 1e-3
    assert report["offsets"] == pytest.approx(report["expected"], abs=0.1)
