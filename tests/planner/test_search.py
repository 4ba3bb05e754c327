# SPDX-License-Identifier: MIT
"""The search's estimates and shortest paths: against running the order, and against trying all."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.planner.fakes import Net, mobilenet_v2
from tests.planner.random_graphs import block_graphs, tall_graphs
from tests.planner.test_patch_code import QUIET
from tinyeff import zoo
from tinyeff.ir import Graph, Limits, Target
from tinyeff.planner import front, plan, reporting, search, sizes
from tinyeff.planner.choices import VIEW
from tinyeff.planner.lifetimes import lifetimes
from tinyeff.planner.measuring import measure
from tinyeff.planner.search import NEVER, Search, macs_of
from tinyeff.planner.streams import Space
from tinyeff.reader import simplify
from tinyeff.selection import select

MANY = 1 << 20


def searched(graph: Graph, most_macs: int = MANY) -> tuple[Search, Space]:
    """All segments of a graph whose operators each need 10 000 bytes alone."""
    memory = lifetimes(graph, "resident")
    space = Space(graph, memory, [op.variants[0] for op in graph.ops])
    return Search(space, [10_000] * len(graph.ops), most_macs), space


def side_exit() -> Graph:
    """The first branch is complete before the second begins; both are needed after it."""
    net = Net(columns=True)
    x = net.conv(net.input(1, 12, 8, 3), 4, 3)
    narrow = net.conv(x, 2)
    ghost = net.add(narrow, net.depthwise(narrow))
    return net.graph(net.add(ghost, net.conv(net.depthwise(x, 5), 2)))


def test_what_a_segment_completes_beside_its_output_is_computed_whole() -> None:
    graph = side_exit()
    search, space = searched(graph)
    memory, seen = lifetimes(graph, "resident"), 0
    for cut in search._cuts:
        for pair in cut.pairs.values():
            for ways, k in pair.streamed():
                piece = pair.piece(space, ways, k)
                if piece.config is not None and not piece.config.recomputed:
                    assert measure(space, piece, memory).extra_macs == piece.extra_macs, piece
                    seen += pair.first < 4 < pair.last < 6  # `ghost` leaves beside the output
    assert seen > 5


def least_costs(search: Search, ceiling: int) -> int:
    """The cost of the cheapest route, tried one pair after the other."""
    best = [0]
    for last in range(1, len(search._cuts)):
        found = [NEVER]
        for first, pair in search._cuts[last].pairs.items():
            sizes, costs = pair.steps()
            fit = [int(c) for s, c in zip(sizes, costs, strict=True) if s <= ceiling]
            found.append(best[first] + min(fit, default=NEVER) + 1)
        best.append(min(found))
    return best[-1]


@settings(max_examples=15, deadline=None, suppress_health_check=QUIET)
@given(st.one_of(tall_graphs(most_ops=5), block_graphs()), st.data())
def test_the_smallest_and_the_cheapest_are_so_after_every_correction(
    graph: Graph, data: st.DataObject
) -> None:
    memory = lifetimes(graph, "resident")
    space = Space(graph, memory, [min(op.variants, key=lambda v: v.cost, default=VIEW)
                                  for op in graph.ops])
    search = Search(space, [10_000] * len(graph.ops), MANY)
    for _ in range(4):
        most = data.draw(st.sampled_from([0, 500, MANY]))
        least = search.smallest(most)
        sizes = sorted({int(s) for cut in search._cuts for p in cut.pairs.values()
                        for s in p.steps()[0]})
        assert least == next(s for s in sizes if macs_of(least_costs(search, s)) <= most)
        route = search.cheapest(least)
        assert route.live_bytes <= least
        assert route.extra_macs == macs_of(least_costs(search, least))
        streamed = [p for p in route.pieces if p.config is not None]
        if streamed:
            piece = data.draw(st.sampled_from(streamed))
            change = data.draw(st.integers(-piece.live_bytes // 2, 2000))
            search.correct(piece, piece.live_bytes + change, piece.extra_macs + max(change, 0))


@pytest.mark.slow
def test_branches_need_few_corrections() -> None:
    """Where estimates are wrong, the search measures one segment after the other: minutes."""
    graph = select(simplify(zoo.graph("ghostnet", 0.25, 48)), Target())
    with patch.object(Search, "correct", autospec=True, side_effect=Search.correct) as corrected:
        planned = plan(graph, Target(), Limits(strategy="stream"))
    assert corrected.call_count < 50
    assert planned.arena_bytes <= 7008


def test_a_search_that_takes_too_long_is_cut_off_and_says_so() -> None:
    graph, limits = mobilenet_v2(48, 0.35), Limits(strategy="stream", input_memory="excluded")
    whole = plan(graph, Target(), limits)
    with patch.object(search, "MOST_STEPS", 500):
        part, again = plan(graph, Target(), limits), plan(graph, Target(), limits)
        points = front(graph, Target(), limits)
    assert (whole.cut_off, part.cut_off) == (False, True)
    assert part == again
    assert whole.arena_bytes <= part.arena_bytes < sum(
        sizes.size_bytes(graph.tensors[i]) for i in graph.ops[1].outputs)
    assert all(p.cut_off for p in points)


def test_searches_say_how_far_they_are() -> None:
    told: list[tuple[int, int]] = []
    graph = mobilenet_v2(48, 0.35)
    with reporting(lambda done, total: told.append((done, total))):
        plan(graph, Target(), Limits(strategy="stream"))
    assert max(told)[0] == len(graph.ops)
    assert {total for _, total in told} == {len(graph.ops)}
    count = len(told)
    plan(graph, Target(), Limits(strategy="stream"))
    assert len(told) == count
