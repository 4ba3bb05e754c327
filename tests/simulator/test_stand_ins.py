# SPDX-License-Identifier: MIT
"""What LiteRT's reference kernels lack or get wrong: ELU, SUM of int8, SOFTMAX of many channels."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from tests.reader.damage import changed
from tests.reader.old_files import as_uint8
from tests.shared import CHECKOUT
from tinyeff.errors import ModelFileError
from tinyeff.interpreter import evaluate
from tinyeff.ir import Array, Graph
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.mean import MeanAttrs
from tinyeff.ops.pointwise_table import PointwiseAttrs
from tinyeff.ops.softmax import SoftmaxAttrs
from tinyeff.ops.tile import TileAttrs
from tinyeff.reader.flatbuffer import serialize
from tinyeff.simulator import litert
from tinyeff.simulator.litert import Reference
from tinyeff.simulator.oracle import as_int8


def chain(*scales: float) -> Graph:
    """As many ELUs, with a ReLU in front."""
    g = GraphBuilder("elus")
    x = g.input((1, 16, 4, 4), 0.03, -5)
    x = g.op("RELU_N1_TO_1", [x], PointwiseAttrs(), 0.05, 3)
    for scale in scales:
        x = g.op("ELU", [x], PointwiseAttrs(), scale, -20)
    return g.graph(x)


def other_kernels(flatbuffer: bytes, x: Array, index: int) -> Array:
    """What LiteRT's optimized kernels make of it; they have ELU and compute it by a table."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter: Any = Interpreter(
        model_content=flatbuffer,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, x)
    interpreter.invoke()
    return np.array(interpreter.get_tensor(index))


def test_every_tensor_keeps_its_number() -> None:
    graph = chain(0.03, 0.02)
    x = np.arange(-128, 128).astype(np.int8).reshape(1, 16, 4, 4)
    reference = Reference(serialize(graph))
    reference.run((x,))
    for index, value in evaluate(graph, (x,)).items():
        np.testing.assert_array_equal(reference.tensor(index), value)


def test_the_table_is_that_of_litert() -> None:
    g = GraphBuilder("elu")
    data = serialize(g.graph(g.op("ELU", [g.input((1, 256), 0.04, 9)], PointwiseAttrs(), 0.02)))
    x = np.arange(-128, 128).astype(np.int8).reshape(1, 256)
    reference = Reference(data)
    reference.run((x,))
    np.testing.assert_array_equal(reference.tensor(1), other_kernels(data, x, 1))


def sum_of(values: list[int], zero_point: int = 0) -> bytes:
    g = GraphBuilder("sum")
    x = g.input((1, len(values)), 1.0, zero_point)
    axes = g.constant(np.array([1], np.int32))
    return serialize(g.graph(g.op("SUM", [x, axes], MeanAttrs((1,), True), 4.0, zero_point)))


def bare(flatbuffer: bytes, x: Array) -> Array:
    """What LiteRT's own reference kernels make of it."""
    interpreter = litert._load(flatbuffer)
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, x)
    interpreter.invoke()
    return np.array(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))


@pytest.mark.parametrize(("values", "total"), [([1, 2, 3, 8], 4), ([-1, -2, -3, -8], -4)])
def test_sum(values: list[int], total: int) -> None:
    """Where this fails for negative values, LiteRT has learnt to add them: drop the stand-in."""
    x, data = np.array([values], np.int8), sum_of(values)
    reference = Reference(data)
    reference.run((x,))
    assert reference.tensor(2).tolist() == [[total]]
    assert (bare(data, x).item() == total) == (min(values) >= 0)


def test_sum_is_that_of_uint8() -> None:
    x = np.random.default_rng(3).integers(-128, 128, (1, 40), dtype=np.int8)
    data = sum_of(x[0].tolist(), zero_point=11)
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
    for tensor in model.subgraphs[0].tensors[::2]:
        tensor.type = schema.TensorType.UINT8
        tensor.quantization.zeroPoint = np.array([11 + 128])
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    expected = bare(bytes(builder.Output()), (x.astype(np.int16) + 128).astype(np.uint8))
    reference = Reference(data)
    reference.run((x,))
    assert reference.tensor(2).item() == expected.item() - 128


def test_elu_in_float_is_refused() -> None:
    graph = chain(0.03)
    tensors = tuple(replace(t, dtype="float32", quant=None) for t in graph.tensors)
    with pytest.raises(ModelFileError, match="ELU"):
        Reference(serialize(replace(graph, tensors=tensors)))


def softmax(shape: tuple[int, ...], scale: float) -> Graph:
    g = GraphBuilder("softmax")
    return g.graph(g.op("SOFTMAX", [g.input(shape, scale, 3)], SoftmaxAttrs(), 1 / 256, -128))


def rows(channels: int) -> Array:
    """Of shape (4, channels): spread, all the same, 511 and 512 of the largest."""
    spread = np.random.default_rng(0).normal(-40, 30, channels).clip(-128, 127)
    numbers = np.arange(channels)
    some = [np.where(numbers % channels < n, 100, -128) for n in (511, 512)]
    return np.stack([spread, np.full(channels, 5), *some]).astype(np.int8)


@pytest.mark.parametrize(("channels", "scale"), [
    (511, 0.1), (512, 0.1), (513, 0.1), (1000, 0.1), (1000, 3.0), (1000, 1e-4), (600, 1e-6)])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_softmax_of_many_channels(channels: int, scale: float, dtype: str) -> None:
    x = rows(channels).reshape(1, 2, 2, channels)
    graph = softmax(x.shape, scale)
    wanted = evaluate(graph, (x,))[graph.outputs[0]]
    data = serialize(graph)
    if dtype == "uint8":
        data = serialize(as_uint8(graph))
        x = (x.astype(np.int16) + 128).astype(np.uint8)
    reference = Reference(data)
    reference.run((x,))
    np.testing.assert_array_equal(as_int8(reference.tensor(1)), wanted)


def test_a_version_that_the_reference_kernels_are_not_registered_for() -> None:
    g = GraphBuilder("tile")
    multiples = (1, 3)
    x = g.input((1, 4), 0.1)
    graph = g.graph(g.op("TILE", [x, g.constant(np.array(multiples, np.int32))],
                         TileAttrs(multiples), like=x))
    data = changed(lambda model: setattr(model.operatorCodes[0], "version", 3), serialize(graph))
    with pytest.raises(ValueError, match="opcode 'TILE' version '3'"):
        litert._load(data)  # where this fails, LiteRT has learnt it
    reference, values = Reference(data), np.array([[1, -2, 3, 4]], np.int8)
    reference.run((values,))
    assert reference.tensor(graph.outputs[0]).tolist() == [[1, -2, 3, 4] * 3]


def test_names_that_are_not_utf8() -> None:
    graph = chain(0.03)

    def rename(model: Any) -> None:
        model.subgraphs[0].tensors[0].name = b"\xff\xfe"

    reference = Reference(changed(rename, serialize(graph)))
    x = np.arange(-128, 128).astype(np.int8).reshape(1, 16, 4, 4)
    reference.run((x,))
    index = graph.outputs[0]
    np.testing.assert_array_equal(reference.tensor(index), evaluate(graph, (x,))[index])


@pytest.mark.slow
def test_softmax_ends_the_process(tmp_path: Path) -> None:
    """Where this fails, LiteRT has learnt to compute such rows: drop the stand-in."""
    path, code = tmp_path / "m.tflite", (
        "import sys, numpy as np; from tinyeff.simulator import litert;"
        "m = litert._load(open(sys.argv[1], 'rb').read()); m.allocate_tensors();"
        "m.set_tensor(0, np.full((1, int(sys.argv[2])), 5, np.int8)); m.invoke()")
    for channels, ends in ((511, False), (512, True)):
        path.write_bytes(serialize(softmax((1, channels), 0.1)))
        done = subprocess.run([sys.executable, "-c", code, str(path), str(channels)],
                              cwd=CHECKOUT, capture_output=True, check=False)
        assert (done.returncode != 0) == ends
