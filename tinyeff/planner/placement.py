# SPDX-License-Identifier: MIT
"""The packing task of a plan's buffers, and putting its solution back into the buffers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tinyeff.ir import Buffer, Graph, Segment
from tinyeff.planner import sizes
from tinyeff.planner.allocation import problem_of
from tinyeff.planner.overlap import Overlap


class Task:
    """Buffers, and the packing problem of those that lie in the arena.

    `overlaps` are between indices into `buffers`, both in the arena. To the packing problem each
    segment is one step: `segments` has the operators [first, last) of each, none where every
    operator is a segment of its own.
    """

    def __init__(
        self, graph: Graph, buffers: Iterable[Buffer], overlaps: Iterable[Overlap],
        segments: Sequence[Segment] = (),
    ) -> None:
        self.buffers = tuple(buffers)
        self.arena = [n for n, b in enumerate(self.buffers) if b.region == "arena"]
        number = {n: k for k, n in enumerate(self.arena)}
        inside = [Overlap(number[o.written], number[o.read], o.below, o.above) for o in overlaps]
        aligns = [
            max((sizes.alignment(graph.tensors[i]) for i in self.buffers[n].tensors),
                default=sizes.WORD_BYTES)
            for n in self.arena
        ]
        inner = _in_segments([self.buffers[n] for n in self.arena], segments)
        self.problem = problem_of(inner, aligns, inside)

    def placed(self, offsets: Sequence[int]) -> tuple[Buffer, ...]:
        """All buffers, those of the arena at `offsets`."""
        place = dict(zip(self.arena, offsets, strict=True))
        return tuple(
            replace(b, offset_bytes=place.get(n, 0)) for n, b in enumerate(self.buffers)
        )


def _in_segments(buffers: Sequence[Buffer], segments: Sequence[Segment]) -> list[Buffer]:
    """The buffers with lifetimes counted in segments; the end is a step of its own."""
    if not segments:
        return list(buffers)
    number = {op: n for n, s in enumerate(segments) for op in range(s.first, s.last)}
    return [
        replace(b, first=number.get(b.first, len(segments)),
                last=number.get(b.last - 1, len(segments)) + 1)
        for b in buffers
    ]
