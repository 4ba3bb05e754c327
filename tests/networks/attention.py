# SPDX-License-Identifier: MIT
"""Random attention: matrices read whole beside operands of which only some columns are held."""

from __future__ import annotations

from random import Random

import numpy as np

from tinyeff.ir import Graph
from tinyeff.ops.batch_matmul import BatchMatmulAttrs
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.concatenation import ConcatenationAttrs
from tinyeff.ops.elementwise import ElementwiseAttrs
from tinyeff.ops.mean import MeanAttrs
from tinyeff.ops.pointwise_table import PointwiseAttrs
from tinyeff.ops.softmax import SoftmaxAttrs
from tinyeff.reader.flatbuffer import with_flatbuffer

NONE = ElementwiseAttrs("none")


def attention(seed: int) -> Graph:
    """softmax(query * key + something) * value, for a few heads."""
    random, g = Random(seed), GraphBuilder("attention", seed)
    heads, pixels, depth = (random.choice(n) for n in ((1, 2, 3), (8, 16, 33), (1, 3, 4, 8)))
    others = random.choice([pixels, pixels, 5, 20])
    attrs = BatchMatmulAttrs(random.random() < 0.2, random.random() < 0.5)
    query, key, value = (g.input((1, heads, *s), 0.05, z) for s, z in (
        ((depth, pixels) if attrs.adj_x else (pixels, depth), 3),
        ((others, depth) if attrs.adj_y else (depth, others), -4),
        ((others, depth), 1)))
    if random.random() < 0.5:
        query = g.op("RELU", [query], PointwiseAttrs(), 0.05, -128)
    x = g.op("BATCH_MATMUL", [query, key], attrs, 0.1, -2)
    x = _shifted(g, x, random)
    x = g.op("SOFTMAX", [x], SoftmaxAttrs(), 1 / 256, -128)
    x = g.op("BATCH_MATMUL", [x, value], BatchMatmulAttrs(), 0.02, 3)
    if random.random() < 0.5:
        x = g.op("CONCATENATION", [x, x], ConcatenationAttrs(random.choice([-1, -2])), like=x)
    return with_flatbuffer(g.graph(x))


def _shifted(g: GraphBuilder, x: int, random: Random) -> int:
    """`x`, or with a row of an input for all pixels, or less its mean over pixels."""
    _, heads, _, others = g.tensor(x).shape
    kind = random.choice(["", "row", "mean"])
    if kind == "row":
        row = g.input((1, random.choice([1, heads]), 1, others), 0.05, 2)
        return g.op(random.choice(["MUL", "ADD", "SUB"]), [x, row], NONE, 0.1)
    if kind == "mean":
        axes = g.constant(np.array([2], np.int32))
        mean = g.op("MEAN", [x, axes], MeanAttrs((2,), True), 0.1, -2)
        return g.op("SUB", [x, mean], NONE, 0.1)
    return x
