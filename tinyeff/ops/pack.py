# SPDX-License-Identifier: MIT
"""PACK: tensors of one shape along a new axis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff.ir import Array, Graph, Kernel, Target, Variant, Window
from tinyeff.ops import joining
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.joining import Joint
from tinyeff.ops.operator import Node, Operator


@dataclass(frozen=True)
class PackAttrs:
    """`axis` of the output, not negative."""

    axis: int


def _joint(node: Node[PackAttrs]) -> Joint:
    axis = node.attrs.axis
    return Joint(axis, tuple((*t.shape[:axis], 1, *t.shape[axis:])
                             for t in node.inputs if t is not None))


class Pack(Operator[PackAttrs]):
    """Source: pack.cc and reference_ops::Pack of LiteRT."""

    kind = "PACK"
    uint8 = True
    shares_scale = True
    version = 2

    def read(self, options: Any, node: Node[None]) -> PackAttrs:
        rank = len(node.input(0).shape) + 1
        if not -rank <= options.axis < rank:
            raise ValueError(f"axis {options.axis} does not exist in an output of {rank} "
                             "dimensions")
        return PackAttrs(options.axis % rank)

    def write(self, node: Node[PackAttrs]) -> Any:
        options = schema.PackOptionsT()
        options.axis, options.valuesCount = node.attrs.axis, len(node.inputs)
        return options

    def output_shapes(self, node: Node[PackAttrs]) -> tuple[tuple[int, ...], ...]:
        shapes = {t.shape for t in node.inputs if t is not None}
        if len(shapes) > 1:
            raise ValueError(f"its inputs have the shapes {', '.join(map(str, sorted(shapes)))}; "
                             "they must be equal")
        return (_joint(node).shape,)

    def limits(self, node: Node[PackAttrs]) -> Iterator[str]:
        yield from joining.limits(node)

    def evaluate(self, node: Node[PackAttrs], inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        return joining.joined(node, _joint(node), inputs)

    def form_of(self, node: Node[PackAttrs]) -> str:
        return "whole" if joining.way_of(node, _joint(node)) == joining.WHOLE else "rows"

    def window(self, node: Node[PackAttrs], activation: int) -> Window:
        return joining.window(node, _joint(node), activation)

    def columns(self, node: Node[PackAttrs], activation: int) -> Window:
        return joining.columns(node, _joint(node), activation)

    def variants(self, node: Node[PackAttrs], target: Target) -> tuple[Variant, ...]:
        # The axis counts from the front: it would be another one in a map flattened to one row.
        return tuple(replace(v, flat=False) for v in joining.variants(node, _joint(node)))

    def lower(self, node: Node[PackAttrs], variant: Variant) -> Kernel:
        return joining.lower(node, _joint(node))

    def cases(self) -> Iterator[Graph]:
        cases: list[tuple[str, int, int, tuple[int, ...]]] = [
            # name, axis, inputs, their shape
            ("vectors", 1, 3, (1, 7)),
            ("rows", 1, 2, (1, 4, 5)),
            ("front", 0, 2, (3, 4)),
            ("maps", 1, 2, (1, 3, 4, 5)),
            ("channels", 4, 3, (1, 2, 3, 4)),
            ("pixels", 3, 2, (1, 2, 3, 4)),
            ("one", 0, 1, (6,)),
        ]
        for seed, (name, axis, count, shape) in enumerate(cases):
            g = GraphBuilder(f"pack_{name}", seed)
            inputs: list[int | None] = [g.input(shape, 0.1, 9) for _ in range(count)]
            if name in ("maps", "channels"):
                data = g.rng.integers(-128, 128, shape, dtype=np.int8)
                inputs.insert(1, g.constant(data, 0.1, 9))
            yield g.graph(g.op(self.kind, inputs, PackAttrs(axis), 0.1, 9))


OPERATOR = Pack()
