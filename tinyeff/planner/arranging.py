# SPDX-License-Identifier: MIT
"""Another order of operators, where its plan is smaller."""

from __future__ import annotations

from dataclasses import replace

from tinyeff.errors import UnsupportedError
from tinyeff.ir import Graph, Limits, Target
from tinyeff.planner.budget import arena_budget
from tinyeff.planner.order import OrderSearch, branch_by_branch, with_order
from tinyeff.planner.single import check_limits, per_layer_within, plan_in_one, rank
from tinyeff.planner.stack import least_stack_bytes
from tinyeff.planner.streaming import StreamPlanner

MOST_STREAMED = 350
"""Operators of the largest graph for which orders are tried streamed: each takes a quick search."""


def arrange(graph: Graph, target: Target, limits: Limits) -> Graph:
    """The graph with its operators in the order whose plan is smallest; as it is where no order
    that the search knows is better, and for masks of patches. What it computes stays the same.

    Several memories count as one of their size. Operators must carry their variants. Raises as
    `plan` does.
    """
    check_limits(limits)
    if limits.patch_grid is not None:
        return graph
    limits = replace(limits, stack_bytes=least_stack_bytes(graph, target))
    if limits.memories:
        total = sum(m.size_bytes for m in limits.memories)
        limits = replace(limits, memories=(), sram_bytes=limits.sram_bytes or total)
    order = OrderSearch(graph, limits.input_memory).best()
    whole = [with_order(graph, order)] if order is not None else []
    budget = arena_budget(graph, limits)
    if limits.strategy == "auto":
        for candidate in (graph, *whole):
            if per_layer_within(candidate, target, limits, budget) is not None:
                return candidate
    alone = limits.strategy in ("per-layer", "patch")
    others = whole if alone else _promising(graph, target, limits, order)
    if not others:
        return graph
    return min([graph, *others], key=lambda g: rank(plan_in_one(g, target, limits), budget))


def _promising(
    graph: Graph, target: Target, limits: Limits, order: tuple[int, ...] | None
) -> list[Graph]:
    """The graph in `order` and in others, where they may well need less streamed."""
    orders = dict.fromkeys([*filter(None, [order]), *branch_by_branch(graph)])
    orders.pop(tuple(range(len(graph.ops))), None)
    if not orders or len(graph.ops) > MOST_STREAMED:
        return []
    enough = StreamPlanner(graph, target, limits, 0).roughly()
    found = []
    for other in (with_order(graph, o) for o in orders):
        try:
            if StreamPlanner(other, target, limits, 0).roughly() < enough:
                found.append(other)
        except UnsupportedError:
            pass  # the input cannot be streamed in that order
    return found
