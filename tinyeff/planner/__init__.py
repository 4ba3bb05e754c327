# SPDX-License-Identifier: MIT
"""The planner: which kernel runs each operator, in what order, and where every byte lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tinyeff.ir import Graph, Limits, Plan, Target
from tinyeff.planner.arranging import arrange
from tinyeff.planner.budget import arena_budget, fits, output_bytes, rooms
from tinyeff.planner.drawing import draw
from tinyeff.planner.memories import plan_in_memories
from tinyeff.planner.regions import heat_of
from tinyeff.planner.search import reporting
from tinyeff.planner.single import STRATEGIES, check_limits, plan_in_one, quick_or_lean
from tinyeff.planner.stack import least_stack_bytes, stack_bytes
from tinyeff.planner.streaming import MOST_OVERHEAD, StreamPlanner
from tinyeff.planner.validator import validate
from tinyeff.planner.verdict import Verdict, judge

__all__ = ["Verdict", "arrange", "draw", "front", "heat_of", "judge", "plan", "reporting",
           "strategies", "validate"]

FRONT_POINTS = 12


def plan(graph: Graph, target: Target, limits: Limits) -> Plan:
    """The plan of a graph whose operators carry their variants; always validated.

    Strategy "auto" takes the least work among what fits the SRAM granted, else the smallest arena:
    layer by layer, else streamed, else streamed or in patches with as few extra MACs as it takes.
    Under `--optimize speed` every operator first gets its fastest kernel, without SRAM named too,
    and the memory that it needs; kernels that need less follow where that does not fit.
    A float graph is planned as if it were int8. Raises UnsupportedError for a strategy or an input
    memory that the planner does not offer. Whether the plan fits the limits is asked of `judge`.
    """
    check_limits(limits)
    parts = max(len(limits.memories), 1)
    limits = replace(limits, stack_bytes=least_stack_bytes(graph, target, parts))
    result = _in_one_or_more(graph, target, limits)
    while (needed := stack_bytes(graph, result)) > limits.stack_bytes and (
            _fits(graph, result, limits, limits.stack_bytes)
            and not _fits(graph, result, limits, needed)):
        limits = replace(limits, stack_bytes=needed)  # tiles of many stages lie on it
        result = _in_one_or_more(graph, target, limits)
    validate(graph, result)
    return result


def strategies(
    graph: Graph, target: Target, limits: Limits, chosen: Plan | None = None
) -> dict[str, Plan]:
    """The smallest plan of every strategy in a single arena, by its name; `chosen` is what `limits`
    led to, if known."""
    names = ["stream"] if limits.input_memory == "streamed" else STRATEGIES[1:]
    found = {}
    plain = limits.sram_bytes is None and limits.patch_grid is None and not limits.memories
    if chosen is not None and plain:
        found["stream" if limits.strategy == "auto" else limits.strategy] = chosen
    for name in names:
        if name not in found:
            found[name] = plan(graph, target, replace(limits, strategy=name, sram_bytes=None,
                                                      memories=(), patch_grid=None))
    return {name: found[name] for name in names}


def front(
    graph: Graph, target: Target, limits: Limits, known: Sequence[Plan] = (),
) -> list[Plan]:
    """Plans that no other beats in both arena and extra MACs, the largest arena first.

    About `FRONT_POINTS` streamed ones, at up to `MOST_OVERHEAD` extra MACs, and those of `known`.
    They are not validated; `plan` validates the one that it is asked for.
    """
    single = replace(limits, memories=())
    least = min((p.arena_bytes for p in known if p.extra_macs <= 0), default=None)
    streams = StreamPlanner(graph, target, single, MOST_OVERHEAD, known_bytes=least)
    plans = sorted([*known, *streams.front(FRONT_POINTS)],
                   key=lambda p: (p.extra_macs, p.arena_bytes))
    found: list[Plan] = []
    for candidate in plans:
        if not found or candidate.arena_bytes < found[-1].arena_bytes:
            found.append(candidate)
    return found


def _fits(graph: Graph, result: Plan, limits: Limits, stack: int) -> bool:
    """True where the arena, the outputs and a stack of so many bytes fit the SRAM granted."""
    return judge(result, replace(limits, flash_bytes=None), stack + output_bytes(graph), 0).fits


def _in_one_or_more(graph: Graph, target: Target, limits: Limits) -> Plan:
    """The plan in one arena; in several memories, unless one of them is granted as well and does it
    alone."""
    if not limits.memories:
        return plan_in_one(graph, target, limits)
    if limits.sram_bytes is None:
        return _spread(graph, target, limits)
    alone = plan_in_one(graph, target, replace(limits, memories=()))
    budget = arena_budget(graph, limits)
    fits_alone = budget is None or alone.arena_bytes <= budget
    if fits_alone and alone.extra_macs <= 0:
        return alone
    several = replace(limits, sram_bytes=None)
    spread = _spread(graph, target, several)
    better = not fits_alone or spread.extra_macs < alone.extra_macs
    return spread if better and fits(spread.buffers, rooms(graph, several)) else alone


def _spread(graph: Graph, target: Target, limits: Limits) -> Plan:
    """The plan in several memories."""
    if target.optimize != "speed":
        return plan_in_memories(graph, target, limits)
    room = rooms(graph, limits)
    return quick_or_lean(graph, lambda g: plan_in_memories(g, target, limits),
                         lambda p: fits(p.buffers, room))
