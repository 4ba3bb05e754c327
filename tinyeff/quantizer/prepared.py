# SPDX-License-Identifier: MIT
"""A float graph in the form in which it is quantized: every operator can be written to a file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinyeff.ir import Graph, Op, Tensor
from tinyeff.ops import operator_of
from tinyeff.ops.mean import MeanAttrs
from tinyeff.ops.operator import Padding, node_of
from tinyeff.ops.pad import PadAttrs
from tinyeff.reader.simplify import simplify

PADDED = ("CONV_2D", "DEPTHWISE_CONV_2D")


def prepared(graph: Graph) -> Graph:
    """The graph simplified, with the padding that TFLite cannot express as PAD again.

    A global average pool becomes the MEAN that it is: averages are smaller than what is averaged,
    and a pool would have to keep its input's scale.
    """
    return _means(_explicit_padding(simplify(graph)))


def _explicit_padding(graph: Graph) -> Graph:
    tensors, ops = list(graph.tensors), []
    for op in graph.ops:
        if op.kind in PADDED and not _writable(graph, op):
            x, padding = tensors[op.inputs[0]], op.attrs.padding
            pads = ((0, 0), (padding.top, padding.bottom), (padding.left, padding.right), (0, 0))
            shape = tuple(n + a + b for n, (a, b) in zip(x.shape, pads, strict=True))
            index = len(tensors)
            tensors.append(Tensor(f"{op.name}_pads", (4, 2), "int32",
                                  data=np.array(pads, np.int32)))
            tensors.append(Tensor(f"{op.name}_padded", shape, x.dtype))
            ops.append(Op("PAD", f"{op.name}_padded", (op.inputs[0], index), (index + 1,),
                          PadAttrs(pads)))
            op = replace(op, inputs=(index + 1, *op.inputs[1:]),
                         attrs=replace(op.attrs, padding=Padding()))
        ops.append(op)
    return replace(graph, tensors=tuple(tensors), ops=tuple(ops))


def _writable(graph: Graph, op: Op) -> bool:
    try:
        operator_of(op.kind).write(node_of(graph, op))
    except ValueError:
        return False
    return True


def _means(graph: Graph) -> Graph:
    tensors, ops = list(graph.tensors), []
    for op in graph.ops:
        x, y = tensors[op.inputs[0]], tensors[op.outputs[0]]
        if (op.kind == "AVERAGE_POOL_2D" and op.attrs.padding.is_none
                and op.attrs.activation == "none" and op.attrs.filter == x.shape[1:3]
                and y.shape[1:3] == (1, 1)):
            tensors.append(Tensor(f"{op.name}_axes", (2,), "int32",
                                  data=np.array([1, 2], np.int32)))
            op = Op("MEAN", op.name, (op.inputs[0], len(tensors) - 1), op.outputs,
                    MeanAttrs((1, 2), True))
        ops.append(op)
    return replace(graph, tensors=tuple(tensors), ops=tuple(ops))
