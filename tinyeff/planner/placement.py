# SPDX-License-Identifier: MIT
"""The packing task of a plan's buffers, and putting its solution back into the buffers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tinyeff.ir import Buffer, Graph, Memory, Segment
from tinyeff.planner import sizes
from tinyeff.planner.allocation import problem_of
from tinyeff.planner.overlap import Overlap
from tinyeff.planner.regions import heat_of, spread


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
        self._graph = graph
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

    def spread(self, memories: Sequence[Memory], bound_bytes: int) -> tuple[Buffer, ...]:
        """All buffers, those of the arena in `memories`; the largest of these is taken as unlimited
        where no way was found to fit everything. `bound_bytes` is the liveness bound."""
        inner = [self.buffers[n] for n in self.arena]
        private = [k for k, b in enumerate(inner) if b.op is not None]
        found = spread(self.problem, heat_of(self._graph, inner), private, memories, bound_bytes)
        places = dict(zip(self.arena, zip(found.memories, found.offsets, strict=True), strict=True))
        return tuple(
            replace(b, region=memories[places[n][0]].name, offset_bytes=places[n][1])
            if n in places else replace(b, offset_bytes=0) for n, b in enumerate(self.buffers))


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
