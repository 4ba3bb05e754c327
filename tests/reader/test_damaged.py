# SPDX-License-Identifier: MIT
"""Damaged files end in ModelFileError or UnsupportedError, soon and with a sentence."""

from __future__ import annotations

import random
import struct
import time
import warnings
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given
from hypothesis import strategies as st

from tests.reader.damage import Change, changed, insert, int32, two_convolutions_file
from tests.shared import shared_path
from tinyeff.errors import ModelFileError, UnsupportedError
from tinyeff.reader import check_supported, parse, simplify

SECONDS = 5.0
"""More than any file of these tests may take; a file that is all right takes milliseconds."""


def outcome(data: bytes) -> str:
    """What the whole reader makes of a file; any exception but the two allowed passes through."""
    start = time.process_time()
    found: ModelFileError | UnsupportedError | None = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check_supported(simplify(parse(data, "model")))
    except (ModelFileError, UnsupportedError) as error:
        found = error
    assert time.process_time() - start < SECONDS
    if found is None:
        return "read"
    assert found.message.startswith("model")
    assert all(item.reason for item in found.items)
    return type(found).__name__


def tensor(index: int, **fields: Any) -> Change:
    def change(model: Any) -> None:
        for name, value in fields.items():
            setattr(model.subgraphs[0].tensors[index], name, value)
    return change


def operator(index: int, **fields: Any) -> Change:
    def change(model: Any) -> None:
        for name, value in fields.items():
            setattr(model.subgraphs[0].operators[index], name, value)
    return change


def graph(**fields: Any) -> Change:
    def change(model: Any) -> None:
        for name, value in fields.items():
            setattr(model.subgraphs[0], name, value)
    return change


def swapped(model: Any) -> None:
    model.subgraphs[0].operators.reverse()


def short_buffer(model: Any) -> None:
    index = model.subgraphs[0].tensors[1].buffer
    model.buffers[index].data = model.buffers[index].data[:-1]


def outside(offset: int, size: int) -> Change:
    def change(model: Any) -> None:
        index = model.subgraphs[0].tensors[1].buffer
        model.buffers[index].data = None
        model.buffers[index].offset, model.buffers[index].size = offset, size
    return change


def quantization(index: int, **fields: Any) -> Change:
    def change(model: Any) -> None:
        for name, value in fields.items():
            setattr(model.subgraphs[0].tensors[index].quantization, name, value)
    return change


DAMAGED: dict[str, tuple[Change, str]] = {
    "tensor index of an input": (operator(0, inputs=int32(99, 1, 2)), "reads tensor 99 of 7"),
    "negative tensor index": (operator(0, inputs=int32(-2, 1, 2)), "reads tensor -2 of 7"),
    "tensor index of an output": (operator(1, outputs=int32(7)), "writes tensor 7 of 7"),
    "absent output": (operator(1, outputs=int32(-1)), "writes tensor -1 of 7"),
    "operator code": (operator(0, opcodeIndex=5), "code 5 of 1"),
    "model input": (graph(inputs=int32(7)), "inputs name tensor 7 of 7"),
    "model output": (graph(outputs=int32(-1)), "outputs name tensor -1 of 7"),
    "output named twice": (graph(outputs=int32(6, 6)), "twice"),
    "output never written": (graph(outputs=int32(6, 0)), "written by no operator"),
    "not in order": (swapped, "in the order in which they run"),
    "reads itself": (operator(0, inputs=int32(3, 1, 2)), "before it is written"),
    "cycle": (operator(0, inputs=int32(6, 1, 2)), "before it is written"),
    "two writers": (operator(1, outputs=int32(3)), "written by operators 0 and 1"),
    "writes an input": (operator(1, outputs=int32(0)), "an input or a constant"),
    "writes a constant": (operator(1, outputs=int32(1)), "an input or a constant"),
    "input that is a constant": (graph(inputs=int32(0, 1)), "constant"),
    "buffer index": (tensor(1, buffer=77), "buffer 77 of"),
    "buffer of the wrong size": (short_buffer, "its buffer has 107"),
    "buffer behind the end": (outside(4096, 108), "bytes 4096 to 4204 of"),
    "buffer beyond all files": (outside(2**64 - 1, 2**64 - 1), "is said to be bytes"),
    "no subgraph": (lambda model: setattr(model, "subgraphs", []), "no subgraph"),
    "negative shape": (tensor(3, shape=int32(1, -8, 8, 4)), "at least 0"),
    "absurd shape": (tensor(3, shape=int32(1, 2**30, 2**30, 4)), "2\\*\\*31"),
    "absurd rank": (tensor(3, shape=int32(*[1] * 9)), "at most 8"),
    "scale that is no number": (quantization(3, scale=np.array([np.nan], np.float32)), "scale"),
    "negative scale": (quantization(3, scale=np.array([-1], np.float32)), "negative"),
    "scales without zero points": (quantization(1, zeroPoint=np.zeros(3, np.int64)), "3 zero"),
    "axis of the scales": (quantization(1, quantizedDimension=7), "dimension 7"),
    "number of scales": (quantization(1, quantizedDimension=1), "along dimension 1"),
    "schema version": (lambda model: setattr(model, "version", 4), "schema version is 4"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_named(name: str) -> None:
    change, sentence = DAMAGED[name]
    with pytest.raises(ModelFileError, match=sentence):
        parse(changed(change), "model")


UNSUPPORTED: dict[str, tuple[Change, str]] = {
    "weights in another file": (tensor(1, externalBuffer=1), "in another file"),
    "free dimension": (tensor(0, shapeSignature=int32(1, -1, -1, 3)), "free dimensions"),
    "free batch that is not 1": (
        tensor(0, shapeSignature=int32(-1, 8, 8, 3), shape=int32(2, 8, 8, 3)), "free dimensions"),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_the_whole_model_may_not_have(name: str) -> None:
    change, sentence = UNSUPPORTED[name]
    with pytest.raises(UnsupportedError, match=sentence):
        parse(changed(change), "model")


@pytest.mark.parametrize("data", [b"", b"TFL3", b"\0" * 8, b"\x1c\0\0\0TFL3", b"TFL3TFL3TFL3",
                                  b"\xff" * 4 + b"TFL3" + b"\xff" * 64])
def test_tiny_files(data: bytes) -> None:
    assert outcome(data) == "ModelFileError"


def test_every_length_that_a_file_can_be_cut_to() -> None:
    data = two_convolutions_file()
    assert outcome(data) == "read"
    assert {outcome(data[:n]) for n in range(len(data) - 16)} == {"ModelFileError"}


@given(st.integers(0, 2**32), st.integers(1, 4))
def test_flipped_bytes(seed: int, count: int) -> None:
    rng = random.Random(seed)
    data = bytearray(two_convolutions_file())
    for _ in range(count):
        place = rng.randrange(len(data))
        value = rng.choice([bytes([rng.randrange(256)]), b"\xff\xff\xff\xff", b"\0\0\0\x80",
                            b"\xff\xff\xff\x7f", b"\0\0\0\0", struct.pack("<I", len(data) - 8)])
        data[place:place + len(value)] = value
    outcome(bytes(data[:len(two_convolutions_file())]))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["kws_dscnn_int8", "mcunet_vww_int8", "vww_96_float"])
def test_flipped_bytes_of_real_models(name: str) -> None:
    data = shared_path("models", f"{name}.tflite").read_bytes()
    rng = random.Random(name)
    seen = set()
    for _ in range(150):
        broken = bytearray(data)
        for _ in range(3):  # tables lie at both ends of a file, weights between
            place = rng.randrange(8000)
            broken[rng.choice([place, len(data) - 1 - place])] = rng.randrange(256)
        seen.add(outcome(bytes(broken)))
    assert "ModelFileError" in seen


def test_operators_that_contradict_their_tensors_are_refused() -> None:
    # Every field of every operator set to absurd values: refused or read, never a traceback.
    def field(index: int, name: str, value: int) -> Change:
        def change(model: Any) -> None:
            setattr(model.subgraphs[0].operators[index].builtinOptions, name, value)
        return change

    for name in ("strideH", "strideW", "dilationHFactor", "dilationWFactor"):
        for value in (0, -1, 2**31 - 1, -2**31):
            assert outcome(changed(field(0, name, value))) == "UnsupportedError"
    for value in (2, 127, -128):
        assert outcome(changed(field(0, "padding", value))) == "UnsupportedError"
        assert outcome(changed(field(0, "fusedActivationFunction", value))) in (
            ("read",) if value == 2 else ("UnsupportedError",))


@pytest.mark.parametrize("inputs", [(), (0,), (0, 1), (0, -1, 2), (-1, 1, 2), (0, 1, 2, 2),
                                    (1, 1, 1), (0, 2, 1), (0, 0, 2)])
def test_wrong_number_or_kind_of_inputs(inputs: tuple[int, ...]) -> None:
    found = outcome(changed(operator(0, inputs=int32(*inputs))))
    assert found == ("read" if inputs in [(0, 1), (0, 1, 2, 2)] else "UnsupportedError")


@pytest.mark.parametrize("dimension", [8, 2**31 - 1])
def test_more_parts_than_outputs(dimension: int) -> None:
    def unpack(model: Any) -> None:
        options = schema.UnpackOptionsT()
        options.num, options.axis = 2**31 - 1, 1
        model.subgraphs[0].tensors[0].shape = int32(1, dimension)
        insert(model, 0, "UNPACK", [0], [3], options)
        del model.subgraphs[0].operators[1:]
        model.subgraphs[0].outputs = int32(3)

    with pytest.raises(UnsupportedError) as error:
        check_supported(parse(changed(unpack), "model"))
    assert "it has 1 outputs, not 2147483647" in [i.reason for i in error.value.items]


def test_operator_without_options_or_with_those_of_another() -> None:
    def none(model: Any) -> None:
        model.subgraphs[0].operators[0].builtinOptions = None
        model.subgraphs[0].operators[0].builtinOptionsType = 0

    def other(model: Any) -> None:
        insert(model, 2, "SOFTMAX", [6], [0],
               model.subgraphs[0].operators[0].builtinOptions)
        model.subgraphs[0].operators[2].outputs = int32(6)
        model.subgraphs[0].operators.pop(1)
        model.subgraphs[0].operators[1].inputs = int32(3)

    for change in (none, other):
        with pytest.raises(UnsupportedError) as error:
            parse(changed(change), "model")
        assert "option table is missing or that of another" in error.value.items[0].reason


def bomb(tensors: int, name: int, scales: int) -> bytes:
    """A file whose tensors are all one table, with a long name and many scales.

    Small in itself, it unpacks to `tensors` times as much.
    """
    builder = flatbuffers.Builder(1024)
    quant = schema.QuantizationParametersT(scale=np.ones(scales, np.float32),
                                           zeroPoint=np.zeros(1, np.int64))
    table = schema.TensorT(shape=int32(scales), type=schema.TensorType.INT8, name="n" * name,
                           quantization=quant).Pack(builder)
    schema.SubGraphStartTensorsVector(builder, tensors)
    for _ in range(tensors):
        builder.PrependUOffsetTRelative(table)
    vector = builder.EndVector()
    schema.SubGraphStart(builder)
    schema.SubGraphAddTensors(builder, vector)
    subgraph = schema.SubGraphEnd(builder)
    schema.ModelStartSubgraphsVector(builder, 1)
    builder.PrependUOffsetTRelative(subgraph)
    subgraphs = builder.EndVector()
    schema.BufferStart(builder)
    buffer = schema.BufferEnd(builder)
    schema.ModelStartBuffersVector(builder, 1)
    builder.PrependUOffsetTRelative(buffer)
    buffers = builder.EndVector()
    schema.ModelStart(builder)
    schema.ModelAddVersion(builder, 3)
    schema.ModelAddSubgraphs(builder, subgraphs)
    schema.ModelAddBuffers(builder, buffers)
    builder.Finish(schema.ModelEnd(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.mark.parametrize(("tensors", "name", "scales", "sentence"), [
    (20_000, 1_000_000, 1, "claim more data than the file holds"),
    (20_000, 1, 100_000, "claim more data than the file holds"),
    (200_000, 1, 1, "it claims 200000 tensors"),
])
def test_tables_that_stand_for_more_than_the_file_holds(
    tensors: int, name: int, scales: int, sentence: str
) -> None:
    data = bomb(tensors, name, scales)
    start = time.process_time()
    with pytest.raises(ModelFileError, match=sentence):
        parse(data, "model")
    assert time.process_time() - start < SECONDS
