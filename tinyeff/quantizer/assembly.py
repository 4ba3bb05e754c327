# SPDX-License-Identifier: MIT
"""Putting the int8 graph together from a float graph, scales and rounded weights."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from tinyeff.ir import ABSENT, Array, Graph, Op, Quant, Tensor
from tinyeff.ops import operator_of
from tinyeff.ops.dequantize import DequantizeAttrs
from tinyeff.ops.operator import node_of
from tinyeff.ops.quantize import QuantizeAttrs, quantized
from tinyeff.quantizer.scales import constant_quant
from tinyeff.reader.edit import keep_only
from tinyeff.reader.float_islands import ISLANDS, join_float_islands

INT32_MAX = 2**31 - 1


@dataclass(frozen=True, eq=False)
class Weights:
    """Of one operator: int8 values in the file's shape, a scale per output channel, real biases."""

    values: Array
    scales: Array
    bias: Array


def assemble(graph: Graph, quants: dict[int, Quant], weights: dict[int, Weights]) -> Graph:
    """The int8 graph, tensors and all, still to be written to a file.

    `quants` are by float activation, `weights` by the number of the operator.
    """
    builder = _Assembly(graph, quants)
    for number, op in enumerate(graph.ops):
        builder.add(op, weights.get(number))
    whole = replace(graph, tensors=tuple(builder.tensors), ops=tuple(builder.ops))
    return keep_only(whole, whole.ops)


@dataclass
class _Assembly:
    """The tensors and operators so far; float activations keep their numbers."""

    graph: Graph
    quants: dict[int, Quant]
    ops: list[Op] = field(default_factory=list)
    converted: dict[tuple[int, Quant], int] = field(default_factory=dict)
    tensors: list[Tensor] = field(init=False)

    def __post_init__(self) -> None:
        self.tensors = [
            replace(t, dtype="int8", quant=self.quants[i], source=None)
            if i in self.quants and not t.is_constant else replace(t, source=None)
            for i, t in enumerate(self.graph.tensors)]

    def new(self, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def add(self, op: Op, weights: Weights | None) -> None:
        if weights is not None:
            self.ops.append(self.weighted(op, weights))
            return
        shared = operator_of(op.kind).shares_scale
        target = self.quants[op.outputs[0]] if shared and op.outputs[0] in self.quants else None
        inputs = tuple(self.operand(op, i, target) for i in op.inputs)
        if op.kind in ISLANDS:
            self.island(op, inputs)
        else:
            self.ops.append(replace(op, inputs=inputs))

    def island(self, op: Op, inputs: tuple[int, ...]) -> None:
        """An operator that TFLite has in float32 only, from int8 and back to it."""
        before, after = (
            self.new(replace(self.tensors[i], dtype="float32", quant=None,
                             name=f"{self.tensors[i].name}_real"))
            for i in (inputs[0], op.outputs[0]))
        self.ops += [
            Op("DEQUANTIZE", self.tensors[before].name, inputs[:1], (before,), DequantizeAttrs()),
            replace(op, inputs=(before,), outputs=(after,)),
            Op("QUANTIZE", self.tensors[op.outputs[0]].name, (after,), op.outputs,
               QuantizeAttrs()),
        ]

    def operand(self, op: Op, index: int, target: Quant | None) -> int:
        """The int8 tensor that stands for a float one; in `target`'s quantization, if given."""
        if index == ABSENT or self.graph.tensors[index].dtype != "float32":
            return index
        tensor = self.graph.tensors[index]
        if tensor.data is not None:
            quant = target or constant_quant(op.kind, tensor)
            data = quantized(np.asarray(tensor.data), quant)
            return self.new(replace(tensor, dtype="int8", quant=quant, data=data, source=None))
        if target is None or self.quants[index] == target:
            return index
        if (index, target) not in self.converted:
            after = self.new(replace(self.tensors[index], quant=target,
                                     name=f"{tensor.name}_rescaled"))
            self.ops.append(Op("QUANTIZE", self.tensors[after].name, (index,), (after,),
                               QuantizeAttrs()))
            self.converted[index, target] = after
        return self.converted[index, target]

    def weighted(self, op: Op, weights: Weights) -> Op:
        known = operator_of(op.kind)
        x = self.quants[op.inputs[known.data_input]]
        old = self.graph.tensors[op.inputs[1]]
        scales = tuple(float(s) for s in weights.scales.astype(np.float32))
        values = self.new(Tensor(old.name, old.shape, "int8",
                                 Quant(scales, (0,) * len(scales), known.weight_axis),
                                 weights.values.astype(np.int8)))
        products = tuple(float(np.float32(x.scale) * np.float32(s)) for s in scales)
        integers = np.rint(weights.bias / np.array([x.scale * s for s in scales]))
        bias = self.new(Tensor(
            f"{op.name}_bias", (len(scales),), "int32",
            Quant(products, (0,) * len(scales), 0 if len(scales) > 1 else None),
            np.clip(integers, -INT32_MAX, INT32_MAX).astype(np.int32)))
        place = max(1, known.data_input) + 1
        inputs = (op.inputs[0], values, *op.inputs[2:place])
        return replace(op, inputs=(*inputs, bias))


def broken_limits(graph: Graph) -> dict[int, str]:
    """The outputs of int8 operators that break a limit of their arithmetic, and which."""
    joined = join_float_islands(graph)
    found = {op.outputs[0]: next(iter(operator_of(op.kind).limits(node_of(joined, op))), None)
             for op in joined.ops if joined.tensors[op.outputs[0]].dtype != "float32"}
    return {i: f"{graph.tensors[i].name!r}: {limit}" for i, limit in found.items() if limit}
