# SPDX-License-Identifier: MIT
"""What a streamed segment really needs, found by running its order: rings, tiles, MACs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tinyeff.ir import Buffer, Graph, Segment, Variant
from tinyeff.ops import operator_of
from tinyeff.ops.operator import node_of
from tinyeff.planner import sizes
from tinyeff.planner.lifetimes import Lifetimes, private_buffers
from tinyeff.planner.rings import Run, simulate
from tinyeff.planner.search import Piece
from tinyeff.planner.streams import PROGRESS_BYTES, Space
from tinyeff.schedule import Renaming, StageGroup, Tile, spread


@dataclass(frozen=True)
class Stream:
    """A streamed segment, measured by running its order.

    `rings` maps buffers to (rows, pixels of a row, bytes) held inside; `below` maps pairs of
    buffers (output, input) to the bytes by which the one must start before the other. `used` are
    all buffers that some group reads or writes; `private` are scratch memory, states and row
    counters. `extra_macs` are those beyond the graph's, below 0 where rows are left out that nobody
    reads.
    """

    segment: Segment
    rings: dict[int, tuple[int, int, int]]
    below: dict[tuple[int, int], int]
    used: frozenset[int]
    private: tuple[Buffer, ...]
    extra_macs: int


@dataclass(frozen=True)
class Extent:
    """A stage of a group: rows and columns of its largest tile, and pixels that it computes."""

    rows: int
    pixels: int
    computed: int


def measure(space: Space, piece: Piece, memory: Lifetimes) -> Stream:
    """Run the order of a piece and see what it holds and computes."""
    assert piece.config is not None
    graph, names = space.graph, space.names
    segment = space.segment(piece.first, piece.last, piece.config)
    groups = space.groups(segment)
    run = simulate(graph, names, groups, space.variants)
    extents = [list(_extents(g, rows)) for g, rows in zip(groups, run.rows, strict=True)]
    apart = {(memory.home[w], memory.home[r]): below for (w, r), below in run.below.items()}
    used = frozenset(memory.home[t] for g in groups for s in g.stages
                     for t in (*(o.tensor for o in s.operands), *s.outputs))
    return Stream(segment, _held(graph, memory, names, piece, groups, run, extents),
                  apart, used, tuple(_private(graph, space.variants, segment, len(groups))),
                  _extra_macs(graph, groups, extents))


def _held(
    graph: Graph, memory: Lifetimes, names: Renaming, piece: Piece,
    groups: tuple[StageGroup, ...], run: Run, extents: list[list[Extent]],
) -> dict[int, tuple[int, int, int]]:
    """For each buffer of which only a part is held: (rows, pixels of a row, bytes)."""
    held: dict[int, tuple[int, int, int]] = {}
    widths = {names.root(t): max(x1 - x0 for x0, x1 in g.stripes)
              for g in groups if g.striped for t in g.stages[-1].outputs}
    for tensor, rows in run.rings.items():
        buffer, record = memory.home[tensor], graph.tensors[tensor]
        rows, pixels = min(rows, record.rows), widths.get(tensor, 0)
        inside = memory.buffers[buffer].last <= piece.last
        if inside and (rows < record.rows or pixels):
            held[buffer] = (rows, pixels,
                            rows * (pixels or record.pixels) * sizes.pixel_bytes(record))
    for group, parts in zip(groups, extents, strict=True):
        for stage, part in zip(group.stages[:-1], parts[:-1], strict=True):
            for tensor in stage.outputs:
                pixel = sizes.pixel_bytes(graph.tensors[tensor])
                held[memory.home[tensor]] = part.rows, part.pixels, part.rows * part.pixels * pixel
    return held


def _extents(group: StageGroup, rows: int) -> Iterator[Extent]:
    """What each stage of a group computes in `rows` rows of its map, in all stripes.

    Rows of a tile do not depend on its columns, nor the other way round.
    """
    steps = range(0, rows, group.tile_rows)
    begin, end = group.stripes[0]
    down = [spread(group.stages, Tile(y, min(y + group.tile_rows, group.rows), begin, end, begin))
            for y in steps]
    across = _across(group)
    for number in range(len(group.stages)):
        heights = [t[number].y1 - t[number].y0 for t in down]
        columns = [[t[number] for t in tiles] for tiles in across]
        if group.slides:  # columns are computed once
            total = sum(max(t.x1 for t in tiles) - min(t.x0 for t in tiles)
                        for tiles in columns if tiles)
        else:
            total = sum(t.x1 - t.x0 for tiles in columns for t in tiles)
        yield Extent(max([1, *heights]), _widest(columns), sum(heights) * total)


def widest_tiles(group: StageGroup) -> list[int]:
    """The pixels of the widest tile of each stage."""
    across = _across(group)
    return [_widest([[t[number] for t in tiles] for tiles in across])
            for number in range(len(group.stages))]


def _across(group: StageGroup) -> list[list[tuple[Tile, ...]]]:
    """The tiles of all stages in one row of the group's map, stripe by stripe."""
    return [[spread(group.stages, Tile(0, 1, x, min(x + group.tile_pixels, x1), x))
             for x in range(x0, x1, group.tile_pixels)] for x0, x1 in group.stripes]


def _widest(columns: list[list[Tile]]) -> int:
    return max([1, *(t.x1 - t.x0 for tiles in columns for t in tiles)])


def _extra_macs(
    graph: Graph, groups: tuple[StageGroup, ...], extents: list[list[Extent]]
) -> int:
    """MACs that are computed beyond those of the graph."""
    extra = 0
    for group, parts in zip(groups, extents, strict=True):
        for stage, part in zip(group.stages, parts, strict=True):
            if stage.form == "rows":
                node = node_of(graph, graph.ops[stage.op])
                macs = operator_of(graph.ops[stage.op].kind).macs(node)
                extra += macs * part.computed // (node.output.rows * node.output.pixels) - macs
    return extra


def _private(
    graph: Graph, variants: tuple[Variant, ...], segment: Segment, groups: int
) -> Iterator[Buffer]:
    """Scratch that the segment's operators share, their states, and the row counters."""
    first, last = segment.first, segment.last
    each = [b for op in range(first, last) for b in private_buffers(graph, op, variants[op])]
    yield from (replace(b, first=first, last=last) for b in each if b.name.startswith("state"))
    scratch = max((b.size_bytes for b in each if b.name.startswith("scratch")), default=0)
    counters = PROGRESS_BYTES * groups if groups > 1 else 0
    for name, size in (("scratch", scratch), ("progress", counters)):
        if size:
            title = f"{name} of operators {first} to {last - 1}"
            yield Buffer(title, "arena", title, first, last, size, 0, 0, op=first)
