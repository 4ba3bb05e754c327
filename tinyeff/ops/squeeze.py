# SPDX-License-Identifier: MIT
"""SQUEEZE: dimensions of size 1 fall away; no code runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff.ir import Graph
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.operator import Node
from tinyeff.ops.view import View


@dataclass(frozen=True)
class SqueezeAttrs:
    """`axes` as the file names them; none: all dimensions of size 1."""

    axes: tuple[int, ...] = ()


class Squeeze(View[SqueezeAttrs]):
    """Moves nothing: the output is the input's memory. Source: squeeze.cc of LiteRT."""

    kind = "SQUEEZE"
    uint8 = True
    shares_scale = True

    def read(self, options: Any, node: Node[None]) -> SqueezeAttrs:
        axes = None if options is None else options.squeezeDims
        return SqueezeAttrs(() if axes is None else tuple(int(axis) for axis in axes))

    def write(self, node: Node[SqueezeAttrs]) -> Any:
        options = schema.SqueezeOptionsT()
        options.squeezeDims = np.array(node.attrs.axes, np.int32)
        return options

    def output_shapes(self, node: Node[SqueezeAttrs]) -> tuple[tuple[int, ...], ...]:
        shape, axes = node.input(0).shape, node.attrs.axes
        rank = len(shape)
        for axis in axes:
            if not -rank <= axis < rank or shape[axis] != 1:
                raise ValueError(f"dimension {axis} of its input of shape {shape} cannot fall "
                                 "away: it is not 1")
        gone = {axis % rank for axis in axes} if axes else set(range(rank))
        return (tuple(n for i, n in enumerate(shape) if i not in gone or n != 1),)

    def limits(self, node: Node[SqueezeAttrs]) -> Iterator[str]:
        yield from ()

    def cases(self) -> Iterator[Graph]:
        cases: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = [
            ("two", (1, 1, 1, 7), (1, 2)),
            ("negative", (1, 3, 1, 7), (-2, 2)),
            ("all", (1, 3, 1, 4), ()),
        ]
        for name, shape, axes in cases:
            g = GraphBuilder(f"squeeze_{name}")
            x = g.input(shape, 0.1, 9)
            yield g.graph(g.op(self.kind, [x], SqueezeAttrs(axes), like=x))


OPERATOR = Squeeze()
