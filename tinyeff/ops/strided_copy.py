# SPDX-License-Identifier: MIT
"""Copies in any order: nested loops through the output, each with its stride in the input.

TRANSPOSE, TILE and slices over whole tensors are such copies, and share one kernel.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from tinyeff.ir import Kernel, Variant
from tinyeff.ops import operator as o

MAX_RANK = 6
"""TE_TRANSPOSE_MAX_RANK of the kernel; LiteRT's own limit is the same."""

Loops = tuple[tuple[int, int], ...]
"""(size, stride in the input) of the loops through the output, outermost first."""


def strides_of(shape: tuple[int, ...]) -> tuple[int, ...]:
    """How many values one step along each dimension is."""
    return tuple(math.prod(shape[axis + 1:]) for axis in range(len(shape)))


def joined(steps: Iterable[tuple[int, int]]) -> Loops:
    """Loops without those of one step; neighbours that one loop can walk through are one."""
    loops: list[tuple[int, int]] = []
    for size, stride in steps:
        if size == 1:
            continue
        if loops and loops[-1][1] == size * stride:
            loops[-1] = (loops[-1][0] * size, stride)
        else:
            loops.append((size, stride))
    return tuple(loops)


def copy_variant(loops: Loops) -> Variant:
    """What the copy costs."""
    return Variant("portable", const_bytes=8 * max(len(loops), 1), code_bytes=188,
                   cost=6 * math.prod(size for size, _ in loops))


def copy_kernel(loops: Loops, start: int = 0) -> Kernel:
    """The copy whose first value is the input's value `start`."""
    loops = loops or ((1, 1),)
    fields = (
        ("rank", len(loops)),
        ("start", start),
        ("size", o.int32([size for size, _ in loops])),
        ("stride", o.int32([stride for _, stride in loops])),
    )
    return Kernel("te_transpose", "te_transpose_params", fields, ("te_transpose",))
