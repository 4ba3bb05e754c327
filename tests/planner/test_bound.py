# SPDX-License-Identifier: MIT
"""No plan that computes each row once stays below the bound, nor does any order of pixels."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.mobilenet_v2 import mobilenet_v2
from tests.planner.fakes import FakeAttrs, Net, resnet8
from tests.planner.orders import least_of_all_orders
from tests.planner.random_graphs import block_graphs, graphs, tall_graphs
from tests.planner.routes import plan_along
from tests.planner.test_patch_code import MODELS, QUIET, model
from tinyeff.ir import Graph, Limits, Plan, Target, Window
from tinyeff.planner import bound, plan
from tinyeff.planner.bound import lower_bound
from tinyeff.reader import simplify
from tinyeff.selection import select

LIMITS = Limits(input_memory="excluded")


def chain(*kernels: int, height: int = 6, width: int = 1, channels: int = 1) -> Graph:
    """Convolutions one after the other; the last one's output is the caller's."""
    net = Net(columns=True)
    x = net.input(1, height, width, channels)
    for kernel in kernels:
        x = net.conv(x, channels, kernel)
    return net.graph(x)


def test_rings_are_one_row_short_of_a_window() -> None:
    """Of each map between two 3x3 windows, two rows are alive when a row has been completed."""
    graph = chain(3, 3, 3, height=40, width=10, channels=4)
    found = lower_bound(graph, "excluded")
    assert found.size_bytes == (2 + 2) * 40
    assert found.complete


def least_with_only(pixel: int, height: int) -> int:
    """The least alive in three 3x1 convolutions of one column, over all sets of pixels that hold
    this pixel of the last map, all that it reads, and no other pixel of that map."""
    def near(k: int) -> range:
        return range(max(k - 1, 0), min(k + 2, height))

    def alive(own: int, readers: int) -> int:
        return sum(own >> k & 1 and any(not readers >> q & 1 for q in near(k))
                   for k in range(height))

    window = [sum(1 << q for q in near(k)) for k in range(height)]
    found = []
    for second in range(1 << height):
        reads = [window[k] for k in range(height) if second >> k & 1]
        if second & window[pixel] == window[pixel]:
            found += [alive(first, second) + alive(second, 1 << pixel)
                      for first in range(1 << height) if all(first & r == r for r in reads)]
    return min(found)


def test_the_most_over_pixels_of_sets_without_order_is_no_bound() -> None:
    """Why the sets of the bound hold the rows above a row: without them, the pixel in the middle
    asks for more than the best order needs."""
    graph = chain(3, 3, 3, height=7)
    assert least_of_all_orders(graph, "excluded") == 5
    assert least_with_only(3, 7) == 7
    assert lower_bound(graph, "excluded").size_bytes == 4


def test_a_squeeze_holds_all_that_it_scales() -> None:
    net = Net(columns=True)
    x = net.conv(net.input(1, 8, 6, 3), 5)
    scale = net.dense(net.mean(x), 5)
    y = net.tensor(1, 8, 6, 5)
    net.op([x, scale], [y], FakeAttrs("rows", (Window(), Window(1, 0)),
                                      columns=(Window(), Window(1, 0))))
    graph = net.graph(net.conv(y, 1))
    assert lower_bound(graph, "excluded").size_bytes == 8 * 6 * 5 + 5
    assert plan(graph, Target(), LIMITS).activation_bytes >= 8 * 6 * 5 + 5


def test_inputs_and_outputs_count_where_they_lie_in_the_arena() -> None:
    graph = chain(1, 1, height=10, channels=8)
    assert lower_bound(graph, "excluded").size_bytes < 80
    assert lower_bound(graph, "resident").size_bytes == 80
    assert lower_bound(graph, "streamed").size_bytes == 80  # the output is copied in the end


def test_vectors_are_alive_beside_what_is_computed_from_them() -> None:
    net = Net()
    x = net.dense(net.dense(net.input(1, 9), 40), 30)
    found = lower_bound(net.graph(net.dense(x, 3)), "excluded")
    assert found.size_bytes == 40


def test_single_rows_are_looked_at_pixel_by_pixel() -> None:
    net = Net(columns=True)
    x = net.input(1, 1, 50, 2)
    for _ in range(2):
        y = net.tensor(1, 1, 50, 2)
        net.op([x], [y], FakeAttrs("rows", (Window(),), columns=(Window(5, 1, -2),)))
        x = y
    assert lower_bound(net.graph(x), "excluded").size_bytes == 4 * 2


def test_what_there_is_no_time_for_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = resnet8()
    whole = lower_bound(graph, "excluded")
    monkeypatch.setattr(bound, "WORK", 20_000)
    part = lower_bound(graph, "excluded")
    assert whole.complete and not part.complete
    assert part.size_bytes <= whole.size_bytes


@st.composite
def tiny_graphs(draw: st.DrawFn) -> Graph:
    """Two to four operators on maps of few pixels: all their orders can be tried."""
    net = Net(columns=True)
    height, width = draw(st.sampled_from([(5, 1), (4, 2), (3, 2), (3, 3), (1, 6), (6, 1)]))
    values = [net.input(1, height, width, draw(st.integers(1, 3)))]
    for _ in range(draw(st.integers(2, 4))):
        x = draw(st.sampled_from([values[-1]] * 3 + values))
        kind = draw(st.sampled_from(["conv", "conv", "conv", "add", "scale", "mean", "whole"]))
        source = net.tensors[x]
        alike = [v for v in values if net.tensors[v].shape == source.shape]
        if len(source.shape) < 4 or kind == "mean":
            values.append(net.mean(x))
        elif kind == "conv":
            values.append(net.conv(x, draw(st.integers(1, 4)), draw(st.sampled_from([1, 2, 3, 5])),
                                   draw(st.sampled_from([1, 1, 1, 2]))))
        elif kind == "add":
            values.append(net.add(x, draw(st.sampled_from(alike))))
        elif kind == "whole":
            values.append(net.whole(x))
        else:
            pooled, y = net.mean(x), net.tensor(*source.shape)
            net.op([x, pooled], [y], FakeAttrs("rows", (Window(), Window(1, 0)),
                                               columns=(Window(), Window(1, 0))))
            values.append(y)
    return net.graph(values[-1], *draw(st.lists(st.sampled_from(values[1:]), max_size=1)))


MEMORIES = st.sampled_from(["resident", "excluded", "streamed"])


@settings(max_examples=60, deadline=None, suppress_health_check=QUIET)
@given(tiny_graphs(), MEMORIES)
def test_no_order_of_pixels_stays_below(graph: Graph, memory: str) -> None:
    assert lower_bound(graph, memory).size_bytes <= least_of_all_orders(graph, memory)


@pytest.mark.all
@settings(max_examples=3000, deadline=None, suppress_health_check=QUIET)
@given(tiny_graphs(), MEMORIES)
def test_no_order_of_many_graphs_stays_below(graph: Graph, memory: str) -> None:
    assert lower_bound(graph, memory).size_bytes <= least_of_all_orders(graph, memory)


def holds(graph: Graph, planned: Plan) -> None:
    assert planned.computes_rows_once
    assert lower_bound(graph, planned.input_memory).size_bytes <= planned.activation_bytes


@settings(max_examples=40, deadline=None, suppress_health_check=QUIET)
@given(st.one_of(tall_graphs(), block_graphs(), graphs()), st.sampled_from(["per-layer", "stream"]))
def test_no_plan_stays_below(graph: Graph, strategy: str) -> None:
    planned = plan(graph, Target(), Limits(strategy=strategy, input_memory="resident"))
    if planned.computes_rows_once:  # what works pixel by pixel may run in stripes
        holds(graph, planned)


@settings(max_examples=20, deadline=None, suppress_health_check=QUIET)
@given(st.one_of(tall_graphs(), block_graphs()), st.integers(0, 1 << 30))
def test_no_route_without_recomputation_stays_below(graph: Graph, seed: int) -> None:
    planned = plan_along(graph, Limits(input_memory="resident"), seed)
    if planned.computes_rows_once:
        holds(graph, planned)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_no_plan_of_models_stays_below(name: str) -> None:
    graph, _, _ = model(name)
    for memory in ("resident", "excluded", "streamed"):
        holds(graph, plan(graph, Target(), Limits(strategy="stream", input_memory=memory)))
    holds(graph, plan(graph, Target(), Limits(strategy="per-layer", input_memory="excluded")))


@pytest.mark.slow
def test_mobilenet_v2_is_within_twice_the_bound() -> None:
    graph = select(simplify(mobilenet_v2(144, 0.35)), Target())
    planned = plan(graph, Target(), replace(LIMITS, strategy="stream"))
    holds(graph, planned)
    assert planned.activation_bytes < 2 * lower_bound(graph, "excluded").size_bytes
