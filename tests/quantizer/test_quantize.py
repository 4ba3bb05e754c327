# SPDX-License-Identifier: MIT
"""Quantizing a float graph with calibration data."""

from __future__ import annotations

import numpy as np
import pytest

from tests.shared import needs, shared_path
from tinyeff.data import load_inputs, load_labels, load_samples
from tinyeff.errors import MissingProgramError, UnsupportedError, UsageError
from tinyeff.interpreter import evaluate
from tinyeff.ir import Array, Graph, Op, Source, Tensor
from tinyeff.ops.conv_2d import Conv2DAttrs
from tinyeff.ops.dequantize import dequantized
from tinyeff.quantizer import quantize
from tinyeff.reader import check_supported, parse, read, simplify, with_flatbuffer
from tinyeff.simulator.litert import Reference


def float_model() -> Graph:
    """Two inputs and two outputs of the same shapes: the second input gives the first output."""
    rng = np.random.default_rng(4)
    weights, bias = rng.normal(size=(3, 1, 1, 2)).astype(np.float32), np.zeros(3, np.float32)
    tensors = (
        Tensor("first", (1, 4, 4, 2), "float32"), Tensor("second", (1, 4, 4, 2), "float32"),
        Tensor("of_second", (1, 4, 4, 3), "float32"), Tensor("of_first", (1, 4, 4, 3), "float32"),
        Tensor("weights", weights.shape, "float32", data=weights),
        Tensor("bias", bias.shape, "float32", data=bias),
    )
    ops = tuple(Op("CONV_2D", tensors[y].name, (x, 4, 5), (y,), Conv2DAttrs())
                for x, y in ((1, 2), (0, 3)))
    return with_flatbuffer(Graph(tensors, ops, (0, 1), (2, 3), Source("model", b"", "")))


@pytest.mark.slow
def test_resnet_is_quantized_reads_back_and_equals_litert() -> None:
    needs("tensorflow")
    graph = read(shared_path("models", "ic_resnet8.h5"))
    (samples,) = load_samples(graph, shared_path("data", "cifar10_calibration.npz"))
    result = simplify(quantize(graph, (samples[:64],)))
    check_supported(result)
    assert not result.is_float
    reference = Reference(result.source.flatbuffer)
    assert [d["dtype"] for d in (*reference.inputs, *reference.outputs)] == [np.int8, np.int8]
    path = shared_path("data", "cifar10_eval.npz")
    (images,), labels = load_inputs(result, path), load_labels(path)
    assert labels is not None
    right = 0
    for image, label in zip(images[:100], labels, strict=False):
        reference.run((image,))
        right += int(reference.tensor(reference.outputs[0]["index"]).argmax() == label)
    assert right >= 85  # 90 % of all 381 images
    values = evaluate(result, (images[0],))
    reference.run((images[0],))
    for index, value in values.items():
        source = result.tensors[index].source
        assert source is not None
        np.testing.assert_array_equal(value, reference.tensor(source))


@pytest.mark.slow
def test_a_float_flatbuffer_is_quantized_and_its_ends_keep_their_order() -> None:
    needs("tensorflow")
    graph = float_model()
    rng = np.random.default_rng(0)
    samples = tuple(rng.uniform(-k, k, (30, 1, 4, 4, 2)).astype(np.float32) for k in (1.0, 8.0))
    quantized = quantize(graph, samples)
    result = simplify(quantized)
    check_supported(result)
    assert quantize(quantized, samples) is quantized
    assert [result.tensors[i].name for i in (*result.inputs, *result.outputs)] == [
        "first", "second", "of_second", "of_first"]
    scales = [t.quant.scale if (t := result.tensors[i]).quant else 0 for i in result.inputs]
    assert scales[1] == pytest.approx(8 * scales[0], rel=0.05)
    # The int8 outputs stand for the float outputs, to the resolution of their scales.
    reference = Reference(graph.source.flatbuffer)
    reference.run(tuple(s[0] for s in samples))
    inputs = []
    for index, sample in zip(result.inputs, samples, strict=True):
        quant = result.tensors[index].quant
        assert quant is not None
        inputs.append(np.clip(np.round(sample[0] / quant.scale) + quant.zero_point, -128,
                              127).astype(np.int8))
    values = evaluate(result, tuple(inputs))
    for before, after in zip(graph.outputs, result.outputs, strict=True):
        quant = result.tensors[after].quant
        assert quant is not None
        error = np.abs(dequantized(values[after], quant) - reference.tensor(before)).max()
        assert error < 4 * quant.scale


def test_an_int8_graph_passes_through() -> None:
    graph = read(shared_path("models", "kws_dscnn_int8.tflite"))
    assert quantize(graph, ()) is graph
    stripped = simplify(read(shared_path("models", "mcunet_vww_int8.tflite")))
    assert quantize(stripped, ()) is stripped


SAMPLE = np.zeros((5, 1, 4, 4, 2), np.float32)


@pytest.mark.parametrize(("samples", "sentence"), [
    ((SAMPLE,), "has 2 inputs, calibration data was given for 1"),
    ((SAMPLE, SAMPLE[:4]), "the same number of calibration samples"),
    ((SAMPLE[:0], SAMPLE[:0]), "at least one"),
    ((SAMPLE, SAMPLE[:, 0]), r"'second' has the shape \(5, 4, 4, 2\)"),
    ((SAMPLE, np.full_like(SAMPLE, np.nan)), "not numbers or infinite"),
])
def test_samples_must_fit(samples: tuple[Array, ...], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        quantize(float_model(), samples)


def test_a_model_that_is_quantized_in_part_is_refused() -> None:
    graph = parse(read(shared_path("models", "mcunet_vww_int8.tflite")).source.flatbuffer, "model")
    (x,) = graph.inputs
    with pytest.raises(UnsupportedError, match="quantized in part"):
        quantize(graph, (np.zeros((1, *graph.tensors[x].shape), np.float32),))


def test_without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingProgramError, match=r"tinyeff\[keras\]"):
        quantize(float_model(), (SAMPLE, SAMPLE))
