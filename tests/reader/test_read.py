# SPDX-License-Identifier: MIT
"""Which file is which, and the complete list of what is unsupported."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from tests.reader.damage import (
    add_tensor,
    changed,
    insert,
    int32,
    items_of,
    two_convolutions,
    two_convolutions_file,
)
from tests.shared import shared_path
from tinyeff.errors import ModelFileError, UnsupportedError
from tinyeff.ir import check_graph
from tinyeff.reader import check_supported, parse, read, serialize, simplify, with_flatbuffer

INT8_MODELS = ("ad_autoencoder", "ic_resnet8", "kws_dscnn", "mcunet_vww", "vww_96")


def test_reads_a_flatbuffer_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(two_convolutions_file())
    graph = read(str(path))
    assert [op.kind for op in graph.ops] == ["CONV_2D", "CONV_2D"]
    assert graph.source.name == "model.bin"
    assert graph.source.flatbuffer == two_convolutions_file()


@pytest.mark.parametrize(("name", "content", "sentence"), [
    ("model.tflite", b"#!/usr/bin/env python3\nprint('caf\xc3\xa9')\n", "a text file"),
    ("model.h5", "über alles\r\n".encode(), "a text file"),
    ("model.tflite", b"\x7fELF\x02\x01\x01\0\0\0\0", "not a model that tinyeff knows"),
    ("model.tflite", b"", "the file is empty"),
    ("model.tflite", b"\x1c\0\0\0TFL3", "damaged or cut short"),
])
def test_other_files_are_refused(
    tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelFileError, match=sentence) as error:
        read(tmp_path / name)
    assert name in error.value.message


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.tflite")
    (tmp_path / "loop.tflite").symlink_to("loop.tflite")
    for path in (tmp_path / "pipe.tflite", Path("/dev/zero")):
        with pytest.raises(ModelFileError, match="no regular file"):
            read(path)
    with pytest.raises(ModelFileError, match="no such file"):
        read(tmp_path / "loop.tflite")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems know no such names")
def test_names_that_are_no_text(tmp_path: Path) -> None:
    def escape(model: Any) -> None:
        model.subgraphs[0].tensors[6].name = "\x1b[2J\u202e */ \r\n out"

    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.tflite"))
    path.write_bytes(changed(escape))
    graph = read(path)
    assert graph.source.name == "caf\ufffd.tflite"
    name = graph.tensors[graph.outputs[0]].name
    assert name == "\ufffd[2J\ufffd */ \ufffd\ufffd out"


def test_files_of_absurd_size_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(two_convolutions_file())
    with path.open("r+b") as file:
        file.truncate(1 << 30)
    with pytest.raises(ModelFileError, match="1073741824 bytes; at most 536870912 are read"):
        read(path)


def test_missing_path_and_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no such file"):
        read(tmp_path / "nothing.tflite")
    with pytest.raises(ModelFileError, match=r"without saved_model\.pb"):
        read(tmp_path)


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(two_convolutions_file())

    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ModelFileError, match="cannot be read: Permission denied"):
        read(path)


@pytest.mark.parametrize("name", [*(f"{m}_int8" for m in INT8_MODELS), "vww_96_float"])
def test_reads_the_shared_models(name: str) -> None:
    graph = read(shared_path("models", f"{name}.tflite"))
    check_graph(graph, "reading")
    check_supported(simplify(graph))
    assert graph.is_float == name.endswith(("_float", "mcunet_vww_int8"))


def test_writing_is_the_inverse_of_reading() -> None:
    graph = parse(two_convolutions_file(), "model")
    again = with_flatbuffer(graph)
    assert serialize(again) == serialize(graph)
    assert [op.attrs for op in again.ops] == [op.attrs for op in graph.ops]
    for a, b in zip(graph.tensors, again.tensors, strict=True):
        assert (a.name, a.shape, a.dtype, a.quant, a.source) == (
            b.name, b.shape, b.dtype, b.quant, b.source)
        assert (a.data is None) == (b.data is None)
        assert a.data is None or np.array_equal(a.data, b.data if b.data is not None else [])


def test_constants_are_read_only() -> None:
    weights = parse(two_convolutions_file(), "model").tensors[1].data
    assert weights is not None
    with pytest.raises(ValueError, match="read-only"):
        weights[0] = 1


def test_everything_unsupported_is_listed_at_once() -> None:
    def change(model: Any) -> None:
        # An LSTM and a custom operator in the way, and weights that are computed at run time.
        first = add_tensor(model, 3)
        second = add_tensor(model, 3)
        weights = add_tensor(model, 3, shape=(5, 1, 1, 4))
        insert(model, 1, "UNIDIRECTIONAL_SEQUENCE_LSTM", [3], [first])
        insert(model, 2, "CUSTOM", [first], [second])
        model.operatorCodes[-1].customCode = "Wizardry"
        insert(model, 3, "RSQRT", [4], [weights])
        model.subgraphs[0].operators[4].inputs = int32(second, weights, 5)

    found = items_of(changed(change))
    assert [(kind, tensor) for kind, tensor, _ in found] == [
        ("UNIDIRECTIONAL_SEQUENCE_LSTM", "added_7"), ("CUSTOM:Wizardry", "added_8"),
        ("RSQRT", "added_9"), ("CONV_2D", "t6")]
    assert "recurrent" in found[0][2]
    assert "custom operator" in found[1][2]
    assert "computed at run time" in found[3][2]


def test_what_nobody_needs_may_be_unsupported() -> None:
    def change(model: Any) -> None:
        insert(model, 1, "SIN", [3], [add_tensor(model, 3)])

    graph = parse(changed(change), "model")
    assert [op.kind for op in graph.ops] == ["CONV_2D", "CONV_2D"]
    check_supported(simplify(graph))


def types(number: int, *indices: int) -> Any:
    def change(model: Any) -> None:
        for i in indices:
            model.subgraphs[0].tensors[i].type = number
    return change


@pytest.mark.parametrize(("number", "indices", "sentence"), [
    (schema.TensorType.INT16, (0, 3, 6), "only 8-bit activations"),
    (schema.TensorType.UINT8, (0, 3, 6), "some are of other types"),
    (schema.TensorType.FLOAT32, (0, 3, 6), "hybrid"),
    (schema.TensorType.FLOAT32, (0,), "between int8 and float32 inside the model"),
    (schema.TensorType.FLOAT16, (0, 3, 6), "only int8 and float32 are supported"),
])
def test_other_types_are_refused_by_name(
    number: int, indices: tuple[int, ...], sentence: str
) -> None:
    assert any(sentence in reason for _, _, reason in items_of(changed(types(number, *indices))))


def test_a_type_matters_only_where_an_operator_uses_it() -> None:
    def unused(model: Any) -> None:
        add_tensor(model, 3, data=int32(1, 2), dtype=schema.TensorType.INT4)
        model.subgraphs[0].tensors[-1].type = schema.TensorType.INT4

    def used(model: Any) -> None:
        model.subgraphs[0].tensors[1].type = schema.TensorType.INT4

    check_supported(simplify(parse(changed(unused), "model")))
    ((kind, _, reason),) = items_of(changed(used))
    assert kind == "CONV_2D"
    assert "of type int4" in reason


def test_variables_and_sparse_weights_are_refused() -> None:
    def variable(model: Any) -> None:
        model.subgraphs[0].tensors[2].isVariable = True
        model.subgraphs[0].tensors[2].buffer = 0

    def sparse(model: Any) -> None:
        model.subgraphs[0].tensors[1].sparsity = schema.SparsityParametersT()

    assert "a variable" in items_of(changed(variable))[0][2]
    assert "sparse" in items_of(changed(sparse))[0][2]


def test_int8_needs_one_scale_per_activation() -> None:
    def without(model: Any) -> None:
        model.subgraphs[0].tensors[3].quantization = None

    def several(model: Any) -> None:
        q = model.subgraphs[0].tensors[3].quantization
        q.scale, q.zeroPoint = np.ones(4, np.float32), np.zeros(4, np.int64)
        q.quantizedDimension = 3

    assert "without a scale" in items_of(changed(without))[0][2]
    assert "a scale per channel" in items_of(changed(several))[0][2]


def test_batches_are_refused() -> None:
    def change(model: Any) -> None:
        for i in (0, 3, 6):
            model.subgraphs[0].tensors[i].shape = int32(
                2, *model.subgraphs[0].tensors[i].shape[1:])

    assert all("batch" in reason for _, _, reason in items_of(changed(change)))


def test_a_free_batch_is_taken_as_one() -> None:
    def change(model: Any) -> None:
        for i in (0, 3, 6):
            tensor = model.subgraphs[0].tensors[i]
            tensor.shapeSignature = int32(-1, *tensor.shape[1:])

    check_supported(simplify(parse(changed(change), "model")))


def test_shapes_that_are_placeholders_are_inferred_and_others_checked() -> None:
    def placeholder(model: Any) -> None:
        model.subgraphs[0].tensors[3].shape = int32(1, 1, 1, 4)
        model.subgraphs[0].tensors[3].shapeSignature = int32(-1, -1, -1, 4)

    def wrong(model: Any) -> None:
        model.subgraphs[0].tensors[3].shape = int32(1, 7, 8, 4)

    assert parse(changed(placeholder), "model").tensors[3].shape == (1, 8, 8, 4)
    assert "from its inputs it follows as (1, 8, 8, 4)" in items_of(changed(wrong))[0][2]


def test_padding_of_absurd_size_is_refused() -> None:
    def change(model: Any) -> None:
        model.subgraphs[0].operators[0].builtinOptions.dilationHFactor = 2**31 - 1

    assert "at most 32768" in items_of(changed(change))[0][2]


def test_a_model_without_operators_is_refused() -> None:
    graph = two_convolutions()
    with pytest.raises(UnsupportedError) as error:
        check_supported(type(graph)(graph.tensors, (), graph.inputs, graph.inputs, graph.source))
    assert error.value.items[0].reason == "it has no operators"


def test_a_model_without_outputs_is_refused() -> None:
    def no_outputs(model: Any) -> None:
        model.subgraphs[0].outputs = int32()

    assert [reason for _, _, reason in items_of(changed(no_outputs))] == [
        "it has no outputs, so it computes nothing"]


def test_operators_on_constants_alone_are_refused() -> None:
    def dense_of_weights(model: Any) -> None:
        g = model.subgraphs[0]
        weights = add_tensor(model, 3, data=np.ones((1, 4), np.int8), dtype=schema.TensorType.INT8)
        g.tensors[weights].quantization = g.tensors[3].quantization
        result = add_tensor(model, 3, shape=(1, 4))
        insert(model, 0, "RELU", [weights], [result])
        g.outputs = int32(6, result)

    assert items_of(changed(dense_of_weights)) == [
        ("RELU", "added_8", "all its inputs are constants; fold it before quantizing")]


def test_an_input_that_nothing_reads_has_to_be_int8() -> None:
    def spare(dtype: int) -> Any:
        def change(model: Any) -> None:
            extra = add_tensor(model, 0, dtype=dtype)
            model.subgraphs[0].inputs = int32(0, extra)
        return change

    check_supported(simplify(parse(changed(spare(schema.TensorType.INT8)), "model")))
    ((operator, _, reason),) = items_of(changed(spare(schema.TensorType.FLOAT32)))
    assert operator == "input" and "no operator reads it" in reason


def test_a_constant_of_scale_0_is_refused() -> None:
    def add_nothing(model: Any) -> None:
        quant = schema.QuantizationParametersT(scale=np.zeros(1, np.float32),
                                               zeroPoint=np.zeros(1, np.int64))
        second = add_tensor(model, 6, data=np.ones(5, np.int8), dtype=schema.TensorType.INT8)
        model.subgraphs[0].tensors[second].quantization = quant
        total = add_tensor(model, 6)
        insert(model, 2, "ADD", [6, second], [total], schema.AddOptionsT())
        model.subgraphs[0].outputs = int32(total)

    ((operator, _, reason),) = items_of(changed(add_nothing))
    assert operator == "ADD" and "has the scale 0" in reason
