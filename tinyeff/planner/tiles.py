# SPDX-License-Identifier: MIT
"""What a grid of tiles over an operator's output asks of the operators before it, along one axis.

Receptive fields are those of the real kernels, strides and paddings, cut off at the image's border:

    output            |--- tile 0 ---|--- tile 1 ---|
    one operator back |--- needed by 0 ---|
                                |--- needed by 1 ---|     the halo is computed twice

Rows and columns do not depend on each other, so two axes give every grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tinyeff.ir import Window
from tinyeff.schedule import ALONE, Operand, Stage

MOST_TILES = 8
"""Tiles along one axis of the largest grid."""
NOTHING = 1 << 30

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Axis:
    """For each way to cut the axis (C) and each stage (S), what its tiles ask for.

    `tiles` (C) are rows or columns of a tile; `most` (C, S) those of a stage's largest tile, at
    least 1; `total` (C, S) those of all its tiles together. `needed` maps tensors from outside to
    the first row or column that each tile reads, one array per cut.
    """

    tiles: tuple[int, ...]
    most: Ints
    total: Ints
    needed: dict[int, tuple[Ints, ...]]


def tile_sizes(size: int, most_tiles: int = MOST_TILES) -> tuple[int, ...]:
    """The sizes that cut `size` into 1 to `most_tiles` tiles, the last one perhaps smaller."""
    return tuple(dict.fromkeys(-(-size // n) for n in range(1, most_tiles + 1)))


def reach(stages: Sequence[Stage], size: int, by_rows: bool) -> Axis:
    """Follow the tiles of the last stage, whose output measures `size`, back to the first."""
    tiles = tile_sizes(size)
    starts = [np.arange(0, size, tile, dtype=np.int64) for tile in tiles]
    cuts = np.cumsum([0, *(len(s) for s in starts)])[:-1]
    begins = [np.full(sum(map(len, starts)), NOTHING) for _ in stages]
    ends = [np.zeros_like(b) for b in begins]
    begins[-1] = np.concatenate(starts)
    ends[-1] = np.minimum(begins[-1] + np.repeat(tiles, [len(s) for s in starts]), size)
    needed: dict[int, Ints] = {}
    for number in reversed(range(len(stages))):
        for operand in stages[number].operands:
            begin, end = _required(operand, begins[number], ends[number], by_rows)
            if operand.producer == ALONE:
                known = needed.get(operand.tensor, begin)
                needed[operand.tensor] = np.minimum(known, begin)
            else:
                back = operand.producer
                begins[back] = np.minimum(begins[back], begin)
                ends[back] = np.maximum(ends[back], end)
    sizes = np.array([np.maximum(e - b, 0) for b, e in zip(begins, ends, strict=True)])
    return Axis(
        tiles,
        np.maximum(np.maximum.reduceat(sizes, cuts, axis=1), 1).T,
        np.add.reduceat(sizes, cuts, axis=1).T,
        {tensor: tuple(np.split(first, cuts[1:])) for tensor, first in needed.items()},
    )


def _required(operand: Operand, begin: Ints, end: Ints, by_rows: bool) -> tuple[Ints, Ints]:
    """[begin, end) of the operand that [begin, end) of its reader needs, per tile."""
    window: Window = operand.window if by_rows else operand.columns
    size = operand.rows if by_rows else operand.pixels
    first = np.maximum((begin * window.step + window.offset) // window.divisor, 0)
    last = ((end - 1) * window.step + window.offset) // window.divisor + window.count
    used = begin < end
    return np.where(used, first, NOTHING), np.where(used, np.minimum(last, size), 0)
