# SPDX-License-Identifier: MIT
"""TILE: a tensor several times along each dimension.

Where it repeats rows or pixels, as nearest up-sampling does, simplifying turns it into a resize.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff.ir import Array, Graph, Kernel, Target, Variant
from tinyeff.ops import operator as o
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.operator import Node, Operator
from tinyeff.ops.strided_copy import (
    MAX_RANK,
    Loops,
    copy_kernel,
    copy_variant,
    joined,
    strides_of,
)


@dataclass(frozen=True)
class TileAttrs:
    """How often the input stands along each of its dimensions."""

    multiples: tuple[int, ...]


def loops_of(shape: tuple[int, ...], multiples: tuple[int, ...]) -> Loops:
    """The loops of the copy: around each dimension one that starts it again."""
    walked = zip(multiples, shape, strides_of(shape), strict=True)
    return joined(step for multiple, size, stride in walked
                  for step in ((multiple, 0), (size, stride)))


class Tile(Operator[TileAttrs]):
    """Source: tile.cc of LiteRT."""

    kind = "TILE"
    uint8 = True
    shares_scale = True
    version = 2
    form = "whole"

    def read(self, options: Any, node: Node[None]) -> TileAttrs:
        return TileAttrs(o.constant_ints(node, 1, "multiples"))

    def write(self, node: Node[TileAttrs]) -> Any:
        o.check_constant_ints(node, 1, "multiples", node.attrs.multiples)
        return schema.TileOptionsT()

    def output_shapes(self, node: Node[TileAttrs]) -> tuple[tuple[int, ...], ...]:
        shape, multiples = node.input(0).shape, node.attrs.multiples
        if len(multiples) != len(shape) or min(multiples, default=1) < 1:
            raise ValueError(f"its multiples {list(multiples)} must be one number of at least 1 "
                             f"for each dimension of its input of shape {shape}")
        return (tuple(n * m for n, m in zip(shape, multiples, strict=True)),)

    def limits(self, node: Node[TileAttrs]) -> Iterator[str]:
        loops = loops_of(node.input(0).shape, node.attrs.multiples)
        if len(loops) > MAX_RANK:
            yield (f"it walks through its input {node.input(0).shape} in {len(loops)} loops; at "
                   f"most {MAX_RANK} are supported")

    def evaluate(self, node: Node[TileAttrs], inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        return (np.tile(inputs[0], node.attrs.multiples),)

    def form_of(self, node: Node[TileAttrs]) -> str:
        return "view" if math.prod(node.attrs.multiples) == 1 else "whole"

    def variants(self, node: Node[TileAttrs], target: Target) -> tuple[Variant, ...]:
        if self.form_of(node) == "view":
            return ()
        return (copy_variant(loops_of(node.input(0).shape, node.attrs.multiples)),)

    def lower(self, node: Node[TileAttrs], variant: Variant) -> Kernel:
        return copy_kernel(loops_of(node.input(0).shape, node.attrs.multiples))

    def cases(self) -> Iterator[Graph]:
        cases: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = [
            ("rows", (1, 3, 1, 4, 5), (1, 1, 2, 1, 1)),
            ("channels", (1, 3, 4, 5), (1, 1, 1, 3)),
            ("all", (1, 2, 3, 2), (1, 2, 2, 3)),
            ("nothing", (1, 2, 3, 2), (1, 1, 1, 1)),
            ("one_value", (1, 1, 1), (1, 3, 4)),
            ("vector", (1, 5), (1, 2)),
        ]
        for name, shape, multiples in cases:
            g = GraphBuilder(f"tile_{name}")
            x = g.input(shape, 0.1, 9)
            constant = g.constant(np.array(multiples, np.int64 if name == "all" else np.int32))
            yield g.graph(g.op(self.kind, [x, constant], TileAttrs(multiples), like=x))


OPERATOR = Tile()
