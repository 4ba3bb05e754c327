# SPDX-License-Identifier: MIT
"""Spreads the buffers of an arena over several memories, those with most traffic in the fastest.

The memories are laid one behind the other on a line of addresses. That makes one packing task of
many: no buffer may lie across a border, and nothing else changes.

    address  0                        131072
             |  dtcm                  |  axi                                    ...
             | scratch | hot buffers  | buffers that do not fit beside them
                             |--- not here ---|

Where everything fits, each buffer, the hottest first, is held to the fastest memory in which the
rest can still be placed. A buffer is hot that is read and written often for its size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tinyeff.ir import Buffer, Graph, Memory, Window
from tinyeff.ops import form_of, operator_of
from tinyeff.ops.operator import Node, Operator, node_of
from tinyeff.planner import sizes
from tinyeff.planner.allocation import FAR, TRIES, Problem, allocate, extent, fit, search
from tinyeff.planner.lifetimes import activation_inputs

BORDER_ALIGN = 64
"""The line's borders are multiples of it, so that what is aligned on the line is so in a memory."""


@dataclass(frozen=True)
class Spread:
    """For each buffer its memory (index into those granted) and its offset there in bytes."""

    memories: tuple[int, ...]
    offsets: tuple[int, ...]


def spread(
    problem: Problem, heats: Sequence[float], private: Sequence[int], memories: Sequence[Memory],
    bound_bytes: int,
) -> Spread:
    """Places for all buffers in `memories`, the fastest first.

    `heats` say what is placed first into fast memory; the buffers `private` share one memory.
    `bound_bytes` is the most that lives at any step. Where no way was found to fit everything, the
    largest memory is taken as unlimited.
    """
    return _Spreading(problem, memories, private).run(heats, bound_bytes)


class _Spreading:
    """The line of memories, and which of them each buffer may lie in."""

    def __init__(
        self, problem: Problem, memories: Sequence[Memory], private: Sequence[int]
    ) -> None:
        self._problem = problem
        largest = max(range(len(memories)), key=lambda n: memories[n].size_bytes)
        order = [n for n in range(len(memories)) if n != largest]
        self._line = [*order, largest]
        self._sizes = [m.size_bytes for m in memories]
        self._begins = [0] * len(memories)
        at = 0
        for n in self._line:
            self._begins[n] = at
            at += -(-self._sizes[n] // BORDER_ALIGN) * BORDER_ALIGN
        self._end = self._begins[largest] + self._sizes[largest]
        self._private = private
        self._allowed = [frozenset(range(len(memories))) for _ in problem.sizes]

    def run(self, heats: Sequence[float], bound_bytes: int) -> Spread:
        """The places of all buffers."""
        offsets = self._first_found()
        if offsets is None:
            last = self._begins[self._line[-1]]
            return self._result(allocate(self._task(), max(bound_bytes, last)).offsets)
        for b in sorted(range(len(heats)), key=lambda b: (-heats[b], b)):
            offsets = self._held(b, offsets)
        return _tightened(self._problem, self._result(offsets))

    def _first_found(self) -> tuple[int, ...] | None:
        """Any layout that fits, with what is private in the fastest memory that allows one.

        Where there is none, what is private is held to the last of the line, which is unlimited.
        """
        homes = range(len(self._sizes)) if self._private else range(1)
        for exactly in (False, True):
            for home in homes:
                self._hold_private(home)
                task = self._task()
                offsets = fit(task, self._end) if exactly else search(task, self._end, TRIES)
                if offsets is not None:
                    return offsets
        self._hold_private(self._line[-1])
        return None

    def _hold_private(self, memory: int) -> None:
        for b in self._private:
            self._allowed[b] = frozenset({memory})

    def _held(self, b: int, offsets: tuple[int, ...]) -> tuple[int, ...]:
        """Hold buffer `b` to the fastest memory that leaves a place for all others."""
        mine = self._memory_at(offsets[b])
        for n in sorted(self._allowed[b]):
            if n >= mine:
                break
            before, self._allowed[b] = self._allowed[b], frozenset({n})
            found = search(self._task(), self._end, 1)
            if found is not None:
                return found
            self._allowed[b] = before
        self._allowed[b] = frozenset({mine})
        return offsets

    def _task(self) -> Problem:
        return replace(self._problem, barred=tuple(
            tuple(self._barred(size, allowed))
            for size, allowed in zip(self._problem.sizes, self._allowed, strict=True)))

    def _barred(self, size: int, allowed: frozenset[int]) -> Iterator[tuple[int, int]]:
        """Open intervals of the line in which a buffer of so many bytes may not start."""
        low = -1
        for n in self._line:
            is_last = n == self._line[-1]
            if n in allowed and (size <= self._sizes[n] or is_last):
                yield low, self._begins[n]
                low = FAR if is_last else self._begins[n] + self._sizes[n] - size
        yield low, FAR

    def _memory_at(self, address: int) -> int:
        return next(n for n in reversed(self._line) if address >= self._begins[n])

    def _result(self, offsets: Sequence[int]) -> Spread:
        homes = tuple(map(self._memory_at, offsets))
        return Spread(homes, tuple(
            x - self._begins[n] for x, n in zip(offsets, homes, strict=True)))


def _tightened(problem: Problem, found: Spread) -> Spread:
    """The same memories, of each as little as a quick search finds."""
    offsets = list(found.offsets)
    for n in set(found.memories):
        mine = [b for b, memory in enumerate(found.memories) if memory == n]
        part = _part(problem, mine)
        size = extent(part, [offsets[b] for b in mine])
        bound = _live_bytes(part)
        for ceiling in (bound + (bound >> shift) for shift in (63, 7, 6, 5, 4, 3)):
            smaller = search(part, ceiling, 2) if ceiling < size else None
            if smaller is not None:
                for b, offset in zip(mine, smaller, strict=True):
                    offsets[b] = offset
                break
    return replace(found, offsets=tuple(offsets))


def _part(problem: Problem, members: Sequence[int]) -> Problem:
    """The packing task of some of the buffers."""
    number = {b: k for k, b in enumerate(members)}
    return Problem(
        tuple(problem.sizes[b] for b in members), tuple(problem.aligns[b] for b in members),
        tuple(problem.spans[b] for b in members),
        tuple(tuple(replace(r, other=number[r.other]) for r in problem.rules[b]
                    if r.other in number) for b in members),
        tuple(problem.tails[b] for b in members))


def _live_bytes(problem: Problem) -> int:
    """The most bytes alive at any step, without inputs that an output may lie over."""
    ends = zip(problem.sizes, problem.spans, problem.tails, strict=True)
    alive = [(size, first, tail) for size, (first, _), tail in ends]
    return max((sum(s for s, first, tail in alive if first <= step < tail)
                for step in {first for _, first, _ in alive}), default=0)


def heat_of(graph: Graph, buffers: Sequence[Buffer]) -> list[float]:
    """For each buffer the bytes that are read and written in it, per byte of its size.

    Estimated from what the operators' windows say; what is computed twice counts once.
    """
    traffic = dict.fromkeys(range(len(graph.tensors)), 0)
    for op in graph.ops:
        if form_of(graph, op) == "view":
            continue
        node, operator = node_of(graph, op), operator_of(op.kind)
        for i in op.outputs:
            traffic[i] += sizes.size_bytes(graph.tensors[i])
        for number, i in enumerate(activation_inputs(graph, op)):
            pixel = sizes.pixel_bytes(graph.tensors[i])
            traffic[i] += _pixels_read(node, operator, number) * pixel
    return [sum(traffic[i] for i in b.tensors) / max(b.size_bytes, 1) for b in buffers]


def _pixels_read(node: Node[Any], operator: Operator[Any], number: int) -> int:
    """Pixels that an operator reads of an input, each as often as a window covers it."""
    source, result = node.activations[number], node.output
    if operator.form_of(node) != "rows":
        return source.rows * source.pixels
    rows, columns = operator.window(node, number), operator.columns(node, number)
    return _covered(rows, result.rows, source.rows) * _covered(
        columns, result.pixels, source.pixels)


def _covered(window: Window, steps: int, size: int) -> int:
    """Rows or columns that `steps` outputs read together, of `size` each."""
    return steps * min(window.count, size)
