# SPDX-License-Identifier: MIT
"""The layers of `token_layers.py` as operators: what TensorFlow's converter makes of them."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from tinyeff.ops import operator as o
from tinyeff.ops.batch_matmul import BatchMatmulAttrs
from tinyeff.ops.concatenation import ConcatenationAttrs
from tinyeff.ops.elementwise import ElementwiseAttrs
from tinyeff.ops.mean import MeanAttrs
from tinyeff.ops.pointwise_table import PointwiseAttrs
from tinyeff.ops.softmax import SoftmaxAttrs
from tinyeff.ops.strided_slice import StridedSliceAttrs
from tinyeff.ops.transpose import TransposeAttrs
from tinyeff.zoo import layers as kinds
from tinyeff.zoo import token_layers as tokens
from tinyeff.zoo.layers import Shape


class Writer(Protocol):
    """What operators are written into; values are numbers of tensors."""

    def op(self, kind: str, inputs: list[int | None], attrs: object) -> int:
        """Append an operator."""

    def zeros(self, *shape: int) -> int:
        """A constant of float32."""

    def integers(self, *values: int) -> int:
        """A constant of int32."""

    def reshape(self, x: int, shape: Shape) -> int:
        """The same values in another shape, the batch aside."""

    def channels(self, x: int, rank: int, first: int, last: int) -> int:
        """Channels [first, last) of a tensor of `rank` dimensions, the batch included."""

    def padded(self, x: int, pads: tuple[tuple[int, int], ...]) -> int:
        """Zeros around a tensor."""


def of_tokens(
    net: Writer, kind: kinds.Kind, inputs: list[int], shapes: tuple[Shape, ...], result: Shape,
) -> int:
    """Write a layer of shape `result` that reads tensors `inputs` of `shapes`."""
    match kind:
        case tokens.Attention():
            return _attention(net, kind, inputs, shapes, result)
        case tokens.LinearAttention():
            return _linear_attention(net, kind, inputs[0], shapes[0], result)
        case tokens.Folded():
            return net.reshape(inputs[0], result)
        case tokens.ToHeads(heads=1, exchanged=False):
            return net.reshape(inputs[0], result)
        case tokens.ToHeads():
            rows, columns, channels = shapes[0]
            x = net.reshape(inputs[0], (rows * columns, kind.heads, channels // kind.heads))
            return _transposed(net, x, (1, 2, 0) if kind.exchanged else (1, 0, 2))
        case tokens.FromHeads() if shapes[0][0] == 1:
            return net.reshape(inputs[0], result)
        case tokens.FromHeads():
            return net.reshape(_transposed(net, inputs[0], (1, 0, 2)), result)
        case tokens.Product():
            return net.op("BATCH_MATMUL", [*inputs], BatchMatmulAttrs())
        case tokens.PositionBias():
            return net.op("ADD", [inputs[0], net.zeros(1, *result)], ElementwiseAttrs())
        case tokens.Permuted():
            return _transposed(net, inputs[0], kind.axes)
        case tokens.Subtract():
            return net.op("SUB", [*inputs], ElementwiseAttrs())
        case tokens.Standardized():
            return _standardized(net, inputs[0])
        case tokens.Adder():
            return _adder(net, kind, inputs[0], shapes[0], result)
    raise AssertionError(kind)


def _transposed(net: Writer, x: int, axes: tuple[int, int, int]) -> int:
    order = (0, *(i + 1 for i in axes))
    return net.op("TRANSPOSE", [x, net.integers(*order)], TransposeAttrs(order))


def _attention(
    net: Writer, kind: tokens.Attention, inputs: list[int], shapes: tuple[Shape, ...],
    result: Shape,
) -> int:
    query, key, value = shapes
    keys = key[0] * key[1]
    rows = net.reshape(inputs[0], (math.prod(query[:2]) * kind.heads, key[-1]))
    columns = net.reshape(inputs[1], (keys, key[-1]))
    values = net.reshape(inputs[2], (keys, value[-1]))
    scores = net.op("BATCH_MATMUL", [rows, columns], BatchMatmulAttrs(False, True))
    scores = net.op("MUL", [scores, net.zeros()], ElementwiseAttrs())
    weights = net.op("SOFTMAX", [scores], SoftmaxAttrs())
    mixed = net.op("BATCH_MATMUL", [weights, values], BatchMatmulAttrs())
    return net.reshape(mixed, result)


def _linear_attention(
    net: Writer, kind: tokens.LinearAttention, x: int, shape: Shape, result: Shape,
) -> int:
    heads, pixels, d = kind.heads(shape), shape[0] * shape[1], kind.d
    x = _transposed(net, net.reshape(x, (pixels, heads, 3 * d)), (1, 0, 2))
    query, key, value = (net.channels(x, 4, i * d, (i + 1) * d) for i in range(3))
    query = net.op("RELU", [query], PointwiseAttrs())
    key = net.op("RELU", [key], PointwiseAttrs())
    products = net.op("BATCH_MATMUL", [key, value], BatchMatmulAttrs(adj_x=True))
    mean = _transposed(net, net.op("MEAN", [key, net.integers(2)], MeanAttrs((2,), True)),
                       (0, 2, 1))
    y = net.op("BATCH_MATMUL", [query, products], BatchMatmulAttrs())
    total = net.op("BATCH_MATMUL", [query, mean], BatchMatmulAttrs())
    total = net.op("MUL", [total, net.zeros()], ElementwiseAttrs())
    total = net.op("ADD", [total, net.zeros()], ElementwiseAttrs())
    root = net.op("RSQRT", [total], PointwiseAttrs())
    for _ in range(2):
        y = net.op("MUL", [y, root], ElementwiseAttrs())
    return net.reshape(_transposed(net, y, (1, 0, 2)), result)


def _standardized(net: Writer, x: int) -> int:
    mean = net.op("MEAN", [x, net.integers(3)], MeanAttrs((3,), True))
    centred = net.op("SUB", [x, mean], ElementwiseAttrs())
    squared = net.op("MUL", [centred, centred], ElementwiseAttrs())
    variance = net.op("MEAN", [squared, net.integers(3)], MeanAttrs((3,), True))
    variance = net.op("ADD", [variance, net.zeros()], ElementwiseAttrs())
    factor = net.op("RSQRT", [variance], PointwiseAttrs())
    return net.op("MUL", [centred, factor], ElementwiseAttrs())


def _adder(net: Writer, kind: tokens.Adder, x: int, shape: Shape, result: Shape) -> int:
    """Windows side by side, kernels subtracted, the mean of what is left; no sum is too large."""
    scheme = o.VALID if kind.padding == "valid" else o.SAME
    pads = o.padding_of(scheme, (shape[0], shape[1]), kind.kernel, kind.stride, (1, 1))
    if pads.top or pads.bottom or pads.left or pads.right:
        x = net.padded(x, ((0, 0), (pads.top, pads.bottom), (pads.left, pads.right), (0, 0)))
    rows, columns, filters = result
    (down, right), channels = kind.stride, shape[-1]
    taps: list[int] = []
    for i, j in np.ndindex(kind.kernel):
        begin, strides = (0, i, j, 0), (1, down, right, 1)
        end = (1, i + (rows - 1) * down + 1, j + (columns - 1) * right + 1, channels)
        constants = [net.integers(*v) for v in (begin, end, strides)]
        taps.append(net.op("STRIDED_SLICE", [x, *constants],
                           StridedSliceAttrs(begin, end, strides, 0b1001, 0b1001)))
    if kind.kernel == kind.stride == (1, 1):
        taps = [x]  # nothing is cut out
    windows = (net.op("CONCATENATION", [*taps], ConcatenationAttrs(-1)) if len(taps) > 1
               else taps[0])
    size = len(taps) * channels
    windows = net.reshape(windows, (rows * columns, 1, size))
    apart = net.op("SUB", [windows, net.zeros(filters, size)], ElementwiseAttrs())
    apart = net.op("ABS", [apart], PointwiseAttrs())
    mean = net.op("MEAN", [apart, net.integers(3)], MeanAttrs((3,), False))
    mean = net.op("MUL", [mean, net.zeros()], ElementwiseAttrs())
    return net.reshape(mean, result)
