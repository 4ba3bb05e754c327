# SPDX-License-Identifier: MIT
"""Operators that are expressed by others while a file is read, and constants that are folded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from tests.reader.damage import (
    add_tensor,
    changed,
    insert,
    int32,
    operator_code,
    two_convolutions_file,
)
from tests.reader.random_models import Builder
from tests.reader.test_simplify import assert_same_bits, kinds
from tinyeff.data import random_inputs
from tinyeff.errors import UnsupportedError
from tinyeff.interpreter import evaluate
from tinyeff.ir import Graph, Tensor
from tinyeff.ops.conv_2d import Conv2DAttrs
from tinyeff.ops.operator import Padding
from tinyeff.reader import check_supported, parse, serialize, simplify
from tinyeff.reader.constants import fold
from tinyeff.reader.tables import RawOperator
from tinyeff.simulator.litert import Reference
from tinyeff.simulator.oracle import Oracle


def reasons(data: bytes) -> list[tuple[str, str]]:
    with pytest.raises(UnsupportedError) as error:
        parse(data, "model")
    return [(item.operator, item.reason) for item in error.value.items]


# Dilation ----------------------------------------------------------------------------------------


def phases(
    kind: str, block: tuple[int, int], pads: list[list[int]], crops: list[list[int]],
    image: tuple[int, int],
) -> bytes:
    """SPACE_TO_BATCH_ND, a VALID 3x2 convolution, BATCH_TO_SPACE_ND, as the converter writes."""
    g = Builder(kind, 3)
    sizes = [(n + sum(p)) // b for n, p, b in zip(image, pads, block, strict=True)]
    batch = block[0] * block[1]
    x = g.input((batch, *sizes, 3), 0.05, -31)
    depthwise = kind == "DEPTHWISE_CONV_2D"
    weights = g.random_weights((1, 3, 2, 3) if depthwise else (4, 3, 2, 3), 3 if depthwise else 0)
    channels = 3 if depthwise else 4
    y = g.op(kind, [x, weights, g.random_bias(channels, x, weights)], Conv2DAttrs(), 0.1, 17)
    after = [n * b - sum(c) for n, b, c in zip(g.tensor(y).shape[1:3], block, crops, strict=True)]

    def change(model: Any) -> None:
        first = add_tensor(model, x, (1, *image, 3))
        last = add_tensor(model, y, (1, *after, channels))
        constants = [add_tensor(model, x, data=np.array(values, np.int32))
                     for values in (block, pads, crops)]
        insert(model, 0, "SPACE_TO_BATCH_ND", [first, constants[0], constants[1]], [x])
        insert(model, 2, "BATCH_TO_SPACE_ND", [y, constants[0], constants[2]], [last])
        model.subgraphs[0].inputs, model.subgraphs[0].outputs = int32(first), int32(last)

    return changed(change, serialize(g.graph(y)))


@pytest.mark.parametrize("kind", ["CONV_2D", "DEPTHWISE_CONV_2D"])
@pytest.mark.parametrize(("block", "pads", "crops", "image", "padding"), [
    ((2, 2), [[2, 3], [1, 2]], [[0, 1], [0, 1]], (7, 9), Padding(2, 2, 1, 1)),
    ((2, 3), [[0, 1], [0, 2]], [[0, 1], [0, 2]], (9, 7), Padding()),
    ((3, 1), [[3, 3], [0, 1]], [[0, 0], [0, 0]], (6, 5), Padding(3, 3, 0, 1)),
])
def test_phases_become_a_dilated_convolution(
    kind: str, block: tuple[int, int], pads: list[list[int]], crops: list[list[int]],
    image: tuple[int, int], padding: Padding,
) -> None:
    graph = parse(phases(kind, block, pads, crops, image), "model")
    assert kinds(graph) == [kind]
    assert graph.ops[0].attrs.dilation == block
    assert graph.ops[0].attrs.padding == padding
    assert_same_bits(graph)


def test_phases_that_are_no_dilation_are_refused() -> None:
    cropped_at_the_top = phases("CONV_2D", (2, 2), [[2, 3], [2, 3]], [[1, 0], [0, 1]], (7, 7))
    assert {kind for kind, _ in reasons(cropped_at_the_top)} >= {
        "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"}


# Activations -------------------------------------------------------------------------------------


def followed_by(name: str, *, scale: float | None = None, as_float: bool = False) -> bytes:
    """Two convolutions, the first followed by an activation with a tensor of its own."""

    def change(model: Any) -> None:
        result = add_tensor(model, 3)
        tensors = model.subgraphs[0].tensors
        if scale is not None:
            tensors[result].quantization = schema.QuantizationParametersT(
                scale=np.array([scale], np.float32), zeroPoint=np.array([-128], np.int64))
        insert(model, 1, name, [3], [result])
        model.subgraphs[0].operators[2].inputs = int32(result, 4, 5)
        for tensor in tensors if as_float else ():
            tensor.quantization = None
            if tensor.buffer:
                old = model.buffers[tensor.buffer]
                kind = np.int8 if tensor.type == schema.TensorType.INT8 else np.int32
                old.data = old.data.tobytes()
                values = np.frombuffer(old.data, kind).astype(np.float32)
                old.data = np.frombuffer(values.tobytes(), np.uint8)
            tensor.type = schema.TensorType.FLOAT32

    return changed(change)


@pytest.mark.parametrize(("name", "activation"), [
    ("RELU", "relu"), ("RELU6", "relu6"), ("RELU_N1_TO_1", "relu_n1_to_1")])
def test_an_activation_of_the_same_scale_joins_the_operator(name: str, activation: str) -> None:
    graph = parse(followed_by(name), "model")
    assert kinds(graph) == ["CONV_2D", "CONV_2D"]
    assert graph.ops[0].attrs.activation == activation
    assert_same_bits(graph)


def test_an_activation_of_another_scale_does_not() -> None:
    graph = parse(followed_by("RELU", scale=0.2), "model")
    assert kinds(graph) == ["CONV_2D", "RELU", "CONV_2D"]
    assert_same_bits(graph)


def test_a_float_activation_joins_the_operator() -> None:
    graph = parse(followed_by("RELU6", as_float=True), "model")
    assert graph.is_float
    assert kinds(graph) == ["CONV_2D", "CONV_2D"]
    assert graph.ops[0].attrs.activation == "relu6"


def test_an_activation_stays_where_the_value_before_it_is_read() -> None:
    def change(model: Any) -> None:
        result = add_tensor(model, 3)
        insert(model, 1, "RELU", [3], [result])
        model.subgraphs[0].outputs = int32(6, result)

    graph = parse(changed(change), "model")
    assert kinds(graph) == ["CONV_2D", "RELU", "CONV_2D"]
    assert_same_bits(graph)


# Padding with a value ----------------------------------------------------------------------------


def padded(value: int) -> bytes:
    g = Builder("pad", 5)
    x = g.input((1, 5, 6, 3), 0.05, -9)
    y = g.conv(g.pad(x, ((0, 0), (1, 1), (2, 0), (0, 0))))

    def change(model: Any) -> None:
        constant = add_tensor(model, x, data=np.zeros(1, np.int32))
        tensor = model.subgraphs[0].tensors[constant]
        tensor.type = schema.TensorType.INT8
        tensor.quantization = model.subgraphs[0].tensors[x].quantization
        model.buffers[tensor.buffer].data = np.array([value], np.int8).view(np.uint8)
        model.operatorCodes.append(operator_code("PADV2"))
        pad = model.subgraphs[0].operators[0]
        pad.opcodeIndex = len(model.operatorCodes) - 1
        pad.inputs = int32(*pad.inputs, constant)
        pad.builtinOptions = schema.PadV2OptionsT()
        pad.builtinOptionsType = schema.BuiltinOptions.PadV2Options

    return changed(change, serialize(g.graph(y)))


def test_padding_with_the_zero_point_is_pad() -> None:
    simple = assert_same_bits(parse(padded(-9), "model"))
    assert kinds(simple) == ["CONV_2D"]


def test_padding_with_another_value_is_refused() -> None:
    assert [kind for kind, _ in reasons(padded(-128))] == ["PADV2"]


# Shape arithmetic --------------------------------------------------------------------------------


def free_batch() -> bytes:
    """A model of a free batch: the target of its RESHAPE is computed from its input's shape."""
    g = Builder("free", 7)
    x = g.input((1, 4, 4, 3), 0.05, -9)
    y = g.conv(x)
    z = g.reshape(y, (1, 16))

    def change(model: Any) -> None:
        graph = model.subgraphs[0]
        for i in (x, y, z):
            graph.tensors[i].shapeSignature = int32(-1, *graph.tensors[i].shape[1:])
        graph.tensors[z].shape = int32(1, 1)
        graph.tensors[z].shapeSignature = int32(-1, -1)
        begin, end, columns = (add_tensor(model, x, data=np.array(v, np.int32))
                               for v in ([0], [1], 16))
        shape, batch, target = (add_tensor(model, x, s, dtype=schema.TensorType.INT32)
                                for s in ((4,), (), (2,)))
        for i in (shape, batch, target):
            graph.tensors[i].quantization = None
        insert(model, 1, "SHAPE", [y], [shape], schema.ShapeOptionsT(
            outType=schema.TensorType.INT32))
        insert(model, 2, "STRIDED_SLICE", [shape, begin, end, end], [batch],
               schema.StridedSliceOptionsT(shrinkAxisMask=1))
        insert(model, 3, "PACK", [batch, columns], [target],
               schema.PackOptionsT(valuesCount=2, axis=0))
        reshape = graph.operators[4]
        reshape.inputs = int32(y, target)
        reshape.builtinOptions, reshape.builtinOptionsType = None, 0

    return changed(change, serialize(g.graph(z)))


def test_the_arithmetic_of_a_free_batch_is_folded() -> None:
    graph = parse(free_batch(), "model")
    assert kinds(graph) == ["CONV_2D", "RESHAPE"]
    simple = assert_same_bits(graph)
    assert simple.tensors[simple.outputs[0]].shape == (1, 16)


def one_fold(name: str, values: list[Any], options: Any, expected: Any) -> None:
    """Fold one operator on int32 constants and compare with what LiteRT computes."""

    def change(model: Any) -> None:
        inputs = [add_tensor(model, 0, data=np.array(v, np.int32)) for v in values]
        result = add_tensor(model, 0, np.shape(expected), dtype=schema.TensorType.INT32)
        model.subgraphs[0].tensors[result].quantization = None
        insert(model, 0, name, inputs, [result], options)

    data = changed(change)
    graph: Graph = parse(data, "model")
    (found,) = [t for t in graph.tensors if t.source == len(graph.tensors) - 1]
    assert found.data is not None
    np.testing.assert_array_equal(found.data, expected)
    reference = Reference(data)
    reference.run((np.zeros((1, 8, 8, 3), np.int8),))
    np.testing.assert_array_equal(reference.tensor(len(graph.tensors) - 1), expected)


@pytest.mark.parametrize(("name", "values", "options", "expected"), [
    ("ADD", [[1, 2], [3, 4]], schema.AddOptionsT(), [4, 6]),
    ("SUB", [[1, 2], 3], schema.SubOptionsT(), [-2, -1]),
    ("MUL", [[1, 2], [3, 4]], schema.MulOptionsT(), [3, 8]),
    ("CONCATENATION", [[1, 2], [3]], schema.ConcatenationOptionsT(axis=0), [1, 2, 3]),
    ("CAST", [[1, 2]], schema.CastOptionsT(inDataType=schema.TensorType.INT32,
                                           outDataType=schema.TensorType.INT32), [1, 2]),
    ("GATHER", [[5, 6, 7], [2, 0]], schema.GatherOptionsT(axis=0), [7, 5]),
    ("EXPAND_DIMS", [[5, 6], 0], schema.ExpandDimsOptionsT(), [[5, 6]]),
    ("SQUEEZE", [[[5, 6]]], schema.SqueezeOptionsT(squeezeDims=int32(0)), [5, 6]),
    ("SLICE", [[5, 6, 7], [1], [-1]], schema.SliceOptionsT(), [6, 7]),
    ("STRIDED_SLICE", [[5, 6, 7], [2], [0], [-1]],
     schema.StridedSliceOptionsT(), [7, 6]),
    ("STRIDED_SLICE", [[5, 6, 7], [2], [0], [1]],
     schema.StridedSliceOptionsT(beginMask=1, endMask=1), [5, 6, 7]),
    ("PACK", [5, 6], schema.PackOptionsT(valuesCount=2, axis=0), [5, 6]),
    ("REDUCE_PROD", [[5, 6, 7], [0]], schema.ReducerOptionsT(keepDims=True), [210]),
    ("RESHAPE", [[5, 6, 7, 8], [2, -1]], None, [[5, 6], [7, 8]]),
    ("DIV", [[7, -7, 7, -6], [2, 2, -2, -2]], schema.DivOptionsT(), [3, -3, -3, 3]),
    ("FILL", [[2, 1], 5], schema.FillOptionsT(), [[5], [5]]),
    ("FLOOR_DIV", [[7, -7, 7, -6], [2, 2, -2, -2]], schema.FloorDivOptionsT(), [3, -4, -4, 3]),
    ("FLOOR_MOD", [[7, -7, 7, -6], [4, 4, -4, -4]], schema.FloorModOptionsT(), [3, 1, -1, -2]),
    ("MAXIMUM", [[1, 5], [3, 4]], schema.MaximumMinimumOptionsT(), [3, 5]),
    ("MINIMUM", [[1, 5], [3, 4]], schema.MaximumMinimumOptionsT(), [1, 4]),
    ("RANGE", [2, 11, 4], schema.RangeOptionsT(), [2, 6, 10]),
    ("RANK", [[[5, 6]]], schema.RankOptionsT(), 2),
    ("TILE", [[5, 6], [2]], schema.TileOptionsT(), [5, 6, 5, 6]),
    ("TRANSPOSE", [[[5, 6, 7]], [1, 0]], schema.TransposeOptionsT(), [[5], [6], [7]]),
])
def test_folding_equals_litert(name: str, values: list[Any], options: Any, expected: Any) -> None:
    one_fold(name, values, options, expected)


@pytest.mark.parametrize(("name", "values"), [
    ("FILL", [[1 << 15, 1 << 15], 5]), ("FILL", [[-1], 5]), ("TILE", [[5, 6], [1 << 30]]),
    ("BROADCAST_TO", [[5], [1 << 30]]), ("RANGE", [0, 1 << 30, 1]), ("RANGE", [0, 1, 0]),
    ("DIV", [[5], [0]]), ("FLOOR_DIV", [[5], [0]]), ("FLOOR_MOD", [[5], [0]]),
])
def test_no_absurd_constant_is_computed(name: str, values: list[Any]) -> None:
    inputs = [Tensor("c", np.shape(v), "int32", None, np.array(v, np.int32)) for v in values]
    output = Tensor("y", (), "int32")
    op = RawOperator(name, tuple(range(len(inputs))), (len(inputs),))
    assert fold(op, [*inputs, output]) is None


def test_a_broadcast_constant_is_folded() -> None:
    """LiteRT has this operator from version 2 on only, which `one_fold` does not write."""
    inputs = [Tensor("c", (2,), "int32", None, np.array(v, np.int32)) for v in ([5, 6], [2, 2])]
    found = fold(RawOperator("BROADCAST_TO", (0, 1), (2,)), [*inputs, Tensor("y", (), "int32")])
    assert found is not None
    assert found[0].tolist() == [[5, 6], [5, 6]]


@pytest.mark.parametrize(("dtype", "known"), [("int8", False), ("int32", True), ("int64", True)])
def test_a_shape_is_folded_in_types_that_hold_it(dtype: str, known: bool) -> None:
    tensors = [Tensor("x", (1, 187, 2, 3), "float32"), Tensor("y", (4,), dtype)]
    found = fold(RawOperator("SHAPE", (0,), (1,)), tensors)
    assert (found is not None) == known
    assert found is None or found[0].tolist() == [1, 187, 2, 3]


def test_what_cannot_be_folded_is_refused_as_such() -> None:
    def change(model: Any) -> None:
        index = add_tensor(model, 0, data=np.array([9], np.int32))
        values = add_tensor(model, 0, data=np.array([1, 2], np.int32))
        target = add_tensor(model, 3, data=np.array([1, 1], np.int32))
        model.subgraphs[0].tensors[target].buffer = 0
        result = add_tensor(model, 6, (1, 320))
        insert(model, 2, "GATHER", [values, index], [target], schema.GatherOptionsT(axis=0))
        insert(model, 3, "RESHAPE", [6, target], [result])
        model.subgraphs[0].outputs = int32(result)

    found = reasons(changed(change))
    assert found[0][0] == "GATHER"
    assert any(kind == "RESHAPE" and "computed at run time" in why for kind, why in found)


@pytest.mark.parametrize("half", [True, False])
def test_weights_stored_smaller_in_a_float_model_are_expanded(half: bool) -> None:
    g = Builder("half", 9)
    x = g.input((1, 4, 4, 3), 0.05, -9)
    y = g.conv(x, channels=2)
    data = serialize(g.graph(y))
    weights = 1

    def change(model: Any) -> None:
        tensors = model.subgraphs[0].tensors
        for i in (x, y):
            tensors[i].type, tensors[i].quantization = schema.TensorType.FLOAT32, None
        tensors[2].type, tensors[2].quantization = schema.TensorType.FLOAT32, None
        full = add_tensor(model, weights, dtype=schema.TensorType.FLOAT32)
        tensors[full].quantization = None
        if half:
            small = model.buffers[tensors[weights].buffer]
            values = small.data.view(np.int8).astype(np.float16)
            small.data = np.frombuffer(values.tobytes(), np.uint8)
            tensors[weights].type, tensors[weights].quantization = schema.TensorType.FLOAT16, None
        insert(model, 0, "DEQUANTIZE", [weights], [full])
        model.subgraphs[0].operators[1].inputs = int32(x, full, 2)

    changed_file = changed(change, data)
    graph = parse(changed_file, "model")
    assert kinds(graph) == ["CONV_2D"]
    found = graph.tensors[graph.ops[0].inputs[1]]
    reference = Reference(changed_file)
    reference.run((np.zeros((1, 4, 4, 3), np.float32),))
    assert found.data is not None
    np.testing.assert_array_equal(found.data, reference.tensor(graph.ops[0].inputs[1]))


def test_an_output_that_is_a_constant_is_refused() -> None:
    def change(model: Any) -> None:
        result = add_tensor(model, 0, (4,), dtype=schema.TensorType.INT32)
        insert(model, 0, "SHAPE", [0], [result], schema.ShapeOptionsT(
            outType=schema.TensorType.INT32))
        model.subgraphs[0].outputs = int32(result)

    with pytest.raises(UnsupportedError, match="does not depend on the model's input"):
        parse(changed(change), "model")


def test_folding_stops_where_constants_grow_without_end() -> None:
    # Each operator doubles the one before: unfolded, 40 of them would fill any memory.
    def change(model: Any) -> None:
        last = add_tensor(model, 0, data=np.zeros(1 << 20, np.int32))
        for n in range(40):
            result = add_tensor(model, 0, (2**30,), dtype=schema.TensorType.INT32)
            model.subgraphs[0].tensors[result].quantization = None
            insert(model, n, "CONCATENATION", [last, last], [result],
                   schema.ConcatenationOptionsT(axis=0))
            last = result
        model.subgraphs[0].outputs = int32(6, last)

    assert {kind for kind, _ in reasons(changed(change))} == {"CONCATENATION"}


# Ends that are not int8 --------------------------------------------------------------------------


def test_uint8_ends_become_int8() -> None:
    data = two_convolutions_file()

    def change(model: Any) -> None:
        tensors = model.subgraphs[0].tensors
        ends = []
        for i in (0, 6):
            end = add_tensor(model, i, dtype=schema.TensorType.UINT8)
            q = tensors[i].quantization
            tensors[end].quantization = schema.QuantizationParametersT(
                scale=q.scale, zeroPoint=q.zeroPoint + 128)
            ends.append(end)
        insert(model, 0, "QUANTIZE", [ends[0]], [0])
        insert(model, 3, "QUANTIZE", [6], [ends[1]])
        model.subgraphs[0].inputs, model.subgraphs[0].outputs = int32(ends[0]), int32(ends[1])

    simple = simplify(parse(changed(change, data), "model"))
    check_supported(simple)
    assert kinds(simple) == ["CONV_2D", "CONV_2D"]
    assert [simple.tensors[i].source for i in (*simple.inputs, *simple.outputs)] == [0, 6]
    (inputs,) = random_inputs(simple, 3)
    values = evaluate(simple, (inputs[0],))
    for index, expected in Oracle(simple).run((inputs[0],), tuple(values)).items():
        np.testing.assert_array_equal(values[index], expected)
