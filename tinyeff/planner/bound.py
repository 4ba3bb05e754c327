# SPDX-License-Identifier: MIT
"""Bytes that no schedule can do without which computes every pixel once, all its channels at once,
and the pixels of each tensor row by row from the top.

Take the moment when row y of a tensor has just been completed. What is computed then is a set of
pixels that holds rows 0 to y of the tensor, none of its later rows, with each pixel all that it
reads, and with each row the rows above it. Its pixels that somebody still has to read are alive, in
different bytes: computing a pixel once, and at once, there is no other place for what it reads.

    tensor      o o o o o o          o computed
            y   o o o o o o          . not computed
                . . . . . .          every line down the columns passes from o to . between y, y + 1

So the least bytes over all such sets are a bound, for any tensor and row: the largest counts. Lines
down the columns (see lines.py) are closed as the set is and share no bytes; the least that each of
them needs is a minimum cut (see cuts.py), and their sum a bound.

Before the first pixel of a tensor there is another such moment: what all of its pixels read is
there, and none of them. That is what counts after a squeeze-and-excite, and between vectors; it is
looked at where an operator reads whole columns.

Reductions keep nothing of what they read; that their sums need state is left out. So are rows that
nobody reads.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from tinyeff.ir import Graph, Window
from tinyeff.planner.cuts import LineCuts
from tinyeff.planner.elsewhere import out_of_reach_of_tensorflow
from tinyeff.planner.lifetimes import lifetimes
from tinyeff.planner.lines import Ints, Net, lines_of, net_of

WORK = 12_000_000
"""Arcs of all minimum cuts together, a second or two; what is left out makes the bound lower, not
wrong. Half of it is for the middle rows of tensors, if need be of only some."""
CLOSER = 6
"""How many of the tensors that ask for most in their middle are looked at row by row."""
MOST_ROWS = 32
"""Rows of one tensor that are looked at."""

Reach = tuple[Ints, Ints]
"""[begin, end) of what each row, or column, of a map needs of another map."""
Area = tuple[tuple[int, int], tuple[int, int]]
"""Rows [begin, end) and columns [begin, end)."""


@dataclass(frozen=True)
class Bound:
    """No plan that computes each row once has fewer live activation bytes than `size_bytes`.

    They live when row `row` of `tensor` has just been computed, before the tensor where that is -1;
    where `tensor` is None they are the model's inputs or its outputs. `complete` is False where
    there was no time for all tensors.
    """

    size_bytes: int
    tensor: str | None
    row: int
    complete: bool


def lower_bound(graph: Graph, input_memory: str) -> Bound:
    """The bound on live activation bytes of all plans of `graph` that compute each row once.

    Raises UnsupportedError as `lifetimes` does.
    """
    net = net_of(graph, lifetimes(graph, input_memory), input_memory)
    found: Bound = out_of_reach_of_tensorflow(bound_of, net)
    return found


def bound_of(net: Net) -> Bound:
    """The bound of a net of maps."""
    # Pixels of single rows come one after the other as rows do.
    net = net.turned() if all(m.rows == 1 for m in net.maps) else net
    given = sum(m.rows * m.columns * m.pixel_bytes for m in net.maps if m.given)
    kept = sum(m.rows * m.columns * m.pixel_bytes for m in net.maps if m.kept)
    return _Bounding(net, Bound(max(given, kept), None, -1, True)).run()


class _Bounding:
    """Looks for the tensor and the row that ask for most."""

    def __init__(self, net: Net, best: Bound) -> None:
        self._net, self._best, self._work = net, best, WORK
        self._kinds = [LineCuts(net, lines) for lines in lines_of(net)]

    def run(self) -> Bound:
        """The bound, of all tensors that there was time for."""
        computed = [n for n, own in enumerate(self._net.maps) if own.complete and not own.given]
        arcs = sum(cuts.arcs for cuts in self._kinds)
        stride = max(-(-2 * arcs * len(computed) // WORK), 1)
        middles = {n: self._after(n, (self._net.maps[n].rows - 1) // 2)
                   for n in computed[::stride]}
        for number in sorted(middles, key=lambda n: (-middles[n], n))[:CLOSER]:
            rows = self._net.maps[number].rows
            for y in range(0, rows, -(-rows // MOST_ROWS)):
                self._consider(number, y, self._after(number, y))
        of_all = {k.reader for k in self._net.links
                  if k.rows.step == 0 or self._net.maps[k.source].rows == 1}
        for number in sorted(of_all):
            self._consider(number, -1, self._before(number))
        return replace(self._best, complete=self._work > 0 and stride == 1)

    def _consider(self, number: int, row: int, size: float) -> None:
        whole = math.ceil(size)  # parts of bytes were rounded down, and bytes are whole
        if whole > self._best.size_bytes:
            self._best = Bound(whole, self._net.maps[number].name, row, True)

    def _cut(self, cuts: LineCuts, inside: Ints, outside: Ints) -> float:
        self._work -= cuts.arcs
        return cuts.least_bytes(inside, outside) if self._work > 0 else 0.0

    def _after(self, number: int, y: int) -> float:
        """What is alive when row `y` of a map has just been completed."""
        total = 0.0
        for cuts in self._kinds:
            outside = cuts.pixels(number, y + 1, min(y + 2, self._net.maps[number].rows))
            inside = cuts.pixels(number, y, y + 1)
            total += len(cuts.lines.columns[number]) * self._cut(cuts, inside, outside)
        return total

    def _before(self, number: int) -> float:
        """What is alive before the first pixel of a map is computed."""
        needed = dict(self._common(number))
        total = 0.0
        for cuts in self._kinds if needed else ():
            places = cuts.lines.columns
            inside = [cuts.pixels(n, *rows) for n, (rows, columns) in needed.items()
                      if columns[0] <= places[n][0] and places[n][-1] < columns[1]]
            if inside:
                outside = cuts.pixels(number, 0, self._net.maps[number].rows)
                total += len(places[number]) * self._cut(cuts, np.concatenate(inside), outside)
        return total

    def _common(self, number: int) -> Iterator[tuple[int, Area]]:
        """For each map that all pixels of map `number` need: the rows and columns that all need.

        Of several ways from one map to the other, that of the largest windows counts.
        """
        own = self._net.maps[number]
        reach = {number: (_each(own.rows), _each(own.columns))}
        for link in reversed(self._net.links):
            if link.reader in reach:
                source, (rows, columns) = self._net.maps[link.source], reach[link.reader]
                found = (_behind(link.rows, rows, source.rows),
                         _behind(link.columns, columns, source.columns))
                known = reach.get(link.source)
                if known is None or _pixels(found) > _pixels(known):
                    reach[link.source] = found
        for source_number, sides in reach.items():
            (y0, y1), (x0, x1) = ((int(begin.max()), int(end.min())) for begin, end in sides)
            if source_number != number and y0 < y1 and x0 < x1:
                yield source_number, ((y0, y1), (x0, x1))


def _each(size: int) -> Reach:
    return np.arange(size, dtype=np.int64), np.arange(size, dtype=np.int64) + 1


def _behind(window: Window, reach: Reach, size: int) -> Reach:
    """The rows, of `size`, that rows `reach` of a reader read; none where they leave gaps."""
    begin, end = reach
    if window.count * window.divisor < window.step:
        return np.zeros_like(begin), np.zeros_like(end)
    first = np.clip((begin * window.step + window.offset) // window.divisor, 0, size)
    last = ((end - 1) * window.step + window.offset) // window.divisor + window.count
    return first, np.where(begin < end, np.clip(last, 0, size), 0)


def _pixels(sides: tuple[Reach, Reach]) -> int:
    rows, columns = (int(np.maximum(end - begin, 0).sum()) for begin, end in sides)
    return rows * columns
