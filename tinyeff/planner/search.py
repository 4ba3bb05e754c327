# SPDX-License-Identifier: MIT
"""Where to cut a graph into segments, and how each of them runs.

Between two cuts operators run one by one or streamed. The arena needs the most that any segment
needs, MACs and calls add up:

    cut 0 ---- 1 ---- 2 ---- 3 ---- 4        cost[b](T) = min over a of cost[a](T) + cost(a, b)(T)
        \\_________________/
           one segment

where cost(a, b)(T) is the least cost of any way to run operators [a, b) in at most T bytes. A
shortest path for many T at once is the front of bytes against extra MACs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
import numpy.typing as npt

from tinyeff.planner.endings import MAC, Ending, Ways
from tinyeff.planner.streams import IMPOSSIBLE, Config, Rows, Space

TILE_PIXELS = (0, 4)
"""Tiles that the search tries between operators that work pixel by pixel; 0 is whole rows."""

Progress = Callable[[int, int], None]
"""Called with how much is done, of how much."""

NEVER = 1 << 61
STEPS = 64
"""Arena sizes looked at together."""


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

    def sizes(self) -> Rows:
        """The bytes at which there is a cheaper way."""
        return self._steps()[0]

    def cost(self, ceilings: Rows) -> Rows:
        """The least cost within each of `ceilings`."""
        sizes, cost = self._steps()
        at = np.searchsorted(sizes, ceilings, "right") - 1
        found: Rows = np.where(at >= 0, cost[at], NEVER)
        return found

    def streamed(self) -> Iterator[tuple[Ways, int]]:
        """Every way that streams, and its number among its like."""
        for ways in self._ways:
            if ways is not None:
                yield from ((ways, k) for k in range(len(ways.cost)))

    def _steps(self) -> tuple[Rows, Rows]:
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


def macs_of(cost: int) -> int:
    """The extra MACs in a cost."""
    return cost // MAC


class Search:
    """All pieces of a graph; `per_layer_bytes` is what each operator needs alone.

    Segments stream at most `longest` operators, in at most `ceiling_bytes`, and compute up to
    `most_macs` MACs more than the graph has. `progress` is told how far the search is.
    """

    def __init__(
        self, space: Space, per_layer_bytes: Sequence[int], most_macs: int = 0,
        ceiling_bytes: int = IMPOSSIBLE, longest: int = IMPOSSIBLE,
        progress: Progress | None = None,
    ) -> None:
        self._space = space
        self._count = len(space.layers)
        self._most_macs = most_macs
        whole = max((b for b in per_layer_bytes if b < IMPOSSIBLE), default=0)
        self._ceiling, self._longest = min(whole, ceiling_bytes), longest
        self._pairs: list[dict[int, Pair]] = [{} for _ in range(self._count + 1)]
        for op, live in enumerate(per_layer_bytes):
            calls = np.array([self._calls_alone(op)])
            self._pair(op, op + 1).add(None, np.array([live]), calls)
        for first, last in space.runs():
            for end in range(first + 1, last + 1):
                for tile_pixels in TILE_PIXELS:
                    self._add_streams(first, end, tile_pixels)
                if progress is not None:
                    progress(end, self._count)

    def correct(self, piece: Piece, live_bytes: int, extra_macs: int) -> None:
        """Replace the estimate of a piece by what was measured."""
        self._pairs[piece.last][piece.first].correct(self._space, piece, live_bytes, extra_macs)

    def smallest(self, most_macs: float = 0) -> int:
        """The least bytes that any route within so many extra MACs needs."""
        sizes = np.unique(np.concatenate(
            [p.sizes() for pairs in self._pairs for p in pairs.values()] or [np.zeros(1, int)]))
        low, high = 0, len(sizes) - 1
        while low < high:
            at = np.unique(np.linspace(low, high, STEPS).astype(np.int64))
            good = np.flatnonzero(self.macs(sizes[at]) <= most_macs)
            if not len(good):
                return IMPOSSIBLE
            high = int(at[good[0]])
            low = int(at[good[0] - 1]) + 1 if good[0] else high
        return int(sizes[high])

    def macs(self, ceilings: Rows) -> npt.NDArray[np.float64]:
        """The least extra MACs of any route within each of `ceilings`; inf where there is none."""
        cost = self._costs(np.asarray(ceilings))[-1]
        return np.where(cost >= NEVER, inf, cost // MAC)

    def cheapest(self, ceiling_bytes: int) -> Route:
        """The cheapest route whose pieces all stay within the ceiling.

        The ceiling must be at least what `smallest` says.
        """
        costs = [int(c[0]) for c in self._costs(np.array([ceiling_bytes]))]
        assert costs[-1] < NEVER, f"no route stays within {ceiling_bytes} bytes"
        pieces: list[Piece] = []
        last = self._count
        while last > 0:
            pair = min(self._pairs[last].values(), key=lambda p: costs[p.first] + int(
                p.cost(np.array([ceiling_bytes]))[0]))
            pieces.append(pair.best(self._space, ceiling_bytes))
            last = pair.first
        return Route(max((p.live_bytes for p in pieces), default=0),
                     sum(p.extra_macs for p in pieces), tuple(reversed(pieces)))

    def _costs(self, ceilings: Rows) -> list[Rows]:
        """For each cut the least cost of getting there within each of `ceilings`."""
        best = [np.zeros(len(ceilings), np.int64)]
        for last in range(1, self._count + 1):
            found = np.full(len(ceilings), NEVER)
            for first, pair in self._pairs[last].items():
                # One more piece counts as one more call.
                found = np.minimum(found, best[first] + pair.cost(ceilings) + 1)
            best.append(np.minimum(found, NEVER))
        return best

    def _pair(self, first: int, last: int) -> Pair:
        return self._pairs[last].setdefault(first, Pair(first, last))

    def _add_streams(self, first: int, end: int, tile_pixels: int) -> None:
        """All segments that begin at `first` or later and end with `end`."""
        if self._space.layers[end - 1].result < 0:
            return
        ending = Ending(self._space, end, tile_pixels, self._ceiling, self._most_macs)
        for begin in range(end - 1, max(first, end - self._longest) - 1, -1):
            layer = self._space.layers[begin]
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
