# SPDX-License-Identifier: MIT
"""UNPACK: one tensor as its slices along an axis, without that axis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from tinyeff.ir import Graph
from tinyeff.ops import operator as o
from tinyeff.ops import parting
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.operator import Node
from tinyeff.ops.parting import Cut, Parting


@dataclass(frozen=True)
class UnpackAttrs:
    """`axis` is counted from the last dimension, which is -1; `count` is its size."""

    axis: int
    count: int


class Unpack(Parting[UnpackAttrs]):
    """Source: unpack.cc and reference_ops::Unpack of LiteRT."""

    kind = "UNPACK"
    uint8 = True
    shares_scale = True
    version = 2

    def read(self, options: Any, node: Node[None]) -> UnpackAttrs:
        return UnpackAttrs(parting.axis_of(options.axis, node.input(0)),
                           parting.count_of(options.num, node))

    def write(self, node: Node[UnpackAttrs]) -> Any:
        options = schema.UnpackOptionsT()
        options.axis, options.num = node.attrs.axis, node.attrs.count
        return options

    def cut(self, node: Node[UnpackAttrs]) -> Cut:
        return Cut(node.input(0), node.attrs.axis, (1,) * node.attrs.count)

    def output_shapes(self, node: Node[UnpackAttrs]) -> tuple[tuple[int, ...], ...]:
        axis = len(node.input(0).shape) + node.attrs.axis
        return tuple((*s[:axis], *s[axis + 1:]) for s in self.cut(node).shapes)

    def limits(self, node: Node[UnpackAttrs]) -> Iterator[str]:
        x = node.input(0)
        for tensor in node.outputs:
            if o.is_int8(x, tensor) and x.quant != tensor.quant:
                yield (f"'{tensor.name}' has another scale or zero point than its input; TFLite "
                       "does not rescale here: they must be equal")

    def cases(self) -> Iterator[Graph]:
        cases: list[tuple[str, int, tuple[int, ...]]] = [
            ("sequence", 1, (1, 3, 7)),
            ("rows", 1, (1, 3, 4, 5)),
            ("pixels", 2, (1, 3, 2, 5)),
            ("channels", -1, (1, 3, 4, 2)),
            ("front", 0, (3, 4)),
            ("one", 0, (1, 3, 4, 5)),
        ]
        for name, axis, shape in cases:
            g = GraphBuilder(f"unpack_{name}")
            x = g.input(shape, 0.1, 9)
            attrs = UnpackAttrs(axis % len(shape) - len(shape), shape[axis])
            yield g.graph(*g.ops(self.kind, [x], attrs, like=x))


OPERATOR = Unpack()
