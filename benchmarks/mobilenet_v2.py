# SPDX-License-Identifier: MIT
"""MobileNetV2 of any width and image size, int8 with random weights, without TensorFlow.

Source of the shapes: Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR
2018, table 2.
"""

from __future__ import annotations

from tinyeff.ir import Graph
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.conv_2d import Conv2DAttrs
from tinyeff.ops.elementwise import ElementwiseAttrs
from tinyeff.ops.operator import SAME, padding_of

BLOCKS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
          (6, 160, 3, 2), (6, 320, 1, 1))
"""(expansion, output channels, repetitions, stride of the first repetition)."""

STEM_CHANNELS, HEAD_CHANNELS = 32, 1280


def mobilenet_v2(size: int = 224, width: float = 1.0) -> Graph:
    """From the image to the last 1x1 convolution; images are `size` x `size` x 3.

    The classifier behind it, which no memory figure depends on, is left out.
    """
    g = GraphBuilder(f"mobilenet_v2_{width}_{size}")
    x = _conv(g, g.input((1, size, size, 3), 1 / 128), divisible(STEM_CHANNELS * width), 3, 2)
    for expansion, channels, count, first_stride in BLOCKS:
        for number in range(count):
            x = _block(g, x, expansion, divisible(channels * width),
                       1 if number else first_stride)
    return g.graph(_conv(g, x, max(HEAD_CHANNELS, divisible(HEAD_CHANNELS * width))))


def divisible(channels: float) -> int:
    """Channels rounded to a multiple of 8, not more than a tenth below."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _block(g: GraphBuilder, x: int, expansion: int, channels: int, stride: int) -> int:
    wide = _conv(g, x, g.tensor(x).channels * expansion) if expansion > 1 else x
    y = _conv(g, _depthwise(g, wide, stride), channels, activation="none")
    if g.tensor(x).shape != g.tensor(y).shape:
        return y
    return g.op("ADD", [x, y], ElementwiseAttrs(), 0.05)


def _conv(
    g: GraphBuilder, x: int, channels: int, kernel: int = 1, stride: int = 1,
    activation: str = "relu6",
) -> int:
    weights = g.random_weights((channels, kernel, kernel, g.tensor(x).channels), 0)
    return g.op("CONV_2D", [x, weights, g.random_bias(channels, x, weights)],
                _attrs(g, x, kernel, stride, activation), 0.05)


def _depthwise(g: GraphBuilder, x: int, stride: int) -> int:
    channels = g.tensor(x).channels
    weights = g.random_weights((1, 3, 3, channels), 3)
    return g.op("DEPTHWISE_CONV_2D", [x, weights, g.random_bias(channels, x, weights)],
                _attrs(g, x, 3, stride, "relu6"), 0.05)


def _attrs(g: GraphBuilder, x: int, kernel: int, stride: int, activation: str) -> Conv2DAttrs:
    _, height, width, _ = g.tensor(x).shape
    padding = padding_of(SAME, (height, width), (kernel, kernel), (stride, stride))
    return Conv2DAttrs((stride, stride), (1, 1), padding, activation)
