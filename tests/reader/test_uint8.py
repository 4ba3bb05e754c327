# SPDX-License-Identifier: MIT
"""Models in uint8 are computed in int8, bit for bit as LiteRT computes the file itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from tests.ops.harness import Run, run_on_host, runs_of
from tests.ops.test_cases import WITH_CASES, cases, input_sets, variants
from tests.ops.test_random_attrs import STRATEGIES
from tests.ops.test_random_attrs_b import GRAPHS
from tests.reader.damage import Change, add_tensor, changed, insert, int32, items_of
from tests.reader.old_files import as_uint8, has_channel_scales, raised, with_weight_zero_point
from tests.reader.random_models import Builder
from tinyeff.errors import UnsupportedError
from tinyeff.interpreter import evaluate
from tinyeff.ir import Array, Graph, Limits, Target
from tinyeff.ops import operator_of
from tinyeff.ops.average_pool_2d import AveragePool2D
from tinyeff.ops.conv_2d import Conv2DAttrs
from tinyeff.ops.elementwise import ElementwiseAttrs
from tinyeff.ops.fully_connected import FullyConnectedAttrs
from tinyeff.ops.operator import SAME, node_of, padding_of
from tinyeff.ops.pooling import Pool2DAttrs
from tinyeff.ops.softmax import OUTPUT_SCALE, OUTPUT_ZERO_POINT, SoftmaxAttrs
from tinyeff.pipeline import compile_graph
from tinyeff.reader import check_supported, parse, simplify
from tinyeff.reader.flatbuffer import serialize
from tinyeff.simulator.litert import Reference
from tinyeff.simulator.verify import verify

CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")
UINT8 = [kind for kind in WITH_CASES if operator_of(kind).uint8 and kind not in CONVERSIONS]
WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def assert_as_the_file(int8: Graph, inputs: list[list[Array]]) -> Graph:
    """Write the graph in uint8, read it, and compare every result with LiteRT's on that file."""
    flatbuffer = serialize(as_uint8(int8))
    graph = parse(flatbuffer, int8.source.name)
    assert graph.source.flatbuffer == flatbuffer
    assert [graph.tensors[i].quant for i in (*graph.inputs, *graph.outputs)] == [
        int8.tensors[i].quant for i in (*int8.inputs, *int8.outputs)]
    reference = Reference(flatbuffer, int8.source.name)
    for values in inputs:
        reference.run(tuple(raised(x) for x in values))
        found = evaluate(graph, tuple(values))
        for index in graph.outputs:
            source = graph.tensors[index].source
            assert source is not None
            np.testing.assert_array_equal(raised(found[index]), reference.tensor(source),
                                          err_msg=int8.source.name)
    return graph


@pytest.mark.parametrize("kind", UINT8)
def test_cases_of_operators(kind: str) -> None:
    compared = 0
    for graph, _, inputs in cases(kind):
        if not has_channel_scales(graph):
            assert_as_the_file(graph, inputs)
            compared += 1
    assert compared


def random_graphs(name: str) -> st.SearchStrategy[Graph]:
    """Graphs of one operator with random attributes, in the form that uint8 can have."""
    made = STRATEGIES[name]() if name in STRATEGIES else GRAPHS[name]
    return made.filter(lambda graph: not has_channel_scales(graph))


@pytest.mark.slow
@pytest.mark.parametrize("name", [*(k for k in STRATEGIES if k in UINT8),
                                  *(n for n in GRAPHS if n != "quantize")])
def test_random_attributes(name: str) -> None:
    @settings(max_examples=60, deadline=None)
    @given(random_graphs(name))
    def check(graph: Graph) -> None:
        shapes = [graph.tensors[i].shape for i in graph.inputs]
        assert_as_the_file(graph, list(input_sets(shapes, 1)))

    check()


@st.composite
def with_zero_points(draw: st.DrawFn, kind: str) -> Graph:
    """A random weighted operator whose weights have a zero point, and that breaks no limit."""
    graph = draw(random_graphs(kind))
    moved = with_weight_zero_point(graph, graph.ops[0].inputs[1], draw(st.integers(-128, 127)))
    node = node_of(moved, as_read(moved).ops[0])
    assume(not list(operator_of(kind).limits(node)))
    return moved


def as_read(int8: Graph) -> Graph:
    """The graph as it is read from its uint8 file."""
    return parse(serialize(as_uint8(int8)), "model")


@pytest.mark.slow
@pytest.mark.parametrize("kind", WEIGHTED)
def test_weights_with_zero_points(kind: str) -> None:
    used: set[str] = set()

    @settings(max_examples=100, deadline=None)
    @given(with_zero_points(kind))
    def check(graph: Graph) -> None:
        shapes = [graph.tensors[i].shape for i in graph.inputs]
        read = assert_as_the_file(graph, list(input_sets(shapes, 1)))
        used.update(v.name for v in variants(kind, node_of(read, read.ops[0])))

    check()
    assert len(used) > 1, "weights that need their zero point subtracted, and others"


@pytest.mark.parametrize("kind", WEIGHTED)
def test_c_of_weights_with_zero_points(kind: str) -> None:
    @settings(max_examples=2, deadline=None, phases=[Phase.generate])
    @given(st.lists(with_zero_points(kind), min_size=12, max_size=12))
    def check(graphs: list[Graph]) -> None:
        runs: list[Run] = []
        for number, int8 in enumerate(graphs):
            graph = as_read(int8)
            node: Any = node_of(graph, graph.ops[0])
            (values,) = next(input_sets([graph.tensors[graph.inputs[0]].shape], number))
            for variant in variants(kind, node):
                runs += runs_of(f"graph {number}", kind, node, variant, [(values,)])
        for run, found in zip(runs, run_on_host(runs), strict=True):
            (wanted,) = run.operator.evaluate(run.node, run.inputs)
            np.testing.assert_array_equal(found[0], wanted, err_msg=run.name)

    check()


def test_scales_of_a_convolution_are_multiplied_in_single_precision() -> None:
    """Of 200 convolutions some have another multiplier than in int8."""
    differing = 0
    for seed in range(200):
        g = Builder("scales", seed)
        x = g.input((1, 1, 1, 2), float(g.rng.uniform(0.01, 1)), 3)
        weights = g.random_weights((2, 1, 1, 2), 0, per_channel=False)
        bias = g.random_bias(2, x, weights)
        graph = g.graph(g.op("CONV_2D", [x, weights, bias], Conv2DAttrs(), 0.9, -4))
        read = as_read(graph)
        kinds = [operator_of("CONV_2D").lower(n, operator_of("CONV_2D").variants(n, Target())[0])
                 for n in (node_of(graph, graph.ops[0]), node_of(read, read.ops[0]))]
        first, second = (dict(k.fields)["multiplier"] for k in kinds)
        differing += not np.array_equal(first.values, second.values)  # type: ignore[union-attr]
    assert differing > 20


def test_averages_of_uint8_round_halves_up() -> None:
    g = Builder("ties")
    x = g.input((1, 1, 2, 1), 0.5, 0)
    attrs = Pool2DAttrs((1, 2), (1, 2), padding_of(SAME, (1, 2), (1, 2), (1, 2)))
    int8 = g.graph(g.op(AveragePool2D.kind, [x], attrs, like=x))
    values = [np.array([-3, -4], np.int8).reshape(1, 1, 2, 1)]
    graph = assert_as_the_file(int8, [values])
    assert evaluate(graph, tuple(values))[graph.outputs[0]].item() == -3
    assert evaluate(int8, tuple(values))[int8.outputs[0]].item() == -4


def small_network() -> Graph:
    """Convolution, depthwise, addition, pooling, fully connected, softmax: all as uint8 can be."""
    g = Builder("old", 3)

    def weights(shape: tuple[int, ...], axis: int) -> int:
        return g.random_weights(shape, axis, per_channel=False)

    x = g.input((1, 9, 8, 3), 0.02, 5)
    padding = padding_of(SAME, (9, 8), (3, 3), (1, 1))
    attrs = Conv2DAttrs(padding=padding, activation="relu6")
    w = weights((6, 3, 3, 3), 0)
    y = g.op("CONV_2D", [x, w, g.random_bias(6, x, w)], attrs, 6 / 255, -128)
    w = weights((1, 3, 3, 6), 3)
    z = g.op("DEPTHWISE_CONV_2D", [y, w, g.random_bias(6, y, w)], attrs, 6 / 255, -128)
    s = g.op("ADD", [y, z], ElementwiseAttrs(), 0.05, -120)
    pool = Pool2DAttrs((2, 2), (2, 2), padding_of(SAME, (9, 8), (2, 2), (2, 2)))
    p = g.op("AVERAGE_POOL_2D", [s], pool, like=s)
    w = weights((4, g.tensor(p).elements), 0)
    f = g.op("FULLY_CONNECTED", [p, w, g.random_bias(4, p, w)], FullyConnectedAttrs(), 0.3, 10)
    graph = g.graph(g.op("SOFTMAX", [f], SoftmaxAttrs(1.0), OUTPUT_SCALE, OUTPUT_ZERO_POINT))
    for index in [op.inputs[1] for op in graph.ops if op.kind in WEIGHTED]:
        graph = with_weight_zero_point(graph, index, 17)
    return graph


@pytest.mark.parametrize("strategy", ["per-layer", "stream"])
def test_a_network_from_file_to_c(strategy: str) -> None:
    graph = simplify(as_read(small_network()))
    check_supported(graph)
    program = compile_graph(graph, Target(), Limits(strategy=strategy)).program
    inputs = np.random.default_rng(0).integers(-128, 128, (3, 1, 9, 8, 3), dtype=np.int8)
    result = verify(program, (inputs,))
    assert result.exact, result.difference
    assert result.tensors == 6
    assert {s.kernel.sources for s in program.steps} >= {
        ("te_conv_2d_zero_point",), ("te_fully_connected_zero_point",)}


def mixed(model: Any) -> None:
    model.subgraphs[0].tensors[1].type = schema.TensorType.INT8


def several_scales(model: Any) -> None:
    q = model.subgraphs[0].tensors[1].quantization
    q.scale, q.zeroPoint = np.ones(6, np.float32), np.zeros(6, np.int64)


def absolute(model: Any) -> None:
    insert(model, 0, "ABS", [0], [add_tensor(model, 0)])
    first, *others = model.subgraphs[0].operators[1].inputs.tolist()
    assert first == 0
    model.subgraphs[0].operators[1].inputs = int32(len(model.subgraphs[0].tensors) - 1, *others)


@pytest.mark.parametrize(("change", "sentence"), [
    (mixed, "some are of other types"), (several_scales, "uint8 tensors have one scale"),
    (absolute, "its uint8 form"),
])
def test_what_uint8_cannot_be_is_refused(change: Change, sentence: str) -> None:
    ((_, _, reason),) = items_of(changed(change, serialize(as_uint8(small_network()))))
    assert sentence in reason
    assert reason.endswith("convert the model again, to int8")


def test_int8_convolutions_with_weight_zero_points_are_refused() -> None:
    graph = small_network()
    with pytest.raises(UnsupportedError) as error:
        check_supported(simplify(parse(serialize(graph), "model")))
    assert [i.operator for i in error.value.items] == ["CONV_2D", "DEPTHWISE_CONV_2D"]
    assert "which TFLite's kernel would ignore" in error.value.items[0].reason


def test_an_int8_fully_connected_with_a_weight_zero_point_is_exact() -> None:
    g = Builder("connected", 5)
    x = g.input((1, 9), 0.05, 4)
    weights = g.constant(g.rng.integers(-128, 128, (5, 9), dtype=np.int8), 0.01, -77)
    graph = g.graph(g.op("FULLY_CONNECTED", [x, weights], FullyConnectedAttrs(), 0.05, 1))
    check_supported(simplify(parse(serialize(graph), "model")))
    reference = Reference(serialize(graph))
    for (values,) in input_sets([(1, 9)], 0):
        reference.run((values,))
        found = evaluate(graph, (values,))[graph.outputs[0]]
        np.testing.assert_array_equal(found, reference.tensor(graph.outputs[0]))
