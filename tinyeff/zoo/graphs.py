# SPDX-License-Identifier: MIT
"""A network of the zoo as a float graph, without weights: for the planner, in milliseconds.

The graph has the operators that TensorFlow's converter makes of the network's Keras model
(activations fused, constants folded), so that its plan is the one that the real model will get.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from tinyeff.ir import Array, Graph, Tensor
from tinyeff.ops import operator as o
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.concatenation import ConcatenationAttrs
from tinyeff.ops.conv_2d import Conv2DAttrs
from tinyeff.ops.elementwise import ElementwiseAttrs
from tinyeff.ops.fully_connected import FullyConnectedAttrs
from tinyeff.ops.leaky_relu import LeakyReluAttrs
from tinyeff.ops.local_response_normalization import LocalResponseNormalizationAttrs
from tinyeff.ops.mean import MeanAttrs
from tinyeff.ops.operator import Padding
from tinyeff.ops.pad import PadAttrs
from tinyeff.ops.pointwise_table import PointwiseAttrs
from tinyeff.ops.pooling import Pool2DAttrs
from tinyeff.ops.reshape import ReshapeAttrs
from tinyeff.ops.resize_bilinear import ResizeBilinearAttrs
from tinyeff.ops.resize_nearest_neighbor import ResizeNearestNeighborAttrs
from tinyeff.ops.softmax import SoftmaxAttrs
from tinyeff.ops.strided_slice import StridedSliceAttrs
from tinyeff.ops.transpose import TransposeAttrs
from tinyeff.ops.transpose_conv import TransposeConvAttrs
from tinyeff.zoo import layers as kinds
from tinyeff.zoo import token_layers as tokens
from tinyeff.zoo.layers import Layer, Network, Shape
from tinyeff.zoo.token_graphs import of_tokens

FUSED = {"relu": "relu", "relu6": "relu6", "hard_sigmoid": "relu6"}
"""Activation -> what the operator before it takes over. A hard sigmoid is relu6(x + 3) / 6."""


def float_graph(network: Network) -> Graph:
    """The graph of a network in deployed form (no batch normalization is left in it).

    Weights are zeros that take no memory; what is planned does not depend on them.
    """
    return Writer(network).graph()


class Writer:
    """Writes layers into a GraphBuilder; `values` are the tensors of the layers so far."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.builder = GraphBuilder(network.name)
        self.values: list[int] = []
        self._fused = self._activations()

    def _activations(self) -> dict[int, int]:
        """Layer -> the activation behind it that becomes part of it."""
        readers: dict[int, list[int]] = {}
        for number, layer in enumerate(self.network.layers):
            for i in layer.inputs:
                readers.setdefault(i, []).append(number)
        takes = (kinds.Conv, kinds.Depthwise, kinds.Dense, kinds.Add, kinds.Multiply,
                 kinds.Norm)
        return {
            i: users[0] for i, users in readers.items()
            if len(users) == 1 and isinstance(self.network.layers[i].kind, takes)
            and getattr(self.network.layers[users[0]].kind, "function", "") in FUSED
        }

    def graph(self) -> Graph:
        """The whole network."""
        for number, layer in enumerate(self.network.layers):
            after = self._fused.get(number)
            function = "none"
            if after is not None:
                function = FUSED[vars(self.network.layers[after].kind)["function"]]
            self.values.append(self._write(number, layer, function))
        graph = self.builder.graph(*(self.values[i] for i in self.network.outputs))
        return replace(graph, inputs=(self.values[0],))

    def op(self, kind: str, inputs: list[int | None], attrs: object) -> int:
        """Append an operator of one output."""
        return self.builder.op(kind, inputs, attrs, dtype="float32")

    def zeros(self, *shape: int) -> int:
        """A constant of float32 that takes no memory."""
        data = np.broadcast_to(np.zeros((), np.float32), shape)
        return self.constant(data)

    def constant(self, data: Array) -> int:
        """A constant."""
        return self.builder.add_tensor(Tensor("", data.shape, str(data.dtype), None, data))

    def integers(self, *values: int) -> int:
        """A constant of int32."""
        return self.constant(np.array(values, np.int32))

    def _write(self, number: int, layer: Layer, function: str) -> int:
        inputs = [self.values[i] for i in layer.inputs]
        shapes = self.network.input_shapes(layer)
        kind = layer.kind
        match kind:
            case kinds.Input():
                return self.builder.add_tensor(Tensor("input", (1, *kind.shape), "float32"))
            case kinds.Conv() | kinds.Depthwise():
                return self._convolution(kind, inputs[0], shapes[0], function)
            case kinds.Dense():
                weights = self.zeros(kind.units, shapes[0][-1])
                bias = self.zeros(kind.units) if kind.bias else None
                return self.op("FULLY_CONNECTED", [inputs[0], weights, bias],
                                FullyConnectedAttrs(function))
            case kinds.Activation():
                return self._activation(kind.function, layer.inputs[0], inputs[0])
            case kinds.MaxPool() | kinds.AveragePool():
                name = "MAX_POOL_2D" if isinstance(kind, kinds.MaxPool) else "AVERAGE_POOL_2D"
                return self.op(name, [inputs[0]], Pool2DAttrs(
                    kind.kernel, kind.stride, _padding(kind, shapes[0])))
            case kinds.Add():
                value = inputs[0]
                for i, other in enumerate(inputs[1:], 2):
                    last = i == len(inputs)
                    value = self.op("ADD", [value, other],
                                     ElementwiseAttrs(function if last else "none"))
                return value
            case kinds.Multiply():
                return self.op("MUL", [*inputs], ElementwiseAttrs(function))
            case kinds.Concat():
                return self.op("CONCATENATION", [*inputs], ConcatenationAttrs(-1))
            case kinds.GlobalPool() if kind.keep and shapes[0] == layer.shape:
                return inputs[0]
            case kinds.GlobalPool():
                return self.op("MEAN", [inputs[0], self.integers(1, 2)],
                                MeanAttrs((1, 2), kind.keep))
            case kinds.Dropout():
                return inputs[0]
            case kinds.Norm():
                x = self.op("MUL", [inputs[0], self.zeros(shapes[0][-1])], ElementwiseAttrs())
                return self.op("ADD", [x, self.zeros(shapes[0][-1])],
                                ElementwiseAttrs(function))
            case kinds.Affine() | kinds.ResponseNorm() | kinds.TransposedConv():
                return self._rarer(kind, inputs[0], shapes[0], layer.shape)
            case kinds.ChannelScale() | tokens.Gains():
                return self._gains(inputs[0], shapes[0][-1])
            case _ if isinstance(kind, tokens.KINDS):
                return of_tokens(self, kind, inputs, shapes, layer.shape)
            case _:
                return self._moved(kind, inputs[0], shapes[0], layer.shape)

    def _rarer(self, kind: kinds.Kind, x: int, shape: Shape, result: Shape) -> int:
        """Layers that few networks have."""
        match kind:
            case kinds.Affine():
                x = self.op("MUL", [x, self.zeros()], ElementwiseAttrs())
                if not kind.offset:
                    return x
                return self.op("ADD", [x, self.zeros()], ElementwiseAttrs())
            case kinds.ResponseNorm():
                return self.op("LOCAL_RESPONSE_NORMALIZATION", [x],
                                LocalResponseNormalizationAttrs(kind.size // 2, kind.k, kind.alpha,
                                                                kind.beta))
            case kinds.TransposedConv():
                size, step = (result[0], result[1]), (kind.factor, kind.factor)
                weights = self.zeros(kind.filters, *step, shape[-1])
                bias = self.zeros(kind.filters) if kind.bias else None
                return self.op("TRANSPOSE_CONV", [self.integers(1, *result), weights, x, bias],
                                TransposeConvAttrs(size, step))
        raise AssertionError(kind)

    def _gains(self, x: int, channels: int) -> int:
        weights, bias = self.zeros(1, 1, 1, channels), self.zeros(channels)
        return self.op("DEPTHWISE_CONV_2D", [x, weights, bias], Conv2DAttrs())

    def _convolution(
        self, kind: kinds.Conv | kinds.Depthwise, x: int, shape: Shape, function: str,
    ) -> int:
        dilation = kind.dilation if isinstance(kind, kinds.Conv) else 1
        attrs = Conv2DAttrs(kind.stride, (dilation, dilation), _padding(kind, shape), function)
        channels = shape[-1] if isinstance(kind, kinds.Depthwise) else kind.filters
        # Of an image of one channel a padded convolution is a depthwise one with a multiplier, and
        # one in as many groups as channels is made one by deployment.
        alone = isinstance(kind, kinds.Conv) and kind.groups == shape[-1]
        if isinstance(kind, kinds.Depthwise) or (alone and (shape[-1] > 1
                                                            or kind.padding == "same")):
            name, weights = "DEPTHWISE_CONV_2D", self.zeros(1, *kind.kernel, channels)
        else:
            name = "CONV_2D"
            weights = self.zeros(channels, *kind.kernel, shape[-1] // kind.groups)
        return self.op(name, [x, weights, self.zeros(channels)], attrs)

    def _activation(self, function: str, layer: int, x: int) -> int:
        fused = layer in self._fused
        if function == "hard_sigmoid":
            if not fused:
                x = self.op("ADD", [x, self.zeros()], ElementwiseAttrs("relu6"))
            return self.op("MUL", [x, self.zeros()], ElementwiseAttrs())
        if fused:
            return x
        if function == "silu":
            return self.op("MUL", [x, self.op("LOGISTIC", [x], PointwiseAttrs())],
                            ElementwiseAttrs())
        if function == "softmax":
            return self.op("SOFTMAX", [x], SoftmaxAttrs())
        if function == "leaky_relu":
            return self.op("LEAKY_RELU", [x], LeakyReluAttrs(0.2))
        plain = {"relu": "RELU", "gelu": "GELU", "relu6": "RELU6", "sigmoid": "LOGISTIC",
                 "hard_silu": "HARD_SWISH"}
        return self.op(plain[function], [x], PointwiseAttrs())

    def _moved(self, kind: kinds.Kind, x: int, shape: Shape, result: Shape) -> int:
        """Layers that compute nothing and move channels only."""
        match kind:
            case kinds.Flatten() if shape[:-1] == (1, 1):
                return x  # what reads it is fully connected, and reads it as a vector
            case kinds.Flatten():
                return self.reshape(x, result)
            case kinds.Slice():
                return self.channels(x, len(shape) + 1, kind.first, kind.last)
            case kinds.Offset():
                (up, down), (left, right) = ((max(-n, 0), max(n, 0))
                                             for n in (kind.rows, kind.columns))
                x = self.padded(x, ((0, 0), (up, down), (left, right), (0, 0)))
                return self._window(x, (down, right), shape)
            case kinds.Pad():
                around = (kind.size, kind.size)
                return self.padded(x, ((0, 0), around, around, (0, 0)))
            case kinds.Crop():
                first = ((shape[0] - kind.rows) // 2, (shape[1] - kind.columns) // 2)
                return self._window(x, first, result)
            case kinds.Upsample():
                size = (result[0], result[1])
                if kind.smooth:
                    return self.op("RESIZE_BILINEAR", [x, self.integers(*size)],
                                    ResizeBilinearAttrs(size, half_pixel_centers=True))
                return self.op("RESIZE_NEAREST_NEIGHBOR", [x, self.integers(*size)],
                                ResizeNearestNeighborAttrs(size))
            case kinds.PadChannels():
                return self.padded(x, ((0, 0), (0, 0), (0, 0), (0, kind.more)))
            case kinds.Shuffle():
                pixels, groups = math.prod(shape[:-1]), kind.groups
                x = self.reshape(x, (pixels, groups, shape[-1] // groups))
                x = self.op("TRANSPOSE", [x, self.integers(0, 1, 3, 2)],
                             TransposeAttrs((0, 1, 3, 2)))
                return self.reshape(x, result)
        raise AssertionError(kind)

    def channels(self, x: int, rank: int, first: int, last: int) -> int:
        """Channels [first, last) of a tensor of `rank` dimensions, the batch included."""
        zeros, every = (0,) * (rank - 1), (1 << (rank - 1)) - 1
        begin, end, strides = (*zeros, first), (*zeros, last), (1,) * rank
        return self.op("STRIDED_SLICE", [x, *(self.integers(*v) for v in (begin, end, strides))],
                       StridedSliceAttrs(begin, end, strides, every, every))

    def padded(self, x: int, pads: tuple[tuple[int, int], ...]) -> int:
        """Zeros around a tensor."""
        return self.op("PAD", [x, self.constant(np.array(pads, np.int32))], PadAttrs(pads))

    def _window(self, x: int, first: tuple[int, int], shape: Shape) -> int:
        begin = (0, *first, 0)
        end = (1, first[0] + shape[0], first[1] + shape[1], shape[2])
        strides = (1, 1, 1, 1)
        return self.op("STRIDED_SLICE", [x, *(self.integers(*v) for v in (begin, end, strides))],
                        StridedSliceAttrs(begin, end, strides, 0b1001, 0b1001))

    def reshape(self, x: int, shape: Shape) -> int:
        """The same values in another shape, the batch aside."""
        full = (1, *shape)
        return self.op("RESHAPE", [x, self.integers(*full)], ReshapeAttrs(full))


def _padding(kind: kinds.Windowed, shape: Shape) -> Padding:
    """Padding on each side, as "same" spreads it."""
    scheme = o.VALID if kind.padding == "valid" else o.SAME
    dilation = kind.dilation if isinstance(kind, kinds.Conv) else 1
    return o.padding_of(scheme, (shape[0], shape[1]), kind.kernel, kind.stride,
                        (dilation, dilation))
