# SPDX-License-Identifier: MIT
"""Float graphs from int8 ones: the same operators, each constant as the reals it stands for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinyeff.ir import Array, Graph, Tensor
from tinyeff.ops.dequantize import dequantized
from tinyeff.reader import with_flatbuffer
from tinyeff.reader.edit import substitute


def as_float(graph: Graph) -> Graph:
    """The graph in float32, without what converts between scales, as read from its own file."""
    aliases = {op.outputs[0]: op.inputs[0] for op in graph.ops if op.kind == "QUANTIZE"}
    ops = tuple(op for op in graph.ops if op.kind != "QUANTIZE")
    tensors = tuple(_real(t) for t in graph.tensors)
    plain = substitute(replace(graph, tensors=tensors, ops=ops), aliases)
    outputs = tuple(dict.fromkeys(plain.outputs))  # two that differed in their scales are now one
    return with_flatbuffer(replace(plain, outputs=outputs))


def copies_an_input(graph: Graph) -> bool:
    """True where an output is an input in another scale, so that in float nothing is computed."""
    copies = set(graph.inputs)
    for op in graph.ops:
        if op.kind == "QUANTIZE" and op.inputs[0] in copies:
            copies.update(op.outputs)
    return bool(copies & set(graph.outputs))


def _real(tensor: Tensor) -> Tensor:
    if tensor.quant is None:
        return tensor
    data: Array | None = None
    if tensor.data is not None and tensor.quant.axis is None:
        data = dequantized(tensor.data, tensor.quant)
    elif tensor.data is not None:
        shape = [1] * tensor.data.ndim
        shape[tensor.quant.axis or 0] = -1
        scales = np.array(tensor.quant.scales, np.float64).reshape(shape)
        data = (tensor.data * scales).astype(np.float32)
    return replace(tensor, dtype="float32", quant=None, data=data)


def random_samples(graph: Graph, count: int, seed: int = 0) -> tuple[Array, ...]:
    """Normally distributed samples for the inputs of a float graph."""
    rng = np.random.default_rng(seed)
    return tuple(rng.normal(size=(count, *graph.tensors[i].shape)).astype(np.float32)
                 for i in graph.inputs)
