# SPDX-License-Identifier: MIT
"""Quantizing a float graph with calibration data."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.quantizer.floating import as_float, copies_an_input, random_samples
from tests.reader.random_models import models
from tests.shared import needs, shared_path
from tinyeff.data import load_inputs, load_samples, random_inputs
from tinyeff.errors import UnsupportedError, UsageError
from tinyeff.interpreter import evaluate
from tinyeff.ir import Array, Graph, Op, Source, Tensor
from tinyeff.ops import registry
from tinyeff.ops.conv_2d import Conv2DAttrs
from tinyeff.ops.dequantize import dequantized
from tinyeff.ops.local_response_normalization import LocalResponseNormalizationAttrs
from tinyeff.ops.pointwise_table import PointwiseAttrs
from tinyeff.quantizer import quantize
from tinyeff.quantizer.attempt import floats, int8_outputs
from tinyeff.quantizer.prepared import prepared
from tinyeff.quantizer.ranges import METHODS
from tinyeff.quantizer.samples import warnings
from tinyeff.reader import check_supported, parse, read, simplify, with_flatbuffer
from tinyeff.reader.check import findings
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
def test_resnet_agrees_with_float_better_than_a_converter_reads_back_and_equals_litert() -> None:
    needs("tensorflow")
    graph = read(shared_path("models", "ic_resnet8.h5"))
    (samples,) = load_samples(graph, shared_path("data", "cifar10_calibration.npz"))
    result = simplify(quantize(graph, (samples[:64],)))
    check_supported(result)
    assert not result.is_float
    reference = Reference(result.source.flatbuffer)
    assert [d["dtype"] for d in (*reference.inputs, *reference.outputs)] == [np.int8, np.int8]
    path = shared_path("data", "cifar10_eval.npz")
    (real,), (images,) = load_samples(graph, path), load_inputs(result, path)
    unseen = np.concatenate([real, samples[64:]])
    (expected,) = floats(prepared(graph), (unseen,))
    (found,) = int8_outputs(result, (unseen,))
    same = expected.argmax(-1) == found.argmax(-1)
    assert same.mean() >= 0.985  # TensorFlow's converter: 97.8 %
    assert signal_to_noise(expected, found) >= 28  # TensorFlow's converter: 25
    values = evaluate(result, (images[0],))
    reference.run((images[0],))
    for index, value in values.items():
        source = result.tensors[index].source
        assert source is not None
        np.testing.assert_array_equal(value, reference.tensor(source))


def signal_to_noise(expected: Array, found: Array) -> float:
    """In dB."""
    noise = np.square(found.astype(np.float64) - expected).sum()
    return float(10 * np.log10(np.square(expected, dtype=np.float64).sum() / noise))


def test_a_float_flatbuffer_is_quantized_and_its_ends_keep_their_order() -> None:
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


def test_no_tensorflow_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    monkeypatch.setattr(subprocess, "run", None)
    assert not quantize(float_model(), random_samples(float_model(), 4), effort="fast").is_float


def test_an_iterable_of_samples_is_taken() -> None:
    graph = float_model()
    first, second = random_samples(graph, 6)
    given = ((a[0], list(b)) for a, b in zip(first, second, strict=True))  # batch left out or not
    result = quantize(graph, given, effort="fast")
    expected = quantize(graph, (first, second), effort="fast")
    assert result.source.flatbuffer == expected.source.flatbuffer
    with pytest.raises(UsageError, match="sample 0 has 1 arrays"):
        quantize(graph, [first[0]])
    with pytest.raises(UsageError, match=r"sample 1 for 'second' has the shape \(3,\)"):
        quantize(graph, [(first[0], second[0]), (first[1], np.zeros(3))])


def test_effort_and_method_must_be_known() -> None:
    graph = float_model()
    for options in ({"effort": "most"}, {"method": "best"}):
        with pytest.raises(UsageError, match="is not known; choose from"):
            quantize(graph, random_samples(graph, 2), **options)


@pytest.mark.parametrize("method", ["auto", *METHODS])
def test_every_method_and_effort_gives_a_model_close_to_float(method: str) -> None:
    graph = float_model()
    samples = random_samples(graph, 24)
    expected = floats(prepared(graph), samples)
    for effort in ("fast", "default"):
        result = simplify(quantize(graph, samples, method=method, effort=effort))
        for a, b in zip(expected, int8_outputs(result, samples), strict=True):
            assert signal_to_noise(a, b) > 30, (method, effort)


def cases() -> list[Graph]:
    """One case of each operator, the first that is supported in float."""
    found = []
    for kind, operator in registry().items():
        if kind in ("QUANTIZE", "DEQUANTIZE", "ARG_MAX"):
            continue
        for case in operator.cases():
            graph = as_float(case)
            if not findings(simplify(graph)):
                found.append(graph)
                break
        else:
            raise AssertionError(f"no case of {kind} is supported in float")
    return found


def check_exact(graph: Graph, samples: tuple[Array, ...], **options: str) -> Graph:
    """Quantize, and compare numpy's integers with LiteRT's at every tensor; the int8 graph."""
    result = simplify(quantize(graph, samples, **options))
    check_supported(result)
    for tensor in result.tensors:
        assert tensor.quant is None or all(0 < s < np.inf for s in tensor.quant.scales)
    reference = Reference(result.source.flatbuffer)
    inputs = random_inputs(result, 1)
    values = evaluate(result, tuple(x[0] for x in inputs))
    reference.run(tuple(x[0] for x in inputs))
    for index, value in values.items():
        source = result.tensors[index].source
        if source is not None:
            np.testing.assert_array_equal(value, reference.tensor(source))
    return result


@pytest.mark.slow
def test_every_operator_is_quantized_to_what_litert_runs() -> None:
    for graph in cases():
        samples = random_samples(graph, 3)
        if any(op.kind in ("RSQRT", "SQRT") for op in graph.ops):
            samples = tuple(np.abs(s) + 0.1 for s in samples)
        check_exact(graph, samples, effort="fast")


@settings(max_examples=12, deadline=None)
@given(models(), st.integers(0, 1000), st.sampled_from((0.0, 1e-12, 1.0, 1e6)))
def test_random_graphs_are_quantized(case: Graph, seed: int, size: float) -> None:
    assume(not copies_an_input(case))
    graph = as_float(case)
    if not graph.is_float or findings(simplify(graph)):
        return
    samples = tuple(size * s for s in random_samples(graph, 2, seed))
    check_exact(graph, samples, effort="fast")


def test_dead_channels_and_zero_weights_do_not_divide_by_zero() -> None:
    graph = float_model()
    weights = graph.tensors[4].data
    assert weights is not None
    for dead in (slice(1, 2), slice(None)):
        data = weights.copy()
        data[dead] = 0
        tensors = list(graph.tensors)
        tensors[4] = replace(tensors[4], data=data)
        changed = with_flatbuffer(replace(graph, tensors=tuple(tensors)))
        with np.errstate(all="raise", under="ignore"):
            for samples in (random_samples(changed, 3), (SAMPLE, SAMPLE)):
                check_exact(changed, samples)


def test_doubtful_data_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    graph = float_model()
    first, second = random_samples(graph, 20)
    broken = first.copy()
    broken[3, 0, 0, 0, 0] = 5000
    cases = {
        "1 calibration sample:": (first[:1], second[:1]),
        "is the one value 0 everywhere": (np.zeros_like(first), second),
        "all 20 samples are the same": (np.repeat(first[:1], 20, 0), second),
        "15 of 20 samples are copies": (np.concatenate([first[:5]] * 4), second),
        "far more than networks are trained with": (1e6 * first, second),
        "single broken values cost resolution": (broken, second),
    }
    assert not tuple(warnings(graph, (first, second)))
    for sentence, samples in cases.items():
        assert any(sentence in w for w in warnings(graph, samples)), sentence
    quantize(graph, (first[:1], second[:1]), effort="fast")
    assert "1 calibration sample:" in caplog.text


def test_samples_that_do_not_show_all_are_told_of(caplog: pytest.LogCaptureFixture) -> None:
    """One half of the samples is three times as large as the other that ranges come from."""
    graph = float_model()
    samples = tuple(random_samples(graph, 64))
    for few, told in ((samples, False), (tuple(_every_second_larger(s) for s in samples), True)):
        caplog.clear()
        quantize(graph, few, effort="fast")
        assert ("more samples would show how far" in caplog.text) == told


def _every_second_larger(samples: Array) -> Array:
    result = samples.copy()
    result[1::2] *= 3
    return result


def test_values_that_overflow_in_float_are_an_error() -> None:
    graph = float_model()
    samples = tuple(np.full((2, *graph.tensors[i].shape), 3e38, np.float32) for i in graph.inputs)
    with pytest.raises(UsageError, match="becomes infinite or no number"):
        quantize(graph, samples)


def test_what_tflite_has_in_float_only_stays_float_in_the_file() -> None:
    """Local response normalization: LiteRT refuses it in int8, and it computes in int8 here."""
    shape = (1, 4, 4, 6)
    tensors = tuple(Tensor(name, shape, "float32") for name in ("x", "activated", "normalized"))
    ops = (Op("RELU", "activated", (0,), (1,), PointwiseAttrs()),
           Op("LOCAL_RESPONSE_NORMALIZATION", "normalized", (1,), (2,),
              LocalResponseNormalizationAttrs(2, 2.0, 1e-4, 0.75)),
           Op("RELU", "out", (2,), (3,), PointwiseAttrs()))
    tensors = (*tensors, Tensor("out", shape, "float32"))
    graph = with_flatbuffer(Graph(tensors, ops, (0,), (3,), Source("model", b"", "")))
    samples = np.random.default_rng(0).normal(0, 3, (16, *shape)).astype(np.float32)
    result = quantize(graph, (samples,), effort="fast")
    assert [op.kind for op in result.ops].count("DEQUANTIZE") == 1
    Reference(result.source.flatbuffer)
    plain = simplify(result)
    assert {t.dtype for t in plain.tensors} == {"int8"}
    check_supported(plain)
    (found,), (wanted,) = int8_outputs(result, (samples,)), floats(graph, (samples,))
    assert np.abs(found - wanted).max() < 0.05 * np.abs(wanted).max()
