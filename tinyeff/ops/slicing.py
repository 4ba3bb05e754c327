# SPDX-License-Identifier: MIT
"""What SLICE and STRIDED_SLICE share: every step-th index of a range in each dimension.

Where the output's rows, pixels and channels are some of the input's, the kernel goes row by row.
Where dimensions fall away so that they are others, or rows are taken backwards, the kernel of
TRANSPOSE walks through the whole tensor.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from tinyeff.ir import Array, Kernel, Target, Variant, Window
from tinyeff.ops.joining import Shape, grid
from tinyeff.ops.operator import Node, Operator
from tinyeff.ops.strided_copy import (
    MAX_RANK,
    Loops,
    copy_kernel,
    copy_variant,
    joined,
    strides_of,
)

A = TypeVar("A")


@dataclass(frozen=True)
class Range:
    """Indices first, first + step ... along one dimension, `count` in all."""

    first: int
    step: int
    count: int

    @property
    def indices(self) -> Array:
        """All of them."""
        return self.first + self.step * np.arange(self.count)


Ranges = tuple[Range, ...]


def rows_of(shape: Shape, ranges: Ranges) -> Range | None:
    """The input rows that the output rows are, where they are a range."""
    rows = np.zeros(1, np.int64)
    for size, indices in zip(shape[:-2], ranges[:-2], strict=True):
        rows = (rows[:, None] * size + indices.indices).reshape(-1)
    steps = set(np.diff(rows).tolist())
    if len(steps) > 1 or not len(rows):
        return None
    return Range(int(rows[0]), steps.pop() if steps else 1, len(rows))


def loops_of(shape: Shape, ranges: Ranges) -> Loops:
    """The loops of the copy through all values."""
    return joined((r.count, r.step * stride)
                  for r, stride in zip(ranges, strides_of(shape), strict=True))


class Slicing(Operator[A]):
    """Base of the operators that slice; `ranges` says which values."""

    def ranges(self, node: Node[A]) -> Ranges:
        """One range for each dimension of the input."""
        raise NotImplementedError

    def limits(self, node: Node[A]) -> Iterator[str]:
        loops = loops_of(node.input(0).shape, self.ranges(node))
        if len(loops) > MAX_RANK and self.form_of(node) == "whole":
            yield (f"it walks through {len(loops)} dimensions of {node.input(0).shape}; at most "
                   f"{MAX_RANK} are supported")

    def evaluate(self, node: Node[A], inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        values = inputs[0][np.ix_(*(r.indices for r in self.ranges(node)))]
        return (values.reshape(self.output_shapes(node)[0]),)

    def _rows(self, node: Node[A]) -> Range:
        rows = rows_of(node.input(0).shape, self.ranges(node))
        assert rows is not None
        return rows

    def form_of(self, node: Node[A]) -> str:
        shape, ranges = node.input(0).shape, self.ranges(node)
        if all(r.count == n and (r.step > 0 or n == 1)
               for r, n in zip(ranges, shape, strict=True)):
            return "view"
        rows = rows_of(shape, ranges)
        kept = grid(tuple(r.count for r in ranges)) == grid(self.output_shapes(node)[0])
        return "rows" if kept and rows is not None and rows.step > 0 else "whole"

    def window(self, node: Node[A], activation: int) -> Window:
        if self.form_of(node) != "rows":
            return Window()
        rows = self._rows(node)
        return Window(1, rows.step, rows.first)

    def columns(self, node: Node[A], activation: int) -> Window:
        if self.form_of(node) != "rows":
            return Window()
        columns = _columns(self.ranges(node))
        if columns.step < 0:
            return Window(node.input(0).pixels, 0)
        return Window(1, columns.step, columns.first)

    def variants(self, node: Node[A], target: Target) -> tuple[Variant, ...]:
        form = self.form_of(node)
        if form == "view":
            return ()
        if form == "rows":
            return (Variant("portable", code_bytes=248, cost=4 * node.output.elements),)
        return (copy_variant(loops_of(node.input(0).shape, self.ranges(node))),)

    def lower(self, node: Node[A], variant: Variant) -> Kernel:
        shape, ranges = node.input(0).shape, self.ranges(node)
        if self.form_of(node) == "rows":
            return self._lower_rows(node, ranges)
        start = sum(r.first * stride for r, stride in zip(ranges, strides_of(shape), strict=True))
        return copy_kernel(loops_of(shape, ranges), start)

    def _lower_rows(self, node: Node[A], ranges: Ranges) -> Kernel:
        columns, channels = _columns(ranges), ranges[-1]
        fields = (
            ("row_step", self._rows(node).step),
            ("first_column", columns.first),
            ("column_step", columns.step),
            ("first_channel", channels.first),
            ("channel_step", channels.step),
            ("channels", channels.count),
            ("in_pitch", node.input(0).channels),
            ("out_pitch", node.output.channels),
        )
        return Kernel("te_slice", "te_slice_params", fields, ("te_slice",))


def _columns(ranges: Ranges) -> Range:
    return ranges[-2] if len(ranges) > 1 else Range(0, 1, 1)


def no_ranges(node: Node[Any]) -> ValueError:
    """The error where the input has no dimension."""
    return ValueError(f"its input of shape {node.input(0).shape} has no dimension to slice")
