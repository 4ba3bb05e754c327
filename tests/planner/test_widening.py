# SPDX-License-Identifier: MIT
"""Tiles as wide as idle memory allows: fewer calls, within what is granted."""

from __future__ import annotations

import pytest

from tests.planner.fakes import mobilenet_v2
from tinyeff.ir import Graph, Limits, Plan, Target
from tinyeff.planner import plan
from tinyeff.planner.budget import output_bytes
from tinyeff.planner.lifetimes import Lifetimes, lifetimes
from tinyeff.planner.measuring import Stream, measure
from tinyeff.planner.search import Piece
from tinyeff.planner.sizes import pixel_bytes
from tinyeff.planner.stack import stack_bytes
from tinyeff.planner.streams import Config, Space
from tinyeff.planner.widening import widened
from tinyeff.schedule import calls_of, schedule

SMALLEST = Limits(strategy="stream", input_memory="excluded")


def calls(graph: Graph, planned: Plan) -> int:
    """Kernel calls of one inference."""
    segments = schedule(graph, planned.segments, planned.variants, planned.flat)
    return sum(1 for n, groups in enumerate(segments) for _ in calls_of(n, groups))


def granting(graph: Graph, arena_bytes: int, planned: Plan) -> Limits:
    """Limits that leave so much for the arena of a plan that needs as much stack as `planned`."""
    stack = stack_bytes(graph, planned)
    return Limits(arena_bytes + stack + output_bytes(graph), strategy="stream",
                  input_memory="excluded")


@pytest.mark.slow
def test_what_is_granted_beyond_the_smallest_makes_tiles_wider() -> None:
    graph = mobilenet_v2(96, 0.35)
    least = plan(graph, Target(), SMALLEST)
    before = calls(graph, least)
    for more in (48, 600):
        granted = least.arena_bytes + more
        found = plan(graph, Target(), granting(graph, granted, least))
        assert found.arena_bytes <= granted
        assert found.extra_macs == 0
        assert calls(graph, found) < before, more
        before = calls(graph, found)


@pytest.mark.parametrize("spare", [0, 130, 700, 100_000])
def test_tiles_take_what_is_spare_and_no_more(spare: int) -> None:
    graph = mobilenet_v2(48, 0.35)
    memory = lifetimes(graph, "excluded")
    space = Space(graph, memory, [op.variants[0] for op in graph.ops])
    narrow = measure(space, Piece(0, 6, 0, 0, Config(4)), memory)
    wide = widened(space, memory, narrow, spare)
    more = sum(r[2] for r in wide.rings.values()) - sum(r[2] for r in narrow.rings.values())
    assert 0 <= more <= spare
    assert (wide == narrow) == (spare == 0)
    tiles = {g.tile_pixels for g in space.groups(wide.segment) if g.tile_pixels < g.pixels}
    assert bool(tiles) == (spare < 100_000)
    # What is said to be held is what running the order of the wider tiles finds.
    assert held_tiles(space, memory, wide) == {
        b: wide.rings[b] for b in held_tiles(space, memory, wide)}


def held_tiles(
    space: Space, memory: Lifetimes, stream: Stream
) -> dict[int, tuple[int, int, int]]:
    """(rows, pixels, bytes) of the largest tile of every tensor held tile by tile, call by call."""
    found: dict[int, tuple[int, int, int]] = {}
    for call in calls_of(0, space.groups(stream.segment)):
        if call.stage.inner:
            (tensor,) = call.stage.outputs
            rows, pixels = call.tile.y1 - call.tile.y0, call.tile.x1 - call.tile.x0
            size = rows * pixels * pixel_bytes(space.graph.tensors[tensor])
            buffer = memory.home[tensor]
            found[buffer] = max(found.get(buffer, (0, 0, 0)), (rows, pixels, size))
    return found
