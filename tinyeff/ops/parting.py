# SPDX-License-Identifier: MIT
"""What SPLIT, SPLIT_V and UNPACK share: one tensor as several, cut across one axis.

Cut across its channels the kernel goes row by row, else it takes whole tensors in turns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from tinyeff.ir import Array, Kernel, Target, Tensor, Variant
from tinyeff.ops import operator as o
from tinyeff.ops.operator import Node, Operator

A = TypeVar("A")
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Cut:
    """Of `x` the dimension `axis`, counted from the last, into parts of these sizes."""

    x: Tensor
    axis: int
    sizes: tuple[int, ...]

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Of the parts; ValueError where they do not make up the dimension."""
        shape, axis = self.x.shape, len(self.x.shape) + self.axis
        if axis < 0:
            raise ValueError(f"axis {self.axis} does not exist in its input of shape {shape}")
        if sum(self.sizes) != shape[axis] or min(self.sizes, default=0) < 1:
            raise ValueError(f"parts of {list(self.sizes)} do not make up dimension {axis} of its "
                             f"input of shape {shape}")
        return tuple((*shape[:axis], size, *shape[axis + 1:]) for size in self.sizes)


class Parting(Operator[A], Generic[A]):
    """Base of the operators that cut; `cut` says how."""

    def cut(self, node: Node[A]) -> Cut:
        """What is cut, and where."""
        raise NotImplementedError

    def output_shapes(self, node: Node[A]) -> tuple[Shape, ...]:
        return self.cut(node).shapes

    def evaluate(self, node: Node[A], inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        cut = self.cut(node)
        parts = np.split(inputs[0], np.cumsum(cut.sizes)[:-1], cut.axis)
        shapes = self.output_shapes(node)
        return tuple(np.ascontiguousarray(p).reshape(s)
                     for p, s in zip(parts, shapes, strict=True))

    def form_of(self, node: Node[A]) -> str:
        cut = self.cut(node)
        if len(cut.sizes) == 1:
            return "view"
        same = all((t.rows, t.pixels) == (cut.x.rows, cut.x.pixels) for t in node.outputs)
        return "rows" if cut.axis == -1 and same else "whole"

    def variants(self, node: Node[A], target: Target) -> tuple[Variant, ...]:
        form, cut = self.form_of(node), self.cut(node)
        if form == "view":
            return ()
        return (Variant("portable", const_bytes=4 * len(cut.sizes),
                        code_bytes=260 if form == "rows" else 84, cost=4 * cut.x.elements,
                        flat=form == "rows"),)

    def lower(self, node: Node[A], variant: Variant) -> Kernel:
        form, cut = self.form_of(node), self.cut(node)
        axis = len(cut.x.shape) + cut.axis
        inner = math.prod(cut.x.shape[axis + 1:])
        fields = (
            ("count", len(cut.sizes)),
            ("turns", math.prod(cut.x.shape[:axis])),
            ("size", o.int32([size * inner for size in cut.sizes])),
            ("in_pitch", cut.x.channels),
        )
        function = "te_part_channels" if form == "rows" else "te_part_whole"
        return Kernel(function, "te_part_params", fields, ("te_part",))


def axis_of(axis: int, x: Tensor) -> int:
    """An axis counted from the last; ValueError where `x` has none such."""
    rank = len(x.shape)
    if not -rank <= axis < rank:
        raise ValueError(f"axis {axis} does not exist in its input of shape {x.shape}")
    return axis % rank - rank


def count_of(count: int, node: Node[Any]) -> int:
    """A number of parts that an option names; ValueError where it is not that of the outputs.

    Seen to at once: a list of 2**31 parts would take all memory before anyone compares it.
    """
    if count != len(node.outputs):
        raise ValueError(f"it has {len(node.outputs)} outputs, not {count}")
    return int(count)


def only(values: tuple[int, ...], what: str) -> int:
    """The only one of `values`."""
    if len(values) != 1:
        raise ValueError(f"its {what} has {len(values)} numbers; it must have one")
    return values[0]


def check_axis(node: Node[Any], index: int, axis: int, x: Tensor) -> None:
    """ValueError where the constant input `index`, if there, names another axis; for `write`."""
    if node.optional(index) is None:
        return
    constant = only(o.constant_ints(node, index, "axis"), "axis")
    if axis_of(constant, x) != axis:
        raise ValueError(f"its axis {axis} differs from its constant input {index}")
