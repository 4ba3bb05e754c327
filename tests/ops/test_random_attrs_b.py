# SPDX-License-Identifier: MIT
"""Random attributes and shapes: numpy = LiteRT = C on the host, bit for bit.

For pooling, reductions, PAD, TRANSPOSE, RESIZE_NEAREST_NEIGHBOR, QUANTIZE and DEQUANTIZE.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ops.harness import run_on_host, runs_of
from tinyeff.ir import Array, Graph, Op, Tensor
from tinyeff.ops import operator as o
from tinyeff.ops import operator_of
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.dequantize import DequantizeAttrs
from tinyeff.ops.mean import MeanAttrs
from tinyeff.ops.operator import node_of
from tinyeff.ops.pad import PadAttrs
from tinyeff.ops.pooling import Pool2DAttrs
from tinyeff.ops.quantize import QuantizeAttrs
from tinyeff.ops.resize_nearest_neighbor import ResizeNearestNeighborAttrs
from tinyeff.ops.transpose import TransposeAttrs
from tinyeff.reader.flatbuffer import serialize
from tinyeff.simulator.litert import Reference
from tinyeff.targets import target_for

scales = st.floats(-8, 8).map(lambda x: float(np.float32(10.0**x)))
ratios = st.floats(-5, 8).map(lambda x: 10.0**x)
"""Output scale by input scale; 10**-7 would break the limits that keep sums in 32 bits."""
zero_points = st.integers(-128, 127)
small = st.integers(1, 9)


def extremes(shape: tuple[int, ...], seed: int) -> list[Array]:
    """Random values, and the values at which sums are largest and rounding turns."""
    rng = np.random.default_rng(seed)
    found = [rng.integers(-128, 128, shape, dtype=np.int8) for _ in range(3)]
    found += [np.full(shape, value, np.int8) for value in (-128, -1, 1, 127)]
    return [*found, rng.choice(np.array([-128, 127], np.int8), shape)]


def assert_like_litert(graph: Graph, inputs: list[Array]) -> None:
    """The only operator of `graph` computes what LiteRT computes."""
    node = node_of(graph, graph.ops[0])
    operator = operator_of(graph.ops[0].kind)
    reference = Reference(serialize(graph))
    for x in inputs:
        reference.run((x,))
        (result,) = operator.evaluate(node, (x,))
        expected = reference.tensor(graph.outputs[0])
        assert result.dtype == expected.dtype
        np.testing.assert_array_equal(result, expected)


def supported(graph: Graph) -> Graph:
    """The graph; what is drawn here breaks none of its operator's limits."""
    op = graph.ops[0]
    assert not list(operator_of(op.kind).limits(node_of(graph, op)))
    return graph


@st.composite
def pools(draw: st.DrawFn, kind: str) -> Graph:
    """A pooling operator whose padding is SAME or VALID."""
    image, window = draw(st.tuples(small, small)), draw(st.tuples(small, small))
    stride = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    scheme = draw(st.sampled_from([o.SAME, o.VALID]))
    if scheme == o.VALID:
        window = (min(window[0], image[0]), min(window[1], image[1]))
    g = GraphBuilder("pool")
    x = g.input((1, *image, draw(st.integers(1, 5))), draw(scales), draw(zero_points))
    padding = o.padding_of(scheme, image, window, stride)
    attrs = Pool2DAttrs(window, stride, padding, draw(st.sampled_from(o.FUSED)))
    return supported(g.graph(g.op(kind, [x], attrs, like=x)))


@st.composite
def reductions(draw: st.DrawFn, kind: str) -> Graph:
    """Over the rows, the pixels, the channels or several, some axes written negative."""
    shape = tuple(draw(st.lists(st.integers(1, 7), min_size=1, max_size=5)))
    rank = len(shape)
    parts = [list(range(rank - 2)), [rank - 2] * (rank > 1), [rank - 1]]
    chosen = draw(st.lists(st.sampled_from([p for p in parts if p]), min_size=1, unique_by=tuple))
    axes = [a - rank * draw(st.integers(0, 1)) for part in chosen for a in part]
    g = GraphBuilder("reduction")
    scale = draw(scales)
    x = g.input(shape, scale, draw(zero_points))
    axis = g.constant(np.array(axes, np.int32))
    attrs = MeanAttrs(tuple(sorted(a % rank for a in axes)), draw(st.booleans()))
    like = x if kind == "REDUCE_MAX" else None
    if kind == "SUM":
        scale *= math.prod(shape[a] for a in attrs.axes)
    return supported(g.graph(g.op(kind, [x, axis], attrs, scale * draw(ratios),
                                  draw(zero_points), like)))


@st.composite
def pads(draw: st.DrawFn) -> Graph:
    """A PAD of up to four dimensions."""
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)))
    pair = st.tuples(st.integers(0, 3), st.integers(0, 3))
    values = tuple(draw(pair) for _ in shape)
    if len(shape) == 4:
        shape, values = (1, *shape[1:]), ((0, 0), *values[1:])
    g = GraphBuilder("pad")
    x = g.input(shape, draw(scales), draw(zero_points))
    constant = g.constant(np.array(values, draw(st.sampled_from([np.int32, np.int64]))))
    return supported(g.graph(g.op("PAD", [x, constant], PadAttrs(values), like=x)))


@st.composite
def transposes(draw: st.DrawFn) -> Graph:
    """A TRANSPOSE of up to six dimensions."""
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=6)))
    perm = tuple(draw(st.permutations(range(len(shape)))))
    g = GraphBuilder("transpose")
    x = g.input(shape, draw(scales), draw(zero_points))
    constant = g.constant(np.array(perm, np.int32))
    return supported(g.graph(g.op("TRANSPOSE", [x, constant], TransposeAttrs(perm), like=x)))


@st.composite
def resizes(draw: st.DrawFn) -> Graph:
    """A RESIZE_NEAREST_NEIGHBOR, large enough for float32 to round on both sides."""
    sizes = st.integers(1, 80)
    g = GraphBuilder("resize")
    x = g.input((1, draw(sizes), draw(sizes), draw(st.integers(1, 3))), 0.5, draw(zero_points))
    size = (draw(sizes), draw(sizes))
    constant = g.constant(np.array(size, np.int32))
    attrs = ResizeNearestNeighborAttrs(size, draw(st.booleans()), draw(st.booleans()))
    return supported(g.graph(g.op("RESIZE_NEAREST_NEIGHBOR", [x, constant], attrs, like=x)))


@st.composite
def rescalings(draw: st.DrawFn) -> Graph:
    """A QUANTIZE from int8 to int8."""
    g = GraphBuilder("quantize")
    scale = draw(scales)
    x = g.input((1, 256), scale, draw(zero_points))
    return supported(g.graph(g.op("QUANTIZE", [x], QuantizeAttrs(), scale * draw(ratios),
                                  draw(zero_points))))


GRAPHS = {
    "average": pools("AVERAGE_POOL_2D"),
    "max": pools("MAX_POOL_2D"),
    "mean": reductions("MEAN"),
    "sum": reductions("SUM"),
    "largest": reductions("REDUCE_MAX"),
    "pad": pads(),
    "transpose": transposes(),
    "resize": resizes(),
    "quantize": rescalings(),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", GRAPHS)
@given(data=st.data())
def test_numpy_is_litert(name: str, data: st.DataObject) -> None:
    graph = data.draw(GRAPHS[name])
    assert_like_litert(graph, extremes(graph.tensors[0].shape, data.draw(st.integers(0, 1000))))


@pytest.mark.slow
@pytest.mark.parametrize("name", GRAPHS)
@settings(max_examples=3)
@given(data=st.data())
def test_c_is_numpy(name: str, data: st.DataObject) -> None:
    """A dozen graphs to a program, each kernel called in all the ways its contract allows."""
    runs = []
    for number, graph in enumerate(data.draw(st.lists(GRAPHS[name], min_size=12, max_size=12))):
        op, node = graph.ops[0], node_of(graph, graph.ops[0])
        inputs = [(x,) for x in extremes(node.input(0).shape, number)[-2:]]
        for variant in operator_of(op.kind).variants(node, target_for("cortex-m4")):
            runs += list(runs_of(f"{name} {number}", op.kind, node, variant, inputs))
    for run, found in zip(runs, run_on_host(runs) if runs else [], strict=True):
        np.testing.assert_array_equal(found[0], run.operator.evaluate(run.node, run.inputs)[0],
                                      err_msg=f"{run.name}: {run.node}")


@given(scale=scales, zero_point=zero_points, seed=st.integers(0, 1000))
def test_dequantize_is_litert(scale: float, zero_point: int, seed: int) -> None:
    g = GraphBuilder("dequantize")
    x = g.input((1, 64), scale, zero_point)
    y = g.add_tensor(Tensor("y", (1, 64), "float32"))
    graph = g.graph(y)
    graph = replace(graph, ops=(Op("DEQUANTIZE", "y", (x,), (y,), DequantizeAttrs()),))
    assert_like_litert(graph, extremes((1, 64), seed))


@given(scale=st.floats(-6, 6).map(lambda x: 10.0**x), zero_point=zero_points,
       seed=st.integers(0, 1000))
def test_quantize_of_floats_is_litert(scale: float, zero_point: int, seed: int) -> None:
    """Values near the halves between two steps, where rounding turns."""
    g = GraphBuilder("quantize")
    y = g.activation((1, 512), scale, zero_point)
    x = g.add_tensor(Tensor("x", (1, 512), "float32"))
    graph = replace(g.graph(y), inputs=(x,),
                    ops=(Op("QUANTIZE", "y", (x,), (y,), QuantizeAttrs()),))
    rng = np.random.default_rng(seed)
    steps = rng.integers(-300, 300, (1, 512)).astype(np.float32) + np.float32(0.5)
    ties = steps * np.float32(scale)
    assert_like_litert(graph, [ties, np.nextafter(ties, np.float32(0)), -ties])
