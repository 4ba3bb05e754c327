# SPDX-License-Identifier: MIT
"""Random int8 models full of what converters leave behind: PAD, TRANSPOSE, RESHAPE, QUANTIZE."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from tinyeff.ir import Graph, Op, Tensor
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.conv_2d import Conv2DAttrs
from tinyeff.ops.dequantize import DequantizeAttrs
from tinyeff.ops.elementwise import ElementwiseAttrs
from tinyeff.ops.mean import MeanAttrs
from tinyeff.ops.operator import SAME, VALID, padding_of
from tinyeff.ops.pad import PadAttrs
from tinyeff.ops.quantize import QuantizeAttrs
from tinyeff.ops.reshape import ReshapeAttrs
from tinyeff.ops.transpose import TransposeAttrs

STEPS = ("conv", "depthwise", "pad", "transpose", "mean", "reshape", "quantize", "add")


class Builder(GraphBuilder):
    """Adds the operators of this file with their constants."""

    def pad(self, x: int, pads: tuple[tuple[int, int], ...]) -> int:
        return self.op("PAD", [x, self.constant(np.array(pads, np.int32))], PadAttrs(pads), like=x)

    def transpose(self, x: int, perm: tuple[int, ...]) -> int:
        order = self.constant(np.array(perm, np.int32))
        return self.op("TRANSPOSE", [x, order], TransposeAttrs(perm), like=x)

    def mean(self, x: int, axes: tuple[int, ...], keep_dims: bool, scale: float = 0.05,
             zero_point: int = 4) -> int:
        constant = self.constant(np.array(axes, np.int32))
        return self.op("MEAN", [x, constant], MeanAttrs(axes, keep_dims), scale, zero_point)

    def reshape(self, x: int, shape: tuple[int, ...]) -> int:
        constant = self.constant(np.array(shape, np.int32))
        return self.op("RESHAPE", [x, constant], ReshapeAttrs(shape), like=x)

    def conv(self, x: int, kernel: int = 3, stride: int = 1, scheme: int = VALID,
             channels: int = 4) -> int:
        _, height, width, depth = self.tensor(x).shape
        weights = self.random_weights((channels, kernel, kernel, depth), 0)
        bias = self.random_bias(channels, x, weights)
        padding = padding_of(scheme, (height, width), (kernel, kernel), (stride, stride))
        attrs = Conv2DAttrs((stride, stride), padding=padding)
        return self.op("CONV_2D", [x, weights, bias], attrs, 0.1, -4)

    def depthwise(self, x: int, kernel: int = 3, stride: int = 1, scheme: int = VALID) -> int:
        _, height, width, depth = self.tensor(x).shape
        weights = self.random_weights((1, kernel, kernel, depth), 3)
        bias = self.random_bias(depth, x, weights)
        padding = padding_of(scheme, (height, width), (kernel, kernel), (stride, stride))
        attrs = Conv2DAttrs((stride, stride), padding=padding)
        return self.op("DEPTHWISE_CONV_2D", [x, weights, bias], attrs, 0.08, 9)


def with_float_ends(graph: Graph) -> Graph:
    """The graph behind a QUANTIZE at each input and before a DEQUANTIZE at each output."""
    tensors, first, last = list(graph.tensors), [], []
    inputs, outputs = [], []
    for i in graph.inputs:
        tensors.append(Tensor(f"float_{i}", tensors[i].shape, "float32"))
        inputs.append(len(tensors) - 1)
        first.append(Op("QUANTIZE", tensors[i].name, (inputs[-1],), (i,), QuantizeAttrs()))
    for i in graph.outputs:
        tensors.append(Tensor(f"result_{i}", tensors[i].shape, "float32"))
        outputs.append(len(tensors) - 1)
        last.append(Op("DEQUANTIZE", f"result_{i}", (i,), (outputs[-1],), DequantizeAttrs()))
    return replace(graph, tensors=tuple(tensors), ops=(*first, *graph.ops, *last),
                   inputs=tuple(inputs), outputs=tuple(outputs))


@st.composite
def models(draw: st.DrawFn) -> Graph:
    """One to eight operators; the last tensor and a few that others read are outputs."""
    g = Builder("random", draw(st.integers(0, 2**16)))
    shape = (1, draw(st.integers(1, 6)), draw(st.integers(1, 6)), draw(st.integers(1, 4)))
    values = [g.input(shape, 0.05, draw(st.integers(-128, 127)))]
    for step in draw(st.lists(st.sampled_from(STEPS), min_size=1, max_size=8)):
        x = draw(st.sampled_from(values[-2:]))
        values.append(_step(draw, g, step, x))
    written = list(dict.fromkeys(v for v in values[1:] if v != values[0]))
    if not written:
        written = [g.reshape(values[0], (1, g.tensor(values[0]).elements))]
    also = draw(st.sets(st.sampled_from(written), max_size=1)) - {written[-1]}
    graph = g.graph(*sorted(also), written[-1])
    return with_float_ends(graph) if draw(st.booleans()) else graph


def _step(draw: st.DrawFn, g: Builder, step: str, x: int) -> int:
    shape = g.tensor(x).shape
    rank, image = len(shape), len(shape) == 4 and shape[0] == 1
    if step in ("conv", "depthwise") and image:
        largest = min(shape[1:3])
        scheme = draw(st.sampled_from([SAME, VALID]))
        kernel = draw(st.integers(1, 3 if scheme == SAME else min(3, largest)))
        stride = draw(st.integers(1, 2))
        return (g.conv if step == "conv" else g.depthwise)(x, kernel, stride, scheme)
    if step == "pad" and image:
        amounts = st.tuples(st.integers(0, 2), st.integers(0, 2))
        channels = draw(amounts) if draw(st.integers(0, 4)) == 4 else (0, 0)
        return g.pad(x, ((0, 0), draw(amounts), draw(amounts), channels))
    if step == "transpose" and rank > 1:
        return g.transpose(x, (0, *draw(st.permutations(range(1, rank)))))
    if step == "mean" and rank > 2:
        axes = draw(st.sets(st.integers(1, rank - 1), min_size=1, max_size=rank - 2))
        return g.mean(x, tuple(sorted(axes)), draw(st.booleans()))
    if step == "quantize":
        changed = draw(st.booleans())
        return g.op("QUANTIZE", [x], QuantizeAttrs(), 0.07, 3, like=None if changed else x)
    if step == "add":
        return g.op("ADD", [x, x], ElementwiseAttrs(), 0.09, 1)
    elements = g.tensor(x).elements
    targets = [shape, (1, elements), (1, 1, elements), (1, elements, 1, 1), (1, 1, 1, elements)]
    return g.reshape(x, draw(st.sampled_from(targets)))
