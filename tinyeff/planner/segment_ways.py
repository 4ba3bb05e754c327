# SPDX-License-Identifier: MIT
"""The ways to stream a segment that a search has found, as arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tinyeff.planner.streams import Config, Rows, Space

MAC = 1 << 24
"""What one extra multiply-accumulate costs; a kernel call costs 1, all calls together less."""

MOST_RECOMPUTED = 62


@dataclass(frozen=True, eq=False)
class Ways:
    """Ways to run operators [first, last): bytes while they run, cost, and how.

    Arrays of one entry per way. `stripe` is the stripe's pixels (0: all columns), `mask` has bit n
    set where the n-th operator of `Space.expanding`, from the end, is recomputed.
    """

    live_bytes: Rows
    cost: Rows
    stripe: Rows
    mask: Rows
    tile_pixels: int

    def config(self, space: Space, first: int, last: int, number: int) -> Config:
        """How way `number` runs."""
        mask = int(self.mask[number])
        chosen = frozenset(op for n, op in enumerate(expanding(space, first, last))
                           if mask >> n & 1)
        return Config(self.tile_pixels, chosen, int(self.stripe[number]))


def expanding(space: Space, first: int, last: int) -> Iterator[int]:
    """Operators that a segment may recompute, from its end; at most `MOST_RECOMPUTED`."""
    found = (op for op in range(last - 1, first - 1, -1)
             if space.layers[op].expands and space.after(op) < last)
    for _, op in zip(range(MOST_RECOMPUTED), found, strict=False):
        yield op
