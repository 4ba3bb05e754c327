# SPDX-License-Identifier: MIT
"""Where to cut a graph into segments, and how each of them runs.

Between two cuts operators run one by one or streamed. The arena needs the most that any segment
needs, MACs and calls add up:

    cut 0 ---- 1 ---- 2 ---- 3 ---- 4        cost[b](T) = min over a of cost[a](T) + cost(a, b)(T)
        \\_________________/
           one segment

where cost(a, b)(T) is the least cost of any way to run operators [a, b) in at most T bytes. A
shortest path for one T after the other is the front of bytes against extra MACs. Corrections change
few segments, so what a cut's segments cost within T is kept until one of them changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from math import inf

import numpy as np

from tinyeff.planner.endings import Ending
from tinyeff.planner.segment_ways import MAC, Ways
from tinyeff.planner.streams import IMPOSSIBLE, Config, Rows, Space

TILE_PIXELS = (0, 4)
"""Tiles that the search tries between operators that work pixel by pixel; 0 is whole rows."""

MOST_STEPS = 200_000
"""Steps of a search, one operator more in front of a segment each, after which it is cut off: from
there on it looks at short segments only. Counted, not timed: the same model, the same plan."""
SHORT = 14
"""Operators of the longest segment that is called short."""

Progress = Callable[[int, int], None]
"""Called with how much is done, of how much."""
_told: ContextVar[Progress | None] = ContextVar("told", default=None)


@contextmanager
def reporting(progress: Progress | None) -> Iterator[None]:
    """All searches inside tell `progress` how far they are, one after the other."""
    before = _told.set(progress)
    try:
        yield
    finally:
        _told.reset(before)


NEVER = 1 << 61


@dataclass(frozen=True)
class Piece:
    """Operators [first, last): one by one where `config` is None, else streamed."""

    first: int
    last: int
    live_bytes: int
    extra_macs: int
    config: Config | None


@dataclass(frozen=True)
class Route:
    """A way through the graph: the most bytes of its pieces, and the sum of their extra MACs."""

    live_bytes: int
    extra_macs: int
    pieces: tuple[Piece, ...]


class Pair:
    """All ways to run operators [first, last); the cheapest within so many bytes."""

    def __init__(self, first: int, last: int) -> None:
        self.first, self.last = first, last
        self._ways: list[Ways | None] = []
        self._bytes: list[Rows] = []
        self._cost: list[Rows] = []
        self._sorted: tuple[Rows, Rows] | None = None

    def add(self, ways: Ways | None, live_bytes: Rows, cost: Rows) -> None:
        """More ways; None is layer by layer."""
        self._ways.append(ways)
        self._bytes.append(live_bytes)
        self._cost.append(cost)
        self._sorted = None

    def streamed(self) -> Iterator[tuple[Ways, int]]:
        """Every way that streams, and its number among its like."""
        for ways in self._ways:
            if ways is not None:
                yield from ((ways, k) for k in range(len(ways.cost)))

    def steps(self) -> tuple[Rows, Rows]:
        """The bytes at which there is a cheaper way, and its cost."""
        if self._sorted is None:
            size, cost = np.concatenate(self._bytes), np.concatenate(self._cost)
            order = np.lexsort((cost, size))
            size, cost = size[order], np.minimum.accumulate(cost[order])
            kept = np.ones(len(size), bool)
            kept[1:] = cost[1:] < cost[:-1]
            self._sorted = size[kept], cost[kept]
        return self._sorted

    def best(self, space: Space, ceiling_bytes: int) -> Piece:
        """The cheapest way within the ceiling."""
        n, k = min(((n, int(np.where(size <= ceiling_bytes, cost, NEVER).argmin()))
                    for n, (size, cost) in enumerate(zip(self._bytes, self._cost, strict=True))),
                   key=lambda nk: (self._bytes[nk[0]][nk[1]] > ceiling_bytes,
                                   self._cost[nk[0]][nk[1]]))
        ways = self._ways[n]
        if ways is not None:
            return self.piece(space, ways, k)
        return Piece(self.first, self.last, int(self._bytes[n][k]), 0, None)

    def piece(self, space: Space, ways: Ways, number: int) -> Piece:
        """One of the ways to stream the operators."""
        return Piece(self.first, self.last, int(ways.live_bytes[number]),
                     macs_of(int(ways.cost[number])),
                     ways.config(space, self.first, self.last, number))

    def correct(self, space: Space, piece: Piece, live_bytes: int, extra_macs: int) -> None:
        """Replace the estimate of a piece by what was measured."""
        for ways, sizes, cost in zip(self._ways, self._bytes, self._cost, strict=True):
            for k in np.flatnonzero(sizes == piece.live_bytes).tolist():
                if ways and ways.config(space, self.first, self.last, k) == piece.config:
                    calls = int(cost[k]) - macs_of(int(cost[k])) * MAC
                    sizes[k], cost[k] = live_bytes, extra_macs * MAC + calls
                    self._sorted = None
                    return


class Cut:
    """All pairs that end at one cut, by their first operator; the cheapest of each."""

    def __init__(self) -> None:
        self.pairs: dict[int, Pair] = {}
        self._steps: tuple[Rows, Rows, Rows] | None = None
        self._costs: dict[int, Rows] = {}

    def changed(self) -> None:
        """Forget what is known: some pair has become another."""
        self._steps = None
        self._costs.clear()

    def costs(self, ceiling: int) -> Rows:
        """The least cost of each pair within the ceiling, as one more piece of a route."""
        found = self._costs.get(ceiling)
        if found is None:
            begins, sizes, cost = self._steps or self._joined()
            # One more piece counts as one more call.
            found = np.minimum.reduceat(np.where(sizes <= ceiling, cost, NEVER), begins) + 1
            self._costs[ceiling] = found
        return found

    @cached_property
    def firsts(self) -> Rows:
        """First operators of all pairs."""
        return np.array(list(self.pairs))

    def _joined(self) -> tuple[Rows, Rows, Rows]:
        """(where each pair begins, bytes, cost) of all steps of all pairs."""
        steps = [p.steps() for p in self.pairs.values()]
        begins = np.cumsum([0, *(len(s) for s, _ in steps[:-1])])
        self._steps = (begins, np.concatenate([s for s, _ in steps]),
                       np.concatenate([c for _, c in steps]))
        return self._steps


def macs_of(cost: int) -> int:
    """The extra MACs in a cost."""
    return cost // MAC


class Search:
    """All pieces of a graph; `per_layer_bytes` is what each operator needs alone.

    Segments stream at most `longest` operators, in at most `ceiling_bytes`, and compute up to
    `most_macs` MACs more than the graph has. `cut_off` is True where not all of these were looked
    at; see `MOST_STEPS`.
    """

    def __init__(
        self, space: Space, per_layer_bytes: Sequence[int], most_macs: int = 0,
        ceiling_bytes: int = IMPOSSIBLE, longest: int = IMPOSSIBLE,
    ) -> None:
        self._space = space
        self._count = len(space.layers)
        self._most_macs = most_macs
        whole = max((b for b in per_layer_bytes if b < IMPOSSIBLE), default=0)
        self._ceiling, self._longest = min(whole, ceiling_bytes), longest
        self._steps, self.cut_off = 0, False
        self._cuts = [Cut() for _ in range(self._count + 1)]
        for op, live in enumerate(per_layer_bytes):
            calls = np.array([self._calls_alone(op)])
            self._pair(op, op + 1).add(None, np.array([live]), calls)
        for first, last in space.runs():
            for end in range(first + 1, last + 1):
                for tile_pixels in TILE_PIXELS:
                    self._add_streams(first, end, tile_pixels)
                if (progress := _told.get()) is not None:
                    progress(end, self._count)

        self._sizes = np.unique(np.concatenate(
            [p.steps()[0] for cut in self._cuts for p in cut.pairs.values()] or [np.zeros(1, int)]))
        self._least = int(self._sizes[0])

    def correct(self, piece: Piece, live_bytes: int, extra_macs: int) -> None:
        """Replace the estimate of a piece by what was measured."""
        cut = self._cuts[piece.last]
        pair = cut.pairs[piece.first]
        pair.correct(self._space, piece, live_bytes, extra_macs)
        cut.changed()
        # Sizes that are gone do no harm: nothing changes there.
        self._sizes = np.union1d(self._sizes, pair.steps()[0])

    def smallest(self, most_macs: float = 0) -> int:
        """The least bytes that any route within so many extra MACs needs."""
        sizes = self._sizes
        low, high, stride = 0, len(sizes), 1  # below `low` nothing is enough; `high` is, or the end
        at = min(int(np.searchsorted(sizes, self._least)), high - 1)
        while low < high:  # outwards from the answer before, then in halves
            if self.macs(int(sizes[at])) <= most_macs:
                high, at = at, max(at - stride, low)
            else:
                low, at = at + 1, min(at + stride, high - 1)
            stride *= 2
            if low > 0 and high < len(sizes):
                at = (low + high) // 2
        if high == len(sizes):
            return IMPOSSIBLE
        self._least = int(sizes[high])
        return self._least

    def macs(self, ceiling: int) -> float:
        """The least extra MACs of any route within the ceiling; inf where there is none."""
        cost = self._costs(ceiling)[-1]
        return inf if cost >= NEVER else int(cost) // MAC

    def cheapest(self, ceiling_bytes: int) -> Route:
        """The cheapest route whose pieces all stay within the ceiling.

        The ceiling must be at least what `smallest` says.
        """
        costs = self._costs(ceiling_bytes)
        assert costs[-1] < NEVER, f"no route stays within {ceiling_bytes} bytes"
        pieces: list[Piece] = []
        last = self._count
        while last > 0:
            cut = self._cuts[last]
            first = int(cut.firsts[(costs[cut.firsts] + cut.costs(ceiling_bytes)).argmin()])
            pieces.append(cut.pairs[first].best(self._space, ceiling_bytes))
            last = first
        return Route(max((p.live_bytes for p in pieces), default=0),
                     sum(p.extra_macs for p in pieces), tuple(reversed(pieces)))

    def _costs(self, ceiling: int) -> Rows:
        """For each cut the least cost of getting there within the ceiling."""
        best = np.zeros(self._count + 1, np.int64)
        for last, cut in enumerate(self._cuts[1:], 1):
            best[last] = min((best[cut.firsts] + cut.costs(ceiling)).min(), NEVER)
        return best

    def _pair(self, first: int, last: int) -> Pair:
        return self._cuts[last].pairs.setdefault(first, Pair(first, last))

    def _add_streams(self, first: int, end: int, tile_pixels: int) -> None:
        """All segments that begin at `first` or later and end with `end`."""
        if self._space.layers[end - 1].result < 0:
            return
        ending = Ending(self._space, end, tile_pixels, self._ceiling, self._most_macs)
        for begin in range(end - 1, max(first, end - self._longest) - 1, -1):
            layer = self._space.layers[begin]
            self._steps += 1
            if self._steps > MOST_STEPS and end - begin > SHORT:
                self.cut_off = True
                break
            ending.extend(layer)
            if ending.inner_bytes > self._ceiling:
                break
            alone = begin == end - 1 and not (begin == 0 and self._space.pushed)
            if alone or layer.result < 0:
                continue
            ways = ending.ways(begin)
            if ways is not None:
                self._pair(begin, end).add(ways, ways.live_bytes, ways.cost)

    def _calls_alone(self, op: int) -> int:
        variants = self._space.graph.ops[op].variants
        return 1 if any(v.flat for v in variants) else self._space.layers[op].rows
