# SPDX-License-Identifier: MIT
"""A trained network whose channels are spread over three decades, its function unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.cifar import images
from benchmarks.quantizer import (
    CALIBRATION,
    TRAINED,
    agreement,
    damaged,
    int8,
    outputs,
    signal_to_noise,
)
from benchmarks.quantizer_networks import made
from tests.shared import needs, shared_path
from tinyeff.quantizer import quantize


@pytest.mark.all
def test_a_damaged_network_keeps_its_classes(tmp_path: Path) -> None:
    """MobileNetV1; `python -m benchmarks.quantizer damaged` has three more."""
    needs("tensorflow")
    shared_path("data", "cifar10_calibration.npz")
    (network,) = (n for n in TRAINED if n.name == "mobilenet_v1")
    graph, pictures = made(network, tmp_path), network.inputs(images("calibration")[0])
    broken = damaged(graph, (pictures,))
    expected = outputs(graph, pictures[CALIBRATION:])
    assert signal_to_noise(expected, outputs(broken, pictures[CALIBRATION:])) > 80
    found, undamaged = (int8(quantize(g, (pictures[:CALIBRATION],)), pictures[CALIBRATION:])
                        for g in (broken, graph))
    assert agreement(expected, found) >= 97
    assert signal_to_noise(expected, found) >= signal_to_noise(expected, undamaged) - 1.5
