# SPDX-License-Identifier: MIT
"""Cross-layer equalization: channels of one tensor are given similar ranges.

A tensor has one scale. A channel whose values are a thousandth of its neighbour's is left with a
fraction of a step. Between an operator that writes a channel and those that read it, the channel
may be multiplied by any positive factor, if the weights that write it are multiplied by it and
those that read it are divided: the function stays the same, as long as everything in between is
homogeneous (ReLU, pooling, addition ...). Weights have a scale per output channel, so that the
operator that writes loses nothing. Source: Nagel et al., Data-free quantization through weight
equalization and bias correction, 2019; here the ranges of activations are equalized, over all
tensors that a channel runs through.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tinyeff.ir import ABSENT, Array, Graph, Op, Tensor
from tinyeff.ops import operator_of
from tinyeff.ops.operator import Node, node_of
from tinyeff.quantizer.observation import Observation
from tinyeff.quantizer.products import groups_of

LARGEST = float(2**24)
"""No channel is multiplied by more."""
SLACK = 4.0
"""Weights that read a channel are scaled down to this part of the usual size at most."""

SAME = ("RELU", "LEAKY_RELU", "PRELU", "MAX_POOL_2D", "AVERAGE_POOL_2D", "PAD", "RESIZE_BILINEAR",
        "RESIZE_NEAREST_NEIGHBOR", "RELU6", "MEAN", "REDUCE_MAX", "SUM", "ABS", "NEG")
"""Operators that compute each channel from that channel and are homogeneous (RELU6 up to 6)."""
SUMS = ("ADD", "SUB", "MAXIMUM", "MINIMUM")
HOMOGENEOUS = ("none", "relu", "relu6")


class Channels:
    """Which channels of which tensors must be multiplied by the same factor.

    `first` is the number of a tensor's first channel, `blocked` those whose factor must be 1.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.first: dict[int, int] = {}
        total = 0
        for i, t in enumerate(graph.tensors):
            if t.dtype == "float32" and not t.is_constant:
                self.first[i] = total
                total += t.channels
        self.parent = np.arange(total)
        self.blocked = np.zeros(total, bool)
        for i in (*graph.inputs, *graph.outputs):
            self.block(i)
        for op in graph.ops:
            self._visit(op)
        self._flatten()

    def of(self, index: int) -> slice:
        """The channels of a tensor."""
        return slice(self.first[index], self.first[index] + self.graph.tensors[index].channels)

    def block(self, index: int) -> None:
        """No channel of the tensor may be scaled."""
        if index in self.first:
            self.blocked[self.of(index)] = True

    def link(self, a: Array, b: Array) -> None:
        """Channels of `a` and `b`, by number, belong together, one by one."""
        for x, y in zip(a.tolist(), b.tolist(), strict=True):
            x, y = self._root(x), self._root(y)
            if x != y:
                self.parent[max(x, y)] = min(x, y)

    def _root(self, i: int) -> int:
        while self.parent[i] != i:
            self.parent[i] = self.parent[self.parent[i]]
            i = int(self.parent[i])
        return i

    def _flatten(self) -> None:
        self.parent = np.array([self._root(i) for i in range(len(self.parent))], np.int64)
        blocked = np.unique(self.parent[self.blocked])
        self.blocked = np.isin(self.parent, blocked)

    def numbers(self, index: int) -> Array:
        """The channels of a tensor, one by one."""
        return np.arange(self.first[index], self.first[index] + self.graph.tensors[index].channels)

    def _visit(self, op: Op) -> None:
        activations = [i for i in op.inputs if i != ABSENT and i in self.first]
        if not self._understood(op, node_of(self.graph, op), activations):
            for i in (*activations, *op.outputs):
                self.block(i)

    def _understood(self, op: Op, node: Node[Any], x: list[int]) -> bool:
        """Link the channels of an operator; False where it lets none be scaled."""
        y = op.outputs[0]
        if getattr(op.attrs, "activation", "none") not in HOMOGENEOUS:
            return False
        if operator_of(op.kind).weight_axis is not None:
            return len(x) == 1 and reads_channels(op, node)
        if op.kind in SAME:
            axes = getattr(op.attrs, "axes", ())
            rank = len(self.graph.tensors[x[0]].shape)
            pads = getattr(op.attrs, "pads", ((0, 0),))
            if rank - 1 in axes or pads[-1] != (0, 0):
                return False
            self.link(self.numbers(x[0]), self.numbers(y))
            return True
        if op.kind in SUMS and len(x) == 2 and len(op.inputs) == 2:
            return self._all_linked((*x, y))
        if op.kind == "MUL":
            return self._product(op, x, y)
        if op.kind == "RESHAPE":
            return self._reshape(x[0], y)
        if op.kind == "CONCATENATION" and len(x) == len(op.inputs):
            return self._concatenation(op, x, y)
        return False

    def _all_linked(self, tensors: tuple[int, ...]) -> bool:
        if len({self.graph.tensors[i].channels for i in tensors}) > 1:
            return False
        for i in tensors[1:]:
            self.link(self.numbers(tensors[0]), self.numbers(i))
        return True

    def _product(self, op: Op, x: list[int], y: int) -> bool:
        """The larger operand takes the output's factors, the other one has none."""
        tensors = self.graph.tensors
        big = max(x, key=lambda i: tensors[i].elements)
        if tensors[big].channels != tensors[y].channels or op.inputs[0] == op.inputs[1]:
            return False
        for i in x:
            if i != big:
                self.block(i)
        self.link(self.numbers(big), self.numbers(y))
        return True

    def _reshape(self, x: int, y: int) -> bool:
        """Channels stay channels, or a map is laid out in one row."""
        a, b = self.graph.tensors[x].channels, self.graph.tensors[y].channels
        if b % a:
            return False
        self.link(np.tile(self.numbers(x), b // a), self.numbers(y))
        return True

    def _concatenation(self, op: Op, x: list[int], y: int) -> bool:
        rank = len(self.graph.tensors[y].shape)
        if op.attrs.axis % rank != rank - 1:
            return self._all_linked((*x, y))
        self.link(np.concatenate([self.numbers(i) for i in x]), self.numbers(y))
        return True


def reads_channels(op: Op, node: Node[Any]) -> bool:
    """True where a factor of an input channel can be taken into the weights."""
    x, weights = node.input(operator_of(op.kind).data_input), node.input(1)
    if op.kind == "FULLY_CONNECTED":
        return weights.shape[1] % x.channels == 0
    return op.kind != "CONV_2D" or groups_of(op.kind, weights.shape, x.channels) == 1


def equalized(graph: Graph, seen: dict[int, Observation], strength: float) -> Graph:
    """The graph with channels scaled up towards the largest of their tensor.

    With strength 1 all channels of a tensor that can be scaled get the same reach, with 0 none
    changes. No tensor's range grows. A channel that is hardly ever active on the samples may be on
    others: it is scaled up no further than until the weights that read it are as small as usual.
    """
    channels = Channels(graph)
    part = np.zeros(len(channels.parent))  # of the tensor's range that the channel uses
    for i in channels.first:
        largest = float(seen[i].peaks.max(initial=0.0))
        if largest > 0:
            reach = np.minimum(seen[i].reach / largest, 1.0)
            np.maximum.at(part, channels.parent[channels.of(i)], reach)
    part = part[channels.parent]
    active = (part > 0) & ~channels.blocked[channels.parent]
    factors = np.where(active, np.maximum(part, 1 / LARGEST) ** -strength, 1.0)
    most = _most_by_weights(graph, channels, factors, active)
    factors = np.where(active, np.minimum(factors, np.maximum(most, 1.0)), most ** strength)
    factors = np.where(channels.blocked[channels.parent], 1.0, factors)
    return with_factors(graph, channels, factors)


def _most_by_weights(graph: Graph, channels: Channels, factors: Array, active: Array) -> Array:
    """For each channel the factor with which the weights that read it are somewhat small.

    Weights that read one channel with several others are compared, row by row, with what is usual
    for active channels with these factors. 1 for channels that are inactive and not read so;
    LARGEST for active ones.
    """
    most = np.zeros(len(factors))
    for op in graph.ops:
        known = operator_of(op.kind)
        if known.weight_axis is None or op.kind == "DEPTHWISE_CONV_2D":
            continue
        x = channels.of(op.inputs[known.data_input])
        data, live = graph.tensors[op.inputs[1]].data, active[x]
        assert data is not None
        if data.shape[-1] % len(live) or not live.any():
            continue
        count = len(live)
        size = np.abs(data.astype(np.float64)).reshape(data.shape[0], -1, count).max(1)
        rows = (size / factors[x])[:, live].max(1, keepdims=True)
        size = (size / np.where(rows > 0, rows, np.inf)).max(0)  # per input channel
        usual = float(np.median((size / factors[x])[live]))
        if usual > 0:
            np.maximum.at(most, channels.parent[x], SLACK * size / usual)
    most = np.clip(most, 1 / LARGEST, LARGEST)[channels.parent]
    unread = most <= 1 / LARGEST
    result: Array = np.where(unread, np.where(active, LARGEST, 1.0), most)
    return result


def with_factors(graph: Graph, channels: Channels, factors: Array) -> Graph:
    """The graph with each channel multiplied by its factor, by number, and the same function.

    Weights that write a channel are multiplied, those that read it divided.
    """
    tensors: list[Tensor] = list(graph.tensors)
    ops = []

    def changed(index: int, data: Array) -> int:
        tensors.append(replace(tensors[index], data=data.astype(np.float32), source=None))
        return len(tensors) - 1

    for op in graph.ops:
        known = operator_of(op.kind)
        out = factors[channels.of(op.outputs[0])] if op.outputs[0] in channels.first else None
        if known.weight_axis is not None and out is not None:
            source = op.inputs[known.data_input]
            before = factors[channels.of(source)]
            if (before != 1).any() or (out != 1).any():
                data = tensors[op.inputs[1]].data
                assert data is not None
                inputs = list(op.inputs)
                inputs[1] = changed(inputs[1], _weights(op.kind, data, before, out))
                place = max(1, known.data_input) + 1
                bias = tensors[inputs[place]].data if place < len(inputs) and (
                    inputs[place] != ABSENT) else None
                if bias is not None:
                    inputs[place] = changed(inputs[place], bias.reshape(-1) * out)
                op = replace(op, inputs=tuple(inputs))
        ops.append(op)
    return replace(graph, tensors=tuple(tensors), ops=tuple(ops))


def _weights(kind: str, data: Array, before: Array, out: Array) -> Array:
    """Weights for inputs multiplied by `before` and outputs multiplied by `out`."""
    factors: Array
    if kind == "DEPTHWISE_CONV_2D":
        factors = out / np.repeat(before, len(out) // len(before))
    elif kind == "FULLY_CONNECTED":
        factors = out[:, None] / np.tile(before, data.shape[1] // len(before))
    else:
        factors = out.reshape(-1, 1, 1, 1) / before
    result: Array = data.astype(np.float64) * factors
    return result
