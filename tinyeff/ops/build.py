# SPDX-License-Identifier: MIT
"""Building small int8 graphs by hand: for operator cases, random graphs and examples."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyeff.ir import ABSENT, Array, Graph, Op, Quant, Source, Tensor
from tinyeff.ops.operator import Node


class GraphBuilder:
    """Collects tensors and operators; `graph` closes it.

    >>> from tinyeff.ops.build import GraphBuilder
    >>> g = GraphBuilder("example")
    >>> x = g.input((1, 4, 4, 3), scale=0.5, zero_point=-3)
    """

    def __init__(self, name: str, seed: int = 0) -> None:
        self.name = name
        self.rng = np.random.default_rng(seed)
        self._tensors: list[Tensor] = []
        self._ops: list[Op] = []
        self._inputs: list[int] = []

    def add_tensor(self, tensor: Tensor) -> int:
        """Append any tensor; returns its index."""
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def tensor(self, index: int) -> Tensor:
        """The tensor at `index`."""
        return self._tensors[index]

    def input(self, shape: tuple[int, ...], scale: float = 0.5, zero_point: int = 0) -> int:
        """An int8 model input."""
        index = self.activation(shape, scale, zero_point, name=f"input_{len(self._inputs)}")
        self._inputs.append(index)
        return index

    def activation(
        self, shape: tuple[int, ...], scale: float, zero_point: int, name: str = ""
    ) -> int:
        """An int8 tensor that some operator will write."""
        name = name or f"t{len(self._tensors)}"
        quant = Quant((float(np.float32(scale)),), (zero_point,))
        return self.add_tensor(Tensor(name, shape, "int8", quant))

    def constant(
        self,
        data: Array,
        scales: float | tuple[float, ...] | None = None,
        zero_point: int = 0,
        axis: int | None = None,
    ) -> int:
        """A constant; quantized where `scales` is given, per channel where it is a tuple."""
        quant = None
        if scales is not None:
            scales = scales if isinstance(scales, tuple) else (scales,)
            exact = tuple(float(np.float32(s)) for s in scales)
            quant = Quant(exact, (zero_point,) * len(exact), axis)
        name = f"c{len(self._tensors)}"
        return self.add_tensor(Tensor(name, data.shape, str(data.dtype), quant, data))

    def random_weights(self, shape: tuple[int, ...], axis: int, per_channel: bool = True) -> int:
        """int8 weights with random scales along `axis`."""
        count = shape[axis] if per_channel else 1
        scales = tuple(float(s) for s in self.rng.uniform(0.002, 0.02, count))
        data = self.rng.integers(-127, 128, shape, dtype=np.int8)
        return self.constant(data, scales, axis=axis if per_channel else None)

    def random_bias(self, channels: int, input_index: int, weights: int) -> int:
        """int32 biases at the scale TFLite asks for: input scale * weight scale."""
        data = self.rng.integers(-2000, 2000, channels, dtype=np.int32)
        x, w = self._tensors[input_index].quant, self._tensors[weights].quant
        assert x is not None and w is not None
        scales = tuple(x.scale * s for s in w.scales)
        return self.constant(data, scales, axis=0 if len(scales) > 1 else None)

    def op(
        self,
        kind: str,
        inputs: list[int | None],
        attrs: Any,
        scale: float = 0.5,
        zero_point: int = 0,
        like: int | None = None,
        dtype: str = "int8",
    ) -> int:
        """Append a one-output operator; the output's shape is inferred, its quantization given.

        `like` takes the quantization of another tensor instead. Only int8 has any.
        """
        (output,) = self.ops(kind, inputs, attrs, scale, zero_point, like, dtype)
        return output

    def ops(
        self,
        kind: str,
        inputs: list[int | None],
        attrs: Any,
        scale: float = 0.5,
        zero_point: int = 0,
        like: int | None = None,
        dtype: str = "int8",
    ) -> tuple[int, ...]:
        """As `op`, for an operator of any number of outputs of one type and quantization."""
        from tinyeff.ops import operator_of  # here: the operators import this module

        indices = tuple(ABSENT if i is None else i for i in inputs)
        tensors = tuple(None if i is None else self._tensors[i] for i in inputs)
        shapes = operator_of(kind).output_shapes(Node(kind, attrs, tensors, ()))
        if like is not None:
            quant = self._tensors[like].quant
            assert quant is not None
            scale, zero_point = quant.scale, quant.zero_point
        if dtype == "int8":
            outputs = tuple(self.activation(shape, scale, zero_point) for shape in shapes)
        else:
            outputs = tuple(self.add_tensor(Tensor(f"t{len(self._tensors)}", shape, dtype))
                            for shape in shapes)
        self._ops.append(Op(kind, f"{kind.lower()}_{len(self._ops)}", indices, outputs, attrs))
        return outputs

    def graph(self, *outputs: int) -> Graph:
        """The graph with the given outputs; its flatbuffer is written by the reader package."""
        source = Source(self.name, b"", "")
        return Graph(
            tuple(self._tensors), tuple(self._ops), tuple(self._inputs), outputs, source
        )
