# SPDX-License-Identifier: MIT
"""What it costs to stream operators [a, b) of a graph as one segment.

Inside a segment every tensor is a ring of rows. What enters it from before and what is used after
it are whole buffers; the output may lie over the input as far as the order of rows allows.

    bytes = what only passes by + rings inside + input + output - what they share

Ring heights hardly depend on where the segment ends, so they are found once, by running the order
of the whole graph (see rings.py); the search may then look at every pair of cuts. What it chooses
is measured again, exactly.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from tinyeff.ir import Graph, Group, Segment, Variant, Window
from tinyeff.ops import form_of, operator_of
from tinyeff.ops.operator import node_of
from tinyeff.planner import sizes
from tinyeff.planner.lifetimes import Lifetimes
from tinyeff.planner.rings import overwrites, simulate
from tinyeff.schedule import Scheduler, StageGroup, activations

Rows = npt.NDArray[np.int64]
IMPOSSIBLE = 1 << 60
"""The cost of a segment that cannot be: its input has gone by."""

PROGRESS_BYTES = 4
"""What one group's row counter takes."""


@dataclass(frozen=True)
class Layer:
    """An operator as the search sees it; `rows` is the height of the map that it steps through.

    `reads` are (buffer, rows needed per row), `takes` (buffer, its pixels, columns needed per
    column) of every operand; `result` is the buffer that it writes, `overwrites` are those that
    it may write over pixel by pixel. `feeds` says
    that the next operator takes its output pixel by pixel and nobody else reads it; `expands` that
    it works pixel by pixel and only the next operator, a window over rows, reads it.
    """

    op: int
    streams: bool
    rows: int
    pixels: int
    reads: tuple[tuple[int, Window], ...]
    result: int
    scratch_bytes: int
    state_bytes: int
    macs: int
    feeds: bool = False
    expands: bool = False
    columns: Window = Window()
    pixel_bytes: int = 0
    takes: tuple[tuple[int, int, Window], ...] = ()
    overwrites: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Config:
    """How a segment streams: `tile_pixels` between operators that work pixel by pixel (0: whole
    rows), which operators are computed anew for every row that needs them, and in stripes of how
    many columns of the last map (0: all at once)."""

    tile_pixels: int = 0
    recomputed: frozenset[int] = frozenset()
    stripe_pixels: int = 0


class Space:
    """The streamable runs of a graph and the cost of every segment in them."""

    def __init__(
        self, graph: Graph, memory: Lifetimes, variants: Sequence[Variant],
        pushed: tuple[int, ...] = (),
    ) -> None:
        self.graph = graph
        self.pushed = pushed
        self.inputs_pushed = {memory.home[tensor] for tensor in pushed}
        self.buffers = memory.buffers
        self.variants = tuple(variants)
        self._home = memory.home
        self._forms = [form_of(graph, op) for op in graph.ops]
        self._scheduler = Scheduler(graph, self.variants, (False,) * len(graph.ops))
        self.names = self._scheduler.names
        alone = self._scheduler.run(one_by_one(i, i + 1) for i in range(len(graph.ops)))
        self.layers = [self._layer(i, groups) for i, groups in enumerate(alone)]
        self.readers: list[list[tuple[int, Window]]] = [[] for _ in self.buffers]
        for layer in self.layers:
            for buffer, window in layer.reads:
                self.readers[buffer].append((layer.op, window))
        self.takers: list[list[tuple[int, int, Window]]] = [[] for _ in self.buffers]
        for layer in self.layers:
            for buffer, pixels, columns in layer.takes:
                self.takers[buffer].append((layer.op, pixels, columns))
        self._link()

    # The graph as layers ----------------------------------------------------------------------

    def _layer(self, index: int, groups: tuple[StageGroup, ...]) -> Layer:
        op, graph = self.graph.ops[index], self.graph
        if index in self.names.views:
            return Layer(index, True, 0, 0, (), -1, 0, 0, 0)
        (group,) = groups
        form, node = self._forms[index], node_of(graph, op)
        variant = self.variants[index]
        reads = tuple((self._home[r.tensor], r.window) for r in group.reads)
        columns = operator_of(op.kind).columns(node, 0) if form == "rows" else Window()
        return Layer(
            index, form != "whole" and len(op.outputs) == 1, group.rows, group.pixels, reads,
            self._home[op.outputs[0]], variant.scratch_bytes, variant.state_bytes,
            operator_of(op.kind).macs(node), columns=columns,
            pixel_bytes=sizes.pixel_bytes(graph.tensors[op.outputs[0]]),
            overwrites=frozenset(self._home[t] for t in overwrites(
                graph, self.names, self.variants, group)),
            takes=tuple((self._home[o.tensor], o.pixels, o.columns)
                        for o in group.stages[0].operands),
        )

    def _link(self) -> None:
        """Find which neighbours can share a group."""
        real = [layer for layer in self.layers if layer.result >= 0]
        for layer, after in pairwise(real):
            readers = {op for op, _ in self.readers[layer.result]}
            only = readers == {after.op} and not self._is_output(layer.result)
            windows = [w for b, w in after.reads if b == layer.result]
            neighbours = layer.streams and after.streams and only and len(windows) == 1
            tall = self.graph.tensors[self.graph.ops[layer.op].outputs[0]].rows
            if not neighbours or self._forms[layer.op] != "rows":
                continue
            if windows[0] == Window() and self.columns_into(after, layer) == Window() and (
                    tall == layer.rows == after.rows) and self._keeps_pixels(layer, after):
                self.layers[layer.op] = replace(layer, feeds=True)
            elif self._is_expansion(layer, after, windows[0]) and self._keeps_pixels(layer, after):
                self.layers[layer.op] = replace(layer, expands=True)

    def _is_expansion(self, layer: Layer, after: Layer, window: Window) -> bool:
        pointwise = all(w == Window() for _, w in layer.reads) and layer.columns == Window()
        # Tiles of one group do not stretch: the generated loops have no divisor for columns.
        stretches = window.divisor != 1 or self.columns_into(after, layer).divisor != 1
        is_rows = self._forms[after.op] == "rows"
        return pointwise and window.step > 0 and not stretches and window.count > 1 and is_rows

    def _keeps_pixels(self, layer: Layer, after: Layer) -> bool:
        """True where no view between the two changes what a pixel is."""
        tensors, written = self.graph.tensors, self.graph.ops[layer.op].outputs
        read = [t for t in activations(self.graph, self.graph.ops[after.op])
                if self._home[t] == layer.result]
        return all(tensors[t].pixels == tensors[written[0]].pixels for t in read)

    def columns_into(self, after: Layer, layer: Layer) -> Window:
        """The columns of `layer` that a column of `after` needs."""
        op = self.graph.ops[after.op]
        if self._forms[after.op] != "rows":
            return Window()
        inputs = [self._home[t] for t in activations(self.graph, op)]
        return operator_of(op.kind).columns(node_of(self.graph, op), inputs.index(layer.result))

    def _is_output(self, buffer: int) -> bool:
        return self.buffers[buffer].last > len(self.graph.ops)

    # Rings ------------------------------------------------------------------------------------

    @cached_property
    def rings(self) -> dict[int, int]:
        """Rows of each buffer that a segment holds which contains all of its readers."""
        found: dict[int, int] = {}
        for first, last in self.runs():
            found |= self._rings_of(one_by_one(first, last, self.pushed if first == 0 else ()))
        return found

    @cached_property
    def widened(self) -> dict[int, dict[int, int]]:
        """For each operator that may be recomputed: the rings that this makes higher."""
        result: dict[int, dict[int, int]] = {}
        for first, last in self.runs():
            for layer in self.layers[first:last]:
                if layer.expands and layer.op + 1 < last:
                    begin = min((self.written[b] for b, _ in layer.reads), default=layer.op)
                    end = max((self.buffers[b].last for b, _ in layer.reads), default=layer.op)
                    begin, end = max(begin, first), min(max(end, self.after(layer.op) + 1), last)
                    result[layer.op] = {}
                    if all(self.written[b] < first for b, _ in layer.reads):
                        continue
                    segment = self.segment(begin, end, Config(0, frozenset({layer.op})))
                    rings = self._rings_of(segment)
                    result[layer.op] = {b: rings[b] for b, _ in layer.reads if b in rings}
        return result

    @cached_property
    def written(self) -> list[int]:
        """For each buffer the operator that writes it, -1 for what the caller fills."""
        filled = {self._home[i] for i in self.graph.inputs if i in self._home}
        return [-1 if n in filled else b.first for n, b in enumerate(self.buffers)]

    @cached_property
    def crossing(self) -> list[list[int]]:
        """For each cut before an operator, and the end: the arena's buffers that live across."""
        return [[n for n, b in enumerate(self.buffers)
                 if b.region == "arena" and self.written[n] < cut < b.last]
                for cut in range(len(self.layers) + 1)]

    @cached_property
    def _neighbours(self) -> tuple[list[int], list[int]]:
        """(before, after): the nearest operators that are no views; -1 and the number of all."""
        real = [layer.op for layer in self.layers if layer.result >= 0]
        ops = range(len(self.layers))
        at = [bisect_left(real, op) for op in ops]
        beyond = [bisect_right(real, op) for op in ops]
        return ([real[n - 1] if n else -1 for n in at],
                [real[n] if n < len(real) else len(ops) for n in beyond])

    def after(self, op: int) -> int:
        """The next operator that is no view; the number of operators where there is none."""
        return self._neighbours[1][op]

    def steps_by_rows(self, op: int) -> bool:
        """True where the operator writes row after row."""
        return self._forms[op] == "rows"

    def _rings_of(self, segment: Segment) -> dict[int, int]:
        groups = self.groups(segment)
        rings = simulate(self.graph, self.names, groups, self.variants).rings
        return {self._home[tensor]: rows for tensor, rows in rings.items()}

    def runs(self) -> Iterator[tuple[int, int]]:
        """Longest ranges [first, last) of operators that can be streamed; none has an early exit
        inside, whose output would have to be whole."""
        first, cuts = 0, {e.after for e in self.graph.exits}
        for index, layer in enumerate([*self.layers, None]):
            ends = layer is None or not layer.streams
            if (ends or index in cuts) and index > first:
                yield first, index
            if ends or index in cuts:
                first = index + ends

    # Segments ---------------------------------------------------------------------------------

    def segment(self, first: int, last: int, config: Config) -> Segment:
        """The segment of operators [first, last) with its groups."""
        groups: list[Group] = []
        begin = first
        for layer in self.layers[first:last]:
            if layer.result < 0 and layer.op + 1 < last:
                continue
            joined = layer.op + 1 < last and self.joins(layer, last, config)
            if not joined:
                many = sum(n.result >= 0 for n in self.layers[begin:layer.op + 1]) > 1
                slides = any(n.op in config.recomputed for n in self.layers[begin:layer.op])
                tile = (config.tile_pixels or 0) if many else 0
                groups.append(Group(begin, layer.op + 1, 0, tile, slides))
                begin = layer.op + 1
        return Segment("stream", first, last, tuple(groups), self.pushed if first == 0 else (),
                       config.stripe_pixels)

    def groups(self, segment: Segment) -> tuple[StageGroup, ...]:
        """The groups of a segment with their stages."""
        return self._scheduler.run((segment,))[0]

    def shares_group(self, layer: Layer, last: int, config: Config) -> bool:
        """True where the layer runs tile by tile, with its neighbour before or after."""
        if self.joins(layer, last, config):
            return True
        before = self._neighbours[0][layer.op]
        return before >= 0 and self.joins(self.layers[before], last, config)

    def joins(self, layer: Layer, last: int, config: Config) -> bool:
        """True where the layer shares a group with the one after it."""
        if layer.result < 0 or self.after(layer.op) >= last:
            return False
        if layer.op in config.recomputed:
            return True
        if self.after(layer.op) in config.recomputed:
            return False  # what is recomputed is so from a ring, not from a tile
        small = self.rings.get(layer.result) == 1 and layer.pixels > config.tile_pixels > 0
        return layer.feeds and small


def one_by_one(first: int, last: int, pushed: tuple[int, ...] = ()) -> Segment:
    """Operators [first, last) streamed in whole rows, each in a group of its own."""
    groups = tuple(Group(i, i + 1) for i in range(first, last))
    return Segment("stream", first, last, groups, pushed)
