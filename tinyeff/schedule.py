# SPDX-License-Identifier: MIT
"""The order in which kernels are called: what the loops of the generated C do, in Python.

A stage is one operator. Stages of one group are computed together, tile by tile. Groups of one
segment take turns row by row: the last pulls rows out of those before it, each computing a row only
when some group lacks it. A segment may do this once for each of several stripes of columns.
Segments run one after the other. Layer by layer, every operator is a segment of its own.

The planner simulates this order, the validator replays it, lowering prints the tables that make the
generated C follow it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tinyeff.errors import InternalError
from tinyeff.ir import Graph, Group, Op, Segment, Variant, Window
from tinyeff.ops import form_of, operator_of
from tinyeff.ops.operator import Node, node_of

PUSHED = "push"
"""`Stage.form` of a model input whose rows the caller hands over."""

ALONE = -1
"""`Operand.producer` of a tensor that is not computed tile by tile in the same group, and
`Operand.striped` of one that is not held stripe by stripe."""


@dataclass(frozen=True)
class Operand:
    """A tensor that a stage reads: the rows and columns that an output row and column need.

    `producer` is the stage of its group that computes it tile by tile, `striped` the group of its
    segment that computes it stripe by stripe.
    """

    tensor: int
    rows: int
    pixels: int
    window: Window
    columns: Window
    producer: int = ALONE
    striped: int = ALONE

    def columns_of(self, x0: int, x1: int) -> tuple[int, int]:
        """The columns [begin, end) that columns [x0, x1) need, as far as they are in the image."""
        columns = self.columns
        return (max(columns.first(x0), 0),
                min(columns.first(x1 - 1) + columns.count, self.pixels))

    def rows_of(self, y0: int, y1: int) -> tuple[int, int]:
        """The rows [begin, end) that rows [y0, y1) need, as far as they are in the image."""
        return (max(self.window.first(y0), 0),
                min(self.window.first(y1 - 1) + self.window.count, self.rows))


@dataclass(frozen=True)
class Stage:
    """One operator in its group; `inner` says that its output is held one tile at a time.

    A model input that the caller hands over row by row is a stage of form "push" with `op` -1.
    """

    op: int
    form: str
    operands: tuple[Operand, ...]
    outputs: tuple[int, ...]
    rows_per_call: int
    flat: bool
    inner: bool


@dataclass(frozen=True)
class Need:
    """Rows of another group of the segment that must be there before this group's row y."""

    group: int
    window: Window


@dataclass(frozen=True)
class Read:
    """Rows of a tensor from outside the group that the group's row y needs.

    `tensor` is the one first written into the bytes that are read (see `Renaming`).
    """

    tensor: int
    window: Window


@dataclass(frozen=True)
class StageGroup:
    """Stages computed together in tiles of a map of `rows` x `pixels`.

    The map is what the last stage writes or, where that one accumulates, reads. `stripes` are the
    columns [x0, x1) of it that are computed in each stripe of the segment.
    """

    stages: tuple[Stage, ...]
    reads: tuple[Read, ...]
    needs: tuple[Need, ...]
    rows: int
    pixels: int
    tile_rows: int
    tile_pixels: int
    slides: bool
    complete: bool
    stripes: tuple[tuple[int, int], ...]

    @property
    def striped(self) -> bool:
        """True where only the columns of the present stripe are held of what the group writes.

        Never where every stripe needs all of them, as through a view that moves pixels: whoever
        reads that would place stripes by the width of other pixels.
        """
        parts = any(stripe != (0, self.pixels) for stripe in self.stripes)
        return parts and not self.complete and self.stages[-1].form == "rows"


Sources = Mapping[tuple[int, Operand], int]
"""For (group, operand that it reads from another group of the segment): that group."""


@dataclass(frozen=True)
class Tile:
    """Rows [y0, y1) of columns [x0, x1); columns up to `held` are there from the tile before."""

    y0: int
    y1: int
    x0: int
    x1: int
    held: int

    @property
    def is_empty(self) -> bool:
        """True where there is nothing to compute."""
        return self.y0 >= self.y1 or self.x0 >= self.x1


@dataclass(frozen=True)
class Call:
    """A stage computes `tile`; `tiles` are those of all stages of its group, in order.

    `origins` has for each group of the segment the column that its present stripe begins with, None
    where the group is not striped.
    """

    segment: int
    group: int
    stage: Stage
    tile: Tile
    tiles: tuple[Tile, ...] = field(repr=False)
    origins: tuple[int | None, ...] = field(repr=False)

    def read_origin(self, operand: Operand) -> int | None:
        """The column that what is held of an operand begins with; None where all of it is held."""
        if operand.producer != ALONE:
            return self.tiles[operand.producer].x0
        return None if operand.striped == ALONE else self.origins[operand.striped]

    @property
    def written_origin(self) -> int | None:
        """The column that what is held of the outputs begins with; None where all is held."""
        return self.tile.x0 if self.stage.inner else self.origins[self.group]


def compose(outer: Window, inner: Window) -> Window:
    """The rows that an output needs of a tensor two operators back.

    `outer` leads from the output to the tensor between, `inner` on from there. InternalError where
    both have divisors, which no single window can express.
    """
    if outer == Window():
        return inner
    if inner == Window():
        return outer
    if outer.divisor != 1 or inner.divisor != 1:
        raise InternalError("two operators that stretch rows cannot share a group")
    return Window(
        (outer.count - 1) * inner.step + inner.count,
        outer.step * inner.step,
        outer.offset * inner.step + inner.offset,
    )


class Renaming:
    """For each tensor the one whose bytes it is: operators of form "view" only rename."""

    def __init__(self, graph: Graph) -> None:
        self.views: set[int] = set()
        self._roots: dict[int, int] = {}
        for index, op in enumerate(graph.ops):
            if form_of(graph, op) == "view":
                self.views.add(index)
                sources = activations(graph, op)
                for output in op.outputs:
                    self._roots[output] = self.root(sources[0]) if sources else output

    def root(self, tensor: int) -> int:
        """The tensor that was first written into these bytes."""
        return self._roots.get(tensor, tensor)


def activations(graph: Graph, op: Op) -> tuple[int, ...]:
    """The tensors that `op` reads and that are computed at run time, in the operator's order."""
    return tuple(i for i in op.inputs if i >= 0 and not graph.tensors[i].is_constant)


def flat_operand(operand: Operand, pixels: int) -> Operand:
    """The operand of an operator that takes its map of `pixels` as one row."""
    if operand.rows * operand.pixels != pixels or operand.window != Window():
        return operand  # broadcast
    return Operand(operand.tensor, 1, pixels, Window(), Window())


def schedule(
    graph: Graph, segments: Iterable[Segment], variants: tuple[Variant, ...],
    flat: tuple[bool, ...],
) -> tuple[tuple[StageGroup, ...], ...]:
    """The groups of every segment with their stages; views leave no stage."""
    return Scheduler(graph, variants, flat).run(segments)


class Scheduler:
    """What `schedule` needs to know of a graph, for whoever schedules many segments of it."""

    def __init__(
        self, graph: Graph, variants: tuple[Variant, ...], flat: tuple[bool, ...]
    ) -> None:
        self._graph, self._variants, self._flat = graph, variants, flat
        self.names = Renaming(graph)
        self._last_use: dict[int, int] = {}
        for index, op in enumerate(graph.ops):
            for tensor in activations(graph, op):
                if index not in self.names.views:
                    self._last_use[self.names.root(tensor)] = index
        for tensor in graph.outputs:
            self._last_use[self.names.root(tensor)] = len(graph.ops)

    def run(self, segments: Iterable[Segment]) -> tuple[tuple[StageGroup, ...], ...]:
        """The groups of every segment with their stages."""
        return tuple(self._segment(s) for s in segments)

    def _segment(self, segment: Segment) -> tuple[StageGroup, ...]:
        groups = [self._pushed(tensor) for tensor in segment.pushed]
        made_by = {tensor: n for n, tensor in enumerate(segment.pushed)}
        plain = [g for g in segment.groups
                 if any(i not in self.names.views for i in range(g.first, g.last))]
        for group in plain:
            stages = self._stages(group)
            # What nobody reads is computed too: nothing would ask for its rows.
            complete = group is plain[-1] or any(
                self._last_use.get(self.names.root(t), segment.last) >= segment.last
                for t in stages[-1].outputs)
            reads = self._reads(stages)
            needs = tuple(dict.fromkeys(
                self._need(made_by[r.tensor], groups, r) for r in reads if r.tensor in made_by))
            groups.append(self._group(group, stages, reads, needs, complete))
            for stage in stages:
                for tensor in stage.outputs:
                    made_by[self.names.root(tensor)] = len(groups) - 1
        return _in_stripes(groups, self._sources(groups, made_by), segment.stripe_pixels)

    def _sources(self, groups: list[StageGroup], made_by: dict[int, int]) -> Sources:
        return {(n, o): made_by[self.names.root(o.tensor)]
                for n, group in enumerate(groups) for stage in group.stages
                for o in stage.operands
                if o.producer == ALONE and self.names.root(o.tensor) in made_by}

    def _pushed(self, tensor: int) -> StageGroup:
        record = self._graph.tensors[tensor]
        stage = Stage(-1, PUSHED, (), (tensor,), 1, False, False)
        return StageGroup((stage,), (), (), record.rows, record.pixels, 1, record.pixels, False,
                          False, ((0, record.pixels),))

    def _stages(self, group: Group) -> tuple[Stage, ...]:
        indices = [i for i in range(group.first, group.last) if i not in self.names.views]
        made_by: dict[int, int] = {}
        stages = []
        for number, index in enumerate(indices):
            op = self._graph.ops[index]
            stages.append(self._stage(op, index, made_by, number < len(indices) - 1))
            made_by |= {self.names.root(t): number for t in op.outputs}
        return tuple(stages)

    def _stage(self, op: Op, index: int, made_by: dict[int, int], inner: bool) -> Stage:
        node, operator = node_of(self._graph, op), operator_of(op.kind)
        form = operator.form_of(node)
        operands = tuple(
            self._operand(op, node, form, number, made_by)
            for number in range(len(node.activations)))
        if self._flat[index]:
            pixels = node.output.rows * node.output.pixels
            operands = tuple(flat_operand(o, pixels) for o in operands)
        return Stage(index, form, operands, op.outputs, self._variants[index].rows_per_call,
                     self._flat[index], inner)

    def _operand(
        self, op: Op, node: Node[Any], form: str, number: int, made_by: dict[int, int]
    ) -> Operand:
        tensor = activations(self._graph, op)[number]
        record, operator = self._graph.tensors[tensor], operator_of(op.kind)
        if form == "rows":
            window, columns = operator.window(node, number), operator.columns(node, number)
        elif form == "accumulate":
            window, columns = Window(), Window()
        else:
            window, columns = Window(record.rows, 0), Window(record.pixels, 0)
        producer = made_by.get(self.names.root(tensor), ALONE)
        return Operand(tensor, record.rows, record.pixels, window, columns, producer)

    def _group(
        self, group: Group, stages: tuple[Stage, ...], reads: tuple[Read, ...],
        needs: tuple[Need, ...], complete: bool,
    ) -> StageGroup:
        last = stages[-1]
        output = self._graph.tensors[last.outputs[0]]
        rows, pixels = output.rows, output.pixels
        if last.form == "accumulate":
            rows, pixels = last.operands[0].rows, last.operands[0].pixels
        elif last.form == "whole":
            rows = pixels = 1
        elif last.flat:
            rows, pixels = 1, rows * pixels
        return StageGroup(stages, reads, needs, rows, pixels,
                          group.tile_rows or last.rows_per_call,
                          group.tile_pixels or pixels, group.slides, complete, ((0, pixels),))

    def _reads(self, stages: tuple[Stage, ...]) -> tuple[Read, ...]:
        """What the group's stages read from outside, in terms of the rows it steps through."""
        # Many ways may lead from a stage to the last one; few of them differ in what they need.
        to_last: dict[int, dict[Window, None]] = {len(stages) - 1: {Window(): None}}
        reads: list[Read] = []
        for number in reversed(range(len(stages))):
            for operand in stages[number].operands:
                paths = dict.fromkeys(
                    compose(w, operand.window) for w in to_last.get(number, {}))
                if operand.producer != ALONE:
                    to_last.setdefault(operand.producer, {}).update(paths)
                    continue
                root = self.names.root(operand.tensor)
                rows = self._graph.tensors[root].rows
                if operand.rows != rows:
                    # The rows of one are not the rows of the other: all of them are needed.
                    paths = {Window(rows, 0): None}
                reads += [Read(root, w) for w in paths]
        return tuple(dict.fromkeys(reads))

    def _need(self, number: int, groups: list[StageGroup], read: Read) -> Need:
        made = groups[number]
        by_rows = made.stages[-1].form in ("rows", PUSHED)
        steps_through = by_rows and not made.stages[-1].flat
        if steps_through and made.rows == self._graph.tensors[read.tensor].rows:
            return Need(number, read.window)
        return Need(number, Window(made.rows, 0))


def _in_stripes(
    groups: Sequence[StageGroup], sources: Sources, stripe_pixels: int
) -> tuple[StageGroup, ...]:
    """The groups with the columns that each computes for every stripe of the last one's map."""
    if not groups or not 0 < stripe_pixels < groups[-1].pixels:
        return tuple(groups)
    ends = range(0, groups[-1].pixels, stripe_pixels)
    stripes = [_columns_of(groups, sources, (x, min(x + stripe_pixels, groups[-1].pixels)))
               for x in ends]
    wide = [replace(g, stripes=s) for g, s in zip(groups, zip(*stripes, strict=True), strict=True)]
    return tuple(
        replace(group, stages=tuple(
            replace(stage, operands=tuple(
                replace(o, striped=sources[n, o])
                if (n, o) in sources and wide[sources[n, o]].striped else o
                for o in stage.operands))
            for stage in group.stages))
        for n, group in enumerate(wide))


def _columns_of(
    groups: Sequence[StageGroup], sources: Sources, last: tuple[int, int]
) -> list[tuple[int, int]]:
    """The columns of every group's map that columns `last` of the last one's need."""
    found: dict[int, tuple[int, int]] = {}
    for n in reversed(range(len(groups))):
        group = groups[n]
        found.setdefault(n, (0, group.pixels))
        x0, x1 = found[n] = (0, group.pixels) if group.complete else found[n]
        if n == len(groups) - 1:
            x0, x1 = found[n] = last
        tiles = spread(group.stages, Tile(0, group.rows, x0, x1, x0))
        for stage, tile in zip(group.stages, tiles, strict=True):
            for operand in stage.operands:
                if (n, operand) not in sources:
                    continue
                source = groups[sources[n, operand]]
                begin, end = operand.columns_of(tile.x0, tile.x1)
                if source.pixels != operand.pixels or source.stages[-1].form != "rows":
                    begin, end = 0, source.pixels
                if begin < end:
                    known = found.get(sources[n, operand], (begin, end))
                    found[sources[n, operand]] = min(begin, known[0]), max(end, known[1])
    return [found[n] for n in range(len(groups))]


def rows_at_once(window: Window, rows_per_call: int) -> int:
    """The most input rows that a call for `rows_per_call` output rows is handed."""
    return -(-(rows_per_call - 1) * window.step // window.divisor) + window.count


def pull_order(groups: tuple[StageGroup, ...]) -> Iterator[tuple[int, int, int]]:
    """(group, y0, y1) in the order in which a segment computes its rows."""
    done = [0] * len(groups)
    for target in reversed(range(len(groups))):
        while groups[target].complete and done[target] < groups[target].rows:
            current = target
            while (before := _lacking(groups, done, current)) is not None:
                current = before
            group, y0 = groups[current], done[current]
            y1 = min(y0 + group.tile_rows, group.rows)
            yield current, y0, y1
            done[current] = y1


def _lacking(groups: tuple[StageGroup, ...], done: list[int], current: int) -> int | None:
    group = groups[current]
    end = min(done[current] + group.tile_rows, group.rows)
    for need in group.needs:
        rows = need.window.first(end - 1) + need.window.count
        if done[need.group] < min(rows, groups[need.group].rows):
            return need.group
    return None


def calls_of(segment: int, groups: tuple[StageGroup, ...]) -> Iterator[Call]:
    """Every call of every stage of a segment, in order."""
    for stripe in range(len(groups[-1].stripes) if groups else 0):
        origins = tuple(g.stripes[stripe][0] if g.striped else None for g in groups)
        for number, y0, y1 in pull_order(groups):
            group = groups[number]
            for tiles in tiles_of(group, y0, y1, stripe):
                for stage, tile in zip(group.stages, tiles, strict=True):
                    yield Call(segment, number, stage, tile, tiles, origins)


def tiles_of(group: StageGroup, y0: int, y1: int, stripe: int) -> Iterator[tuple[Tile, ...]]:
    """The tiles of all stages for rows [y0, y1) of the group's map in one stripe, step by step."""
    before: tuple[Tile, ...] = ()
    begin, end = group.stripes[stripe]
    for x0 in range(begin, end, group.tile_pixels):
        tiles = spread(group.stages, Tile(y0, y1, x0, min(x0 + group.tile_pixels, end), x0))
        if group.slides and before:
            tiles = tuple(_slid(t, b) for t, b in zip(tiles[:-1], before[:-1], strict=True)
                          ) + tiles[-1:]
        yield tiles
        before = tiles


def spread(stages: tuple[Stage, ...], last: Tile) -> tuple[Tile, ...]:
    """The tiles of all stages of a group, from the tile of its last stage backwards."""
    tiles: list[Tile | None] = [None] * len(stages)
    tiles[-1] = last
    for number in reversed(range(len(stages))):
        tile = tiles[number]
        if tile is None or tile.is_empty:
            continue
        for operand in stages[number].operands:
            if operand.producer != ALONE:
                tiles[operand.producer] = _required(operand, tile, tiles[operand.producer])
    return tuple(t or Tile(0, 0, 0, 0, 0) for t in tiles)


def _required(operand: Operand, tile: Tile, known: Tile | None) -> Tile:
    (y0, y1), (x0, x1) = operand.rows_of(tile.y0, tile.y1), operand.columns_of(tile.x0, tile.x1)
    if known is not None:
        y0, y1 = min(y0, known.y0), max(y1, known.y1)
        x0, x1 = min(x0, known.x0), max(x1, known.x1)
    return Tile(y0, y1, x0, x1, x0)


def _slid(tile: Tile, before: Tile) -> Tile:
    if (tile.y0, tile.y1) != (before.y0, before.y1) or before.x1 <= tile.x0:
        return tile
    return Tile(tile.y0, tile.y1, tile.x0, tile.x1, before.x1)
