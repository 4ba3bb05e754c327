# SPDX-License-Identifier: MIT
"""Where to cut a graph into segments, and how each of them runs.

Between two cuts operators run one by one or streamed. The arena needs the most that any segment
needs, MACs and calls add up: a shortest path over the cut points whose labels are
(most bytes, extra MACs, kernel calls).

    cut 0 ---- 1 ---- 2 ---- 3 ---- 4        best[b] = min over a of best[a] joined with cost(a, b)
        \\_________________/
           one segment
"""

from __future__ import annotations

from dataclasses import dataclass

from tinyeff.planner.streams import IMPOSSIBLE, Config, Ending, Space

TILE_PIXELS = (0, 4)
"""Tiles that the search tries between operators that work pixel by pixel; 0 is whole rows."""


@dataclass(frozen=True)
class Piece:
    """Operators [first, last): one by one where `config` is None, else streamed."""

    first: int
    last: int
    live_bytes: int
    extra_macs: int
    calls: int
    config: Config | None


@dataclass(frozen=True)
class Route:
    """A way through the graph: the most bytes of its pieces, and the sums of the rest."""

    live_bytes: int
    extra_macs: int
    calls: int
    pieces: tuple[Piece, ...]


class Search:
    """All pieces of a graph; `per_layer_bytes` is what each operator needs alone."""

    def __init__(self, space: Space, per_layer_bytes: list[int]) -> None:
        self._space = space
        self._count = len(space.layers)
        self._ceiling = max((b for b in per_layer_bytes if b < IMPOSSIBLE), default=0)
        self._pieces: list[list[Piece]] = [[] for _ in range(self._count + 1)]
        for op, live in enumerate(per_layer_bytes):
            self._pieces[op + 1].append(Piece(op, op + 1, live, 0, self._calls_alone(op), None))
        for first, last in space.runs():
            for config in (Config(t) for t in TILE_PIXELS):
                self._add_streams(first, last, config)

    def correct(self, piece: Piece, live_bytes: int) -> None:
        """Replace the estimate of a piece by what was measured."""
        pieces = self._pieces[piece.last]
        pieces[pieces.index(piece)] = Piece(
            piece.first, piece.last, live_bytes, piece.extra_macs, piece.calls, piece.config)

    def smallest(self) -> int:
        """The least bytes that any route without extra MACs needs."""
        best = [0] + [IMPOSSIBLE] * self._count
        for last in range(1, self._count + 1):
            options = (max(best[p.first], p.live_bytes) for p in self._pieces[last])
            best[last] = min(options, default=IMPOSSIBLE)
        return best[self._count]

    def fastest(self, ceiling_bytes: int) -> Route:
        """The route with the fewest kernel calls whose pieces all stay within the ceiling.

        The ceiling must be at least what `smallest` says.
        """
        routes: list[Route | None] = [Route(0, 0, 0, ())]
        for last in range(1, self._count + 1):
            options = [(p, r) for p in self._pieces[last] if p.live_bytes <= ceiling_bytes
                       and (r := routes[p.first]) is not None]
            chosen = min(options, default=None, key=lambda pr: (
                pr[1].extra_macs + pr[0].extra_macs, pr[1].calls + pr[0].calls,
                len(pr[1].pieces)))
            routes.append(None if chosen is None else _joined(chosen[1], chosen[0]))
        best = routes[self._count]
        assert best is not None, f"no route stays within {ceiling_bytes} bytes"
        return best

    def _add_streams(self, first: int, last: int, config: Config) -> None:
        for end in range(first + 1, last + 1):
            if self._space.layers[end - 1].result < 0:
                continue
            ending = Ending(self._space, end, config)
            calls = 0
            for begin in range(end - 1, first - 1, -1):
                layer = self._space.layers[begin]
                ending.extend(layer)
                calls += self._calls_streamed(begin, end, config)
                if ending.inner_bytes > self._ceiling:
                    break
                alone = begin == end - 1 and not (begin == 0 and self._space.pushed)
                if alone or layer.result < 0:
                    continue
                live = ending.live_bytes(begin)
                if live <= self._ceiling:
                    self._pieces[end].append(Piece(begin, end, live, 0, calls, config))

    def _calls_alone(self, op: int) -> int:
        variants = self._space.graph.ops[op].variants
        return 1 if any(v.flat for v in variants) else self._space.layers[op].rows

    def _calls_streamed(self, op: int, end: int, config: Config) -> int:
        layer = self._space.layers[op]
        if layer.result < 0:
            return 0
        tiles = 1
        if self._space.shares_group(layer, end, config):
            tiles = -(-layer.pixels // config.tile_pixels)
        # A streamed row costs a look at all groups on top of the call.
        return layer.rows * (tiles + 1)


def _joined(route: Route, piece: Piece) -> Route:
    return Route(max(route.live_bytes, piece.live_bytes), route.extra_macs + piece.extra_macs,
                 route.calls + piece.calls, (*route.pieces, piece))
