# SPDX-License-Identifier: MIT
"""Helpers of the passes that rewrite a graph."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from tinyeff.ir import ABSENT, Array, Graph, Op, Tensor
from tinyeff.ops import registry
from tinyeff.ops.operator import node_of


def readers(graph: Graph) -> dict[int, list[Op]]:
    """For each tensor the operators that read it, in order, once per operator."""
    found: dict[int, list[Op]] = {}
    for op in graph.ops:
        for i in dict.fromkeys(op.inputs):
            found.setdefault(i, []).append(op)
    return found


def with_input(op: Op, index: int) -> Op:
    """The operator reading tensor `index` as its first input."""
    return replace(op, inputs=(index, *op.inputs[1:]))


def substitute(graph: Graph, aliases: dict[int, int]) -> Graph:
    """The graph reading `aliases[i]` wherever it read tensor i; chains of aliases are followed."""
    if not aliases:
        return graph

    def final(i: int) -> int:
        while i in aliases:
            i = aliases[i]
        return i

    ops = tuple(replace(op, inputs=tuple(final(i) for i in op.inputs)) for op in graph.ops)
    return replace(graph, ops=ops, outputs=tuple(final(i) for i in graph.outputs))


def with_tensor(graph: Graph, index: int, tensor: Tensor) -> Graph:
    """The graph with tensor `index` replaced."""
    tensors = (*graph.tensors[:index], tensor, *graph.tensors[index + 1:])
    return replace(graph, tensors=tensors)


def constant_of(graph: Graph, op: Op, position: int) -> Array | None:
    """The value of a constant input, or None where it is absent or computed."""
    if position >= len(op.inputs) or op.inputs[position] == ABSENT:
        return None
    return graph.tensors[op.inputs[position]].data


def reread(graph: Graph, op: Op, old: Op, tensors: list[Tensor]) -> Op:
    """`op` with its attributes read anew from its changed constant inputs.

    `old` is the operator of `graph` whose options it keeps; `tensors` are those `op` refers to.
    Going through the option table spares this package from knowing the attributes' records.
    """
    known = registry()[op.kind]
    options: Any = known.write(node_of(graph, old))
    node = node_of(replace(graph, tensors=tuple(tensors)), replace(op, attrs=None))
    return replace(op, attrs=known.read(options, node))


def keep_only(graph: Graph, ops: Iterable[Op]) -> Graph:
    """The graph with these operators, and its tensors renumbered to those still in use."""
    kept = tuple(ops)
    used = {i for op in kept for i in (*op.inputs, *op.outputs) if i != ABSENT}
    used.update(graph.inputs, graph.outputs)
    order = sorted(used)
    numbers = {old: new for new, old in enumerate(order)}
    numbers[ABSENT] = ABSENT

    def renumbered(indices: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(numbers[i] for i in indices)

    return replace(
        graph,
        tensors=tuple(graph.tensors[i] for i in order),
        ops=tuple(replace(op, inputs=renumbered(op.inputs), outputs=renumbered(op.outputs))
                  for op in kept),
        inputs=renumbered(graph.inputs),
        outputs=renumbered(graph.outputs),
    )
