# SPDX-License-Identifier: MIT
"""LiteRT on a graph's own flatbuffer: what every tensor must be."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyeff.fixed_point import int8_of_uint8
from tinyeff.ir import Array, Graph, Tensor
from tinyeff.simulator.litert import Reference


class Oracle:
    """LiteRT on the graph's own flatbuffer, fed at the graph's int8 inputs.

    Where the model begins with a QUANTIZE, LiteRT is given the real values that quantize to the
    int8 input.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._reference = Reference(graph.source.flatbuffer, graph.source.name)

    def run(self, inputs: tuple[Array, ...], wanted: tuple[int, ...]) -> dict[int, Array]:
        """The values of the graph's tensors `wanted` (all with a source) for one sample."""
        values = []
        for detail, index, value in zip(self._reference.inputs, self._graph.inputs, inputs,
                                        strict=True):
            values.append(given_to_litert(self._graph.tensors[index], detail, value))
        self._reference.run(tuple(values))
        sources = {i: self._graph.tensors[i].source for i in wanted}
        return {i: as_int8(self._reference.tensor(s)).reshape(self._graph.tensors[i].shape)
                for i, s in sources.items() if s is not None}

    def outputs(self, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        """All outputs of the graph for one sample, in its order."""
        values = self.run(inputs, self._graph.outputs)
        return tuple(values[i] for i in self._graph.outputs)


def given_to_litert(tensor: Tensor, detail: dict[str, Any], value: Array) -> Array:
    """An int8 value of a tensor in the type and shape that LiteRT's input `detail` has."""
    if detail["dtype"] == np.float32 and tensor.quant is not None:
        value = (value.astype(np.float32) - np.float32(tensor.quant.zero_point)) * (
            np.float32(tensor.quant.scale))
    elif detail["dtype"] == np.uint8:  # a QUANTIZE that only moves the zero point by 128
        value = (value.astype(np.int16) + 128).astype(np.uint8)
    return np.ascontiguousarray(value).reshape(detail["shape"])


def as_int8(values: Array) -> Array:
    """The values of a TFLite tensor as the graph has them: int8 where TFLite has uint8."""
    return int8_of_uint8(values) if values.dtype == np.uint8 else values
