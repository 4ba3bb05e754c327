# SPDX-License-Identifier: MIT
"""EXPAND_DIMS: one more dimension of size 1; no code runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff.ir import Graph
from tinyeff.ops import operator as o
from tinyeff.ops import parting
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.operator import Node
from tinyeff.ops.view import View


@dataclass(frozen=True)
class ExpandDimsAttrs:
    """`axis` of the output, not negative."""

    axis: int


class ExpandDims(View[ExpandDimsAttrs]):
    """Moves nothing: the output is the input's memory. Source: expand_dims.cc of LiteRT."""

    kind = "EXPAND_DIMS"
    uint8 = True
    shares_scale = True

    def read(self, options: Any, node: Node[None]) -> ExpandDimsAttrs:
        return ExpandDimsAttrs(self._constant_axis(node))

    def _constant_axis(self, node: Node[Any]) -> int:
        axis = parting.only(o.constant_ints(node, 1, "axis"), "axis")
        rank = len(node.input(0).shape) + 1
        if not -rank <= axis < rank:
            raise ValueError(f"axis {axis} does not exist in an output of {rank} dimensions")
        return axis % rank

    def write(self, node: Node[ExpandDimsAttrs]) -> Any:
        if node.optional(1) is not None and self._constant_axis(node) != node.attrs.axis:
            raise ValueError(f"its axis {node.attrs.axis} differs from its constant input 1")
        return schema.ExpandDimsOptionsT()

    def output_shapes(self, node: Node[ExpandDimsAttrs]) -> tuple[tuple[int, ...], ...]:
        shape, axis = node.input(0).shape, node.attrs.axis
        return ((*shape[:axis], 1, *shape[axis:]),)

    def limits(self, node: Node[ExpandDimsAttrs]) -> Iterator[str]:
        x, out = node.input(0), node.output
        if o.is_int8(x, out) and x.quant != out.quant:
            yield ("its output has another scale or zero point than its input; TFLite does not "
                   "rescale here: they must be equal")

    def cases(self) -> Iterator[Graph]:
        cases: list[tuple[str, tuple[int, ...], int]] = [
            ("front", (3, 7), 0), ("middle", (1, 3, 7), 1), ("last", (1, 3, 7), -1),
        ]
        for name, shape, axis in cases:
            g = GraphBuilder(f"expand_dims_{name}")
            x = g.input(shape, 0.1, 9)
            constant = g.constant(np.array(axis, np.int64 if name == "last" else np.int32))
            attrs = ExpandDimsAttrs(axis % (len(shape) + 1))
            yield g.graph(g.op(self.kind, [x, constant], attrs, like=x))


OPERATOR = ExpandDims()
