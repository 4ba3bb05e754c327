# SPDX-License-Identifier: MIT
"""SPLIT: one tensor as several of equal size."""

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
class SplitAttrs:
    """`axis` is counted from the last dimension, which is -1."""

    axis: int
    count: int


class Split(Parting[SplitAttrs]):
    """Source: split.cc of LiteRT; input 0 is the axis, input 1 what is split."""

    kind = "SPLIT"
    uint8 = True
    shares_scale = True
    version = 2

    def read(self, options: Any, node: Node[None]) -> SplitAttrs:
        axis = parting.only(o.constant_ints(node, 0, "axis"), "axis")
        return SplitAttrs(parting.axis_of(axis, node.input(1)),
                          parting.count_of(options.numSplits, node))

    def write(self, node: Node[SplitAttrs]) -> Any:
        parting.check_axis(node, 0, node.attrs.axis, node.input(1))
        options = schema.SplitOptionsT()
        options.numSplits = node.attrs.count
        return options

    def cut(self, node: Node[SplitAttrs]) -> Cut:
        x, axis, count = node.input(1), node.attrs.axis, node.attrs.count
        if count < 1 or axis < -len(x.shape) or x.shape[axis] % count:
            raise ValueError(f"its input of shape {x.shape} cannot be split into {count} equal "
                             f"parts along dimension {axis}")
        return Cut(x, axis, (x.shape[axis] // count,) * count)

    def limits(self, node: Node[SplitAttrs]) -> Iterator[str]:
        yield from ()

    def cases(self) -> Iterator[Graph]:
        cases: list[tuple[str, int, int, tuple[int, ...]]] = [
            ("channels", 3, 3, (1, 3, 4, 6)),
            ("channels_negative", -1, 2, (1, 5, 3, 8)),
            ("pixels", 2, 2, (1, 3, 4, 5)),
            ("rows", 1, 3, (1, 6, 4, 5)),
            ("vector", 1, 4, (1, 12)),
            ("one", 3, 1, (1, 3, 4, 5)),
        ]
        for name, axis, count, shape in cases:
            g = GraphBuilder(f"split_{name}")
            constant = g.constant(np.array(axis, np.int32))
            x = g.input(shape, 0.1, 9)
            attrs = SplitAttrs(axis % len(shape) - len(shape), count)
            yield g.graph(*g.ops(self.kind, [constant, x], attrs, like=x))


OPERATOR = Split()
