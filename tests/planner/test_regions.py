# SPDX-License-Identifier: MIT
"""Arenas in several memories: valid, exact, hot buffers first, and no larger than what is there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.planner.execution import inputs_of, run_apart, run_planned
from tests.planner.fakes import Net
from tests.planner.mutants import changed
from tests.planner.random_graphs import graphs
from tinyeff.errors import InternalError
from tinyeff.ir import Graph, Limits, Memory, Plan, Target
from tinyeff.planner import budget, judge, plan, validate
from tinyeff.planner.budget import fits, rooms
from tinyeff.planner.stack import least_stack_bytes, stack_bytes

QUIET = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)
STRATEGIES = st.sampled_from(["per-layer", "stream", "patch", "auto"])


def _limits(graph: Graph, *sizes: int, strategy: str = "auto") -> Limits:
    """So many bytes for the arena in each memory: the first holds stack and outputs as well."""
    beside = least_stack_bytes(graph, Target(), len(sizes)) + budget.output_bytes(graph)
    memories = tuple(Memory(f"ram{n}", size + (0 if n else beside))
                     for n, size in enumerate(sizes))
    return Limits(strategy=strategy, memories=memories)


def _is_exact(graph: Graph, planned: Plan) -> bool:
    inputs = inputs_of(graph)
    pairs = zip(run_apart(graph, inputs), run_planned(graph, planned, inputs), strict=True)
    return all((a == b).all() for a, b in pairs)


@settings(max_examples=60, deadline=None, suppress_health_check=QUIET)
@given(graphs(6), STRATEGIES, st.integers(0, 110), st.integers(0, 110))
def test_a_spread_plan_computes_what_the_graph_says(
    graph: Graph, strategy: str, first: int, second: int
) -> None:
    single = plan(graph, Target(), Limits(strategy="per-layer"))
    sizes = (single.arena_bytes * first // 100, single.arena_bytes * second // 100, 16)
    limits = _limits(graph, *sizes, strategy=strategy)
    spread = plan(graph, Target(), limits)  # the validator replays it
    assert _is_exact(graph, spread)
    assert spread.arena_bytes == sum(r.arena_bytes for r in spread.regions)
    stack = stack_bytes(graph, spread)
    verdict = judge(spread, limits, stack + budget.output_bytes(graph), 0)
    granted = rooms(graph, replace(limits, stack_bytes=stack))
    assert verdict.fits == (fits(spread.buffers, granted)
                            and stack + budget.output_bytes(graph) <= limits.memories[0].size_bytes)
    if sizes[0] >= single.arena_bytes and strategy in ("per-layer", "auto"):
        assert verdict.fits


def _two_maps() -> Graph:
    """Two maps of 64 bytes live at once, one of them read nine times as often, then a sum."""
    net = Net()
    x = net.input(1, 8, 8, 1)
    often = net.conv(x, 1)
    return net.graph(net.dense(net.add(net.conv(often, 1, 3), x), 3))


def test_what_fits_no_memory_alone_fits_two_together() -> None:
    graph = _two_maps()
    single = plan(graph, Target(), Limits(strategy="per-layer"))
    half = single.arena_bytes * 3 // 4
    for size, fitting in ((half, True), (single.arena_bytes // 8, False)):
        limits = _limits(graph, size, size, strategy="per-layer")
        spread = plan(graph, Target(), limits)
        assert judge(spread, limits, stack_bytes(graph, spread) + 3, 0).fits == fitting
        assert _is_exact(graph, spread)
    assert single.arena_bytes > half


def test_a_buffer_that_is_read_often_lies_in_the_fast_memory() -> None:
    net = Net()
    x = net.input(1, 8, 8, 1)
    wide = net.conv(x, 1)  # read by windows of 3 x 3
    graph = net.graph(net.dense(net.add(x, net.conv(wide, 1, 3)), 3))
    limits = _limits(graph, 64, 1024, strategy="per-layer")
    spread = plan(graph, Target(), limits)
    homes = {b.name: b.region for b in spread.buffers}
    assert homes["t1"] == "ram0"
    assert homes["t0"] == "ram1"


def test_one_memory_that_is_enough_is_the_only_one() -> None:
    graph = _two_maps()
    spread = plan(graph, Target(), _limits(graph, 4096, 4096))
    assert [r.name for r in spread.regions] == ["ram0"]


def test_several_memories_are_the_second_choice_where_one_is_granted_too() -> None:
    graph = _two_maps()
    single = plan(graph, Target(), Limits(strategy="per-layer"))
    limits = _limits(graph, 1000, 1000, strategy="per-layer")
    enough = single.arena_bytes + least_stack_bytes(graph, Target(), 2) + 3
    alone = plan(graph, Target(), replace(limits, sram_bytes=enough))
    assert alone == single
    spread = plan(graph, Target(), replace(limits, sram_bytes=enough - 1))
    assert judge(spread, limits, stack_bytes(graph, spread) + 3, 0).fits
    assert spread.regions[0].name == "ram0"


def test_the_validator_sees_what_lies_in_the_wrong_memory() -> None:
    graph = _two_maps()
    single = plan(graph, Target(), Limits(strategy="per-layer"))
    size = single.arena_bytes * 3 // 4
    spread = plan(graph, Target(), _limits(graph, size, size, strategy="per-layer"))
    assert len(spread.regions) == 2
    refused = 0
    for b in spread.buffers:
        if b.in_arena:
            other = next(r.name for r in spread.regions if r.name != b.region)
            try:
                validate(graph, changed(spread, b.name, region=other))
            except InternalError:
                refused += 1
    assert refused
    with pytest.raises(InternalError, match="where the arena has no part"):
        validate(graph, changed(spread, "t0", region="elsewhere"))
