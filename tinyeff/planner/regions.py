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
from tinyeff.ops import operator_of
from tinyeff.ops.operator import Node, Operator, node_of
from tinyeff.planner import sizes
from tinyeff.planner.allocation import FAR, TRIES, Problem, allocate, fit, search
from tinyeff.planner.lifetimes import activation_inputs, form_of

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
        self._allowed = [frozenset(range(len(memories))) for _ in problem.sizes]
        home = self._home_of(private, largest)
        for b in private:
            self._allowed[b] = frozenset({home})

    def run(self, heats: Sequence[float], bound_bytes: int) -> Spread:
        """The places of all buffers."""
        task = self._task()
        offsets = search(task, self._end, TRIES) or fit(task, self._end)
        if offsets is None:
            last = self._begins[self._line[-1]]
            return self._result(allocate(task, max(bound_bytes, last)).offsets)
        for b in sorted(range(len(heats)), key=lambda b: (-heats[b], b)):
            offsets = self._held(b, offsets)
        return self._result(offsets)

    def _home_of(self, private: Sequence[int], largest: int) -> int:
        """The fastest memory with room for all of `private` that is there at once."""
        spans, sizes_ = self._problem.spans, self._problem.sizes
        most = max((sum(sizes_[b] for b in private if spans[b][0] <= spans[a][0] < spans[b][1])
                    for a in private), default=0)
        return next((n for n, size in enumerate(self._sizes) if size >= most), largest)

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
