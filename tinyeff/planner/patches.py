# SPDX-License-Identifier: MIT
"""The patch-based strategy: the first operators patch by patch, all others layer by layer.

The patch stage cuts the output of operator n - 1 into a grid and computes one tile after the other,
through all n operators; halos are computed anew for every tile that needs them. Only what enters
and leaves the stage is whole; what lies between is as large as the largest tile needs, and shares
memory over time operator by operator, since nothing is kept from one tile to the next.

    image    |####|####|        whole        tiles at the image's border are cut off there
    op 0       |-----|          one tile and its halo
    op 1        |---|           one tile
    op 2     |####|----|        whole, filled tile by tile

Every n and every grid of up to 8 x 8 is looked at. Source of the idea: Lin et al., MCUNetV2:
Memory-Efficient Patch-based Inference for Tiny Deep Learning, NeurIPS 2021.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tinyeff.ir import Buffer, Graph, Group, Limits, Op, Plan, Segment, Target
from tinyeff.ops import operator_of
from tinyeff.ops.operator import node_of
from tinyeff.planner import sizes
from tinyeff.planner.assembly import alone, assemble
from tinyeff.planner.budget import rooms
from tinyeff.planner.choices import VIEW, Choice, bound_bytes, shared_bytes, smallest, ways
from tinyeff.planner.lifetimes import Lifetimes, lifetimes
from tinyeff.planner.overlap import Overlap
from tinyeff.planner.per_layer import lay_out, live_buffers, plan_per_layer
from tinyeff.planner.tiles import Axis, Ints, reach
from tinyeff.schedule import ALONE, Renaming, Stage, StageGroup, Tile, schedule, spread

MOST_LAYOUTS = 12
"""How many patch stages are laid out at most to find the best; nearly always the first is it."""


MOST_OPERATORS = 256
"""Of a patch stage: halos grow with each, and the search with their square."""


def plan_patch(
    graph: Graph, target: Target, limits: Limits, arena_bytes: int | None = None
) -> Plan:
    """The plan with the least extra MACs, then bytes, that needs at most `arena_bytes`.

    Without `arena_bytes`, and where nothing is that small, the smallest arena counts first. Extra
    MACs stay within `limits.max_overhead`. Where no patch stage is better, all is layer by layer.
    """
    def rank(size: int, extra_macs: int) -> tuple[int, int, int]:
        return max(size, arena_bytes or 0), extra_macs, size

    def promise(patch: Patch) -> tuple[int, int, int]:
        return rank(search.arena_bytes(patch), patch.extra_macs)

    best = plan_per_layer(graph, target, limits)
    search = PatchSearch(graph, target, limits)
    most = None if limits.max_overhead is None else limits.max_overhead * best.macs
    patches = [p for p in search.patches() if most is None or p.extra_macs <= most]
    layouts = 0
    while patches and layouts < MOST_LAYOUTS:
        patch = min(patches, key=lambda p: (promise(p), -p.tile_rows * p.tile_pixels))
        if promise(patch) >= rank(best.arena_bytes, best.extra_macs):
            break  # the arena may turn out larger, never smaller
        if search.lay_out_rest(patch.last):
            continue
        plan = search.plan(patch)
        best = min(best, plan, key=lambda p: rank(p.arena_bytes, p.extra_macs))
        patches.remove(patch)
        layouts += 1
    return best


@dataclass(frozen=True)
class Patch:
    """Operators [0, last) in tiles of `tile_rows` x `tile_pixels` of what the last one writes.

    `stage_bytes` is the least that the arena needs for them.
    """

    last: int
    tile_rows: int
    tile_pixels: int
    stage_bytes: int
    extra_macs: int


class PatchSearch:
    """All patch stages of a graph whose operators carry their variants."""

    def __init__(self, graph: Graph, target: Target, limits: Limits) -> None:
        self._graph, self._target, self._limits = graph, target, limits
        self._memory = lifetimes(graph, limits.input_memory)
        self._options = [ways(graph, self._memory, live, step) for step, live in
                         enumerate(live_buffers(graph, self._memory.buffers))]
        self._scratch = [min((v.scratch_bytes for v in op.variants), default=0) for op in graph.ops]
        self._macs = [operator_of(op.kind).macs(node_of(graph, op)) for op in graph.ops]
        least = [c.bound_bytes for c in smallest(self._options)]
        self._rest = [max(least[step:], default=0) for step in range(len(least) + 1)]
        self._laid_out: set[int] = set()
        longest = longest_stage(graph)
        self._stages = self._group(0, 0, longest).stages if longest else ()

    def patches(self) -> Iterator[Patch]:
        """Every patch stage of two operators or more in more than one tile."""
        needed_until = 0
        for count, stage in enumerate(self._stages, 1):
            if count > 1 and needed_until <= stage.op + 1:
                yield from self._grids(self._stages[:count], stage.op + 1)
            for tensor in stage.outputs:
                needed_until = max(needed_until, self._buffer(tensor).last)

    def grid(self, patch: Patch) -> tuple[int, int]:
        """Rows and columns of the tiles of a patch stage."""
        output = self._graph.tensors[self._graph.ops[patch.last - 1].outputs[0]]
        return -(-output.rows // patch.tile_rows), -(-output.pixels // patch.tile_pixels)

    def stage_macs(self) -> list[int]:
        """MACs of every operator of the graph, each computed once."""
        return list(self._macs)

    def arena_bytes(self, patch: Patch) -> int:
        """The least arena for `patch` and all other operators, as far as it is known."""
        return max(patch.stage_bytes, self._rest[patch.last])

    def lay_out_rest(self, last: int) -> bool:
        """Find out what operators from `last` on really need; False where that is known."""
        if last in self._laid_out:
            return False
        self._laid_out.add(last)
        buffers = tuple(b if b.last > last else replace(b, region="none")
                        for b in self._memory.buffers)
        memory = Lifetimes(buffers, self._memory.home)
        options = [(Choice(VIEW, False, (), 0),)] * last + [
            ways(self._graph, memory, live, step)
            for step, live in enumerate(live_buffers(self._graph, buffers)) if step >= last]
        _, placed, _ = lay_out(self._graph, memory, options)
        arena = (b for b in placed if b.region == "arena")
        self._rest[last] = max((b.offset_bytes + b.size_bytes for b in arena), default=0)
        return True

    def plan(self, patch: Patch, masked: bool = False) -> Plan:
        """The plan that runs `patch` and then all other operators layer by layer."""
        graph = self._graph
        group = self._group(patch.tile_rows, patch.tile_pixels, patch.last)
        held, computed = measure(group)
        memory = self._lifetimes(group.stages, patch.last, held)
        rows = reach(group.stages, group.rows, by_rows=True)
        cut = rows.tiles.index(patch.tile_rows)
        rules = self._overlaps(group.stages, patch.last, rows, cut)
        options = [
            self._inside(memory.buffers, live, step, rules) if step < patch.last
            else ways(graph, memory, live, step)
            for step, live in enumerate(live_buffers(graph, memory.buffers))
        ]
        choices, buffers, proven = lay_out(graph, memory, options, rooms(graph, self._limits))
        segment = patch_segment(patch.last, patch.tile_rows, patch.tile_pixels)
        segments = [replace(segment, masked=masked),
                    *(alone(op) for op in range(patch.last, len(graph.ops)))]
        macs = sum(self._macs[s.op] * computed[s.op] // _pixels(graph, s) for s in group.stages)
        extra = macs - sum(self._macs[s.op] for s in group.stages)
        return assemble(graph, self._target, self._limits, choices, buffers, proven, segments,
                        extra)

    # Candidates -------------------------------------------------------------------------------

    def _grids(self, stages: Sequence[Stage], last: int) -> Iterator[Patch]:
        """All grids over the output of `stages`, which end with operator `last` - 1."""
        output = self._graph.tensors[stages[-1].outputs[0]]
        rows = reach(stages, output.rows, by_rows=True)
        columns = reach(stages, output.pixels, by_rows=False)
        needs = self._bytes(stages, last, rows, columns)
        extra = self._extra_macs(stages, rows, columns)
        for r, tile_rows in enumerate(rows.tiles):
            for c, tile_pixels in enumerate(columns.tiles):
                if r or c:
                    yield Patch(last, tile_rows, tile_pixels, int(needs[r, c]), int(extra[r, c]))

    def _bytes(self, stages: Sequence[Stage], last: int, rows: Axis, columns: Axis) -> Ints:
        """Bytes (R, C) that the stage needs at its peak with each grid."""
        buffers = self._lifetimes(stages, last, {}).buffers
        live = np.zeros((last, len(rows.tiles), len(columns.tiles)), np.int64)
        inner = set()
        for number, stage in enumerate(stages[:-1]):
            tile = np.outer(rows.most[:, number], columns.most[:, number])
            for tensor in stage.outputs:
                inner.add(self._memory.home[tensor])
                buffer = self._buffer(tensor)
                pixel = sizes.pixel_bytes(self._graph.tensors[tensor])
                live[buffer.first:buffer.last] += tile * pixel
        for n, buffer in enumerate(buffers):
            if n not in inner and buffer.region == "arena":
                live[buffer.first:buffer.last] += buffer.size_bytes
        live += np.array(self._scratch[:last])[:, None, None]
        shared = [shared_bytes(buffers, self._overlaps(stages, last, rows, cut))
                  for cut in range(len(rows.tiles))]
        needs: Ints = live.max(axis=0) - np.array(shared)[:, None]
        return needs

    def _extra_macs(self, stages: Sequence[Stage], rows: Axis, columns: Axis) -> Ints:
        """MACs (R, C) beyond those of the graph with each grid."""
        total = np.zeros((len(rows.tiles), len(columns.tiles)), np.int64)
        for number, stage in enumerate(stages):
            computed = np.outer(rows.total[:, number], columns.total[:, number])
            macs = self._macs[stage.op]
            total += macs * computed // _pixels(self._graph, stage) - macs
        return total

    # Memory -----------------------------------------------------------------------------------

    def _buffer(self, tensor: int) -> Buffer:
        return self._memory.buffers[self._memory.home[tensor]]

    def _lifetimes(
        self, stages: Sequence[Stage], last: int, held: dict[int, tuple[int, int]]
    ) -> Lifetimes:
        """What enters and leaves the stage lives throughout; inside, `held` rows and columns."""
        buffers, home = list(self._memory.buffers), self._memory.home
        for tensor in stages[-1].outputs:
            buffers[home[tensor]] = replace(buffers[home[tensor]], first=0)
        for number in self._outside(stages):
            until = max(last, buffers[number].last)
            buffers[number] = replace(buffers[number], last=until)
        for tensor, (rows, pixels) in held.items():
            size = rows * pixels * sizes.pixel_bytes(self._graph.tensors[tensor])
            buffers[home[tensor]] = replace(buffers[home[tensor]], size_bytes=size,
                                            ring_rows=rows, row_pixels=pixels)
        return Lifetimes(tuple(buffers), home)

    def _outside(self, stages: Sequence[Stage]) -> set[int]:
        """Buffers that the stage reads and does not write."""
        return {self._memory.home[o.tensor] for s in stages for o in s.operands
                if o.producer == ALONE}

    def _overlaps(
        self, stages: Sequence[Stage], last: int, rows: Axis, cut: int
    ) -> tuple[Overlap, ...]:
        """How far the stage's outputs may lie over inputs that end with it.

        A row of tiles may overwrite the input rows above those that it and later ones need.
        """
        home, tensors = self._memory.home, self._graph.tensors
        below: dict[tuple[int, int], int] = {}
        for written in stages[-1].outputs:
            into, end = self._buffer(written), tensors[written].rows
            for read, cuts in rows.needed.items():
                source = self._buffer(read)
                if into.region == source.region == "arena" and source.last <= last:
                    first = np.minimum.accumulate(cuts[cut][::-1])[::-1]
                    first = np.minimum(first, tensors[read].rows)
                    done = np.minimum((np.arange(len(first)) + 1) * rows.tiles[cut], end)
                    apart = (done * sizes.row_bytes(tensors[written])
                             - first * sizes.row_bytes(tensors[read])).max()
                    pair = home[written], home[read]
                    below[pair] = max(below.get(pair, -source.size_bytes), int(apart))
        return tuple(Overlap(into, source, apart, self._memory.buffers[source].size_bytes)
                     for (into, source), apart in below.items())

    def _inside(
        self, buffers: Sequence[Buffer], live: Sequence[int], step: int,
        rules: tuple[Overlap, ...],
    ) -> tuple[Choice, ...]:
        """The ways to run an operator of the patch stage, the fastest first."""
        variants = dict.fromkeys(c.variant for c in self._options[step])
        return tuple(
            Choice(v, False, rules, bound_bytes(self._graph, buffers, live, step, v, rules))
            for v in variants)

    def _group(self, tile_rows: int, tile_pixels: int, last: int) -> StageGroup:
        """Operators [0, last) in tiles."""
        segment = patch_segment(last, tile_rows, tile_pixels)
        variants = tuple(c.variant for c in smallest(self._options))
        flat = (False,) * len(self._graph.ops)
        return schedule(self._graph, (segment,), variants, flat)[0][0]


def patch_segment(last: int, tile_rows: int, tile_pixels: int) -> Segment:
    """Operators [0, last) patch by patch."""
    return Segment("patch", 0, last, (Group(0, last, tile_rows, tile_pixels),))


def longest_stage(graph: Graph) -> int:
    """How many operators, from the first on, a patch stage can hold; 0 where it is none.

    They compute rows, each column by column, from windows that one step per row and column gives,
    and all that they write measures the same. Views of model inputs may lie between them. None
    lies behind an early exit. Networks profit from a few dozen; at most MOST_OPERATORS are looked
    at.
    """
    names = Renaming(graph)
    count = 0
    end = graph.exits[0].after if graph.exits else len(graph.ops)
    for index, op in enumerate(graph.ops[:min(end, MOST_OPERATORS)]):
        if index in names.views:
            if names.root(op.outputs[0]) not in graph.inputs:
                break
        elif _can_tile(graph, op):
            count = index + 1
        else:
            break
    return count


def _can_tile(graph: Graph, op: Op) -> bool:
    node, operator = node_of(graph, op), operator_of(op.kind)
    if operator.form_of(node) != "rows" or len({(t.rows, t.pixels) for t in node.outputs}) > 1:
        return False
    numbers = range(len(node.activations))
    return all(w.divisor == 1 for n in numbers
               for w in (operator.window(node, n), operator.columns(node, n)))


def measure(group: StageGroup) -> tuple[dict[int, tuple[int, int]], dict[int, int]]:
    """(rows, columns) that each tensor inside a group needs, and pixels that each operator
    computes, over all tiles."""
    held: dict[int, tuple[int, int]] = {}
    computed = dict.fromkeys((s.op for s in group.stages), 0)
    for y in range(0, group.rows, group.tile_rows):
        for x in range(0, group.pixels, group.tile_pixels):
            last = Tile(y, min(y + group.tile_rows, group.rows),
                        x, min(x + group.tile_pixels, group.pixels), x)
            for stage, tile in zip(group.stages, spread(group.stages, last), strict=True):
                height, width = (0, 0) if tile.is_empty else (tile.y1 - tile.y0, tile.x1 - tile.x0)
                computed[stage.op] += height * width
                for tensor in stage.outputs if stage.inner else ():
                    rows, pixels = held.get(tensor, (1, 1))
                    held[tensor] = max(rows, height), max(pixels, width)
    return held, computed


def _pixels(graph: Graph, stage: Stage) -> int:
    """Output pixels of a stage's operator."""
    output = graph.tensors[stage.outputs[0]]
    return output.rows * output.pixels
