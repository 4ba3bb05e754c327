# SPDX-License-Identifier: MIT
"""RESHAPE: the same bytes under another shape; no code runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff.ir import Graph
from tinyeff.ops import operator as o
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.operator import Node
from tinyeff.ops.view import View


@dataclass(frozen=True)
class ReshapeAttrs:
    """The new shape; nothing is left open."""

    shape: tuple[int, ...]


def resolved(shape: tuple[int, ...], elements: int) -> tuple[int, ...]:
    """`shape` with its one -1 worked out; ValueError where it does not hold `elements`."""
    known = o.elements_of(tuple(n for n in shape if n != -1))
    if shape.count(-1) == 1 and known > 0 and elements % known == 0:
        shape = tuple(elements // known if n == -1 else n for n in shape)
    if any(n < 1 for n in shape) or o.elements_of(shape) != elements:
        raise ValueError(f"shape {shape} does not hold the {elements} elements of its input")
    return shape


class Reshape(View[ReshapeAttrs]):
    """Moves nothing: the output is the input's memory."""

    kind = "RESHAPE"
    shares_scale = True
    uint8 = True

    def read(self, options: Any, node: Node[None]) -> ReshapeAttrs:
        # LiteRT takes the second input if it is a vector, else the option. A shape that is
        # computed at run time has been worked out in the output tensor.
        tensor, elements = node.optional(1), node.input(0).elements
        if tensor is None and len(node.inputs) > 1:
            raise ValueError("its shape is left out (input -1), which LiteRT does not survive")
        if tensor is not None and tensor.data is None:
            return ReshapeAttrs(resolved(node.output.shape, elements))
        if tensor is not None and len(tensor.shape) == 1:
            return ReshapeAttrs(resolved(o.constant_ints(node, 1, "shape"), elements))
        if options is None or options.newShape is None:
            return ReshapeAttrs(resolved(node.output.shape, elements))
        shape = tuple(int(n) for n in options.newShape)
        return ReshapeAttrs(() if shape == (0,) else resolved(shape, elements))

    def write(self, node: Node[ReshapeAttrs]) -> Any:
        if node.optional(1) is not None:
            shape = resolved(o.constant_ints(node, 1, "shape"), node.input(0).elements)
            if shape != node.attrs.shape:
                raise ValueError(f"its shape {node.attrs.shape} differs from its constant input 1")
        options = schema.ReshapeOptionsT()
        options.newShape = np.array(node.attrs.shape, np.int32)
        return options

    def output_shapes(self, node: Node[ReshapeAttrs]) -> tuple[tuple[int, ...], ...]:
        return (resolved(node.attrs.shape, node.input(0).elements),)

    def limits(self, node: Node[ReshapeAttrs]) -> Iterator[str]:
        shape = node.optional(1)
        if shape is not None and shape.data is None:
            yield (f"its shape is computed at run time by '{shape.name}'; convert the model with a "
                   "fixed batch of 1")

    def cases(self) -> Iterator[Graph]:
        shapes: list[tuple[str, tuple[int, ...], tuple[int, ...], tuple[int, ...] | None]] = [
            ("flatten", (1, 3, 4, 5), (1, 60), (-1, 60)),
            ("unflatten", (1, 60), (1, 3, 4, 5), (1, 3, 4, 5)),
            ("option_only", (1, 4, 4, 2), (1, 8, 4), None),
        ]
        for name, before, after, constant in shapes:
            g = GraphBuilder(f"reshape_{name}")
            inputs: list[int | None] = [g.input(before, 0.1, -5)]
            if constant is not None:
                inputs.append(g.constant(np.array(constant, np.int32)))
            yield g.graph(g.op("RESHAPE", inputs, ReshapeAttrs(after), like=inputs[0]))


OPERATOR = Reshape()
