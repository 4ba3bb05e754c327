# SPDX-License-Identifier: MIT
"""How a random network grows by one operator: one function for each kind."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tests.networks.builder import CHANNELS, Network
from tinyeff.ops import operator as o
from tinyeff.ops.arg_max import ArgMaxAttrs
from tinyeff.ops.batch_matmul import BatchMatmulAttrs
from tinyeff.ops.concatenation import ConcatenationAttrs
from tinyeff.ops.conv_2d import Conv2DAttrs
from tinyeff.ops.depth_to_space import BlockAttrs
from tinyeff.ops.elementwise import ElementwiseAttrs
from tinyeff.ops.expand_dims import ExpandDimsAttrs
from tinyeff.ops.fully_connected import FullyConnectedAttrs
from tinyeff.ops.gelu import GeluAttrs
from tinyeff.ops.l2_normalization import L2NormalizationAttrs
from tinyeff.ops.leaky_relu import LeakyReluAttrs
from tinyeff.ops.local_response_normalization import LocalResponseNormalizationAttrs
from tinyeff.ops.mean import MeanAttrs
from tinyeff.ops.pack import PackAttrs
from tinyeff.ops.pad import PadAttrs
from tinyeff.ops.pointwise_table import PointwiseAttrs
from tinyeff.ops.pooling import Pool2DAttrs
from tinyeff.ops.quantize import QuantizeAttrs
from tinyeff.ops.reshape import ReshapeAttrs
from tinyeff.ops.resize_bilinear import ResizeBilinearAttrs
from tinyeff.ops.resize_nearest_neighbor import ResizeNearestNeighborAttrs
from tinyeff.ops.slice import SliceAttrs
from tinyeff.ops.softmax import SoftmaxAttrs
from tinyeff.ops.split import SplitAttrs
from tinyeff.ops.split_v import SplitVAttrs
from tinyeff.ops.squeeze import SqueezeAttrs
from tinyeff.ops.strided_slice import StridedSliceAttrs
from tinyeff.ops.tile import TileAttrs
from tinyeff.ops.transpose import TransposeAttrs
from tinyeff.ops.transpose_conv import TransposeConvAttrs
from tinyeff.ops.unpack import UnpackAttrs

SPREAD = 74.0
"""The standard deviation of uniform int8 values; outputs shall spread much like that."""


def _weights(g: Network, shape: tuple[int, ...], axis: int) -> int:
    return g.random_weights(shape, axis, per_channel=g.flag() and shape[axis] > 1)


def _sum_scale(g: Network, x: int, weights: int, terms: int) -> float:
    """A scale for sums of so many products of x and the weights."""
    quant = g.tensor(weights).quant
    assert quant is not None
    mean = sum(quant.scales) / len(quant.scales)
    return g.scale(g.quant(x).scale * mean * SPREAD * math.sqrt(terms))


def _window(g: Network, image: tuple[int, int]) -> tuple[
    tuple[int, int], tuple[int, int], tuple[int, int], o.Padding
]:
    """(kernel, stride, dilation, padding): kernels larger than the image, strides than kernels."""
    kernel, stride = g.pair(1, 5), g.pick([(1, 1), (1, 1), (2, 2), (3, 3), g.pair(1, 4)])
    dilation = g.pick([(1, 1), (1, 1), (1, 1), (2, 1), (1, 3), (2, 2)])
    scheme = g.pick([o.SAME, o.VALID])
    if scheme == o.VALID:
        kernel = (min(kernel[0], (image[0] - 1) // dilation[0] + 1),
                  min(kernel[1], (image[1] - 1) // dilation[1] + 1))
    return kernel, stride, dilation, o.padding_of(scheme, image, kernel, stride, dilation)


def convolution(g: Network, kind: str) -> None:
    x = g.image()
    if x is None:
        return
    _, height, width, depth = g.shape(x)
    kernel, stride, dilation, padding = _window(g, (height, width))
    if kind == "DEPTHWISE_CONV_2D":
        channels, per_group, axis = depth * g.pick([1, 1, 1, 2, 3]), 1, 3
        weights = _weights(g, (1, *kernel, channels), axis)
    else:
        groups = g.pick([1, 1, 1, *(n for n in (2, 3, 5, 17) if depth % n == 0)])
        channels, per_group, axis = groups * g.pick(CHANNELS if groups == 1 else (1, 2)), (
            depth // groups), 0
        weights = _weights(g, (channels, *kernel, per_group), axis)
    bias = g.random_bias(channels, x, weights)
    attrs = Conv2DAttrs(stride, dilation, padding, g.pick(o.FUSED))
    terms = kernel[0] * kernel[1] * per_group
    g.add(kind, [x, weights, bias], attrs, _sum_scale(g, x, weights, terms), g.zero_point())


def transposed_convolution(g: Network, kind: str) -> None:
    x = g.image()
    if x is None:
        return
    _, height, width, depth = g.shape(x)
    kernel, stride, scheme = g.pair(1, 4), g.pair(1, 3), g.pick([o.SAME, o.VALID])
    size = (height * stride[0], width * stride[1])
    if scheme == o.VALID:
        size = ((height - 1) * stride[0] + kernel[0], (width - 1) * stride[1] + kernel[1])
    channels = g.pick(CHANNELS)
    weights = _weights(g, (channels, *kernel, depth), 0)
    inputs: list[int | None] = [g.ints(1, *size, channels), weights, x]
    if g.flag():
        inputs.append(g.random_bias(channels, x, weights))
    attrs = TransposeConvAttrs(size, stride, o.padding_of(scheme, size, kernel, stride),
                               g.pick(o.FUSED))
    g.add(kind, inputs, attrs, _sum_scale(g, x, weights, depth), g.zero_point())


def fully_connected(g: Network, kind: str) -> None:
    x = g.value()
    assert x is not None
    shape = g.shape(x)
    keep = g.flag() and len(shape) > 1
    depth = shape[-1] if keep else o.elements_of(shape)
    units = g.pick(CHANNELS)
    weights = _weights(g, (units, depth), 0)
    inputs: list[int | None] = [x, weights]
    if g.flag():
        inputs.append(g.random_bias(units, x, weights))
    g.add(kind, inputs, FullyConnectedAttrs(g.pick(o.FUSED), keep),
          _sum_scale(g, x, weights, depth), g.zero_point())


def matrix_product(g: Network, kind: str) -> None:
    x = g.value(lambda shape: 2 < len(shape) < 5)
    if x is None:
        return
    if len(g.shape(x)) == 4:
        _, height, width, channels = g.shape(x)
        matrices = (1, height * width, channels)
        (x,) = g.add("RESHAPE", [x, g.ints(*matrices)], ReshapeAttrs(matrices), like=x) or (x,)
    adj = g.flag(), g.flag()
    depth = g.shape(x)[-2 if adj[0] else -1]
    columns = g.number(1, 6)
    matrix = (columns, depth) if adj[1] else (depth, columns)
    y = g.value(lambda shape: shape == (1, *matrix)) if g.flag() else None
    if y is None:
        y = g.constant(g.rng.integers(-128, 128, (1, *matrix), dtype=np.int8), 0.01, 3)
    scale = g.scale(g.quant(x).scale * g.quant(y).scale * SPREAD * math.sqrt(depth))
    g.add(kind, [x, y], BatchMatmulAttrs(*adj), scale, g.zero_point())


def pool(g: Network, kind: str) -> None:
    x = g.image()
    if x is None:
        return
    image = g.shape(x)[1:3]
    kernel, stride, _, _ = _window(g, (image[0], image[1]))
    if g.number(0, 5) == 0:
        kernel = (image[0], image[1])  # global
    scheme = g.pick([o.SAME, o.VALID])
    padding = o.padding_of(scheme, (image[0], image[1]), kernel, stride)
    g.add(kind, [x], Pool2DAttrs(kernel, stride, padding, g.pick(o.FUSED)), like=x)


def _partner(g: Network, x: int, same_quant: bool) -> int:
    """Another operand for `x`: a value of its shape, or one to broadcast, or a constant."""
    shape = g.shape(x)
    y = g.value(lambda s: s in (shape, shape[-1:], (1,) * (len(shape) - 1) + shape[-1:]))
    if y is not None and g.number(0, 2):
        return g.as_quantized(y, g.quant(x)) if same_quant else y
    part = g.pick([shape, shape[-1:], (1,) * (len(shape) - 1) + shape[-1:], (1,)])
    quant, data = g.quant(x), np.asarray(g.rng.integers(-128, 128, part), np.int8)
    if same_quant:
        return g.constant(data, quant.scale, quant.zero_point)
    return g.constant(data, g.scale(quant.scale), g.zero_point())


def elementwise(g: Network, kind: str) -> None:
    x = g.value()
    assert x is not None
    same = kind in ("MINIMUM", "MAXIMUM")
    y = _partner(g, x, same)
    a, b = g.quant(x).scale, g.quant(y).scale
    scale = {"MUL": a * b * SPREAD, "PRELU": max(a, a * b * SPREAD)}.get(kind, a + b)
    fused = g.pick(o.FUSED) if kind in ("ADD", "SUB", "MUL") else "none"
    operands: list[int | None] = [x, y]
    if kind != "PRELU" and g.flag():
        operands.reverse()
    g.add(kind, operands, ElementwiseAttrs(fused), g.scale(scale), g.zero_point(),
          like=x if same else None)


def pointwise(g: Network, kind: str) -> None:
    x = g.value()
    assert x is not None
    if kind in ("SQRT", "RSQRT", "EXP"):
        # Values from 0 to about 4, for which all of these have results.
        start = -128 if kind != "EXP" else g.zero_point()
        (x,) = g.add("QUANTIZE", [x], QuantizeAttrs(), g.scale(1 / 64), start) or (x,)
    scale = g.scale({"SQRT": 1 / 128, "RSQRT": 1 / 16, "EXP": 1 / 4}.get(kind, g.quant(x).scale))
    zero_point = g.zero_point()
    if kind in ("LOGISTIC", "TANH"):
        scale, zero_point = (1 / 256, -128) if kind == "LOGISTIC" else (1 / 128, 0)
    attrs: object = PointwiseAttrs()
    if kind == "GELU":
        attrs = GeluAttrs(g.flag())
    elif kind == "LEAKY_RELU":
        attrs = LeakyReluAttrs(float(np.float32(g.pick([0.01, 0.1, 0.3, 1.5, -0.2]))))
    g.add(kind, [x], attrs, scale, zero_point)


def quantize(g: Network, kind: str) -> None:
    x = g.value()
    assert x is not None
    g.add(kind, [x], QuantizeAttrs(), g.scale(g.quant(x).scale), g.zero_point())


def normalize(g: Network, kind: str) -> None:
    x = g.image() if kind.startswith("LOCAL") else g.value()
    if x is None:
        return
    if kind == "SOFTMAX":
        g.add(kind, [x], SoftmaxAttrs(float(np.float32(g.pick([1.0, 0.3, 4.0])))), 1 / 256, -128)
    elif kind == "L2_NORMALIZATION":
        g.add(kind, [x], L2NormalizationAttrs(), 1 / 128, 0)
    else:
        factors = (float(np.float32(f)) for f in (
            g.pick([1.0, 2.0, 0.5]), g.pick([1e-4, 0.1, 1.0]), g.pick([0.75, 0.5, 1.0])))
        g.add(kind, [x], LocalResponseNormalizationAttrs(g.number(0, 6), *factors),
              g.scale(g.quant(x).scale), g.zero_point())


def reduction(g: Network, kind: str) -> None:
    x = g.value(lambda shape: len(shape) > 1)
    if x is None:
        return
    rank = len(g.shape(x))
    axes = tuple(sorted(g.random.sample(range(1, rank), g.number(1, rank - 1))))
    if g.flag() and rank == 4:
        axes = (1, 2)
    written = tuple(a - rank * g.number(0, 1) for a in axes)
    taps = math.prod(g.shape(x)[a] for a in axes)
    scale = g.quant(x).scale * {"SUM": math.sqrt(taps), "MEAN": 1 / math.sqrt(taps)}.get(kind, 1)
    g.add(kind, [x, g.ints(*written)], MeanAttrs(axes, g.flag()), g.scale(scale), g.zero_point(),
          like=x if kind == "REDUCE_MAX" else None)


def arg_max(g: Network, kind: str) -> None:
    x = g.value(lambda shape: len(shape) > 1)
    if x is not None:
        axis, dtype = g.number(1, len(g.shape(x)) - 1), g.pick(["int32", "int64"])
        g.add(kind, [x, g.scalar(axis)], ArgMaxAttrs(axis - len(g.shape(x)), dtype), dtype=dtype)


def pad(g: Network, kind: str) -> None:
    x = g.value(lambda shape: 1 < len(shape) < 5)
    if x is not None:
        inner = tuple(g.pair(0, 2) for _ in g.shape(x)[1:])
        pads = ((0, 0), *inner)
        constant = g.constant(np.array(pads, np.int32))
        g.add(kind, [x, constant], PadAttrs(pads), like=x)


def transpose(g: Network, kind: str) -> None:
    x = g.value(lambda shape: 2 < len(shape) < 6)
    if x is not None:
        rank = len(g.shape(x))
        perm = (0, *g.random.sample(range(1, rank), rank - 1))
        g.add(kind, [x, g.ints(*perm)], TransposeAttrs(perm), like=x)


def resize(g: Network, kind: str) -> None:
    x = g.image()
    if x is None:
        return
    attrs = ResizeBilinearAttrs if kind == "RESIZE_BILINEAR" else ResizeNearestNeighborAttrs
    _, height, width, _ = g.shape(x)
    size = g.pick([(2 * height, 2 * width), g.pair(1, 13)])
    corners, centers = g.pick([(False, False), (True, False), (False, True)])
    g.add(kind, [x, g.ints(*size)], attrs(size, corners, centers), like=x)


def blocks(g: Network, kind: str) -> None:
    x = g.image()
    if x is None:
        return
    block = g.pick([2, 2, 3])
    _, height, width, depth = g.shape(x)
    if kind == "DEPTH_TO_SPACE" and depth % (block * block):
        multiples = (1, 1, 1, block * block)
        (x,) = g.add("TILE", [x, g.ints(*multiples)], TileAttrs(multiples), like=x) or (x,)
    if kind == "SPACE_TO_DEPTH" and (height % block or width % block):
        pads = ((0, 0), (0, -height % block), (-width % block, 0), (0, 0))
        constant = g.constant(np.array(pads, np.int32))
        (x,) = g.add("PAD", [x, constant], PadAttrs(pads), like=x) or (x,)
    g.add(kind, [x], BlockAttrs(block), like=x)


def concatenation(g: Network, kind: str) -> None:
    x = g.value(lambda shape: len(shape) > 1)
    if x is None:
        return
    shape = g.shape(x)
    axis = g.number(1, len(shape) - 1) if g.flag() else len(shape) - 1
    parts = [x]
    for _ in range(g.number(0, 2)):
        y = g.value(lambda s: len(s) == len(shape) and s[:axis] == shape[:axis]
                    and s[axis + 1:] == shape[axis + 1:])
        assert y is not None
        parts.append(g.as_quantized(y, g.quant(x)))
    if g.number(0, 3) == 0:
        data = np.asarray(g.rng.integers(-128, 128, (*shape[:axis], 2, *shape[axis + 1:])))
        parts.append(g.constant(data.astype(np.int8), g.quant(x).scale, g.quant(x).zero_point))
    g.add(kind, [*parts], ConcatenationAttrs(axis - len(shape)), like=x)


def pack(g: Network, kind: str) -> None:
    x = g.value(lambda shape: 0 < len(shape) < 5)
    if x is None:
        return
    y = g.value(lambda shape: shape == g.shape(x))
    assert y is not None
    parts: list[int | None] = [x, g.as_quantized(y, g.quant(x))]
    g.add(kind, parts[:g.number(1, 2)], PackAttrs(g.number(1, len(g.shape(x)))), like=x)


def unpack(g: Network, kind: str) -> None:
    x = g.value(lambda shape: len(shape) > 2 and any(1 <= n < 6 for n in shape[1:]))
    if x is not None:
        axis = g.pick([a for a, n in enumerate(g.shape(x)) if a and n < 6])
        g.add(kind, [x], UnpackAttrs(axis - len(g.shape(x)), g.shape(x)[axis]), like=x)


def split(g: Network, kind: str) -> None:
    x = g.value(lambda shape: any(n > 1 for n in shape[1:]))
    if x is None:
        return
    axis = g.pick([a for a, n in enumerate(g.shape(x)) if a and n > 1])
    size, from_last = g.shape(x)[axis], axis - len(g.shape(x))
    if kind == "SPLIT":
        count = g.pick([n for n in range(1, min(size, 5) + 1) if size % n == 0])
        g.add(kind, [g.scalar(axis), x], SplitAttrs(from_last, count), like=x)
    else:
        first = g.number(1, size - 1)
        sizes = (first, size - first)
        g.add(kind, [x, g.ints(*sizes), g.scalar(axis)], SplitVAttrs(from_last, sizes), like=x)


def slices(g: Network, kind: str) -> None:
    x = g.value(lambda shape: 1 < len(shape) < 5)
    if x is None:
        return
    shape = g.shape(x)
    begin = (0, *(g.number(0, n - 1) for n in shape[1:]))
    if kind == "SLICE":
        size = (1, *(g.number(1, n - b) for n, b in zip(shape[1:], begin[1:], strict=True)))
        g.add(kind, [x, g.ints(*begin), g.ints(*size)], SliceAttrs(begin, size), like=x)
        return
    end = (1, *(g.number(b + 1, n) for n, b in zip(shape[1:], begin[1:], strict=True)))
    strides = (1, *(g.pick([1, 1, 2, 3]) for _ in shape[1:]))
    backwards = g.number(0, len(shape) - 1) if g.number(0, 3) == 0 else 0
    end_mask = 0
    if backwards:  # from the last to the first
        begin = tuple(shape[d] - 1 if d == backwards else b for d, b in enumerate(begin))
        strides = tuple(-1 if d == backwards else s for d, s in enumerate(strides))
        end_mask = 1 << backwards
    shrink = 1 << g.number(1, len(shape) - 1) if g.number(0, 3) == 0 and len(shape) > 2 else 0
    attrs = StridedSliceAttrs(begin, end, strides, 0, end_mask & ~shrink, 0, 0,
                              0 if backwards else shrink)
    g.add(kind, [x, *(g.ints(*v) for v in (begin, end, strides))], attrs, like=x)


def tile(g: Network, kind: str) -> None:
    x = g.value(lambda shape: 1 < len(shape) < 6)
    if x is not None:
        multiples = (1, *(g.pick([1, 1, 2, 3]) for _ in g.shape(x)[1:]))
        g.add(kind, [x, g.ints(*multiples)], TileAttrs(multiples), like=x)


def reshape(g: Network, kind: str) -> None:
    x = g.value()
    assert x is not None
    shape = g.shape(x)
    elements = o.elements_of(shape)
    if kind == "EXPAND_DIMS":
        if len(shape) < 5:
            axis = g.number(1, len(shape))
            g.add(kind, [x, g.scalar(axis)], ExpandDimsAttrs(axis), like=x)
        return
    if kind == "SQUEEZE":
        axes = tuple(a for a, n in enumerate(shape) if a and n == 1)
        if axes and len(shape) - len(axes) > 1:
            g.add(kind, [x], SqueezeAttrs(axes), like=x)
        return
    height = g.pick([n for n in range(1, 8) if elements % n == 0])
    width = g.pick([n for n in range(1, 8) if elements // height % n == 0])
    image = (1, height, width, elements // height // width)
    target = g.pick([image, image, image, (1, elements), (1, height, elements // height)])
    g.add(kind, [x, g.ints(*target)], ReshapeAttrs(target), like=x)


STEPS: dict[str, Callable[[Network, str], None]] = {
    "CONV_2D": convolution, "DEPTHWISE_CONV_2D": convolution,
    "TRANSPOSE_CONV": transposed_convolution, "FULLY_CONNECTED": fully_connected,
    "BATCH_MATMUL": matrix_product, "AVERAGE_POOL_2D": pool, "MAX_POOL_2D": pool,
    **dict.fromkeys(("ADD", "SUB", "MUL", "MINIMUM", "MAXIMUM", "PRELU"), elementwise),
    **dict.fromkeys(("ABS", "ELU", "EXP", "GELU", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "NEG",
                     "RELU", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1", "RSQRT", "SQRT", "TANH"),
                    pointwise),
    "QUANTIZE": quantize,
    **dict.fromkeys(("SOFTMAX", "L2_NORMALIZATION", "LOCAL_RESPONSE_NORMALIZATION"), normalize),
    **dict.fromkeys(("MEAN", "SUM", "REDUCE_MAX"), reduction),
    "ARG_MAX": arg_max, "PAD": pad, "TRANSPOSE": transpose,
    **dict.fromkeys(("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"), resize),
    **dict.fromkeys(("DEPTH_TO_SPACE", "SPACE_TO_DEPTH"), blocks),
    "CONCATENATION": concatenation, "PACK": pack, "UNPACK": unpack,
    **dict.fromkeys(("SPLIT", "SPLIT_V"), split),
    **dict.fromkeys(("SLICE", "STRIDED_SLICE"), slices),
    "TILE": tile,
    **dict.fromkeys(("RESHAPE", "SQUEEZE", "EXPAND_DIMS"), reshape),
}
"""How to add an operator of each kind; it is left out where nothing fits it."""
