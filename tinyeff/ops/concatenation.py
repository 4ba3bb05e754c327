# SPDX-License-Identifier: MIT
"""CONCATENATION of any number of tensors along any axis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff.ir import Array, Graph, Kernel, Target, Variant, Window
from tinyeff.ops import joining
from tinyeff.ops import operator as o
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.joining import Joint
from tinyeff.ops.operator import Node, Operator


@dataclass(frozen=True)
class ConcatenationAttrs:
    """`axis` is counted from the last dimension, which is -1."""

    axis: int
    activation: str = "none"


def _joint(node: Node[ConcatenationAttrs]) -> Joint:
    parts = tuple(t.shape for t in node.inputs if t is not None)
    return Joint(len(parts[0]) + node.attrs.axis, parts)


class Concatenation(Operator[ConcatenationAttrs]):
    """Source: concatenation.cc of LiteRT, which for int8 neither rescales nor clamps."""

    kind = "CONCATENATION"
    uint8 = True
    shares_scale = True
    version = 2

    def read(self, options: Any, node: Node[None]) -> ConcatenationAttrs:
        rank = len(node.input(0).shape)
        if not -rank <= options.axis < rank:
            raise ValueError(f"axis {options.axis} does not exist in its input of shape "
                             f"{node.input(0).shape}")
        return ConcatenationAttrs(options.axis % rank - rank,
                                  o.activation_name(options.fusedActivationFunction))

    def write(self, node: Node[ConcatenationAttrs]) -> Any:
        options = schema.ConcatenationOptionsT()
        options.axis = node.attrs.axis
        options.fusedActivationFunction = o.ACTIVATIONS.index(node.attrs.activation)
        return options

    def output_shapes(self, node: Node[ConcatenationAttrs]) -> tuple[tuple[int, ...], ...]:
        shapes = [t.shape for t in node.inputs if t is not None]
        axis = len(shapes[0]) + node.attrs.axis
        rest = {shape[:axis] + shape[axis + 1:] for shape in shapes}
        if len({len(shape) for shape in shapes}) > 1 or len(rest) > 1 or axis < 0:
            raise ValueError(f"its inputs of shapes {', '.join(map(str, shapes))} differ in more "
                             f"than dimension {axis}")
        return (_joint(node).shape,)

    def limits(self, node: Node[ConcatenationAttrs]) -> Iterator[str]:
        if node.attrs.activation != "none":
            yield f"TFLite has no fused activation here; it says {node.attrs.activation}"
        yield from joining.limits(node)

    def evaluate(
        self, node: Node[ConcatenationAttrs], inputs: tuple[Array, ...]
    ) -> tuple[Array, ...]:
        return joining.joined(node, _joint(node), inputs)

    def form_of(self, node: Node[ConcatenationAttrs]) -> str:
        return "whole" if joining.way_of(node, _joint(node)) == joining.WHOLE else "rows"

    def window(self, node: Node[ConcatenationAttrs], activation: int) -> Window:
        return joining.window(node, _joint(node), activation)

    def columns(self, node: Node[ConcatenationAttrs], activation: int) -> Window:
        return joining.columns(node, _joint(node), activation)

    def variants(self, node: Node[ConcatenationAttrs], target: Target) -> tuple[Variant, ...]:
        return joining.variants(node, _joint(node))

    def lower(self, node: Node[ConcatenationAttrs], variant: Variant) -> Kernel:
        return joining.lower(node, _joint(node))

    def cases(self) -> Iterator[Graph]:
        cases: list[tuple[str, int, list[tuple[int, ...]]]] = [
            ("channels", 3, [(1, 3, 4, 5), (1, 3, 4, 1), (1, 3, 4, 8)]),
            ("channels_equal", -1, [(1, 5, 2, 4)] * 4),
            ("pixels", 2, [(1, 3, 4, 5), (1, 3, 1, 5), (1, 3, 7, 5)]),
            ("rows", 1, [(1, 3, 4, 5), (1, 1, 4, 5), (1, 2, 4, 5)]),
            ("vectors", 1, [(1, 7), (1, 3)]),
            ("sequence", 1, [(1, 7, 3), (1, 2, 3)]),
            ("flat", 0, [(7,), (3,)]),
            ("batch", 0, [(2, 3, 4), (1, 3, 4)]),
            ("inner", 1, [(3, 2, 4, 5), (3, 1, 4, 5)]),
            ("blocks", 1, [(1, 3, 2, 4, 5), (1, 1, 2, 4, 5)]),
            ("one", -1, [(1, 3, 4, 5)]),
        ]
        for seed, (name, axis, shapes) in enumerate(cases):
            g = GraphBuilder(f"concatenation_{name}", seed)
            inputs: list[int | None] = [g.input(shape, 0.1, 9) for shape in shapes]
            yield self._case(g, axis % len(shapes[0]) - len(shapes[0]), inputs)
        g = GraphBuilder("concatenation_with_itself")
        x = g.input((1, 3, 4, 5), 0.1, 9)
        yield self._case(g, -1, [x, x])
        for axis in (-1, -2, -3, -4):
            g = GraphBuilder(f"concatenation_constants_{-axis}", -axis)
            shape = (2, 3, 4, 5) if axis == -3 else (1, 3, 4, 5)
            data = [g.constant(g.rng.integers(-128, 128, shape, dtype=np.int8), 0.1, 9)
                    for _ in range(2)]
            yield self._case(g, axis, [data[0], g.input(shape, 0.1, 9), data[1],
                                       g.input(shape, 0.1, 9)])

    def _case(self, g: GraphBuilder, axis: int, inputs: list[int | None]) -> Graph:
        return g.graph(g.op(self.kind, inputs, ConcatenationAttrs(axis), 0.1, 9))


OPERATOR = Concatenation()
