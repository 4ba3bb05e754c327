# SPDX-License-Identifier: MIT
"""What CONCATENATION and PACK share: several tensors side by side along one axis.

Along channels, pixels or rows the kernel goes row by row. Along an axis further in front, or where
PACK's new axis makes rows, pixels or channels of another kind, it takes whole tensors in turns.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from tinyeff.ir import Array, ConstArray, Kernel, Tensor, Variant, Window
from tinyeff.ops import operator as o
from tinyeff.ops.operator import Node

A = TypeVar("A")
Shape = tuple[int, ...]

WHOLE = "whole"
CODE_BYTES = {"channels": 296, "pixels": 296, "rows": 336, WHOLE: 104}


@dataclass(frozen=True)
class Joint:
    """How a node joins its inputs: `parts` are their shapes with the axis in place."""

    axis: int
    parts: tuple[Shape, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """What each part adds to the axis."""
        return tuple(part[self.axis] for part in self.parts)

    @property
    def shape(self) -> Shape:
        """Of the output."""
        first = self.parts[0]
        return (*first[:self.axis], sum(self.sizes), *first[self.axis + 1:])


def grid(shape: Shape) -> tuple[int, int, int]:
    """(rows, pixels, channels) of a tensor of this shape."""
    tensor = Tensor("", shape, "int8")
    return tensor.rows, tensor.pixels, tensor.channels


def way_of(node: Node[Any], joint: Joint) -> str:
    """Along what the kernel joins: "channels", "pixels", "rows" or "whole" tensors."""
    rank = len(joint.shape)
    tensors = [t for t in node.inputs if t is not None]
    if any(grid(t.shape) != grid(part) for t, part in zip(tensors, joint.parts, strict=True)):
        return WHOLE
    if joint.axis >= rank - 2:
        return "channels" if joint.axis == rank - 1 else "pixels"
    return "rows" if math.prod(joint.shape[:joint.axis]) == 1 else WHOLE


def sizes_of(joint: Joint, way: str) -> tuple[int, ...]:
    """Of each part what its kernel counts: channels, pixels, rows, or bytes in a turn."""
    end = {"rows": -2, WHOLE: len(joint.shape)}.get(way, joint.axis + 1)
    return tuple(math.prod(part[joint.axis:end]) for part in joint.parts)


def window(node: Node[Any], joint: Joint, activation: int) -> Window:
    """The rows that an output row needs of an activation."""
    way = way_of(node, joint)
    if way != "rows":
        return Window()
    starts = np.cumsum((0, *sizes_of(joint, way))).tolist()
    positions = [i for i, t in enumerate(node.inputs) if t is not None and not t.is_constant]
    return Window(offset=-starts[positions[activation]])


def columns(node: Node[Any], joint: Joint, activation: int) -> Window:
    """The columns that an output column needs of an activation."""
    if way_of(node, joint) == "pixels":
        return Window(node.activations[activation].pixels, 0)
    return Window()


def limits(node: Node[Any]) -> Iterator[str]:
    """The limit sentences on the inputs of an operator that joins."""
    tensors = tuple(t for t in node.inputs if t is not None)
    if not o.is_int8(*tensors, node.output):
        return
    out = node.output.quant
    for tensor in tensors:
        quant = tensor.quant
        assert quant is not None and out is not None
        if (quant.scale, quant.zero_point) != (out.scale, out.zero_point):
            yield (f"'{tensor.name}' has scale {quant.scale:.9g} and zero point "
                   f"{quant.zero_point}, its output {out.scale:.9g} and {out.zero_point}; tinyeff "
                   "does not rescale here: they must be equal")


def joined(node: Node[Any], joint: Joint, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
    """The result; `inputs` are the activations in order."""
    waiting = list(inputs)
    values = [waiting.pop(0) if t.data is None else t.data for t in node.inputs if t is not None]
    parts = [v.reshape(part) for v, part in zip(values, joint.parts, strict=True)]
    return (np.concatenate(parts, joint.axis),)


def variants(node: Node[Any], joint: Joint) -> tuple[Variant, ...]:
    """The one kernel that joins this way."""
    way = way_of(node, joint)
    constant_elements = sum(t.elements for t in node.inputs if t is not None and t.is_constant)
    return (Variant("portable", const_bytes=8 * len(joint.parts) + constant_elements,
                    code_bytes=CODE_BYTES[way], cost=3 * node.output.elements,
                    flat=way == "channels" and not constant_elements),)


def lower(node: Node[Any], joint: Joint) -> Kernel:
    """The kernel call; the node may have been flattened where it joins channels."""
    way, out = way_of(node, joint), node.output
    starts, values, used = [], [], 0
    for tensor in node.inputs:
        assert tensor is not None
        starts.append(-1 if tensor.data is None else used)
        if tensor.data is not None:
            values.append(tensor.data.reshape(-1))
            used += tensor.elements
    constants: int | ConstArray = o.int8(np.concatenate(values)) if values else 0
    fields = (
        ("count", len(joint.parts)),
        ("turns", math.prod(joint.shape[:joint.axis])),
        ("size", o.int32(list(sizes_of(joint, way)))),
        ("constant", o.int32(starts)),
        ("constants", constants),
        ("out_pixels", out.pixels),
        ("out_pitch", out.channels),
        ("channels", out.channels),
    )
    return Kernel(f"te_join_{way}", "te_join_params", fields, ("te_join",))
