# SPDX-License-Identifier: MIT
"""How many rows of each tensor a streamed segment must hold, found by running its order.

A tensor's ring spans from the lowest row that some consumer still needs to the newest row:

    rows of t     0   1   2   3   4   5   6   7
                              |-----------|        ring of 4 rows
              no longer needed            newest

Between a segment's input and its output the same run tells how far the output may lie over the
input: a row that is written may overlap only input rows that nobody reads any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tinyeff.ir import Graph, Variant, Window
from tinyeff.planner import sizes
from tinyeff.schedule import PUSHED, Renaming, StageGroup, pull_order

NOBODY = 1 << 30


@dataclass(frozen=True)
class Reader:
    """A group that reads a tensor, and the rows of it that the group's row y needs."""

    group: int
    window: Window

    def lowest(self, groups: tuple[StageGroup, ...], done: list[int]) -> int:
        """The lowest row that the reader still needs when `done` rows of it are finished."""
        y = done[self.group]
        return NOBODY if y >= groups[self.group].rows else max(self.window.first(y), 0)


def readers(groups: tuple[StageGroup, ...]) -> dict[int, list[Reader]]:
    """For each tensor the groups that read it, in the order of the groups."""
    found: dict[int, list[Reader]] = {}
    for number, group in enumerate(groups):
        for read in group.reads:
            found.setdefault(read.tensor, []).append(Reader(number, read.window))
    return found


@dataclass(frozen=True)
class Run:
    """What running a segment's order shows.

    `rings` maps each tensor written by a group to the rows it needs; `below` maps pairs (output,
    input from outside) to the bytes by which the output must start before the input at least;
    `rows` has how many rows of its map each group computes.
    """

    rings: dict[int, int]
    below: dict[tuple[int, int], int]
    rows: tuple[int, ...]


def overwrites(
    graph: Graph, names: Renaming, variants: Sequence[Variant], group: StageGroup
) -> frozenset[int]:
    """Tensors that the group's output may be written over pixel by pixel.

    Only its last stage reads them, the same pixel for each pixel, in an order that its variant
    promises.
    """
    last = group.stages[-1]
    if last.op < 0 or last.form != "rows" or len(last.outputs) > 1 or not variants[
            last.op].consumes:
        return frozenset()
    output = graph.tensors[last.outputs[0]]
    alike = {names.root(o.tensor) for o in last.operands
             if (o.window, o.columns) == (Window(), Window())
             and (o.rows, o.pixels) == (output.rows, output.pixels)
             and graph.tensors[o.tensor].shape == output.shape
             and graph.tensors[o.tensor].dtype == output.dtype}
    others = {names.root(o.tensor) for s in group.stages for o in s.operands
              if s is not last or (o.window, o.columns) != (Window(), Window())}
    return frozenset(alike - others)


def simulate(
    graph: Graph, names: Renaming, groups: tuple[StageGroup, ...], variants: Sequence[Variant]
) -> Run:
    """Run a segment's order and see what it holds."""
    who = readers(groups)
    made = {names.root(t): n for n, g in enumerate(groups) for t in g.stages[-1].outputs}
    outside = [t for t in who if t not in made]
    done = [0] * len(groups)
    rings = dict.fromkeys(made, 1)
    below: dict[tuple[int, int], int] = {}
    root_over = [overwrites(graph, names, variants, g) for g in groups]
    again = bool(groups) and len(groups[-1].stripes) > 1  # the next stripe reads all rows anew
    for number, y0, y1 in pull_order(groups):
        for tensor, top, end in _written(graph, groups[number], y0, y1):
            root = names.root(tensor)
            low = min((r.lowest(groups, done) for r in who.get(root, [])), default=NOBODY)
            rings[root] = max(rings[root], end - min(low, top))
            row = sizes.row_bytes(graph.tensors[tensor])
            for other in outside:
                source = graph.tensors[other]
                over = root_over[number]
                low = min(min(r.lowest(groups, done) if r.group != number or other not in over
                              else y1 for r in who[other]), source.rows)
                low = 0 if again else low
                apart = end * row - low * sizes.row_bytes(source)
                below[root, other] = max(below.get((root, other), -sizes.size_bytes(source)), apart)
        done[number] = y1
    return Run(rings, below, tuple(done))


def _written(graph: Graph, group: StageGroup, y0: int, y1: int) -> Iterator[tuple[int, int, int]]:
    """(tensor, first row, end) of what the step [y0, y1) of a group writes for others to read."""
    last = group.stages[-1]
    for tensor in last.outputs:
        rows = graph.tensors[tensor].rows
        if last.form in ("rows", PUSHED) and rows == group.rows:
            yield tensor, y0, y1
        elif y1 == group.rows:
            yield tensor, 0, rows
