# SPDX-License-Identifier: MIT
"""Allocation against a search through all layouts, and its pieces."""

from __future__ import annotations

import itertools
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyeff.ir import Buffer
from tinyeff.planner.allocation import (
    Layout,
    Problem,
    allocate,
    extent,
    fit,
    problem_of,
    search,
)
from tinyeff.planner.exact import solve
from tinyeff.planner.overlap import Overlap


def _buffer(name: str, size: int, first: int, last: int) -> Buffer:
    return Buffer(name, "arena", name, first, last, size, 0, 0)


def _is_valid(problem: Problem, offsets: tuple[int, ...]) -> bool:
    return all(
        offsets[b] + rule.below <= offsets[rule.other]
        or offsets[b] >= offsets[rule.other] + rule.above
        for b, rules in enumerate(problem.rules)
        for rule in rules
    ) and all(x >= 0 and x % a == 0 for x, a in zip(offsets, problem.aligns, strict=True))


def _least_extent(problem: Problem) -> int:
    """By trying every layout, the smallest extent first."""
    for size in itertools.count(max(problem.sizes)):
        rooms = [range(0, size - s + 1, a)
                 for s, a in zip(problem.sizes, problem.aligns, strict=True)]
        if any(_is_valid(problem, offsets) for offsets in itertools.product(*rooms)):
            return size
    raise AssertionError


def _live_bytes(buffers: list[Buffer]) -> int:
    return max(sum(b.size_bytes for b in buffers if b.first <= t < b.last) for t in range(9))


@st.composite
def tasks(draw: st.DrawFn) -> tuple[list[Buffer], list[int], list[Overlap]]:
    """Up to four small buffers; some pairs that live together may overlap."""
    buffers = []
    for n in range(draw(st.integers(1, 4))):
        first = draw(st.integers(0, 4))
        last = first + draw(st.integers(1, 3))
        buffers.append(_buffer(f"b{n}", draw(st.integers(1, 4)), first, last))
    overlaps = []
    for pair in itertools.combinations(range(len(buffers)), 2):
        written, read = draw(st.permutations(pair))
        meet = max(buffers[b].first for b in pair) < min(buffers[b].last for b in pair)
        if meet and draw(st.booleans()):
            below = draw(st.integers(-buffers[read].size_bytes, buffers[written].size_bytes))
            overlaps.append(Overlap(written, read, below, buffers[read].size_bytes))
    aligns = [draw(st.sampled_from([1, 1, 1, 2])) for _ in buffers]
    return buffers, aligns, overlaps


@settings(max_examples=150, deadline=None)
@given(tasks())
def test_the_solver_finds_the_least_extent(
    task: tuple[list[Buffer], list[int], list[Overlap]]
) -> None:
    buffers, aligns, overlaps = task
    problem = problem_of(buffers, aligns, overlaps)
    stacked = tuple(itertools.accumulate([0] + [b.size_bytes + 1 for b in buffers[:-1]]))
    start = Layout(tuple(x + x % 2 for x in stacked), 40, 0)
    found = solve(problem, start)
    assert _is_valid(problem, found.offsets)
    assert found.size_bytes == found.lower_bound_bytes == _least_extent(problem)
    assert fit(problem, found.size_bytes) is not None
    assert fit(problem, found.size_bytes - 1) is None


@settings(max_examples=100, deadline=None)
@given(tasks())
def test_allocation_is_valid_and_least(
    task: tuple[list[Buffer], list[int], list[Overlap]]
) -> None:
    buffers, aligns, overlaps = task
    problem = problem_of(buffers, aligns, overlaps)
    bound = 1 if overlaps else _live_bytes(buffers)
    layout = allocate(problem, bound)
    assert _is_valid(problem, layout.offsets)
    assert layout.size_bytes == extent(problem, layout.offsets) == _least_extent(problem)
    assert bound <= layout.lower_bound_bytes <= layout.size_bytes


def _chain(sizes: list[int]) -> Problem:
    buffers = [_buffer(f"b{n}", s, n, n + 2) for n, s in enumerate(sizes)]
    return problem_of(buffers, [1] * len(sizes), [])


def test_a_layout_at_the_bound_needs_no_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tinyeff.planner.exact", None)
    problem = _chain([5, 9, 2, 12, 1, 7, 7, 3] * 60)
    layout = allocate(problem, 14)
    assert layout.size_bytes == 14


def test_the_search_backtracks() -> None:
    # The two short ones fit only when the long one is neither at the bottom nor in the middle.
    buffers = [_buffer("long", 4, 0, 4), _buffer("a", 6, 0, 2), _buffer("b", 2, 1, 3),
               _buffer("c", 6, 2, 4)]
    problem = problem_of(buffers, [1] * 4, [])
    offsets = search(problem, 12, 1)
    assert offsets is not None
    assert _is_valid(problem, offsets)
    assert search(problem, 11, 3) is None


def test_a_pair_with_negative_distance_may_coincide() -> None:
    buffers = [_buffer("in", 8, 0, 1), _buffer("out", 4, 0, 1)]
    problem = problem_of(buffers, [1, 1], [Overlap(1, 0, -1, 8)])
    assert allocate(problem, 8).size_bytes == 8


def test_nothing_to_place() -> None:
    assert allocate(problem_of([], [], []), 0) == Layout((), 0, 0)


def test_units_keep_alignments() -> None:
    problem = problem_of([_buffer("a", 3, 0, 1), _buffer("b", 3, 0, 1)], [2, 2], [])
    assert solve(problem, Layout((0, 6), 9, 0)).size_bytes == 7
