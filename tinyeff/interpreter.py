# SPDX-License-Identifier: MIT
"""Running a graph with the operators' numpy references."""

from __future__ import annotations

from tinyeff.errors import UsageError
from tinyeff.ir import Array, Graph
from tinyeff.ops import operator_of
from tinyeff.ops.operator import node_of


def evaluate(graph: Graph, inputs: tuple[Array, ...]) -> dict[int, Array]:
    """Every activation of one inference, by the index of its tensor.

    `inputs` holds one array per model input, in the model's order, of the tensor's shape and type
    (int8; float32 where the graph still begins with a QUANTIZE). The operators must compute in
    int8: their references are integer arithmetic and equal LiteRT's bit for bit. Raises UsageError
    where the inputs do not fit.
    """
    if len(inputs) != len(graph.inputs):
        raise UsageError(f"{graph.source.name} has {len(graph.inputs)} inputs, "
                         f"{len(inputs)} arrays were given")
    values: dict[int, Array] = {}
    for index, value in zip(graph.inputs, inputs, strict=True):
        tensor = graph.tensors[index]
        if value.shape != tensor.shape or value.dtype != tensor.dtype:
            raise UsageError(f"input '{tensor.name}' takes {tensor.dtype} of shape {tensor.shape}, "
                             f"given was {value.dtype} of shape {value.shape}")
        values[index] = value
    for op in graph.ops:
        activations = tuple(values[i] for i in op.inputs if i in values)
        results = operator_of(op.kind).evaluate(node_of(graph, op), activations)
        values.update(zip(op.outputs, results, strict=True))
    return values
