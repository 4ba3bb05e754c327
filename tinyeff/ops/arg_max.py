# SPDX-License-Identifier: MIT
"""ARG_MAX: where along an axis the largest value is; int32 or int64."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff.ir import Array, Graph, Kernel, Target, Variant
from tinyeff.ops import operator as o
from tinyeff.ops import parting
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.operator import Node, Operator

TYPES = {schema.TensorType.INT32: "int32", schema.TensorType.INT64: "int64"}


@dataclass(frozen=True)
class ArgMaxAttrs:
    """`axis` is counted from the last dimension, which is -1; `dtype` is that of the output."""

    axis: int
    dtype: str = "int32"


class ArgMax(Operator[ArgMaxAttrs]):
    """Source: reference_ops::ArgMinMax of LiteRT, which takes the first of equal values."""

    kind = "ARG_MAX"
    uint8 = True
    version = 2
    form = "whole"
    writes_indices = True

    def read(self, options: Any, node: Node[None]) -> ArgMaxAttrs:
        axis = parting.only(o.constant_ints(node, 1, "axis"), "axis")
        return ArgMaxAttrs(parting.axis_of(axis, node.input(0)),
                           TYPES.get(options.outputType, f"type {options.outputType}"))

    def write(self, node: Node[ArgMaxAttrs]) -> Any:
        parting.check_axis(node, 1, node.attrs.axis, node.input(0))
        options = schema.ArgMaxOptionsT()
        options.outputType = next(n for n, name in TYPES.items() if name == node.attrs.dtype)
        return options

    def output_shapes(self, node: Node[ArgMaxAttrs]) -> tuple[tuple[int, ...], ...]:
        shape = node.input(0).shape
        axis = len(shape) + node.attrs.axis
        if axis < 0:
            raise ValueError(f"axis {node.attrs.axis} does not exist in its input of shape {shape}")
        return ((*shape[:axis], *shape[axis + 1:]),)

    def limits(self, node: Node[ArgMaxAttrs]) -> Iterator[str]:
        if node.attrs.dtype not in TYPES.values() or node.output.dtype != node.attrs.dtype:
            yield (f"its output is {node.output.dtype}, its option says {node.attrs.dtype}; they "
                   f"must be equal, and one of {', '.join(TYPES.values())}")

    def evaluate(self, node: Node[ArgMaxAttrs], inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        return (np.asarray(inputs[0].argmax(node.attrs.axis)).astype(node.attrs.dtype),)

    def variants(self, node: Node[ArgMaxAttrs], target: Target) -> tuple[Variant, ...]:
        return (Variant("portable", code_bytes=160, cost=6 * node.input(0).elements),)

    def lower(self, node: Node[ArgMaxAttrs], variant: Variant) -> Kernel:
        shape = node.input(0).shape
        axis = len(shape) + node.attrs.axis
        fields = (
            ("outer", math.prod(shape[:axis])),
            ("size", shape[axis]),
            ("inner", math.prod(shape[axis + 1:])),
            ("words", node.output.element_bytes // 4),
        )
        return Kernel("te_arg_max", "te_arg_max_params", fields, ("te_arg_max",))

    def cases(self) -> Iterator[Graph]:
        cases: list[tuple[str, tuple[int, ...], int, str]] = [
            ("classes", (1, 10), -1, "int32"),
            ("classes_64", (1, 10), 1, "int64"),
            ("map", (1, 3, 4, 21), 3, "int32"),
            ("map_64", (1, 3, 4, 5), -1, "int64"),
            ("rows", (1, 6, 4, 3), 1, "int32"),
            ("pixels", (1, 3, 7, 2), -2, "int32"),
            ("many", (1, 300, 2), 1, "int32"),
        ]
        for name, shape, axis, dtype in cases:
            g = GraphBuilder(f"arg_max_{name}")
            x, constant = g.input(shape, 0.1, 9), g.constant(np.array(axis, np.int32))
            attrs = ArgMaxAttrs(axis % len(shape) - len(shape), dtype)
            yield g.graph(g.op(self.kind, [x, constant], attrs, dtype=dtype))


OPERATOR = ArgMax()
