# SPDX-License-Identifier: MIT
"""Plans that compute some pixels twice: the front of bytes against extra multiply-accumulates.

Stripes, recomputed operators and tiles in any combination compute what the graph says, and as much
as the plan says.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from tests.planner.execution import run_apart, run_planned
from tests.planner.fakes import PLAIN, FakeAttrs, Net
from tests.planner.patch_graphs import random_inputs as fake_inputs
from tests.planner.patch_graphs import real_graphs
from tests.planner.random_graphs import block_graphs, graphs, tall_graphs
from tests.planner.routes import plan_along
from tests.planner.test_patch_code import CORTEX_M4, MADE, MODELS, QUIET, check, model, reference
from tinyeff.data import random_inputs
from tinyeff.ir import Graph, Limits, Plan, Target, Window
from tinyeff.ops import operator_of
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.operator import SAME, node_of, padding_of
from tinyeff.ops.pointwise_table import PointwiseAttrs
from tinyeff.ops.transpose_conv import TransposeConvAttrs
from tinyeff.planner import front, plan, validate
from tinyeff.selection import select

EXCLUDED = Limits(input_memory="excluded", strategy="stream")
SLOW = (*QUIET, HealthCheck.function_scoped_fixture)


def computes(graph: Graph, planned: Plan) -> None:
    inputs = fake_inputs(graph)
    expected, found = run_apart(graph, inputs), run_planned(graph, planned, inputs)
    assert all(np.array_equal(a, b) for a, b in zip(expected, found, strict=True))


def segments_of(planned: Plan, what: str) -> int:
    """How many segments run in stripes, or recompute."""
    if what == "stripes":
        return sum(s.stripe_pixels > 0 for s in planned.segments)
    return sum(any(g.slides for g in s.groups) for s in planned.segments)


@settings(max_examples=40, deadline=None, suppress_health_check=SLOW)
@given(st.one_of(tall_graphs(), block_graphs()), st.integers(0, 1 << 30))
def test_any_route_computes_what_the_graph_says(graph: Graph, seed: int) -> None:
    computes(graph, plan_along(graph, Limits(input_memory="resident"), seed))


@pytest.mark.all
@settings(max_examples=1000, deadline=None, suppress_health_check=SLOW)
@given(st.one_of(tall_graphs(), block_graphs(), graphs()), st.integers(0, 1 << 30))
def test_many_routes(graph: Graph, seed: int) -> None:
    computes(graph, plan_along(graph, Limits(input_memory="resident"), seed))


def test_an_output_that_stays_in_the_arena_is_held_whole() -> None:
    """One tensor is two outputs, and its only reader could take it tile by tile."""
    net = Net(columns=True)
    wide = net.conv(net.conv(net.input(1, 4, 24, 2), 4, 3), 24)
    graph = net.graph(net.conv(wide, 4), wide, net.view(wide, 1, net.tensors[wide].elements))
    limits = Limits(input_memory="resident")
    plans = [plan_along(graph, limits, seed) for seed in range(8)]
    for planned in plans:
        (home,) = (b for b in planned.buffers if wide in b.tensors)
        assert (home.region, home.ring_rows) == ("arena", 4)
        computes(graph, planned)
    assert any(s.strategy == "stream" and s.last - s.first == 3
               for planned in plans for s in planned.segments)


def test_columns_that_are_stretched_share_no_group() -> None:
    """The loops of generated C know no tiles that are stretched, only stripes."""
    g = GraphBuilder("stretched", 1)
    x = g.op("NEG", [g.input((1, 9, 10, 8), 0.05, 0)], PointwiseAttrs(), 0.05, 0)
    size, weights = (9, 30), g.random_weights((1, 2, 2, 8), 0)
    shape = g.constant(np.array((1, *size, 1), np.int32))
    attrs = TransposeConvAttrs(size, (1, 3), padding_of(SAME, size, (2, 2), (1, 3)))
    y = g.op("TRANSPOSE_CONV", [shape, weights, x], attrs, 0.05, 0)
    graph = select(g.graph(y), CORTEX_M4)
    inputs = random_inputs(graph, 5, 1)
    plans = [plan_along(graph, EXCLUDED, seed) for seed in range(8)]
    striped = [p for p in plans if segments_of(p, "stripes") and p.segments[0].last == 2]
    assert striped
    for planned in (p for p in plans if p is striped[0] or segments_of(p, "recomputed")):
        check(graph, planned, reference(graph, inputs), inputs)


@pytest.mark.slow
def test_blocks_recompute_and_run_in_stripes() -> None:
    """The routes drawn above do what they are for."""
    found = {"stripes": 0, "recomputed": 0}

    @settings(max_examples=40, deadline=None, derandomize=True, database=None,
              suppress_health_check=SLOW)
    @given(block_graphs(), st.integers(0, 1 << 30))
    def draw(graph: Graph, seed: int) -> None:
        planned = plan_along(graph, Limits(input_memory="resident"), seed)
        for what in found:
            found[what] += segments_of(planned, what)

    draw()
    assert found["stripes"] > 5
    assert found["recomputed"] > 1


@pytest.mark.parametrize(("channels", "kernel"), [(24, 3), (8, 1)])
def test_stripes_through_a_view_that_moves_pixels(channels: int, kernel: int) -> None:
    n = Net(columns=True)
    wide = n.conv(n.input(1, 4, 1, 1), channels, variants=(PLAIN,))
    view = n.view(wide, 1, 4, channels, 1)
    graph = n.graph(n.conv(n.conv(view, 1, kernel, variants=(PLAIN,)), 1, variants=(PLAIN,)))
    plans = front(graph, Target(), replace(EXCLUDED, input_memory="resident"))
    assert any(segments_of(p, "stripes") for p in plans)
    for planned in plans:
        validate(graph, planned)
        computes(graph, planned)


def test_the_smallest_networks_stream_too() -> None:
    n = Net(columns=True)
    x, words = n.input(1, 4, 1, 1), n.tensor(1, 4, 1, 2, dtype="int32")
    n.op([x], [words], FakeAttrs("rows", (Window(),)))
    graph = n.graph(n.conv(n.view(words, 1, 4, 1, 2), 1, 3, variants=(PLAIN,)))
    limits = replace(EXCLUDED, input_memory="resident")
    assert plan(graph, Target(), limits).arena_bytes == 28
    assert plan(graph, Target(), replace(limits, strategy="per-layer")).arena_bytes == 33


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=SLOW)
@given(st.one_of(tall_graphs(), block_graphs()))
def test_the_front_falls_and_its_points_compute(graph: Graph) -> None:
    limits = replace(EXCLUDED, input_memory="resident")
    whole = plan(graph, Target(), replace(limits, strategy="per-layer"))
    plans = front(graph, Target(), limits, [whole])
    extra, sizes = [p.extra_macs for p in plans], [p.arena_bytes for p in plans]
    assert extra == sorted(set(extra)) and sizes == sorted(set(sizes), reverse=True)
    for planned in plans:
        validate(graph, planned)
        computes(graph, planned)
        if whole.macs:
            fraction = max(planned.extra_macs, 0) / whole.macs
            asked = plan(graph, Target(), replace(limits, max_overhead=fraction))
            assert asked.arena_bytes <= planned.arena_bytes
            assert asked.extra_macs <= max(planned.extra_macs, 0)


def along_the_front(name: str) -> list[Plan]:
    graph, _, _ = model(name)
    return front(graph, CORTEX_M4, EXCLUDED)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_the_smallest_point_of_the_front_of_models(name: str) -> None:
    graph, inputs, expected = model(name)
    check(graph, along_the_front(name)[-1], expected, inputs)


@pytest.mark.all
@pytest.mark.parametrize("name", [*MODELS, *MADE])
def test_points_along_the_front_of_models(name: str) -> None:
    graph, inputs, expected = model(name)
    for planned in along_the_front(name):
        check(graph, planned, expected, inputs)


def a_random_one(graph: Graph, data: st.DataObject) -> None:
    target = data.draw(st.sampled_from([Target(), CORTEX_M4]))
    graph = select(graph, target)
    assume(not any(list(operator_of(op.kind).limits(node_of(graph, op))) for op in graph.ops))
    planned = plan_along(graph, Limits(input_memory="resident"), data.draw(st.integers(0, 1 << 30)))
    inputs = random_inputs(graph, 5, 1)
    check(graph, planned, reference(graph, inputs), inputs)


@pytest.mark.slow
@settings(max_examples=6, deadline=None, suppress_health_check=QUIET, phases=[Phase.generate])
@given(real_graphs(), st.data())
def test_routes_of_real_operators(graph: Graph, data: st.DataObject) -> None:
    a_random_one(graph, data)


@pytest.mark.all
@settings(max_examples=300, deadline=None, suppress_health_check=QUIET)
@given(real_graphs(), st.data())
def test_many_routes_of_real_operators(graph: Graph, data: st.DataObject) -> None:
    a_random_one(graph, data)
