# SPDX-License-Identifier: MIT
"""The streamed strategy: runs of operators row by row, each holding only the rows still needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

from tinyeff.errors import UnsupportedError
from tinyeff.ir import Buffer, Graph, Limits, Plan, Segment, Target, Variant
from tinyeff.planner import sizes
from tinyeff.planner.allocation import allocate
from tinyeff.planner.assembly import alone, assemble
from tinyeff.planner.choices import VIEW, Choice, shared_bytes, smallest, ways
from tinyeff.planner.lifetimes import Lifetimes, lifetimes, private_buffers
from tinyeff.planner.overlap import Overlap
from tinyeff.planner.per_layer import live_buffers, plan_per_layer
from tinyeff.planner.placement import Task
from tinyeff.planner.rings import simulate
from tinyeff.planner.search import Piece, Route, Search
from tinyeff.planner.streams import IMPOSSIBLE, PROGRESS_BYTES, Space
from tinyeff.schedule import Renaming, StageGroup, schedule, tiles_of


def plan_stream(
    graph: Graph, target: Target, limits: Limits, arena_bytes: int | None = None
) -> Plan:
    """The plan with the fewest kernel calls that needs at most `arena_bytes`, at no extra MACs.

    Without `arena_bytes`, and where nothing is that small, the smallest arena counts first.
    """
    memory = lifetimes(graph, limits.input_memory)
    live = list(live_buffers(graph, memory.buffers))
    options = [ways(graph, memory, alive, step) for step, alive in enumerate(live)]
    variants = [min(op.variants, key=lambda v: v.cost, default=VIEW) for op in graph.ops]
    pushed = _pushed(graph, limits)
    space = Space(graph, memory, variants, pushed)
    least = [c.bound_bytes for c in smallest(options)]
    gone = max((memory.buffers[memory.home[tensor]].last for tensor in pushed), default=0)
    if gone > len(graph.ops):
        raise UnsupportedError("the input cannot be streamed: an output of the model is the input "
                               "itself, so that all of it must be kept; use --input-memory "
                               "resident")
    search = Search(space, [IMPOSSIBLE] * gone + least[gone:])
    if search.smallest() >= IMPOSSIBLE:
        raise UnsupportedError(
            f"the input cannot be streamed: {graph.ops[gone - 1].kind} '{graph.ops[gone - 1].name}'"
            " or an operator before it needs the whole of it at once; use --input-memory resident")
    route, streams = _measured(space, search, memory, arena_bytes or 0)
    choices = [
        next(c for c in options[step] if c.bound_bytes <= route.live_bytes)
        if piece is None else Choice(variants[step], False, (), piece.live_bytes)
        for step, piece in enumerate(_piece_of_each(route, len(graph.ops)))
    ]
    result = _placed(graph, target, limits, memory, choices, route, streams)
    if result.arena_bytes > max(least, default=0) and not pushed:
        # Gaps between buffers took what streaming saves.
        return min(plan_per_layer(graph, target, limits), result, key=lambda p: p.arena_bytes)
    return result


def _pushed(graph: Graph, limits: Limits) -> tuple[int, ...]:
    """The model input that the caller hands over row by row, if so."""
    if limits.input_memory != "streamed":
        return ()
    if len(graph.inputs) != 1:
        raise UnsupportedError(f"only a model of one input can have it streamed; this one has "
                               f"{len(graph.inputs)}; use --input-memory resident")
    return graph.inputs


def _piece_of_each(route: Route, count: int) -> list[Piece | None]:
    """For each operator the streamed piece that holds it."""
    result: list[Piece | None] = [None] * count
    for piece in route.pieces:
        if piece.config is not None:
            result[piece.first:piece.last] = [piece] * (piece.last - piece.first)
    return result


@dataclass(frozen=True)
class Stream:
    """A streamed segment, measured by running its order.

    `rings` maps buffers to (rows, pixels of a row, bytes) held inside; `below` maps pairs of
    buffers (output, input) to the bytes by which the one must start before the other. `used` are
    all buffers that some group reads or writes.
    """

    segment: Segment
    rings: dict[int, tuple[int, int, int]]
    below: dict[tuple[int, int], int]
    used: frozenset[int]
    groups: int


def _measured(
    space: Space, search: Search, memory: Lifetimes, arena_bytes: int
) -> tuple[Route, dict[int, Stream]]:
    """The best route whose streamed pieces have all been measured, and these by first operator."""
    while True:
        route = search.fastest(max(search.smallest(), arena_bytes))
        streams: dict[int, Stream] = {}
        wrong = False
        for piece in route.pieces:
            if piece.config is not None:
                stream = measure(space, piece, memory)
                streams[piece.first] = stream
                live = _live_bytes(space, memory, piece, stream)
                if live != piece.live_bytes:
                    search.correct(piece, live)
                    wrong = True
        if not wrong:
            return route, streams


def measure(space: Space, piece: Piece, memory: Lifetimes) -> Stream:
    """Run the order of a piece and see what it holds."""
    assert piece.config is not None
    graph, names = space.graph, Renaming(space.graph)
    segment = space.segment(piece.first, piece.last, piece.config)
    groups = schedule(graph, (segment,), space.variants, (False,) * len(graph.ops))[0]
    rings, below = simulate(graph, names, groups)
    held: dict[int, tuple[int, int, int]] = {}
    widths = {names.root(t): max(x1 - x0 for x0, x1 in g.stripes)
              for g in groups if g.striped for t in g.stages[-1].outputs}
    for tensor, rows in rings.items():
        buffer, record = memory.home[tensor], graph.tensors[tensor]
        rows, pixels = min(rows, record.rows), widths.get(tensor, 0)
        inside = memory.buffers[buffer].last <= piece.last
        if inside and (rows < record.rows or pixels):
            held[buffer] = (rows, pixels,
                            rows * (pixels or record.pixels) * sizes.pixel_bytes(record))
    for tensor, (rows, pixels) in _tile_sizes(groups).items():
        record = graph.tensors[tensor]
        held[memory.home[tensor]] = (rows, pixels, rows * pixels * sizes.pixel_bytes(record))
    apart = {(memory.home[w], memory.home[r]): bytes_below
             for (w, r), bytes_below in below.items()}
    used = frozenset(memory.home[t] for g in groups for s in g.stages
                     for t in (*(o.tensor for o in s.operands), *s.outputs))
    return Stream(segment, held, apart, used, len(groups))


def _tile_sizes(groups: Sequence[StageGroup]) -> dict[int, tuple[int, int]]:
    """(rows, columns) that each tensor inside a group needs, over all tiles."""
    found: dict[int, tuple[int, int]] = {}
    for group in groups:
        if len(group.stages) == 1:
            continue
        for y, stripe in product(range(0, group.rows, group.tile_rows), range(len(group.stripes))):
            for tiles in tiles_of(group, y, min(y + group.tile_rows, group.rows), stripe):
                for stage, tile in zip(group.stages[:-1], tiles[:-1], strict=True):
                    for tensor in stage.outputs:
                        rows, pixels = found.get(tensor, (1, 1))
                        found[tensor] = (max(rows, tile.y1 - tile.y0),
                                         max(pixels, tile.x1 - tile.x0))
    return found


def _live_bytes(space: Space, memory: Lifetimes, piece: Piece, stream: Stream) -> int:
    """Exactly what lives while the piece runs, its output over its input as far as that goes."""
    shared = 0
    for (written, read), below in stream.below.items():
        output, source = memory.buffers[written], memory.buffers[read]
        if _may_share(output, source, piece):
            extent = max(max(below, 0) + source.size_bytes, output.size_bytes)
            shared = max(shared, output.size_bytes + source.size_bytes - extent)
    return _apart_bytes(space.graph, memory, space.variants, piece, stream) - shared


def _apart_bytes(
    graph: Graph, memory: Lifetimes, variants: Sequence[Variant], piece: Piece, stream: Stream
) -> int:
    """What lives while the piece runs, were nothing to share memory."""
    alive = [(n, b) for n, b in enumerate(memory.buffers)
             if b.region == "arena" and b.first < piece.last and b.last > piece.first]
    held = (stream.rings[n][2] if n in stream.rings else b.size_bytes for n, b in alive)
    return sum(held) + sum(b.size_bytes for b in _private(graph, variants, stream))


def _bound_bytes(
    graph: Graph, memory: Lifetimes, choices: Sequence[Choice], piece: Piece,
    streams: dict[int, Stream],
) -> int:
    """The least bytes of any layout while the piece runs."""
    if piece.config is None:
        return choices[piece.first].bound_bytes
    stream, variants = streams[piece.first], [c.variant for c in choices]
    shared = shared_bytes(memory.buffers, _overlaps(memory.buffers, piece, stream))
    return _apart_bytes(graph, memory, variants, piece, stream) - shared


def _may_share(output: Buffer, source: Buffer, piece: Piece | Segment) -> bool:
    return (output.region == source.region == "arena" and output.last > piece.last
            and piece.first < source.last <= piece.last)


def _private(graph: Graph, variants: Sequence[Variant], stream: Stream) -> list[Buffer]:
    """Scratch that the segment's operators share, their states, and the row counters."""
    first, last = stream.segment.first, stream.segment.last
    each = [b for op in range(first, last) for b in private_buffers(graph, op, variants[op])]
    buffers = [replace(b, first=first, last=last) for b in each if b.name.startswith("state")]
    scratch = max((b.size_bytes for b in each if b.name.startswith("scratch")), default=0)
    counters = PROGRESS_BYTES * stream.groups if stream.groups > 1 else 0
    for name, size in (("scratch", scratch), ("progress", counters)):
        if size:
            title = f"{name} of operators {first} to {last - 1}"
            buffers.append(Buffer(title, "arena", title, first, last, size, 0, 0, op=first))
    return buffers


def _placed(
    graph: Graph, target: Target, limits: Limits, memory: Lifetimes, choices: Sequence[Choice],
    route: Route, streams: dict[int, Stream],
) -> Plan:
    """Offsets for the buffers of a route, and the plan over them."""
    buffers = list(memory.buffers)
    overlaps: list[Overlap] = []
    private: list[Buffer] = []
    segments: list[Segment] = []
    for piece in route.pieces:
        if piece.config is None:
            segments.append(alone(piece.first))
            overlaps += choices[piece.first].overlaps
            private += private_buffers(graph, piece.first, choices[piece.first].variant)
            continue
        stream = streams[piece.first]
        segments.append(stream.segment)
        overlaps += _stretch(buffers, piece, stream)
        private += _private(graph, [c.variant for c in choices], stream)
    task = Task(graph, (*buffers, *private), overlaps, segments)
    bounds = [_bound_bytes(graph, memory, choices, piece, streams) for piece in route.pieces]
    layout = allocate(task.problem, max(bounds, default=route.live_bytes))
    return assemble(graph, target, limits, choices, task.placed(layout.offsets),
                    layout.lower_bound_bytes, segments, route.extra_macs)


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
