# SPDX-License-Identifier: MIT
"""Int8 graphs as TFLite's first quantization would have them: in uint8, 128 higher."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinyeff.ir import Array, Graph, Quant, Tensor


def as_uint8(graph: Graph) -> Graph:
    """The graph with every int8 tensor as uint8; it must have no scales per channel."""
    return replace(graph, tensors=tuple(_raised(t) for t in graph.tensors))


def _raised(tensor: Tensor) -> Tensor:
    if tensor.dtype != "int8" or tensor.quant is None:
        return tensor
    assert len(tensor.quant.scales) == 1
    quant = Quant(tensor.quant.scales, (tensor.quant.zero_point + 128,))
    data = None if tensor.data is None else raised(tensor.data)
    return replace(tensor, dtype="uint8", quant=quant, data=data)


def raised(values: Array) -> Array:
    """int8 values as the uint8 values 128 above them; others as they are."""
    if values.dtype != np.int8:
        return values
    result: Array = (values.astype(np.int16) + 128).astype(np.uint8)
    return result


def has_channel_scales(graph: Graph) -> bool:
    """True where some tensor has several scales, which uint8 files cannot have."""
    return any(t.quant is not None and len(t.quant.scales) > 1 for t in graph.tensors)


def with_weight_zero_point(graph: Graph, weights: int, zero_point: int) -> Graph:
    """The graph with the zero point of one constant changed (and so what it means)."""
    tensor = graph.tensors[weights]
    assert tensor.quant is not None
    moved = replace(tensor, quant=Quant(tensor.quant.scales, (zero_point,)))
    tensors = (*graph.tensors[:weights], moved, *graph.tensors[weights + 1:])
    return replace(graph, tensors=tensors)
