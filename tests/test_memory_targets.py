# SPDX-License-Identifier: MIT
"""Networks that others publish figures of stay as small as they are: live activation bytes with the
input excluded, portable kernels."""

from __future__ import annotations

import pytest

from benchmarks.mobilenet_v2 import mobilenet_v2
from tests.shared import shared_path
from tinyeff import zoo
from tinyeff.ir import Graph, Limits
from tinyeff.pipeline import prepare
from tinyeff.planner import plan
from tinyeff.reader import simplify
from tinyeff.selection import select
from tinyeff.targets import target_for

CORTEX_M3 = target_for("cortex-m3")
NETWORKS = [
    ("vww_96_int8", 12_896, 9_536),
    ("ic_resnet8_int8", 12_352, 12_352),
    ("kws_dscnn_int8", 5_184, 5_184),
    ("mcunet_vww_int8", 14_368, 11_928),
    pytest.param("mobilenet_v2_1.0_224", 118_848, 55_280, marks=pytest.mark.all),
    pytest.param("mobilenet_v2_0.35_144", 24_480, 15_744, marks=pytest.mark.all),
    pytest.param("mcunet_in3", 56_000, 56_000, marks=pytest.mark.all),
]
"""Network, bytes without extra work, bytes with at most 5 % of it."""


def network(name: str) -> Graph:
    if name.startswith("mobilenet"):
        width, size = name.split("_")[2:]
        return simplify(mobilenet_v2(int(size), float(width)))
    if name == "mcunet_in3":
        return simplify(zoo.graph(name))
    return prepare(shared_path("models", f"{name}.tflite"))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "exact", "stretched"), NETWORKS)
def test_activation_bytes(name: str, exact: int, stretched: int) -> None:
    graph = select(network(name), CORTEX_M3)
    for overhead, most_bytes in ((None, exact), (0.05, stretched)):
        planned = plan(graph, CORTEX_M3, Limits(
            strategy="stream", input_memory="excluded", max_overhead=overhead))
        assert planned.activation_bytes <= most_bytes
        assert planned.extra_macs <= (overhead or 0) * planned.macs
        assert planned.scratch_bytes <= 4096


@pytest.mark.slow
def test_scratch_memory_of_one_segment_lets_no_other_spread() -> None:
    """The first segment's kernels take 1,788 bytes beside 24,480 of activations, others less: what
    is left there, no activation needs."""
    target = target_for("cortex-m4")
    graph = select(network("mobilenet_v2_0.35_144"), target)
    planned = plan(graph, target, Limits(strategy="stream", input_memory="excluded"))
    assert planned.activation_bytes <= 24_500
    assert planned.arena_bytes <= 26_268
