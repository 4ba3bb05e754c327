# SPDX-License-Identifier: MIT
"""Wider tiles for a streamed segment, in memory that would lie idle.

The search knows one width of tiles for all groups of all segments, a small one. Where a segment
needs less than the largest one, or less than what is granted, the rest is free: the wider a group's
tiles, the fewer calls, and the fewer columns that two neighbouring calls both unpack. What saves
the most calls per byte comes first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tinyeff.ir import Graph
from tinyeff.planner.lifetimes import Lifetimes
from tinyeff.planner.measuring import Stream, widest_tiles
from tinyeff.planner.sizes import pixel_bytes
from tinyeff.planner.streams import Space
from tinyeff.planner.tiles import tile_sizes
from tinyeff.schedule import StageGroup

STEP_PIXELS = 6
"""Tiles narrower than a row are a multiple of it: kernels take pixels in twos and threes."""

MOST_TILES = 16
"""In a row, of the tilings that are tried beside the narrowest."""


@dataclass(frozen=True)
class Tiling:
    """Tiles of a group: what they hold, as `Stream.rings` says it, and calls for a row of it."""

    group: StageGroup
    held: dict[int, tuple[int, int, int]]
    calls: int

    @property
    def size_bytes(self) -> int:
        """Bytes of all that is held one tile at a time."""
        return sum(size for _, _, size in self.held.values())


def widened(space: Space, memory: Lifetimes, stream: Stream, spare_bytes: int) -> Stream:
    """The stream with tiles that need at most `spare_bytes` more."""
    options = {g.stages[0].op: _tilings(space.graph, memory, stream, g)
               for g in space.groups(stream.segment) if g.tile_pixels < g.pixels}
    chosen = {op: tilings[0] for op, tilings in options.items()}
    while steps := [
        (op, wide) for op, narrow in chosen.items() for wide in options[op]
        if wide.calls < narrow.calls and wide.size_bytes - narrow.size_bytes <= spare_bytes
    ]:
        op, wide = max(steps, key=lambda step: _gain(chosen[step[0]], step[1]))
        spare_bytes -= wide.size_bytes - chosen[op].size_bytes
        chosen[op] = wide
    groups = list(stream.segment.groups)
    for number, group in enumerate(groups):
        for op in chosen.keys() & range(group.first, group.last):
            groups[number] = replace(group, tile_pixels=chosen[op].group.tile_pixels)
    rings = dict(stream.rings)
    for tiling in chosen.values():
        rings |= tiling.held
    return replace(stream, segment=replace(stream.segment, groups=tuple(groups)), rings=rings)


def _tilings(graph: Graph, memory: Lifetimes, stream: Stream, group: StageGroup) -> list[Tiling]:
    """The group as it is, then with wider tiles."""
    parts = (STEP_PIXELS * -(-size // STEP_PIXELS)
             for size in tile_sizes(group.pixels, MOST_TILES))
    wider = {min(size, group.pixels) for size in (STEP_PIXELS, 2 * STEP_PIXELS, *parts)
             if size > group.tile_pixels}
    return [_tiling(graph, memory, stream, replace(group, tile_pixels=size))
            for size in (group.tile_pixels, *sorted(wider))]


def _tiling(graph: Graph, memory: Lifetimes, stream: Stream, group: StageGroup) -> Tiling:
    held = {}
    for stage, pixels in zip(group.stages[:-1], widest_tiles(group)[:-1], strict=True):
        for tensor in stage.outputs:
            buffer = memory.home[tensor]
            rows = stream.rings[buffer][0]
            held[buffer] = rows, pixels, rows * pixels * pixel_bytes(graph.tensors[tensor])
    return Tiling(group, held, sum(-(-(x1 - x0) // group.tile_pixels) for x0, x1 in group.stripes))


def _gain(narrow: Tiling, wide: Tiling) -> float:
    """Calls that are saved for a byte."""
    group = wide.group
    calls = (narrow.calls - wide.calls) * group.rows * len(group.stages)
    return calls / max(wide.size_bytes - narrow.size_bytes, 1)
