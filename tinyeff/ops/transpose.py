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

MAX_RANK = 6
"""TE_TRANSPOSE_MAX_RANK of the kernel; LiteRT's own limit is the same."""


@dataclass(frozen=True)
class TransposeAttrs:
    """Output dimension i is input dimension perm[i]."""

    perm: tuple[int, ...]


def is_view(shape: tuple[int, ...], perm: tuple[int, ...]) -> bool:
    """True where only dimensions of size 1 move, so that no byte does."""
    real = [axis for axis in perm if shape[axis] > 1]
    return real == sorted(real)


def merged(shape: tuple[int, ...], perm: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """The loops of a transposition, outermost first: (size, stride in the input).

    Dimensions of size 1 are left out, neighbours that stay neighbours are one loop.
    """
    strides = [o.elements_of(shape[axis + 1:]) for axis in range(len(shape))]
    loops: list[tuple[int, int]] = []
    for axis in perm:
        size, stride = shape[axis], strides[axis]
        if size == 1:
            continue
        if loops and loops[-1][1] == size * stride:
            loops[-1] = (loops[-1][0] * size, stride)
        else:
            loops.append((size, stride))
    return tuple(loops)


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
        rank = len(merged(node.input(0).shape, node.attrs.perm))
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
        loops = merged(node.input(0).shape, node.attrs.perm)
        return (Variant("portable", const_bytes=8 * len(loops), code_bytes=188,
                        cost=6 * node.output.elements),)

    def lower(self, node: Node[TransposeAttrs], variant: Variant) -> Kernel:
        loops = merged(node.input(0).shape, node.attrs.perm)
        fields = (
            ("rank", len(loops)),
            ("start", 0),
            ("size", o.int32([size for size, _ in loops])),
            ("stride", o.int32([stride for _, stride in loops])),
        )
        return Kernel("te_transpose", "te_transpose_params", fields, ("te_transpose",))

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
