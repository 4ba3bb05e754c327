# SPDX-License-Identifier: MIT
"""Simplifying folds what converters leave behind, and changes no bit of an int8 graph."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given

from tests.reader.random_models import Builder, models, with_float_ends
from tests.shared import shared_path
from tinyeff.interpreter import evaluate
from tinyeff.ir import Array, Graph
from tinyeff.ops.dequantize import dequantized
from tinyeff.ops.operator import SAME, Padding
from tinyeff.ops.quantize import QuantizeAttrs
from tinyeff.reader import check_supported, read, simplify, with_flatbuffer
from tinyeff.simulator.litert import Reference

INT8_MODELS = ("ad_autoencoder", "ic_resnet8", "kws_dscnn", "mcunet_vww", "vww_96")


def kinds(graph: Graph) -> list[str]:
    return [op.kind for op in graph.ops]


def int8_inputs(graph: Graph, seed: int) -> tuple[Array, ...]:
    rng = np.random.default_rng(seed)
    return tuple(rng.integers(-128, 128, graph.tensors[i].shape, dtype=np.int8)
                 for i in graph.inputs)


def file_inputs(before: Graph, after: Graph, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
    """What the file's own inputs must be for its int8 tensors to be `inputs`."""
    values = []
    for i, j, value in zip(before.inputs, after.inputs, inputs, strict=True):
        quant = after.tensors[j].quant
        assert quant is not None
        is_float = before.tensors[i].dtype == "float32"
        values.append(dequantized(value, quant) if is_float else value)
    return tuple(values)


def assert_same_bits(graph: Graph, seed: int = 0) -> Graph:
    """Simplify, and compare with the graph itself and with LiteRT wherever tensors claim to equal.

    `graph` has been read from its own flatbuffer.
    """
    simple = simplify(graph)
    inputs = int8_inputs(simple, seed)
    given_to_file = file_inputs(graph, simple, inputs)
    before, after = evaluate(graph, given_to_file), evaluate(simple, inputs)
    reference = Reference(graph.source.flatbuffer)
    reference.run(given_to_file)
    compared = 0
    for index, value in after.items():
        source = simple.tensors[index].source
        if source is not None:
            np.testing.assert_array_equal(value, before[source])
            np.testing.assert_array_equal(value, reference.tensor(source))
            compared += 1
    assert all(simple.tensors[i].source is not None for i in simple.outputs)
    assert all(simple.tensors[i].dtype == "int8" for i in (*simple.inputs, *simple.outputs))
    assert compared >= len(simple.outputs)
    assert simplify(simple).ops == simple.ops
    return simple


@given(models())
def test_no_bit_changes(graph: Graph) -> None:
    assert_same_bits(with_flatbuffer(graph))


@pytest.mark.parametrize("name", INT8_MODELS)
def test_no_bit_of_real_models_changes(name: str) -> None:
    graph = read(shared_path("models", f"{name}_int8.tflite"))
    simple = assert_same_bits(graph)
    check_supported(simple)
    missing = [t.name for t in simple.tensors if t.source is None and not t.is_constant]
    assert len(missing) == (1 if name == "mcunet_vww" else 0)


def test_mcunet_loses_every_pad_transpose_and_conversion() -> None:
    simple = simplify(read(shared_path("models", "mcunet_vww_int8.tflite")))
    left = Counter(kinds(simple))
    assert not left.keys() & {"PAD", "TRANSPOSE", "QUANTIZE", "DEQUANTIZE"}
    assert left["MEAN"] == 2
    assert simple.tensors[simple.inputs[0]].name == "input_0_f.1"
    assert simple.tensors[simple.outputs[0]].name == "1422"


# One test per pass -------------------------------------------------------------------------------


def test_padding_adds_up_with_same() -> None:
    g = Builder("pad")
    x = g.input((1, 7, 8, 3), 0.05, -77)
    y = g.conv(g.pad(x, ((0, 0), (1, 2), (0, 3), (0, 0))), 3, 2, SAME)
    simple = assert_same_bits(with_flatbuffer(g.graph(y)))
    assert kinds(simple) == ["CONV_2D"]
    # SAME of the padded 10x11 image: one row at the bottom, one column on each side.
    assert simple.ops[0].attrs.padding == Padding(top=1, bottom=3, left=1, right=4)


def test_two_paddings_and_two_readers() -> None:
    g = Builder("pads")
    x = g.input((1, 5, 5, 2), 0.05, 100)
    padded = g.pad(g.pad(x, ((0, 0), (1, 0), (0, 1), (0, 0))), ((0, 0), (0, 2), (1, 0), (0, 0)))
    simple = assert_same_bits(with_flatbuffer(g.graph(g.conv(padded), g.depthwise(padded))))
    assert kinds(simple) == ["CONV_2D", "DEPTHWISE_CONV_2D"]


@pytest.mark.parametrize("pads", [
    ((0, 0), (1, 1), (1, 1), (0, 1)),
    ((0, 0), (0, 0), (0, 0), (2, 0)),
])
def test_padded_channels_stay(pads: tuple[tuple[int, int], ...]) -> None:
    g = Builder("channels")
    x = g.input((1, 5, 5, 2), 0.05, 100)
    assert kinds(assert_same_bits(with_flatbuffer(g.graph(g.conv(g.pad(x, pads)))))) == [
        "PAD", "CONV_2D"]


def test_padding_that_others_read_stays() -> None:
    pads = ((0, 0), (1, 1), (1, 1), (0, 0))
    g = Builder("output")
    padded = g.pad(g.input((1, 5, 5, 2), 0.05, 100), pads)
    graph = with_flatbuffer(g.graph(g.conv(padded), padded))
    assert kinds(assert_same_bits(graph)) == ["PAD", "CONV_2D"]
    g = Builder("reader")
    padded = g.pad(g.input((1, 5, 5, 2), 0.05, 100), pads)
    graph = with_flatbuffer(g.graph(g.conv(padded), g.mean(padded, (1, 2), False)))
    assert kinds(assert_same_bits(graph)) == ["PAD", "CONV_2D", "MEAN"]


def test_transpose_before_mean_over_both_axes() -> None:
    g = Builder("mean")
    x = g.input((1, 3, 5, 4), 0.05, 11)
    y = g.mean(g.transpose(x, (0, 3, 1, 2)), (2, 3), False)
    simple = assert_same_bits(with_flatbuffer(g.graph(y)))
    assert kinds(simple) == ["MEAN"]
    assert simple.ops[0].attrs.axes == (1, 2)


def test_transpose_sinks_through_one_mean_per_axis() -> None:
    g = Builder("means")
    x = g.input((1, 3, 5, 4), 0.05, 11)
    y = g.mean(g.mean(g.transpose(x, (0, 3, 1, 2)), (2,), False), (2,), False, 0.04, 7)
    simple = assert_same_bits(with_flatbuffer(g.graph(y)))
    assert kinds(simple) == ["MEAN", "MEAN"]
    assert [op.attrs.axes for op in simple.ops] == [(1,), (1,)]
    # Between the two stands the transposed form of the file's tensor.
    assert simple.tensors[simple.ops[0].outputs[0]].source is None


def test_transpose_that_is_not_undone_follows_the_mean() -> None:
    g = Builder("kept")
    x = g.input((1, 3, 5, 4), 0.05, 11)
    y = g.mean(g.transpose(x, (0, 3, 1, 2)), (3,), True)
    simple = assert_same_bits(with_flatbuffer(g.graph(y)))
    assert kinds(simple) == ["MEAN", "TRANSPOSE"]
    assert simple.tensors[simple.ops[0].outputs[0]].shape == (1, 3, 1, 4)


def test_transpose_that_others_read_stays_for_them() -> None:
    g = Builder("shared")
    transposed = g.transpose(g.input((1, 3, 5, 4), 0.05, 11), (0, 3, 1, 2))
    graph = with_flatbuffer(g.graph(g.mean(transposed, (2, 3), False), transposed))
    assert kinds(assert_same_bits(graph)) == ["TRANSPOSE", "MEAN"]


def test_float_ends_become_int8() -> None:
    g = Builder("ends")
    x, other = g.input((1, 4, 4, 3), 0.05, 11), g.input((1, 4, 4, 3), 0.01, 0)
    graph = with_flatbuffer(with_float_ends(g.graph(g.conv(x), g.conv(other))))
    assert [graph.tensors[i].dtype for i in graph.inputs] == ["float32", "float32"]
    simple = assert_same_bits(graph)
    assert kinds(simple) == ["CONV_2D", "CONV_2D"]
    assert [simple.tensors[i].name for i in simple.inputs] == [
        graph.tensors[i].name for i in graph.inputs]
    assert [simple.tensors[i].name for i in simple.outputs] == [
        graph.tensors[i].name for i in graph.outputs]


def test_a_quantize_that_changes_the_scale_stays_and_one_that_does_not_goes() -> None:
    g = Builder("quantize")
    x = g.input((1, 4, 4, 3), 0.05, 11)
    same = g.op("QUANTIZE", [x], QuantizeAttrs(), like=x)
    other = g.op("QUANTIZE", [same], QuantizeAttrs(), 0.06, 11)
    simple = assert_same_bits(with_flatbuffer(g.graph(g.conv(other))))
    assert kinds(simple) == ["QUANTIZE", "CONV_2D"]


def test_reshapes_merge_and_vanish() -> None:
    g = Builder("reshape")
    x = g.input((1, 4, 4, 3), 0.05, 11)
    there_and_back = g.reshape(g.reshape(g.reshape(x, (1, 48)), (1, 1, 48)), (1, 4, 4, 3))
    y = g.reshape(g.reshape(g.conv(there_and_back), (1, 2, 8)), (1, 16))
    simple = assert_same_bits(with_flatbuffer(g.graph(y)))
    assert kinds(simple) == ["CONV_2D", "RESHAPE"]
    assert simple.tensors[simple.outputs[0]].shape == (1, 16)


def test_identities_between_input_and_output_stay() -> None:
    g = Builder("nothing")
    x = g.input((1, 4), 0.05, 11)
    simple = assert_same_bits(with_flatbuffer(g.graph(g.transpose(x, (0, 1)))))
    assert kinds(simple) == ["TRANSPOSE"]


def test_an_identity_at_the_end_gives_its_name_to_the_output() -> None:
    g = Builder("name")
    y = g.transpose(g.conv(g.input((1, 4, 4, 3), 0.05, 11)), (0, 1, 2, 3))
    graph = with_flatbuffer(g.graph(y))
    simple = assert_same_bits(graph)
    assert kinds(simple) == ["CONV_2D"]
    assert simple.tensors[simple.outputs[0]].name == graph.tensors[graph.outputs[0]].name


def test_what_nobody_reads_goes() -> None:
    g = Builder("dead")
    x = g.input((1, 4, 4, 3), 0.05, 11)
    y = g.conv(x)
    g.conv(g.conv(x, 1), 1)
    simple = assert_same_bits(with_flatbuffer(g.graph(y)))
    assert kinds(simple) == ["CONV_2D"]
    assert len(simple.tensors) == 4
