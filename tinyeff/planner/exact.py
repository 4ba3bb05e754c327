# SPDX-License-Identifier: MIT
"""Exact allocation with CP-SAT: deterministic, with a limit in solver steps instead of seconds."""

from __future__ import annotations

from collections.abc import Sequence

from ortools.sat.python import cp_model

from tinyeff.planner.allocation import Layout, Problem

DETERMINISTIC_SECONDS = 4.0
"""Limit of the solver in its own unit of work, about a second each."""


def solve(problem: Problem, start: Layout) -> Layout:
    """The smallest layout that CP-SAT finds, `start` where it finds none smaller.

    The lower bound of the result is what the solver has proven.
    """
    model = cp_model.CpModel()
    extent = model.new_int_var(start.lower_bound_bytes, start.size_bytes, "extent")
    units = []  # each offset in multiples of its alignment
    for size, align, hint in zip(problem.sizes, problem.aligns, start.offsets, strict=True):
        unit = model.new_int_var(0, (start.size_bytes - size) // align, "")
        model.add(align * unit + size <= extent)
        model.add_hint(unit, hint // align)
        units.append(unit)
    offsets = [align * unit for align, unit in zip(problem.aligns, units, strict=True)]
    _keep_apart(model, problem, offsets)
    _keep_rules(model, problem, offsets)
    model.minimize(extent)

    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 0
    solver.parameters.max_deterministic_time = DETERMINISTIC_SECONDS
    if solver.solve(model) not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return start
    found = tuple(int(solver.value(offset)) for offset in offsets)
    size = max(x + s for x, s in zip(found, problem.sizes, strict=True))
    bound = max(start.lower_bound_bytes, round(solver.best_objective_bound))
    return Layout(found, size, min(bound, size))


def _keep_apart(
    model: cp_model.CpModel, problem: Problem, offsets: Sequence[cp_model.LinearExprT]
) -> None:
    """Rectangles of time and address that may not overlap, without the last step of inputs that
    an output may lie over."""
    times, addresses = [], []
    for b, (first, last) in enumerate(problem.spans):
        steps = last - first - (b in problem.overlapped)
        if steps and problem.sizes[b]:
            times.append(model.new_fixed_size_interval_var(first, steps, ""))
            addresses.append(model.new_fixed_size_interval_var(offsets[b], problem.sizes[b], ""))
    model.add_no_overlap_2d(times, addresses)


def _keep_rules(
    model: cp_model.CpModel, problem: Problem, offsets: Sequence[cp_model.LinearExprT]
) -> None:
    """At the last step of an overlapped input, each pair on its own: below or above."""
    for b in sorted(problem.overlapped):
        step = problem.spans[b][1] - 1
        for rule in problem.rules[b]:
            first, last = problem.spans[rule.other]
            if not first <= step < last or (rule.other in problem.overlapped and rule.other < b
                                            and problem.spans[rule.other][1] - 1 == step):
                continue
            is_below = model.new_bool_var("")
            other = offsets[rule.other]
            model.add(offsets[b] + rule.below <= other).only_enforce_if(is_below)
            model.add(offsets[b] >= other + rule.above).only_enforce_if(~is_below)
