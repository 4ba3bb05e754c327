# SPDX-License-Identifier: MIT
"""SPLIT_V: one tensor as several of given sizes."""

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
from tinyeff.ops.parting import Cut, Parting


@dataclass(frozen=True)
class SplitVAttrs:
    """`axis` is counted from the last dimension, which is -1; no size is left open."""

    axis: int
    sizes: tuple[int, ...]


class SplitV(Parting[SplitVAttrs]):
    """Source: split_v.cc of LiteRT."""

    kind = "SPLIT_V"
    uint8 = True
    shares_scale = True
    version = 2

    def read(self, options: Any, node: Node[None]) -> SplitVAttrs:
        axis = parting.axis_of(parting.only(o.constant_ints(node, 2, "axis"), "axis"),
                               node.input(0))
        return SplitVAttrs(axis, self._sizes(node, axis))

    def _sizes(self, node: Node[Any], axis: int) -> tuple[int, ...]:
        sizes = o.constant_ints(node, 1, "sizes")
        if sizes.count(-1) == 1:
            rest = node.input(0).shape[axis] - sum(n for n in sizes if n != -1)
            sizes = tuple(rest if n == -1 else n for n in sizes)
        return sizes

    def write(self, node: Node[SplitVAttrs]) -> Any:
        parting.check_axis(node, 2, node.attrs.axis, node.input(0))
        if node.optional(1) is not None:
            sizes = self._sizes(node, node.attrs.axis)
            if sizes != node.attrs.sizes:
                raise ValueError(f"its sizes {node.attrs.sizes} differ from its constant input 1")
        options = schema.SplitVOptionsT()
        options.numSplits = len(node.attrs.sizes)
        return options

    def cut(self, node: Node[SplitVAttrs]) -> Cut:
        return Cut(node.input(0), node.attrs.axis, node.attrs.sizes)

    def limits(self, node: Node[SplitVAttrs]) -> Iterator[str]:
        yield from ()

    def cases(self) -> Iterator[Graph]:
        cases: list[tuple[str, int, tuple[int, ...], tuple[int, ...]]] = [
            ("channels", 3, (1, 4, 2), (1, 3, 4, 7)),
            ("open", -1, (3, -1), (1, 5, 3, 8)),
            ("pixels", 2, (1, 3), (1, 3, 4, 5)),
            ("rows", 1, (4, 2), (1, 6, 4, 5)),
            ("vector", 1, (1, 11), (1, 12)),
        ]
        for name, axis, sizes, shape in cases:
            g = GraphBuilder(f"split_v_{name}")
            x = g.input(shape, 0.1, 9)
            kind = np.int64 if name == "open" else np.int32
            constants = [g.constant(np.array(sizes, kind)), g.constant(np.array(axis, np.int32))]
            rest = shape[axis] - sum(n for n in sizes if n != -1)
            attrs = SplitVAttrs(axis % len(shape) - len(shape),
                                tuple(rest if n == -1 else n for n in sizes))
            yield g.graph(*g.ops(self.kind, [x, *constants], attrs, like=x))


OPERATOR = SplitV()
