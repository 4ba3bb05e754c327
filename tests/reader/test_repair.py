# SPDX-License-Identifier: MIT
"""Files that other programs run and LiteRT refuses are given a form that LiteRT takes."""

from __future__ import annotations

import copy
import logging
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from tests.reader.damage import (
    Change,
    add_tensor,
    changed,
    insert,
    int32,
    two_convolutions_file,
    unpacked,
)
from tests.reader.random_models import Builder
from tinyeff.errors import ModelFileError, UnsupportedError
from tinyeff.interpreter import evaluate
from tinyeff.ir import Array, Graph
from tinyeff.ops.conv_2d import Conv2DAttrs
from tinyeff.reader import check_supported, parse, serialize, simplify
from tinyeff.simulator.litert import Reference


def without_bias(model: Any) -> None:
    op = model.subgraphs[0].operators[0]
    op.inputs = op.inputs[:2]


def absent_bias(model: Any) -> None:
    model.subgraphs[0].operators[0].inputs = int32(0, 1, -1)


def zero_bias(model: Any) -> None:
    buffer = model.buffers[model.subgraphs[0].tensors[2].buffer]
    buffer.data = np.zeros_like(buffer.data)


def unchanged(model: Any) -> None:
    pass


def axis(index: int, number: int) -> Change:
    def change(model: Any) -> None:
        model.subgraphs[0].tensors[index].quantization.quantizedDimension = number
    return change


def second_subgraph(model: Any) -> None:
    other = copy.deepcopy(model.subgraphs[0])
    other.operators, other.inputs, other.outputs = [], int32(), int32()
    model.subgraphs.append(other)


def custom_that_nobody_needs(model: Any) -> None:
    insert(model, 1, "CUSTOM", [3], [add_tensor(model, 3)])
    model.operatorCodes[-1].customCode = "Wizardry"


REPAIRS: dict[str, tuple[Change, str, bool]] = {  # and whether LiteRT refuses the file as it is
    "no bias": (without_bias, "has no bias and gets one of zeros", True),
    "absent bias": (absent_bias, "has no bias and gets one of zeros", True),
    "axis of a bias": (axis(2, 3), "lay along dimension 3; it is 0 now", True),
    "axis of one scale": (axis(0, 4), "lay along dimension 4; it is 0 now", True),
    "negative axis": (axis(2, -1), "lay along dimension -1; it is 0 now", True),
    "subgraphs": (second_subgraph, "the subgraphs after the first", False),
    "custom operator": (custom_that_nobody_needs, "left out: CUSTOM:Wizardry", True),
}


def accepted(data: bytes) -> bool:
    try:
        Reference(data)
    except ModelFileError:
        return False
    return True


def results(graph: Graph, seed: int = 0) -> list[Array]:
    """The outputs for random input, found equal in LiteRT and by the graph itself."""
    rng = np.random.default_rng(seed)
    inputs = tuple(rng.integers(-128, 128, graph.tensors[i].shape, dtype=np.int8)
                   for i in graph.inputs)
    values, reference = evaluate(graph, inputs), Reference(graph.source.flatbuffer)
    reference.run(inputs)
    for i in graph.outputs:
        source = graph.tensors[i].source
        assert source is not None
        np.testing.assert_array_equal(values[i], reference.tensor(source))
    return [values[i] for i in graph.outputs]


@pytest.mark.parametrize("name", REPAIRS)
def test_repairs(name: str, caplog: pytest.LogCaptureFixture) -> None:
    change, sentence, refused = REPAIRS[name]
    data = changed(change)
    with caplog.at_level(logging.INFO, "tinyeff"):
        graph = parse(data, "model")
    (record,) = caplog.records
    assert sentence in record.getMessage()
    assert record.getMessage().startswith("model: ")
    assert accepted(data) is not refused
    assert graph.source.flatbuffer != data
    assert accepted(graph.source.flatbuffer)
    # What was repaired is what was meant: without a bias, one of zeros.
    meant = changed(zero_bias) if change in (without_bias, absent_bias) else changed(unchanged)
    for found, wanted in zip(results(graph), results(parse(meant, "model")), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_a_repaired_file_needs_no_more_repairs(caplog: pytest.LogCaptureFixture) -> None:
    once = parse(changed(without_bias), "model")
    with caplog.at_level(logging.INFO, "tinyeff"):
        again = parse(once.source.flatbuffer, "model")
    assert caplog.records == []
    assert again.source.flatbuffer == once.source.flatbuffer
    assert once.source.sha256 != again.source.sha256  # the first names the file that was given


def test_a_file_that_litert_takes_is_left_alone() -> None:
    data = two_convolutions_file()
    assert parse(data, "model").source.flatbuffer is data


def test_data_behind_the_flatbuffer() -> None:
    data = two_convolutions_file()
    weights = unpacked(data).buffers[unpacked(data).subgraphs[0].tensors[1].buffer].data.tobytes()

    def moved(offset: int) -> bytes:
        def change(model: Any) -> None:
            buffer = model.buffers[model.subgraphs[0].tensors[1].buffer]
            buffer.data, buffer.offset, buffer.size = None, offset, len(weights)
        return changed(change, data)

    start = -(-len(moved(1 << 20)) // 16) * 16
    outside = moved(start).ljust(start, b"\0") + weights
    graph = parse(outside, "model")
    for found, wanted in zip(results(graph), results(parse(data, "model")), strict=True):
        np.testing.assert_array_equal(found, wanted)
    with pytest.raises(ModelFileError, match=f"bytes {start} to {start + len(weights)}"):
        parse(outside[:-1], "model")


def signature(*entries: tuple[int, str], key: str = "serving_default", subgraph: int = 0) -> Any:
    """A signature of input 0 and output 6 of the two convolutions, by name."""
    maps = {i: schema.TensorMapT(name=name, tensorIndex=i) for i, name in entries}
    return schema.SignatureDefT(
        inputs=[m for i, m in maps.items() if i == 0],
        outputs=[m for i, m in maps.items() if i != 0], signatureKey=key, subgraphIndex=subgraph)


def ends(data: bytes) -> list[str]:
    graph = parse(data, "model")
    return [graph.tensors[i].name for i in (*graph.inputs, *graph.outputs)]


def test_names_of_the_signature() -> None:
    def named(*signatures: Any) -> bytes:
        return changed(lambda m: setattr(m, "signatureDefs", list(signatures)))

    plain = ends(two_convolutions_file())
    assert ends(named(signature((0, "image"), (6, "scores")))) == ["image", "scores"]
    # A signature that leaves something out, or has no name for it, says too little.
    assert ends(named(signature((0, "image")))) == plain
    assert ends(named(signature((0, "image"), (6, "")))) == plain
    assert ends(named(signature((0, "image"), (6, "a"), (3, "b")))) == plain
    # Two signatures of one subgraph may name the same tensors differently.
    two = named(signature((0, "image"), (6, "a")), signature((0, "x"), (6, "y"), key="other"))
    assert ends(two) == plain


def test_several_entry_points_are_refused() -> None:
    def change(model: Any) -> None:
        second_subgraph(model)
        model.signatureDefs = [signature((0, "x"), (6, "y")),
                               signature(key="train", subgraph=1)]

    with pytest.raises(UnsupportedError, match="2 signatures, not all for its first subgraph"):
        parse(changed(change), "model")


def test_an_operator_that_runs_another_subgraph_is_refused_by_name() -> None:
    def change(model: Any) -> None:
        second_subgraph(model)
        result = add_tensor(model, 3)
        insert(model, 1, "WHILE", [3], [result], schema.WhileOptionsT())
        model.subgraphs[0].operators[2].inputs = int32(result, 4, 5)

    with pytest.raises(UnsupportedError) as error:
        parse(changed(change), "model")
    ((kind, reason),) = [(i.operator, i.reason) for i in error.value.items]
    assert kind == "WHILE"
    assert "control flow" in reason


def test_tensors_that_share_memory_beyond_the_file_are_no_bomb() -> None:
    """Many tensors may claim overlapping data; written out, each would take its own place."""
    def change(model: Any) -> None:
        without_bias(model)
        for n in range(400):
            buffer = schema.BufferT()
            buffer.offset, buffer.size = 2 + n, 10_000
            model.buffers.append(buffer)
            add_tensor(model, 0, shape=(10_000,))
            model.subgraphs[0].tensors[-1].buffer = len(model.buffers) - 1

    data = changed(change).ljust(20_000, b"\0")
    with pytest.raises(ModelFileError, match="claim more data than the file holds"):
        parse(data, "model")


def test_several_inputs_and_outputs_and_tensors_that_nobody_uses() -> None:
    g = Builder("several")
    x, y = g.input((1, 4, 4, 3), 0.05, 1), g.input((1, 6), 0.1, -3)
    g.constant(np.arange(50, dtype=np.int8), 0.5)
    graph = g.graph(g.reshape(y, (1, 1, 6)), g.conv(x), g.mean(x, (1, 2), False))
    read = parse(serialize(graph), "model")
    assert [o.shape for o in results(read)] == [(1, 1, 6), (1, 2, 2, 4), (1, 3)]
    simple = simplify(read)
    check_supported(simple)
    assert len(simple.tensors) < len(read.tensors)


def test_per_tensor_weights() -> None:
    g = Builder("per_tensor")
    x = g.input((1, 5, 5, 3), 0.05, 1)
    weights = g.random_weights((4, 3, 3, 3), 0, per_channel=False)
    y = g.op("CONV_2D", [x, weights, g.random_bias(4, x, weights)], Conv2DAttrs(), 0.1, -4)
    read = parse(serialize(g.graph(y)), "model")
    assert len(read.tensors[1].quant.scales) == 1  # type: ignore[union-attr]
    check_supported(simplify(read))
    results(read)


def test_missing_bias_of_a_float_convolution() -> None:
    def change(model: Any) -> None:
        for tensor in model.subgraphs[0].tensors:
            tensor.type, tensor.quantization = schema.TensorType.FLOAT32, None
        for index in (1, 4):
            buffer = model.buffers[model.subgraphs[0].tensors[index].buffer]
            values = buffer.data.view(np.int8).astype(np.float32)
            buffer.data = values.view(np.uint8)
        for op in model.subgraphs[0].operators:
            op.inputs = op.inputs[:2]

    data = changed(change)
    assert not accepted(data)
    assert accepted(parse(data, "model").source.flatbuffer)
