# SPDX-License-Identifier: MIT
"""Plans along any route, not only the best: every cut, segment and tile that the search knows."""

from __future__ import annotations

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

        def __init__(self, space: Space, per_layer_bytes: list[int]) -> None:
            super().__init__(space, per_layer_bytes)

        def _add_streams(self, *arguments: object) -> None:
            self._ceiling = ANYTHING
            super()._add_streams(*arguments)  # type: ignore[arg-type]

        def fastest(self, ceiling_bytes: int) -> Route:
            rng, last, pieces = np.random.default_rng(seed), self._count, list[Piece]()
            while last > 0:
                options = self._pieces[last]
                streamed = [n for n, p in enumerate(options) if p.config is not None]
                usable = streamed if streamed and rng.random() < 0.9 else range(len(options))
                piece = options[int(rng.choice(usable))]
                pieces.insert(0, piece)
                last = piece.first
            return Route(max((p.live_bytes for p in pieces), default=0), 0, 0, tuple(pieces))

    never = SimpleNamespace(arena_bytes=ANYTHING)
    with patch.object(streaming, "Search", Drawn), patch.object(
        streaming, "plan_per_layer", lambda *_: never
    ):
        return plan(graph, Target(), Limits(strategy="stream", input_memory=limits.input_memory))
