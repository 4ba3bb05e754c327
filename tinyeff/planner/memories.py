# SPDX-License-Identifier: MIT
"""Plans for a chip whose memory is in several pieces.

A plan in several memories is one in a single arena whose buffers were spread (see regions.py).
Since a buffer lies in one piece, what is small enough in total may still not fit; then a smaller
plan is spread.
"""

from __future__ import annotations

from collections.abc import Iterator

from tinyeff.ir import Graph, Limits, Plan, Target
from tinyeff.planner.budget import fits, rooms
from tinyeff.planner.patches import plan_patch
from tinyeff.planner.per_layer import plan_per_layer
from tinyeff.planner.streaming import StreamPlans

SHARES = (100, 95, 90, 80, 65, 50, 0)
"""Percent of all memory that plans may take which are tried one after the other."""


def plan_in_memories(graph: Graph, target: Target, limits: Limits) -> Plan:
    """The plan with the least extra MACs that fits `limits.memories`; the smallest if none does.

    Of those without extra MACs, layer by layer comes before streamed.
    """
    room, found = rooms(graph, limits), list[Plan]()
    for strategy in _strategies(limits):
        found.append(_largest_that_fits(graph, target, limits, strategy))
        if fits(found[-1].buffers, room) and found[-1].extra_macs <= 0:
            return found[-1]
    return min(found, key=lambda p: (not fits(p.buffers, room),
                                     p.extra_macs if fits(p.buffers, room) else p.arena_bytes))


def _strategies(limits: Limits) -> tuple[str, ...]:
    if limits.input_memory == "streamed":
        return ("stream",)
    return ("per-layer", "stream", "patch") if limits.strategy == "auto" else (limits.strategy,)


def _largest_that_fits(graph: Graph, target: Target, limits: Limits, strategy: str) -> Plan:
    """Of one strategy, the plan that needs the least work; the smallest where none fits."""
    room = rooms(graph, limits)
    smallest: Plan | None = None
    for plan in _shrinking(graph, target, limits, strategy, sum(m.size_bytes for m in room)):
        if fits(plan.buffers, room):
            return plan
        if smallest is not None and plan.arena_bytes >= smallest.arena_bytes:
            break
        smallest = plan
    assert smallest is not None
    return smallest


def _shrinking(
    graph: Graph, target: Target, limits: Limits, strategy: str, total_bytes: int
) -> Iterator[Plan]:
    """Plans of at most a smaller and smaller share of all memory."""
    if strategy == "per-layer":
        yield plan_per_layer(graph, target, limits)
        return
    streams = StreamPlans(graph, target, limits, total_bytes)
    for percent in SHARES:
        most_bytes = total_bytes * percent // 100
        yield (plan_patch(graph, target, limits, most_bytes) if strategy == "patch"
               else streams.within(most_bytes))
