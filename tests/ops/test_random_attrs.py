# SPDX-License-Identifier: MIT
"""Random attributes, shapes and quantization: numpy = LiteRT, and C on the host = numpy.

For the matrix operators, the elementwise operators and normalizations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from tests.ops.harness import Run, run_on_host, runs_of
from tests.ops.test_cases import activations, input_sets, variants
from tinyeff.ir import Array, Graph
from tinyeff.ops import operator as o
from tinyeff.ops import operator_of
from tinyeff.ops.batch_matmul import BatchMatmulAttrs
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.conv_2d import Conv2DAttrs
from tinyeff.ops.elementwise import Elementwise, ElementwiseAttrs
from tinyeff.ops.fully_connected import FullyConnectedAttrs
from tinyeff.ops.l2_normalization import L2NormalizationAttrs
from tinyeff.ops.operator import node_of
from tinyeff.ops.softmax import OUTPUT_SCALE, OUTPUT_ZERO_POINT, SoftmaxAttrs
from tinyeff.ops.transpose_conv import TransposeConvAttrs
from tinyeff.reader.flatbuffer import serialize
from tinyeff.simulator.litert import Reference

scales = st.one_of(st.floats(-3.5, 1).map(lambda x: float(np.float32(10.0**x))),
                   st.integers(-10, 2).map(lambda e: 2.0**e))
zero_points = st.one_of(st.integers(-128, 127), st.sampled_from([-128, 0, 127]))
fused = st.sampled_from(o.FUSED)
seeds = st.integers(0, 2**32 - 1)
small = st.integers(1, 9)


def supported(graph: Graph) -> Graph:
    """The graph, if its only operator breaks none of its limits."""
    op = graph.ops[0]
    assume(not list(operator_of(op.kind).limits(node_of(graph, op))))
    return graph


def draw_input(draw: st.DrawFn, g: GraphBuilder, shape: tuple[int, ...]) -> int:
    return g.input(shape, draw(scales), draw(zero_points))


def draw_weights(draw: st.DrawFn, g: GraphBuilder, shape: tuple[int, ...], axis: int) -> int:
    """int8 weights of any magnitude up to -128, per tensor or per channel."""
    reach = draw(st.sampled_from([1, 12, 128]))
    data = g.rng.integers(-reach, min(reach, 127), shape, dtype=np.int8, endpoint=True)
    per_channel = draw(st.booleans()) and shape[axis] > 1
    base, count = draw(scales), shape[axis] if per_channel else 1
    spread = np.exp(g.rng.uniform(-2, 0, count)).tolist() if per_channel else [1.0]
    return g.constant(data, tuple(base * s for s in spread), axis=axis if per_channel else None)


def draw_bias(draw: st.DrawFn, g: GraphBuilder, channels: int, x: int, weights: int) -> int:
    """int32 biases of any magnitude at the scale that TFLite asks for."""
    reach = draw(st.sampled_from([0, 3000, 1 << 22]))
    data = g.rng.integers(-reach, reach, channels, dtype=np.int32, endpoint=True)
    in_quant, quant = g.tensor(x).quant, g.tensor(weights).quant
    assert in_quant is not None and quant is not None
    scale = tuple(in_quant.scale * s for s in quant.scales)
    return g.constant(data, scale, axis=0 if len(scale) > 1 else None)


def draw_window(
    draw: st.DrawFn
) -> tuple[tuple[int, int], tuple[int, int], Conv2DAttrs]:
    """(image, kernel, attributes) of a convolution."""
    image = draw(st.tuples(small, small))
    stride = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    dilation = draw(st.sampled_from([(1, 1), (2, 1), (1, 3), (2, 2)]))
    kernel = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    scheme = draw(st.sampled_from([o.SAME, o.VALID]))
    if scheme == o.VALID:
        kernel = (min(kernel[0], (image[0] - 1) // dilation[0] + 1),
                  min(kernel[1], (image[1] - 1) // dilation[1] + 1))
    padding = o.padding_of(scheme, image, kernel, stride, dilation)
    return image, kernel, Conv2DAttrs(stride, dilation, padding, draw(fused))


@st.composite
def convolutions(draw: st.DrawFn) -> Graph:
    g = GraphBuilder("random", draw(seeds))
    image, kernel, attrs = draw_window(draw)
    groups, depth, filters = draw(st.integers(1, 3)), draw(small), draw(small)
    x = draw_input(draw, g, (1, *image, groups * depth))
    weights = draw_weights(draw, g, (groups * filters, *kernel, depth), 0)
    bias = draw_bias(draw, g, groups * filters, x, weights)
    output = g.op("CONV_2D", [x, weights, bias], attrs, draw(scales), draw(zero_points))
    return supported(g.graph(output))


@st.composite
def depthwise_convolutions(draw: st.DrawFn) -> Graph:
    g = GraphBuilder("random", draw(seeds))
    image, kernel, attrs = draw_window(draw)
    channels, many = draw(st.integers(1, 20)), draw(st.integers(1, 5))
    x = draw_input(draw, g, (1, *image, channels))
    weights = draw_weights(draw, g, (1, *kernel, channels * many), 3)
    inputs: list[int | None] = [x, weights]
    if draw(st.booleans()):
        inputs.append(draw_bias(draw, g, channels * many, x, weights))
    output = g.op("DEPTHWISE_CONV_2D", inputs, attrs, draw(scales), draw(zero_points))
    return supported(g.graph(output))


@st.composite
def fully_connected(draw: st.DrawFn) -> Graph:
    g = GraphBuilder("random", draw(seeds))
    shape = tuple(draw(st.lists(small, min_size=1, max_size=4)))
    keep = draw(st.booleans())
    elements = o.elements_of(shape)
    depths = [d for d in range(1, elements + 1) if elements % d == 0]
    depth = shape[-1] if keep else draw(st.sampled_from(depths))
    units = draw(st.integers(1, 12))
    x = draw_input(draw, g, shape)
    weights = draw_weights(draw, g, (units, depth), 0)
    inputs: list[int | None] = [x, weights]
    if draw(st.booleans()):
        inputs.append(draw_bias(draw, g, units, x, weights))
    attrs = FullyConnectedAttrs(draw(fused), keep)
    output = g.op("FULLY_CONNECTED", inputs, attrs, draw(scales), draw(zero_points))
    return supported(g.graph(output))


@st.composite
def elementwise(draw: st.DrawFn, kind: str) -> Graph:
    g = GraphBuilder("random", draw(seeds))
    full = tuple(draw(st.lists(small, min_size=1, max_size=4)))
    part = draw(st.sampled_from([full, full[-1:], (1,) * (len(full) - 1) + full[-1:], (1,), ()]))
    shapes = draw(st.permutations([full, part]))
    constant = draw(st.sampled_from([None, 0, 1]))
    operands = []
    for number, shape in enumerate(shapes):
        if number == constant:
            data = np.asarray(g.rng.integers(-128, 128, shape), np.int8)
            operands.append(g.constant(data, draw(scales), draw(zero_points)))
        else:
            # LiteRT sees no difference between no dimensions and a shape that is not known.
            operands.append(draw_input(draw, g, shape or (1,)))
    if constant is None and draw(st.booleans()):
        operands = operands[:1] * 2
    operator = operator_of(kind)
    assert isinstance(operator, Elementwise)
    attrs = ElementwiseAttrs(draw(st.sampled_from(operator.fused)))
    return supported(g.graph(g.op(kind, [*operands], attrs, draw(scales), draw(zero_points))))


@st.composite
def prelus(draw: st.DrawFn) -> Graph:
    g = GraphBuilder("random", draw(seeds))
    shape = tuple(draw(st.lists(small, min_size=1, max_size=4)))
    alphas = [shape, shape[1:], shape[-1:], (1,) * (len(shape) - 1) + shape[-1:], (1,)]
    part = draw(st.sampled_from([a for a in alphas if a]))
    x = draw_input(draw, g, shape)
    if draw(st.booleans()):
        alpha = draw_input(draw, g, part)
    else:
        data = g.rng.integers(-128, 128, part, dtype=np.int8)
        alpha = g.constant(data, draw(scales), draw(zero_points))
    output = g.op("PRELU", [x, alpha], ElementwiseAttrs(), draw(scales), draw(zero_points))
    return supported(g.graph(output))


@st.composite
def transposed_convolutions(draw: st.DrawFn) -> Graph:
    g = GraphBuilder("random", draw(seeds))
    size = draw(st.tuples(small, small))
    scheme = draw(st.sampled_from([o.SAME, o.VALID]))
    kernel = draw(st.tuples(*(st.integers(1, 5 if scheme == o.SAME else min(5, n)) for n in size)))
    stride = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    image = tuple(-(-n // s) if scheme == o.SAME else (n + s - k) // s
                  for n, k, s in zip(size, kernel, stride, strict=True))
    depth, filters = draw(small), draw(small)
    shape = g.constant(np.array((1, *size, filters), np.int32))
    x = draw_input(draw, g, (1, *image, depth))
    weights = draw_weights(draw, g, (filters, *kernel, depth), 0)
    inputs: list[int | None] = [shape, weights, x]
    if draw(st.booleans()):
        inputs.append(draw_bias(draw, g, filters, x, weights))
    padding = o.padding_of(scheme, size, kernel, stride)
    attrs = TransposeConvAttrs(size, stride, padding, draw(fused))
    output = g.op("TRANSPOSE_CONV", inputs, attrs, draw(scales), draw(zero_points))
    return supported(g.graph(output))


@st.composite
def matrix_products(draw: st.DrawFn) -> Graph:
    g = GraphBuilder("random", draw(seeds))
    rows, depth, columns = draw(small), draw(small), draw(small)
    attrs = BatchMatmulAttrs(draw(st.booleans()), draw(st.booleans()))
    batch = draw(st.lists(st.integers(1, 3), max_size=2))
    one = draw(st.sampled_from([batch, [], [1]]))
    constant = draw(st.sampled_from([None, 0, 1]))
    operands: list[int | None] = []
    for number, leading in enumerate(draw(st.permutations([batch, one]))):
        matrix = [rows, depth] if number == 0 else [depth, columns]
        if (attrs.adj_x, attrs.adj_y)[number]:
            matrix.reverse()
        if number == constant:
            data = g.rng.integers(-128, 128, (*leading, *matrix), dtype=np.int8)
            operands.append(g.constant(data, draw(scales), draw(zero_points)))
        else:
            operands.append(draw_input(draw, g, (*leading, *matrix)))
    return supported(g.graph(g.op("BATCH_MATMUL", operands, attrs, draw(scales),
                                  draw(zero_points))))


@st.composite
def softmaxes(draw: st.DrawFn) -> Graph:
    g = GraphBuilder("random", draw(seeds))
    shape = (*draw(st.lists(st.integers(1, 4), max_size=3)), draw(st.integers(1, 64)))
    x = draw_input(draw, g, shape)
    beta = float(np.float32(draw(st.floats(0.01, 30.0))))
    attrs = SoftmaxAttrs(beta)
    return supported(g.graph(g.op("SOFTMAX", [x], attrs, OUTPUT_SCALE, OUTPUT_ZERO_POINT)))


@st.composite
def normalizations(draw: st.DrawFn) -> Graph:
    g = GraphBuilder("random", draw(seeds))
    shape = (*draw(st.lists(st.integers(1, 4), max_size=3)), draw(st.integers(1, 80)))
    x = draw_input(draw, g, shape)
    output = g.op("L2_NORMALIZATION", [x], L2NormalizationAttrs(), 1 / 128, 0)
    return supported(g.graph(output))


STRATEGIES: dict[str, Callable[[], st.SearchStrategy[Graph]]] = {
    "CONV_2D": convolutions,
    "DEPTHWISE_CONV_2D": depthwise_convolutions,
    "FULLY_CONNECTED": fully_connected,
    "ADD": lambda: elementwise("ADD"),
    "SUB": lambda: elementwise("SUB"),
    "MUL": lambda: elementwise("MUL"),
    "MINIMUM": lambda: elementwise("MINIMUM"),
    "MAXIMUM": lambda: elementwise("MAXIMUM"),
    "PRELU": prelus,
    "TRANSPOSE_CONV": transposed_convolutions,
    "BATCH_MATMUL": matrix_products,
    "SOFTMAX": softmaxes,
    "L2_NORMALIZATION": normalizations,
}


def inputs_for(graph: Graph) -> list[list[Array]]:
    shapes = [graph.tensors[i].shape for i in graph.inputs]
    return list(input_sets(shapes, len(graph.tensors)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", STRATEGIES)
def test_numpy_is_litert(kind: str) -> None:
    used = set()

    @settings(max_examples=300, deadline=None)
    @given(STRATEGIES[kind]())
    def check(graph: Graph) -> None:
        operator, node = operator_of(kind), node_of(graph, graph.ops[0])
        reference = Reference(serialize(graph))
        for values in inputs_for(graph):
            reference.run(tuple(values))
            (result,) = operator.evaluate(node, activations(graph, node, values))
            expected = reference.tensor(graph.outputs[0])
            np.testing.assert_array_equal(result, expected)
            used.update(np.unique(expected).tolist())

    check()
    assert len(used) > 100, "the random cases hardly reach beyond the clamps"


@pytest.mark.slow
@pytest.mark.parametrize("kind", STRATEGIES)
def test_c_is_numpy(kind: str) -> None:
    @settings(max_examples=2, deadline=None, phases=[Phase.generate])
    @given(st.lists(STRATEGIES[kind](), min_size=12, max_size=12))
    def check(graphs: list[Graph]) -> None:
        runs: list[Run] = []
        for number, graph in enumerate(graphs):
            node: Any = node_of(graph, graph.ops[0])
            values = activations(graph, node, inputs_for(graph)[0])
            for variant in variants(kind, node):
                runs += runs_of(f"graph {number}", kind, node, variant, [values])
        for run, found in zip(runs, run_on_host(runs), strict=True):
            (wanted,) = run.operator.evaluate(run.node, run.inputs)
            np.testing.assert_array_equal(found[0], wanted, err_msg=run.name)

    check()
