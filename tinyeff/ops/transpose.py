# SPDX-License-Identifier: MIT
"""TRANSPOSE: any order of the dimensions."""

from __future__ import annotations

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
class TransposeAttrs:
    """Output dimension i is input dimension perm[i]."""

    perm: tuple[int, ...]


def is_view(shape: tuple[int, ...], perm: tuple[int, ...]) -> bool:
    """True where only dimensions of size 1 move, so that no byte does."""
    real = [axis for axis in perm if shape[axis] > 1]
    return real == sorted(real)


def loops_of(shape: tuple[int, ...], perm: tuple[int, ...]) -> Loops:
    """The loops of the copy; neighbours that stay neighbours are one."""
    strides = strides_of(shape)
    return joined((shape[axis], strides[axis]) for axis in perm)


class Transpose(Operator[TransposeAttrs]):
    """Moves bytes; where only dimensions of size 1 move, it is a view."""

    kind = "TRANSPOSE"
    shares_scale = True
    version = 2
    uint8 = True
    form = "whole"

    def read(self, options: Any, node: Node[None]) -> TransposeAttrs:
        return TransposeAttrs(self._constant_perm(node))

    def _constant_perm(self, node: Node[Any]) -> tuple[int, ...]:
        rank, perm = len(node.input(0).shape), o.constant_ints(node, 1, "permutation")
        if sorted(axis % max(rank, 1) for axis in perm) != list(range(rank)):
            raise ValueError(f"{list(perm)} is no permutation of the {rank} dimensions of its "
                             "input")
        return tuple(axis % rank for axis in perm)

    def write(self, node: Node[TransposeAttrs]) -> Any:
        if node.optional(1) is not None and self._constant_perm(node) != node.attrs.perm:
            raise ValueError(f"its permutation {node.attrs.perm} differs from its constant input 1")
        return schema.TransposeOptionsT()

    def output_shapes(self, node: Node[TransposeAttrs]) -> tuple[tuple[int, ...], ...]:
        shape, perm = node.input(0).shape, node.attrs.perm
        if sorted(perm) != list(range(len(shape))):
            raise ValueError(f"{perm} is no permutation of the dimensions of {shape}")
        return (tuple(shape[axis] for axis in perm),)

    def limits(self, node: Node[TransposeAttrs]) -> Iterator[str]:
        rank = len(loops_of(node.input(0).shape, node.attrs.perm))
        if rank > MAX_RANK:
            yield (f"it moves {rank} dimensions of {node.input(0).shape}; at most {MAX_RANK} "
                   "are supported")

    def evaluate(self, node: Node[TransposeAttrs], inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        return (np.ascontiguousarray(inputs[0].transpose(node.attrs.perm)),)

    def form_of(self, node: Node[TransposeAttrs]) -> str:
        return "view" if is_view(node.input(0).shape, node.attrs.perm) else "whole"

    def variants(self, node: Node[TransposeAttrs], target: Target) -> tuple[Variant, ...]:
        if self.form_of(node) == "view":
            return ()
        return (copy_variant(loops_of(node.input(0).shape, node.attrs.perm)),)

    def lower(self, node: Node[TransposeAttrs], variant: Variant) -> Kernel:
        return copy_kernel(loops_of(node.input(0).shape, node.attrs.perm))

    def cases(self) -> Iterator[Graph]:
        cases: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = [
            ("channels_first", (1, 3, 4, 5), (0, 3, 1, 2)),
            ("channels_last", (1, 5, 3, 4), (0, -2, 3, 1)),
            ("swap", (1, 6, 7), (0, 2, 1)),
            ("reverse", (2, 3, 4, 5), (3, 2, 1, 0)),
            ("view", (1, 1, 4, 5), (2, 0, 1, 3)),
            ("identity", (1, 2, 3, 4), (0, 1, 2, 3)),
            ("five", (1, 2, 3, 4, 5), (4, 0, 2, 1, 3)),
            ("six", (2, 3, 2, 3, 2, 3), (5, 3, 1, 4, 2, 0)),
        ]
        for name, shape, perm in cases:
            g = GraphBuilder(f"transpose_{name}")
            x = g.input(shape, 0.1, 9)
            constant = g.constant(np.array(perm, np.int32))
            attrs = TransposeAttrs(tuple(axis % len(shape) for axis in perm))
            yield g.graph(g.op("TRANSPOSE", [x, constant], attrs, like=x))


OPERATOR = Transpose()
