# SPDX-License-Identifier: MIT
"""Plans along any route, not only the best: every cut, segment, tile, stripe and recomputed
operator that the search knows."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np

from tinyeff.ir import Graph, Limits, Plan, Target
from tinyeff.planner import plan, streaming
from tinyeff.planner.search import Piece, Route, Search
from tinyeff.planner.streams import Space

ANYTHING = 1 << 28


def plan_along(graph: Graph, limits: Limits, seed: int) -> Plan:
    """A streamed plan over a route drawn with `seed`, however many bytes it needs."""
    class Drawn(Search):
        """Knows all pieces, and takes those that the seed says, rather streamed ones."""

        def __init__(
            self, space: Space, per_layer_bytes: Sequence[int], *_: object, **__: object
        ) -> None:
            super().__init__(space, [*per_layer_bytes[:-1], ANYTHING], ANYTHING)

        def smallest(self, most_macs: float = 0) -> int:
            return 0

        def cheapest(self, ceiling_bytes: int) -> Route:
            rng, last, pieces = np.random.default_rng(seed), self._count, list[Piece]()
            while last > 0:
                pairs = list(self._cuts[last].pairs.values())
                ways = [(p, w, k) for p in pairs for w, k in p.streamed()]
                if ways and (rng.random() < 0.9 or not any(p.first == last - 1 for p in pairs)):
                    pair, way, k = ways[int(rng.integers(len(ways)))]
                    pieces.insert(0, pair.piece(self._space, way, k))
                else:
                    pieces.insert(0, Piece(last - 1, last, ANYTHING, 0, None))
                last = pieces[0].first
            return Route(max((p.live_bytes for p in pieces), default=0),
                         sum(p.extra_macs for p in pieces), tuple(pieces))

        def correct(self, piece: Piece, live_bytes: int, extra_macs: int) -> None:
            super().correct(piece, live_bytes, extra_macs)

    never = SimpleNamespace(arena_bytes=ANYTHING)
    with patch.object(streaming, "Search", Drawn), patch.object(
        streaming, "plan_per_layer", lambda *_: never
    ):
        return plan(graph, Target(), Limits(
            strategy="stream", input_memory=limits.input_memory, max_overhead=9.0))
