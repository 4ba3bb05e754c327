# SPDX-License-Identifier: MIT
"""Random small networks with several heads, each a classifier that may be an early exit."""

from __future__ import annotations

from random import Random

import numpy as np

from tinyeff.ir import Graph
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.conv_2d import Conv2DAttrs
from tinyeff.ops.elementwise import ElementwiseAttrs
from tinyeff.ops.fully_connected import FullyConnectedAttrs
from tinyeff.ops.mean import MeanAttrs
from tinyeff.ops.operator import SAME, padding_of
from tinyeff.ops.softmax import SoftmaxAttrs
from tinyeff.reader.flatbuffer import with_flatbuffer

SOFTMAX_SCALE, SOFTMAX_ZERO_POINT = 1 / 256, -128


def branchy(seed: int, stages: int = 3) -> Graph:
    """A stem and `stages` stages, each with a head; heads stand behind their stages or at the end,
    and the outputs in any order."""
    random, g = Random(seed), GraphBuilder(f"branchy_{seed}", seed)
    size = random.choice((8, 9, 12))
    x = _conv(g, g.input((1, size, size, random.choice((1, 3))), 0.05, random.randint(-128, 127)),
              8, random.choice((1, 2)))
    late = random.random() < 0.5
    ends, heads = [], []
    for _ in range(stages):
        for _ in range(random.randint(1, 2)):
            x = _conv(g, x, 8 * random.randint(1, 2), random.choice((1, 1, 2)))
        if random.random() < 0.5:
            y = _conv(g, x, g.tensor(x).channels)
            x = g.op("ADD", [x, y], ElementwiseAttrs("relu"), 0.06, -128)
        ends.append(x)
        if not late:
            heads.append(_head(g, random, x))
    if late:
        random.shuffle(ends)
        heads = [_head(g, random, end) for end in ends]
    random.shuffle(heads)
    return with_flatbuffer(g.graph(*heads))


def _conv(g: GraphBuilder, x: int, channels: int, stride: int = 1) -> int:
    weights = g.random_weights((channels, 3, 3, g.tensor(x).channels), 0)
    rows, columns = g.tensor(x).shape[1:3]
    padding = padding_of(SAME, (rows, columns), (3, 3), (stride, stride))
    attrs = Conv2DAttrs((stride, stride), padding=padding, activation="relu")
    return g.op("CONV_2D", [x, weights, g.random_bias(channels, x, weights)], attrs, 0.06, -128)


def _head(g: GraphBuilder, random: Random, x: int) -> int:
    """Global pooling and a dense layer; scores of 5 classes, or probabilities."""
    axes = g.constant(np.array([1, 2], np.int32))
    x = g.op("MEAN", [x, axes], MeanAttrs((1, 2)), 0.03, -128)
    weights = g.random_weights((5, g.tensor(x).channels), 0, per_channel=False)
    x = g.op("FULLY_CONNECTED", [x, weights, g.random_bias(5, x, weights)], FullyConnectedAttrs(),
             random.choice((0.02, 0.1)), random.randint(-20, 20))
    if random.random() < 0.7:
        x = g.op("SOFTMAX", [x], SoftmaxAttrs(), SOFTMAX_SCALE, SOFTMAX_ZERO_POINT)
    return x
