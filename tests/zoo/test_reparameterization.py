# SPDX-License-Identifier: MIT
"""Deployed networks compute what the trained ones do, and are what they should be."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.shared import needs
from tests.zoo.deployment_job import CHANNELS
from tinyeff import zoo
from tinyeff.ir import Limits
from tinyeff.pipeline import plan
from tinyeff.reader import simplify
from tinyeff.selection import select
from tinyeff.targets import target_for
from tinyeff.worker import run_job
from tinyeff.zoo.graphs import float_graph
from tinyeff.zoo.rules import same_padding

pytestmark = pytest.mark.slow
TOLERANCE = 1e-4
BLOCKS: dict[str, dict[str, Any]] = {
    f"{kind}-size{size}-stride{stride}-groups{groups}-{'identity' if identity else 'plain'}": {
        "size": size, "stride": stride, "groups": groups, "identity": identity,
        "branches": branches, "kernel": kernel}
    for kind, branches, kernel in (("repvgg", 1, 3), ("mobileone", 4, 3), ("mobileone_1x1", 4, 1))
    for stride in (1, 2)
    for size in ((6, 7) if stride == 2 else (6,))
    for groups in (1, 2, 4, CHANNELS)
    for identity in ((True, False) if stride == 1 and groups < CHANNELS else (stride == 1,))
    if kind != "repvgg" or groups < CHANNELS
}


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    needs("tensorflow")
    return run_job("tests.zoo.deployment_job", tmp_path_factory.mktemp("deploy"),
                   {"blocks": BLOCKS}, "blocks")


def close(report: dict[str, Any]) -> bool:
    return bool(report["difference"] <= TOLERANCE * max(1.0, report["largest"]))


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_becomes_one_convolution(reports: dict[str, Any], name: str) -> None:
    report, kind = reports[name], BLOCKS[name]
    assert close(report)
    wanted = "DepthwiseConv2D" if kind["groups"] == CHANNELS else "Conv2D"
    assert report["after"] == ["InputLayer", "Activation", wanted, "Activation"]
    branches = kind["branches"] + (kind["kernel"] > 1) + kind["identity"]
    assert Counter(report["before"])["BatchNormalization"] == branches
    assert report["names"][0] == report["names"][1]


def test_padding_of_its_own_is_taken_in(reports: dict[str, Any]) -> None:
    report = reports["zero_padding"]
    assert close(report)
    assert report["after"] == ["InputLayer", "ZeroPadding2D", "Conv2D", "ReLU"]


def test_sequential_and_dense(reports: dict[str, Any]) -> None:
    report = reports["sequential"]
    assert close(report)
    assert report["after"] == ["InputLayer", "Conv2D", "ReLU", "Flatten", "Dense"]


def test_what_is_read_twice_is_computed_once(reports: dict[str, Any]) -> None:
    report = reports["shared"]
    assert close(report)
    # The first normalization is folded; the sum of its result with a 1x1 of it is one 1x1.
    assert Counter(report["after"]) == {"InputLayer": 1, "Conv2D": 2, "ReLU": 1}


def test_what_is_not_linear_stays(reports: dict[str, Any]) -> None:
    report = reports["not_linear"]
    assert close(report)
    assert sorted(report["before"]) == sorted(report["after"])


def test_a_difference_is_part_of_the_one_convolution(reports: dict[str, Any]) -> None:
    report = reports["difference"]
    assert close(report)
    assert report["after"] == ["InputLayer", "ReLU", "DepthwiseConv2D", "ReLU"]


def test_a_convolution_before_a_pooling_does_not_grow(reports: dict[str, Any]) -> None:
    report = reports["transition"]
    assert close(report)
    assert report["after"] == report["before"]


@pytest.mark.parametrize(("size", "reach", "stride", "total"), [
    (8, 3, 1, 2), (8, 3, 2, 1), (7, 3, 2, 2), (8, 1, 2, 0), (5, 7, 2, 6)])
def test_same_padding_is_that_of_tensorflow(size: int, reach: int, stride: int, total: int) -> None:
    assert same_padding(size, reach, stride) == total


@pytest.mark.parametrize("name", ["repvgg_a0", "mobileone_s0"])
def test_the_planner_shows_what_deployment_gains(name: str) -> None:
    target = target_for("cortex-m4")
    network = zoo.network(name, 0.25, 64)
    # Batch normalization that has no convolution to disappear into: the identity's. The converter
    # makes a MUL and an ADD of it; left out here, the trained network is smaller than it would be.
    assert network.macs > zoo.network(name, 0.25, 64, deployed=True).macs
    arenas = {}
    for form, graph in (("plain", zoo.graph(name, 0.25, 64)),
                        ("branches", simplify(float_graph(without_norm(network))))):
        chosen = plan(select(graph, target), target, Limits(strategy="per-layer"))
        arenas[form] = chosen.activation_bytes
    assert arenas["plain"] < arenas["branches"]


def without_norm(network: Any) -> Any:
    """The network with normalization folded or left out, its branches as they are."""
    from dataclasses import replace

    from tinyeff.zoo.layers import Layer, Network, Norm

    moved: dict[int, int] = {}
    layers: list[Layer] = []
    for number, layer in enumerate(network.layers):
        inputs = tuple(moved[i] for i in layer.inputs)
        if isinstance(layer.kind, Norm):
            moved[number] = inputs[0]
            continue
        moved[number] = len(layers)
        layers.append(replace(layer, inputs=inputs))
    return Network(network.name, tuple(layers))
