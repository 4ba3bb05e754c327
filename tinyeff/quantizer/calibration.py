# SPDX-License-Identifier: MIT
"""Going through the operators in order, in float and as quantized so far, side by side.

Each operator's weights are rounded for the inputs that it will really get, those of the operators
before it as quantized, and its bias is corrected so that the mean of each channel stays the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from tinyeff.fixed_point import activation_bounds
from tinyeff.ir import ABSENT, Array, Graph, Op, Quant
from tinyeff.ops import operator_of
from tinyeff.ops.operator import node_of
from tinyeff.quantizer import products, rounding
from tinyeff.quantizer.assembly import Weights
from tinyeff.quantizer.execution import Part, Values
from tinyeff.quantizer.refitting import refitted
from tinyeff.quantizer.scales import constant_quant, fake
from tinyeff.quantizer.windows import windows_of, within

BIAS_STEPS = 2.0**29
"""A bias has at most so many steps of input scale * weight scale: accumulators stay in 32 bits."""


@dataclass(frozen=True)
class Rounding:
    """How weights are rounded."""

    second_order: bool = True
    correct_bias: bool = True
    refit: bool = True


@dataclass(frozen=True, eq=False)
class Trace:
    """Of an activation, quantized against float: mean squares of the values and of the error;
    the part of the values that its range cuts off by a step or more. Values that nobody tells apart
    count as equal."""

    power: float
    error: float
    saturated: float


@dataclass
class Calibration:
    """The pass; `weights` are by number of the operator, `traces` by activation."""

    graph: Graph
    quants: dict[int, Quant]
    how: Rounding
    weights: dict[int, Weights] = field(default_factory=dict)
    traces: dict[int, Trace] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.windows = windows_of(self.graph)

    def run(self, samples: tuple[Array, ...], progress: Callable[[int, int], None]) -> None:
        """All operators in order."""
        last = {i: n for n, op in enumerate(self.graph.ops) for i in op.inputs}
        plain: Values = dict(zip(self.graph.inputs, samples, strict=True))
        coarse: Values = {}
        for i, values in plain.items():
            coarse[i] = self._rounded(i, values, values)
        for number, op in enumerate(self.graph.ops):
            if operator_of(op.kind).weight_axis is not None:
                self._weighted(number, op, plain, coarse)
            else:
                self._other(op, plain, coarse)
            for i in (*op.inputs, *op.outputs):
                if last.get(i, number) <= number:
                    plain.pop(i, None)
                    coarse.pop(i, None)
            progress(number + 1, len(self.graph.ops))

    def _rounded(self, index: int, values: Array, before: Array) -> Array:
        """The values as the tensor holds them; `before` is what they are in float."""
        if index not in self.quants:
            return values
        quant, window = self.quants[index], self.windows.get(index)
        values, before = within(values, window), within(before, window)
        result = fake(values, quant)
        low, high = ((q - quant.zero_point) * quant.scale for q in (-129, 128))
        self.traces[index] = Trace(
            float(np.square(before, dtype=np.float64).mean()),
            float(np.square(result - before, dtype=np.float64).mean()),
            float(((values < low) | (values > high)).mean()))
        return result

    def _other(self, op: Op, plain: Values, coarse: Values) -> None:
        tensors = list(self.graph.tensors)
        target = self.quants.get(op.outputs[0]) if operator_of(op.kind).shares_scale else None
        for i in op.inputs:
            if i != ABSENT and tensors[i].data is not None and tensors[i].dtype == "float32":
                quant = target or constant_quant(op.kind, tensors[i])
                tensors[i] = replace(tensors[i], data=fake(np.asarray(tensors[i].data), quant))
        graph = replace(self.graph, tensors=tuple(tensors))
        found = zip(op.outputs, Part(self.graph, (op,), op.outputs).run(plain),
                    Part(graph, (op,), op.outputs).run(coarse), strict=True)
        for i, before, values in found:
            plain[i], coarse[i] = before, self._rounded(i, values, before)

    def _weighted(self, number: int, op: Op, plain: Values, coarse: Values) -> None:
        known, (output,) = operator_of(op.kind), op.outputs
        source = op.inputs[known.data_input]
        bounds = activation_bounds(op.attrs.activation)
        linear = replace(op, attrs=replace(op.attrs, activation="none"))
        (before,) = Part(self.graph, (linear,), op.outputs).run(plain)
        weights = self._round(linear, plain[source], coarse[source])
        changed = self.with_weights(linear, weights)
        (after,) = Part(changed, (linear,), op.outputs).run(coarse)
        if self.how.correct_bias:
            axes = tuple(range(before.ndim - 1))
            shift = before.mean(axes, dtype=np.float64) - after.mean(axes, dtype=np.float64)
            weights = replace(weights, bias=weights.bias + shift)
            after += shift.astype(np.float32)
        self.weights[number] = weights
        plain[output] = before.clip(*bounds)
        coarse[output] = self._rounded(output, after.clip(*bounds), plain[output])

    def _round(self, op: Op, plain: Array, x: Array) -> Weights:
        """Weights of an operator without activation whose input is `x` instead of `plain`."""
        node, known = node_of(self.graph, op), operator_of(op.kind)
        tensor, bias = node.input(1), self._bias(op)
        assert tensor.data is not None
        quant = self.quants[op.inputs[known.data_input]]
        count = products.groups_of(op.kind, tensor.shape, node.input(known.data_input).channels)
        grouped = products.to_groups(op.kind, tensor.data.astype(np.float64), count)
        least = (np.abs(bias) / (quant.scale * BIAS_STEPS)).reshape(grouped.shape[:2])
        hessian = None
        if (self.how.second_order and products.has_patches(op.kind)
                and grouped.shape[2] <= rounding.MAX_DEPTH):
            positions = products.positions_of(op.kind, node, len(x), np.random.default_rng(0))
            inputs = products.patches(op.kind, node, x, positions)
            if self.how.refit:
                wanted = products.patches(op.kind, node, plain, positions)
                per_sample = node.output.elements // node.output.channels
                grouped = refitted(grouped, wanted, inputs, positions // per_sample)
            hessian = rounding.hessian_of(inputs, self.how.correct_bias)
        values, scales = rounding.rounded(grouped, least, hessian)
        return Weights(products.from_groups(op.kind, values, tensor.shape).astype(np.int8),
                       scales.reshape(-1), bias)

    def _bias(self, op: Op) -> Array:
        place = max(1, operator_of(op.kind).data_input) + 1
        index = op.inputs[place] if place < len(op.inputs) else ABSENT
        data = None if index == ABSENT else self.graph.tensors[index].data
        channels = self.graph.tensors[op.outputs[0]].channels
        return np.zeros(channels) if data is None else data.astype(np.float64).reshape(-1)

    def with_weights(self, op: Op, weights: Weights) -> Graph:
        """The graph with an operator's weights as rounded, biases as they are."""
        index = op.inputs[1]
        tensor = self.graph.tensors[index]
        shape = [1] * len(tensor.shape)
        axis = operator_of(op.kind).weight_axis
        assert axis is not None
        shape[axis] = -1
        data = (weights.values * weights.scales.reshape(shape)).astype(np.float32)
        tensors = list(self.graph.tensors)
        tensors[index] = replace(tensor, data=data)
        return replace(self.graph, tensors=tuple(tensors))
