# SPDX-License-Identifier: MIT
"""Exact allocation with CP-SAT: deterministic, with a limit in solver steps instead of seconds."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tinyeff.planner.elsewhere import out_of_reach_of_tensorflow, tensorflow_came_first

tensorflow_came_first()  # as long as OR-Tools is not loaded

from ortools.sat.python import cp_model  # noqa: E402

from tinyeff.planner.allocation import FAR, Layout, Problem, extent  # noqa: E402

DETERMINISTIC_SECONDS = 1.0
"""Limit of the solver in its own unit of work, a few seconds each."""


def solve(problem: Problem, start: Layout) -> Layout:
    """The smallest layout that CP-SAT finds, `start` where it finds none smaller.

    The lower bound of the result is what the solver has proven.
    """
    found: Layout = out_of_reach_of_tensorflow(_solve, problem, start)
    return found


def fit(problem: Problem, ceiling_bytes: int) -> tuple[int, ...] | None:
    """Offsets of a layout of at most `ceiling_bytes`, None where CP-SAT finds none in time."""
    found: tuple[int, ...] | None = out_of_reach_of_tensorflow(_fit, problem, ceiling_bytes)
    return found


def _solve(problem: Problem, start: Layout) -> Layout:
    task = _Task(problem, start.lower_bound_bytes, start.size_bytes, start.offsets)
    task.model.minimize(task.extent)
    offsets = task.offsets()
    if offsets is None:
        return start
    size = extent(problem, offsets)
    proven = task.unit_bytes * math.ceil(task.solver.best_objective_bound - 1e-6)
    return Layout(offsets, size, min(max(start.lower_bound_bytes, proven), size))


def _fit(problem: Problem, ceiling_bytes: int) -> tuple[int, ...] | None:
    task = _Task(problem, 0, ceiling_bytes, ())
    task.solver.parameters.max_deterministic_time = DETERMINISTIC_SECONDS / 4
    return task.offsets()


class _Task:
    """The model of a packing task with an extent within [low, high], and its solver.

    Addresses count in units of the greatest common divisor of all sizes, distances and alignments:
    some optimal layout has every buffer at a sum of those.
    """

    def __init__(
        self, problem: Problem, low_bytes: int, high_bytes: int, hints: Sequence[int]
    ) -> None:
        distances = (d for rules in problem.rules for r in rules for d in (r.below, r.above))
        aligns = (align for align in problem.aligns if align > 1)
        borders = (x for barred in problem.barred for pair in barred for x in pair if 0 < x < FAR)
        unit = self.unit_bytes = math.gcd(*problem.sizes, *distances, *aligns, *borders) or 1
        self.problem = problem
        self.model = cp_model.CpModel()
        self.extent = self.model.new_int_var(-(-low_bytes // unit), high_bytes // unit, "extent")
        self.steps = [max(align // unit, 1) for align in problem.aligns]
        self.places: list[cp_model.LinearExprT] = []
        self.variables: list[cp_model.IntVar] = []
        for b, (size, step) in enumerate(zip(problem.sizes, self.steps, strict=True)):
            room = (high_bytes // unit - size // unit) // step
            self.variables.append(self.model.new_int_var_from_domain(
                _domain(problem.barred[b] if problem.barred else (), room, step * unit), ""))
            self.places.append(step * self.variables[b])
            self.model.add(self.places[b] + size // unit <= self.extent)
        for variable, step, hint in zip(self.variables, self.steps, hints, strict=False):
            self.model.add_hint(variable, hint // unit // step)
        _keep_apart(self.model, problem, self.places, unit)
        _keep_rules(self.model, problem, self.places, unit)
        self.solver = cp_model.CpSolver()
        self.solver.parameters.num_workers = 1
        self.solver.parameters.random_seed = 0
        self.solver.parameters.linearization_level = 0
        self.solver.parameters.max_deterministic_time = DETERMINISTIC_SECONDS
        # Its handler for Ctrl-C would leave none behind; Python's own must stay.
        self.solver.parameters.catch_sigint_signal = False

    def offsets(self) -> tuple[int, ...] | None:
        """Run the solver; offsets in bytes, or None where it found nothing."""
        if self.solver.solve(self.model) not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            return None
        return tuple(
            self.unit_bytes * step * int(self.solver.value(variable))
            for step, variable in zip(self.steps, self.variables, strict=True)
        )


def _domain(
    barred: Sequence[tuple[int, int]], highest: int, step_bytes: int
) -> cp_model.Domain:
    """The multiples of `step_bytes`, from 0 to `highest` of them, in none of the open intervals."""
    free, start = [], 0
    for low, high in sorted(barred):
        if low >= start:
            free.append([-(-start // step_bytes), min(low // step_bytes, highest)])
        start = max(start, high)
    free.append([-(-start // step_bytes), highest])
    return cp_model.Domain.from_intervals([pair for pair in free if pair[0] <= pair[1]])


def _keep_apart(
    model: cp_model.CpModel, problem: Problem, places: Sequence[cp_model.LinearExprT], unit: int
) -> None:
    """Rectangles of time and address that may not overlap, without the steps at the end of inputs
    that an output may lie over."""
    times, addresses = [], []
    for b, (first, _) in enumerate(problem.spans):
        steps = problem.tails[b] - first
        if steps and problem.sizes[b]:
            times.append(model.new_fixed_size_interval_var(first, steps, ""))
            size = problem.sizes[b] // unit
            addresses.append(model.new_fixed_size_interval_var(places[b], size, ""))
    model.add_no_overlap_2d(times, addresses)


def _keep_rules(
    model: cp_model.CpModel, problem: Problem, places: Sequence[cp_model.LinearExprT], unit: int
) -> None:
    """Where inputs that may be overlapped end, each pair on its own: below or above."""
    spans, tails = problem.spans, problem.tails
    for b, (_, end) in enumerate(spans):
        for rule in problem.rules[b] if tails[b] < end else ():
            other = rule.other
            known = other < b and tails[other] < spans[other][1] and spans[b][1] > tails[other]
            if spans[other][1] <= tails[b] or known:
                continue
            is_below = model.new_bool_var("")
            place, other_place = places[b], places[other]
            model.add(place + rule.below // unit <= other_place).only_enforce_if(is_below)
            model.add(place >= other_place + rule.above // unit).only_enforce_if(~is_below)

