# SPDX-License-Identifier: MIT
"""Small graphs that reach every corner of the generated interface."""

from __future__ import annotations

import numpy as np

from tinyeff.ir import Array, Graph, Limits, Program, Target
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.conv_2d import Conv2DAttrs
from tinyeff.ops.operator import Padding
from tinyeff.pipeline import compile_graph
from tinyeff.reader.flatbuffer import with_flatbuffer

SAME_3X3 = Conv2DAttrs(padding=Padding(1, 1, 1, 1))


def conv(g: GraphBuilder, x: int, channels: int, attrs: Conv2DAttrs = SAME_3X3) -> int:
    """A 3x3 convolution of tensor `x`."""
    weights = g.random_weights((channels, 3, 3, g.tensor(x).channels), 0)
    return g.op("CONV_2D", [x, weights, g.random_bias(channels, x, weights)], attrs, 0.2, 5)


def chain() -> Graph:
    """One input, three convolutions, one output."""
    g = GraphBuilder("chain")
    x = g.input((1, 9, 7, 3), 0.1, -4)
    return with_flatbuffer(g.graph(conv(g, conv(g, conv(g, x, 8), 4), 2)))


def two_outputs() -> Graph:
    """One input; an inner tensor is an output as well."""
    g = GraphBuilder("two_outputs")
    x = g.input((1, 6, 6, 2), 0.1, 0)
    middle = conv(g, x, 5)
    return with_flatbuffer(g.graph(conv(g, middle, 3), middle))


def two_inputs() -> Graph:
    """Two inputs, two outputs, nothing shared."""
    g = GraphBuilder("two_inputs")
    a, b = g.input((1, 5, 5, 1), 0.1, 3), g.input((1, 4, 6, 2), 0.3, -7)
    return with_flatbuffer(g.graph(conv(g, a, 3), conv(g, b, 4)))


GRAPHS = {"chain": chain, "two_outputs": two_outputs, "two_inputs": two_inputs}


def program_of(graph: Graph, input_memory: str = "resident") -> Program:
    """The graph compiled per layer for the default CPU."""
    return compile_graph(graph, Target(), Limits(input_memory=input_memory)).program


def inputs_of(graph: Graph, count: int = 2) -> tuple[Array, ...]:
    """Seeded random int8 inputs, (count, *shape) each."""
    rng = np.random.default_rng(7)
    return tuple(rng.integers(-128, 128, (count, *graph.tensors[i].shape), dtype=np.int8)
                 for i in graph.inputs)
