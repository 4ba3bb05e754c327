# SPDX-License-Identifier: MIT
"""Which strategy: the plan in a single arena that the user's limits ask for."""

from __future__ import annotations

from collections.abc import Callable

from tinyeff.errors import UnsupportedError, UsageError
from tinyeff.ir import Graph, Limits, Plan, Target
from tinyeff.planner.budget import arena_budget
from tinyeff.planner.choices import with_fastest
from tinyeff.planner.masked import plan_masked
from tinyeff.planner.patches import plan_patch
from tinyeff.planner.per_layer import plan_per_layer
from tinyeff.planner.streaming import plan_stream

STRATEGIES = ("auto", "per-layer", "patch", "stream")
INPUT_MEMORIES = ("resident", "streamed", "excluded")


def check_limits(limits: Limits) -> None:
    """Raise UnsupportedError or UsageError where the planner does not offer what is asked for."""
    if limits.strategy not in STRATEGIES:
        raise UnsupportedError(f"strategy '{limits.strategy}' is not supported; "
                               f"use one of {', '.join(STRATEGIES)}")
    if limits.input_memory == "streamed" and limits.strategy not in ("auto", "stream"):
        raise UnsupportedError("streaming the input needs the stream strategy: per layer and in "
                               "patches, the image is needed whole; use --strategy stream, or "
                               "--input-memory resident or excluded")
    if limits.patch_grid is not None and (
            limits.strategy not in ("auto", "patch") or limits.input_memory == "streamed"):
        raise UsageError("--patch-mask leaves out patches, which only the patch strategy computes, "
                         "of an image that is there as a whole; use it without --strategy and "
                         "--input-memory streamed")
    if limits.patch_grid is not None and limits.memories:
        raise UsageError("--patch-mask plans one arena in one piece; say with --sram how much of "
                         "the memory it may take")
    if limits.input_memory not in INPUT_MEMORIES:
        raise UsageError(f"input memory '{limits.input_memory}' is not known; "
                         f"use {', '.join(INPUT_MEMORIES)}")


def plan_in_one(graph: Graph, target: Target, limits: Limits) -> Plan:
    """The plan in one arena; not validated."""
    budget = arena_budget(graph, limits)
    if limits.patch_grid is not None:
        return plan_masked(graph, target, limits, budget)
    if target.optimize != "speed":
        return _least_work(graph, target, limits, budget)
    if budget is None:
        return _least_work(with_fastest(graph), target, limits, budget)
    return quick_or_lean(graph, lambda g: _least_work(g, target, limits, budget),
                         lambda p: p.arena_bytes <= budget)


def quick_or_lean(
    graph: Graph, planned: Callable[[Graph], Plan], fits: Callable[[Plan], bool]
) -> Plan:
    """The plan with the fastest kernels, as `--optimize speed` wants it; that of all kernels where
    only leaner ones fit, or fit with less computed twice."""
    quick = planned(with_fastest(graph))
    if fits(quick) and quick.extra_macs <= 0:
        return quick
    lean = planned(graph)
    return min(quick, lean, key=lambda p: (0 if fits(p) else p.arena_bytes, p.extra_macs))


def per_layer_within(
    graph: Graph, target: Target, limits: Limits, budget: int | None
) -> Plan | None:
    """The plan layer by layer where it fits what is granted, and has the image as a whole."""
    if budget is None or limits.input_memory == "streamed":
        return None
    whole = plan_per_layer(graph, target, limits)
    return whole if whole.arena_bytes <= budget else None


def rank(candidate: Plan, budget: int | None) -> tuple[int, int, int]:
    """Plans that fit the budget come first, then those of less work, then smaller ones."""
    return max(candidate.arena_bytes, budget or 0), candidate.extra_macs, candidate.arena_bytes


def _least_work(graph: Graph, target: Target, limits: Limits, budget: int | None) -> Plan:
    """The plan of the strategy asked for, of the least work for an arena of `budget` bytes."""
    if limits.strategy == "per-layer":
        return plan_per_layer(graph, target, limits)
    if limits.strategy == "patch":
        return _patched(graph, target, limits, budget)
    if limits.strategy == "stream":
        return _streamed(graph, target, limits, budget)
    whole = per_layer_within(graph, target, limits, budget)
    if whole is not None:
        return whole
    stream = plan_stream(graph, target, limits, budget)
    if limits.input_memory == "streamed" or (
            stream.extra_macs <= 0 and (budget is None or stream.arena_bytes <= budget)):
        return stream
    return min(stream, plan_patch(graph, target, limits, budget), key=lambda p: rank(p, budget))


def _streamed(graph: Graph, target: Target, limits: Limits, budget: int | None) -> Plan:
    """Who names the strategy where a plan layer by layer would fit wants the memory that it saves,
    so the smallest plan; elsewhere the budget says how small is enough."""
    if per_layer_within(graph, target, limits, budget) is not None:
        budget = None
    return plan_stream(graph, target, limits, budget)


def _patched(graph: Graph, target: Target, limits: Limits, budget: int | None) -> Plan:
    """Likewise a plan that saves memory, but patches cost MACs: the fewest extra ones that do, and
    fit."""
    if budget is not None:
        budget = min(budget, plan_per_layer(graph, target, limits).arena_bytes - 1)
    return plan_patch(graph, target, limits, budget)
