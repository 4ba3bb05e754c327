# SPDX-License-Identifier: MIT
"""The streamed strategy: runs of operators row by row, each holding only the rows still needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from tinyeff.errors import UnsupportedError
from tinyeff.ir import Buffer, Graph, Limits, Op, Plan, Segment, Target, Variant
from tinyeff.ops import operator_of
from tinyeff.ops.operator import node_of
from tinyeff.planner.allocation import TRIES, allocate, search
from tinyeff.planner.assembly import alone, assemble
from tinyeff.planner.budget import fits, in_first, mac_budget, rooms
from tinyeff.planner.choices import VIEW, Choice, shared_bytes, smallest, ways
from tinyeff.planner.lifetimes import lifetimes, private_buffers
from tinyeff.planner.measuring import Stream, measure
from tinyeff.planner.overlap import Overlap
from tinyeff.planner.per_layer import live_buffers, plan_per_layer
from tinyeff.planner.placement import Task
from tinyeff.planner.search import SHORT, Piece, Route, Search
from tinyeff.planner.streams import IMPOSSIBLE, Space
from tinyeff.planner.widening import widened

MOST_OVERHEAD = 1.0
"""Extra MACs, as a fraction of the graph's, that the search considers unless told otherwise."""

MARGIN, SLACK_BYTES = 1.05, 64
"""How far estimates of the second search may be above what it then measures: a part of it, and what
counters and alignment are in the smallest networks."""

UNUSED = "unused"
"""A buffer that keeps others out of its place."""

MOST_PLACINGS = 8
"""How often a smaller route is tried where gaps between buffers make one too large."""


def plan_stream(
    graph: Graph, target: Target, limits: Limits, arena_bytes: int | None = None
) -> Plan:
    """The plan with the least extra MACs, then fewest calls, that needs at most `arena_bytes`.

    Without `arena_bytes`, and where nothing is that small, the smallest arena counts first. Extra
    MACs stay within `limits.max_overhead`; without that there are none if there is no
    `arena_bytes`, else as few as it takes.
    """
    return StreamPlans(graph, target, limits, arena_bytes).within(arena_bytes)


class StreamPlans:
    """`plan_stream` for one arena after the other, each of at most `most_bytes`: what was searched
    for one serves all."""

    def __init__(
        self, graph: Graph, target: Target, limits: Limits, most_bytes: int | None
    ) -> None:
        self._asked, self._overhead = (graph, target, limits), limits.max_overhead
        self._most_bytes = most_bytes

    @cached_property
    def _exact(self) -> StreamPlanner:
        return StreamPlanner(*self._asked, 0, self._most_bytes)

    @cached_property
    def _wide(self) -> StreamPlanner:
        most = MOST_OVERHEAD if self._overhead is None else self._overhead
        return StreamPlanner(*self._asked, most, self._most_bytes)

    def within(self, arena_bytes: int | None) -> Plan:
        """What `plan_stream` says."""
        if not self._overhead:
            result = self._exact.within(arena_bytes)
            if (self._overhead is not None or arena_bytes is None
                    or result.arena_bytes <= arena_bytes):
                return result
        result = self._wide.within(arena_bytes, self._wide.most_macs)
        # The larger space holds the smaller one, but gaps between buffers know no such order.
        options = [result] if arena_bytes is not None else [result, self._exact.within(None)]
        return min(options, key=lambda p: p.arena_bytes)


def _frugal(op: Op) -> Variant:
    """The fastest kernel of an operator with the least scratch memory that it can do with: what a
    streamed plan is for is memory. Two rows at a time would hold more rows of each tensor than
    streaming has to."""
    fastest = min(op.variants, key=lambda v: (v.rows_per_call, v.cost), default=VIEW)
    same = (v for v in op.variants if v.name == fastest.name)
    return min(same, key=lambda v: v.scratch_bytes, default=VIEW)


class StreamPlanner:
    """Streamed plans of a graph whose operators carry their variants: all that may be the best, up
    to `most_overhead` extra MACs as a fraction of the graph's, and in `arena_bytes`.

    `known_bytes` are the arena of some plan of the same limits without extra MACs, if one is known.
    """

    def __init__(
        self, graph: Graph, target: Target, limits: Limits, most_overhead: float,
        arena_bytes: int | None = None, known_bytes: int | None = None,
    ) -> None:
        self._graph, self._target, self._limits = graph, target, limits
        self._memory = lifetimes(graph, limits.input_memory)
        live = list(live_buffers(graph, self._memory.buffers))
        self._options = [ways(graph, self._memory, alive, step)
                         for step, alive in enumerate(live)]
        variants = [_frugal(op) for op in graph.ops]
        self._pushed = _pushed(graph, limits)
        self._space = Space(graph, self._memory, variants, self._pushed)
        self._least = [c.bound_bytes for c in smallest(self._options)]
        home, buffers = self._memory.home, self._memory.buffers
        self._gone = max((buffers[home[tensor]].last for tensor in self._pushed), default=0)
        if self._gone > len(graph.ops):
            raise UnsupportedError("the input cannot be streamed: an output of the model is the "
                                   "input itself, so that all of it must be kept; use "
                                   "--input-memory resident")
        for number, record in enumerate(graph.exits, 1):
            if record.after < self._gone:
                raise UnsupportedError(
                    f"the input cannot be streamed: early exit {number} comes before the last "
                    "operator that reads it; use --input-memory resident")
        self._alone = [IMPOSSIBLE] * self._gone + self._least[self._gone:]
        self.most_macs = mac_budget(self.macs, most_overhead)
        self._arena_bytes, self._known = arena_bytes or 0, known_bytes
        self._streams: dict[Piece, tuple[Stream, int]] = {}

    @cached_property
    def macs(self) -> int:
        """MACs of the graph."""
        return sum(operator_of(op.kind).macs(node_of(self._graph, op)) for op in self._graph.ops)

    @cached_property
    def _search(self) -> Search:
        """All ways that may be of use: those that need no more than a quick search finds."""
        enough = self.roughly() if self._known is None else self._known
        ceiling = max(int(enough * MARGIN) + SLACK_BYTES, self._arena_bytes)
        return Search(self._space, self._alone, self.most_macs, ceiling)

    def roughly(self) -> int:
        """The least bytes without extra MACs that a quick search over short segments finds."""
        return self._least_of(Search(self._space, self._alone, longest=SHORT), 0)

    def within(self, arena_bytes: int | None, most_macs: int = 0) -> Plan:
        """The cheapest plan of at most `arena_bytes`, the smallest within `most_macs` if there is
        none or no `arena_bytes`."""
        least = self._smallest(most_macs)
        ceiling = max(least, arena_bytes or 0)
        best: Plan | None = None
        for _ in range(MOST_PLACINGS):
            route, streams = self._measured(ceiling)
            if best is None or route.live_bytes < best.arena_bytes:
                plan = self._placed(route, streams)
                if best is None or plan.arena_bytes < best.arena_bytes:
                    best, chosen = plan, (route, streams)
            over = 0 if arena_bytes is None else best.arena_bytes - arena_bytes
            if over <= 0 or ceiling <= least:
                break
            ceiling = max(ceiling - over, least)
        assert best is not None
        if arena_bytes is None:
            best = self._with_least_activations(best, *chosen)
        best = self._with_wide_tiles(best, *chosen, arena_bytes)
        if best.arena_bytes > max(self._least, default=0) and not self._pushed:
            # Gaps between buffers took what streaming saves.
            whole = plan_per_layer(self._graph, self._target, self._limits)
            best = min(whole, best, key=lambda p: p.arena_bytes)
        return replace(best, cut_off=self._search.cut_off)

    def _with_least_activations(
        self, plan: Plan, route: Route, streams: dict[int, Stream]
    ) -> Plan:
        """The plan of a route in the same arena, with no more activations alive at any time than
        the segment holds that must hold most; as it is where no such layout was found at once.

        Where a segment's scratch memory makes it the largest, others could hold more for nothing.
        """
        least = max((min(map(_active_bytes, self._within(p.first, route))) if p.config is None
                     else p.live_bytes - _size(streams[p.first].private)
                     for p in route.pieces), default=0)
        if plan.activation_bytes <= least:
            return plan
        choices = list(self._choices(route, least))
        task, segments = self._task(route, streams, choices, plan.arena_bytes - least)
        offsets = search(task.problem, plan.arena_bytes, TRIES)
        if offsets is None:
            return plan
        placed = [b for b in task.placed(offsets) if b.name != UNUSED]
        return assemble(self._graph, self._target, self._limits, choices, placed,
                        plan.lower_bound_bytes, segments, route.extra_macs)

    def _with_wide_tiles(
        self, plan: Plan, route: Route, streams: dict[int, Stream], arena_bytes: int | None
    ) -> Plan:
        """The plan of a route with tiles as wide as fits `arena_bytes`, or the arena and the
        activations that it has anyway; as it is where gaps between buffers make that too large."""
        arena = max(plan.arena_bytes, arena_bytes or 0)
        most = (arena, plan.activation_bytes if arena_bytes is None else arena)
        wide = {}
        for piece in route.pieces:
            if piece.config is not None:
                stream = streams[piece.first]
                active = piece.live_bytes - _size(stream.private)
                spare = min(most[0] - piece.live_bytes, most[1] - active)
                wide[piece.first] = widened(self._space, self._memory, stream, spare)
        if all(w.segment == streams[first].segment for first, w in wide.items()):
            return plan
        wider, memories = self._placed(route, wide), rooms(self._graph, self._limits)
        small = wider.arena_bytes <= most[0] and wider.activation_bytes <= most[1]
        return wider if small and (not memories or fits(wider.buffers, memories)) else plan

    def front(self, count: int) -> list[Plan]:
        """About `count` plans from the smallest without extra MACs to the smallest of all: each
        with the least extra MACs for its bytes, the largest first."""
        high, low = self._smallest(0), self._smallest(self.most_macs)
        plans: list[Plan] = []
        for ceiling in np.unique(np.geomspace(low, high, count).astype(np.int64))[::-1]:
            route, streams = self._measured(max(int(ceiling), low))
            if not plans or route.extra_macs > plans[-1].extra_macs:
                plan = self._placed(route, streams)
                if not plans or plan.arena_bytes < plans[-1].arena_bytes:
                    plans.append(replace(plan, cut_off=self._search.cut_off))
        return plans

    def _smallest(self, most_macs: int) -> int:
        """The least bytes within so many extra MACs, all pieces of the way there measured."""
        return self._least_of(self._search, most_macs)

    def _least_of(self, search: Search, most_macs: int) -> int:
        while True:
            least = search.smallest(most_macs)
            if least >= IMPOSSIBLE:
                op = self._graph.ops[max(self._gone - 1, 0)]
                raise UnsupportedError(
                    f"the input cannot be streamed: {op.kind} '{op.name}' or an operator before it "
                    "needs the whole of it at once; use --input-memory resident")
            if self._correct(search, search.cheapest(least)):
                return least

    def _measured(self, ceiling: int) -> tuple[Route, dict[int, Stream]]:
        """The cheapest route within the ceiling, all pieces measured; these by first operator."""
        while True:
            route = self._search.cheapest(max(ceiling, 0))
            if self._correct(self._search, route):
                return route, {p.first: self._stream(p)[0] for p in route.pieces
                               if p.config is not None}

    def _correct(self, search: Search, route: Route) -> bool:
        """True where all pieces of the route need what the search believed; else it learns."""
        right = True
        for piece in route.pieces:
            if piece.config is not None:
                stream, live = self._stream(piece)
                if (live, stream.extra_macs) != (piece.live_bytes, piece.extra_macs):
                    search.correct(piece, live, stream.extra_macs)
                    right = False
        return right

    def _stream(self, piece: Piece) -> tuple[Stream, int]:
        """The piece, measured, and exactly what lives while it runs."""
        key = replace(piece, live_bytes=0, extra_macs=0)
        if key not in self._streams:
            stream = measure(self._space, piece, self._memory)
            self._streams[key] = stream, self._live_bytes(piece, stream)
        return self._streams[key]

    def _live_bytes(self, piece: Piece, stream: Stream) -> int:
        """What lives while the piece runs, its output over its input as far as that goes."""
        shared, buffers = 0, self._memory.buffers
        for (written, read), below in stream.below.items():
            output, source = buffers[written], buffers[read]
            if _may_share(output, source, piece):
                extent = max(max(below, 0) + source.size_bytes, output.size_bytes)
                shared = max(shared, output.size_bytes + source.size_bytes - extent)
        return self._apart_bytes(piece, stream) - shared

    def _apart_bytes(self, piece: Piece, stream: Stream) -> int:
        """What lives while the piece runs, were nothing to share memory."""
        alive = [(n, b) for n, b in enumerate(self._memory.buffers)
                 if b.region == "arena" and b.first < piece.last and b.last > piece.first]
        held = (stream.rings[n][2] if n in stream.rings else b.size_bytes for n, b in alive)
        return sum(held) + _size(stream.private)

    def _bound_bytes(self, choices: Sequence[Choice], piece: Piece, stream: Stream | None) -> int:
        """The least bytes of any layout while the piece runs."""
        if stream is None:
            return choices[piece.first].bound_bytes
        buffers = self._memory.buffers
        shared = shared_bytes(buffers, _overlaps(buffers, piece, stream))
        return self._apart_bytes(piece, stream) - shared

    def _within(self, op: int, route: Route) -> list[Choice]:
        """The ways to run an operator layer by layer in what the route needs, the fastest first."""
        return [c for c in self._options[op] if c.bound_bytes <= route.live_bytes]

    def _choices(self, route: Route, most_active: int = IMPOSSIBLE) -> Iterator[Choice]:
        """How each operator runs, those layer by layer beside at most so many live activations."""
        for piece in route.pieces:
            for op in range(piece.first, piece.last):
                if piece.config is None:
                    yield next(c for c in self._within(op, route)
                               if _active_bytes(c) <= most_active)
                else:
                    yield Choice(self._space.variants[op], False, (), piece.live_bytes)

    def _placed(self, route: Route, streams: dict[int, Stream]) -> Plan:
        """Offsets for the buffers of a route, and the plan over them."""
        choices = list(self._choices(route))
        task, segments = self._task(route, streams, choices)
        bounds = [self._bound_bytes(choices, p, streams.get(p.first)) for p in route.pieces]
        bound = max(bounds, default=route.live_bytes)
        layout, memories = allocate(task.problem, bound), rooms(self._graph, self._limits)
        placed = task.placed(layout.offsets)
        if memories:
            placed = in_first(placed, memories) or task.spread(memories, bound)
        return assemble(self._graph, self._target, self._limits, choices, placed,
                        layout.lower_bound_bytes, segments, route.extra_macs)

    def _task(
        self, route: Route, streams: dict[int, Stream], choices: Sequence[Choice],
        private_bytes: int = 0,
    ) -> tuple[Task, list[Segment]]:
        """The buffers of a route, to be placed, and its segments; each has at least `private_bytes`
        of private memory, some of it `UNUSED`."""
        buffers = list(self._memory.buffers)
        overlaps: list[Overlap] = []
        private: list[Buffer] = []
        segments: list[Segment] = []
        for piece in route.pieces:
            if piece.config is None:
                segments.append(alone(piece.first))
                overlaps += choices[piece.first].overlaps
                own = private_buffers(self._graph, piece.first, choices[piece.first].variant)
            else:
                stream = streams[piece.first]
                segments.append(stream.segment)
                overlaps += _stretch(buffers, piece, stream)
                own = stream.private
            private += own
            if _size(own) < private_bytes:
                private.append(Buffer(UNUSED, "arena", UNUSED, piece.first, piece.last,
                                      private_bytes - _size(own), 0, 0, op=piece.first))
        return Task(self._graph, (*buffers, *private), overlaps, segments), segments


def _pushed(graph: Graph, limits: Limits) -> tuple[int, ...]:
    """The model input that the caller hands over row by row, if so."""
    if limits.input_memory != "streamed":
        return ()
    if len(graph.inputs) != 1:
        raise UnsupportedError(f"only a model of one input can have it streamed; this one has "
                               f"{len(graph.inputs)}; use --input-memory resident")
    return graph.inputs


def _size(buffers: Iterable[Buffer]) -> int:
    return sum(b.size_bytes for b in buffers)


def _active_bytes(choice: Choice) -> int:
    """Activations that live at least while an operator runs layer by layer."""
    return choice.bound_bytes - choice.variant.scratch_bytes - choice.variant.state_bytes


def _may_share(output: Buffer, source: Buffer, piece: Piece) -> bool:
    return (output.region == source.region == "arena" and output.last > piece.last
            and piece.first < source.last <= piece.last)


def _stretch(buffers: list[Buffer], piece: Piece, stream: Stream) -> list[Overlap]:
    """Make the buffers that a streamed segment uses live throughout it; rings shrink."""
    for number, buffer in enumerate(buffers):
        if number not in stream.used:
            continue
        last = piece.last if buffer.last <= piece.last else buffer.last
        first = piece.first if buffer.first >= piece.first else buffer.first
        buffer = replace(buffer, first=first, last=last)
        if number in stream.rings:
            rows, pixels, size = stream.rings[number]
            buffer = replace(buffer, size_bytes=size, ring_rows=rows, row_pixels=pixels)
        buffers[number] = buffer
    return _overlaps(buffers, piece, stream)


def _overlaps(buffers: Sequence[Buffer], piece: Piece, stream: Stream) -> list[Overlap]:
    """How far what leaves the segment may lie over what ends in it."""
    return [
        Overlap(written, read, below, buffers[read].size_bytes)
        for (written, read), below in stream.below.items()
        if _may_share(buffers[written], buffers[read], piece)
    ]
