# SPDX-License-Identifier: MIT
"""SLICE: a box out of a tensor."""

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
from tinyeff.ops.slicing import Range, Ranges, Slicing, no_ranges


@dataclass(frozen=True)
class SliceAttrs:
    """Where the box begins and how large it is, in each dimension; no size is left open."""

    begin: tuple[int, ...]
    size: tuple[int, ...]


class Slice(Slicing[SliceAttrs]):
    """Source: slice.cc of LiteRT."""

    kind = "SLICE"
    uint8 = True
    shares_scale = True
    version = 2

    def read(self, options: Any, node: Node[None]) -> SliceAttrs:
        return self._constants(node)

    def _constants(self, node: Node[Any]) -> SliceAttrs:
        begin, size = o.constant_ints(node, 1, "begin"), o.constant_ints(node, 2, "size")
        shape = node.input(0).shape
        if not shape:
            raise no_ranges(node)
        if len(begin) != len(shape) or len(size) != len(shape):
            raise ValueError(f"its begin {list(begin)} and size {list(size)} must have one number "
                             f"for each dimension of its input of shape {shape}")
        return SliceAttrs(begin, tuple(extent - b if n == -1 else n for n, b, extent in
                                       zip(size, begin, shape, strict=True)))

    def write(self, node: Node[SliceAttrs]) -> Any:
        if node.optional(1) is not None and self._constants(node) != node.attrs:
            raise ValueError(f"its box {node.attrs} differs from its constant inputs 1 and 2")
        return schema.SliceOptionsT()

    def ranges(self, node: Node[SliceAttrs]) -> Ranges:
        return tuple(Range(b, 1, n)
                     for b, n in zip(node.attrs.begin, node.attrs.size, strict=True))

    def output_shapes(self, node: Node[SliceAttrs]) -> tuple[tuple[int, ...], ...]:
        a, shape = node.attrs, node.input(0).shape
        for begin, size, extent in zip(a.begin, a.size, shape, strict=True):
            if begin < 0 or size < 1 or begin + size > extent:
                raise ValueError(f"its box from {list(a.begin)} of size {list(a.size)} does not "
                                 f"lie in its input of shape {shape}")
        return (a.size,)

    def cases(self) -> Iterator[Graph]:
        cases: list[tuple[str, tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = [
            # name, input, begin, size
            ("image", (1, 5, 6, 3), (0, 1, 2, 0), (1, 3, 4, 3)),
            ("rows", (1, 7, 2, 3), (0, 2, 0, 0), (1, 4, 2, 3)),
            ("channels", (1, 3, 4, 9), (0, 0, 0, 2), (1, 3, 4, 5)),
            ("all", (1, 3, 4, 5), (0, 0, 0, 0), (1, -1, 4, -1)),
            ("one_value", (1, 3, 4, 5), (0, 2, 3, 4), (1, 1, 1, 1)),
            ("vector", (1, 9), (0, 3), (1, -1)),
            ("flat", (9,), (3,), (4,)),
            ("blocks", (1, 4, 3, 2, 5), (0, 1, 0, 0, 0), (1, 2, 3, 2, 5)),
            ("inner_blocks", (1, 4, 3, 2, 5), (0, 0, 1, 0, 1), (1, 4, 2, 2, 3)),
        ]
        for name, shape, begin, size in cases:
            g = GraphBuilder(f"slice_{name}")
            x = g.input(shape, 0.1, 9)
            kind = np.int64 if name == "rows" else np.int32
            constants = [g.constant(np.array(v, kind)) for v in (begin, size)]
            whole = tuple(n - b if s == -1 else s
                          for n, b, s in zip(shape, begin, size, strict=True))
            yield g.graph(g.op(self.kind, [x, *constants], SliceAttrs(begin, whole), like=x))


OPERATOR = Slice()
