# SPDX-License-Identifier: MIT
"""Channels of very different sizes, as batch normalization leaves them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.quantizer.floating import random_samples
from tests.shared import shared_path
from tinyeff.ir import Array, Graph
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.concatenation import ConcatenationAttrs
from tinyeff.ops.conv_2d import Conv2DAttrs
from tinyeff.ops.elementwise import ElementwiseAttrs
from tinyeff.ops.fully_connected import FullyConnectedAttrs
from tinyeff.ops.mean import MeanAttrs
from tinyeff.ops.operator import Padding
from tinyeff.ops.pointwise_table import PointwiseAttrs
from tinyeff.quantizer import quantize
from tinyeff.quantizer.attempt import floats, int8_outputs
from tinyeff.quantizer.equalization import Channels, equalized, with_factors
from tinyeff.quantizer.observation import observe
from tinyeff.quantizer.prepared import prepared
from tinyeff.reader import read, with_flatbuffer


class FloatBuilder(GraphBuilder):
    """Layers in float32 with random weights."""

    def weights(self, *shape: int) -> int:
        return self.constant(self.rng.normal(size=shape).astype(np.float32))

    def layer(self, kind: str, x: int, *shape: int, activation: str = "none") -> int:
        channels = shape[3] if kind == "DEPTHWISE_CONV_2D" else shape[0]
        size = (shape[1] - 1) // 2
        padding = Padding(size, size, size, size)
        attrs = (FullyConnectedAttrs(activation) if kind == "FULLY_CONNECTED"
                 else Conv2DAttrs(padding=padding, activation=activation))
        return self.op(kind, [x, self.weights(*shape), self.weights(channels)], attrs,
                       dtype="float32")

    def written(self, *outputs: int) -> Graph:
        """The graph with its file, all activations in float32."""
        graph = self.graph(*outputs)
        tensors = tuple(t if t.is_constant else replace(t, dtype="float32", quant=None)
                        for t in graph.tensors)
        return with_flatbuffer(replace(graph, tensors=tensors))


def network() -> Graph:
    """A residual block, depthwise layers, a gate, a concatenation, a mean and a dense layer."""
    g = FloatBuilder("network")
    image = g.input((1, 6, 6, 3))
    x = g.layer("CONV_2D", image, 8, 3, 3, 3, activation="relu")
    y = g.layer("DEPTHWISE_CONV_2D", x, 1, 3, 3, 8, activation="relu")
    y = g.layer("CONV_2D", y, 8, 1, 1, 8)
    x = g.op("ADD", [x, y], ElementwiseAttrs("relu"), dtype="float32")
    gate = g.op("LOGISTIC", [g.layer("CONV_2D", x, 8, 1, 1, 8)], PointwiseAttrs(), dtype="float32")
    y = g.op("MUL", [x, gate], ElementwiseAttrs(), dtype="float32")
    y = g.op("CONCATENATION", [y, g.layer("CONV_2D", x, 4, 1, 1, 8)], ConcatenationAttrs(-1),
             dtype="float32")
    axes = g.constant(np.array([1, 2], np.int32))
    y = g.op("MEAN", [y, axes], MeanAttrs((1, 2)), dtype="float32")
    return g.written(g.layer("FULLY_CONNECTED", y, 5, 12))


def peaks(graph: Graph, samples: tuple[Array, ...]) -> dict[int, Array]:
    return {i: seen.peaks for i, seen in observe(graph, samples).items()}


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_the_function_stays_and_no_range_grows(strength: float) -> None:
    graph = damaged(prepared(network()))
    samples = random_samples(graph, 8)
    before = peaks(graph, samples)
    result = equalized(graph, observe(graph, samples), strength)
    after = peaks(result, samples)
    np.testing.assert_allclose(floats(result, samples)[0], floats(graph, samples)[0], rtol=1e-3,
                               atol=1e-3)
    grown, moved = 0.0, 0
    for i, old in before.items():
        grown = max(grown, float(after[i].max() / old.max()))
        moved += int((after[i] > 1.5 * old).sum())
    assert grown < 1.001
    assert moved > 10


def test_the_channels_of_a_residual_go_together() -> None:
    graph = prepared(network())
    channels = Channels(graph)
    add = next(op for op in graph.ops if op.kind == "ADD")
    first, second, out = (channels.parent[channels.of(i)] for i in (*add.inputs, *add.outputs))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, out)
    assert len(set(first.tolist())) == 8
    logistic = next(op for op in graph.ops if op.kind == "LOGISTIC")
    assert channels.blocked[channels.parent[channels.of(logistic.inputs[0])]].all()
    assert channels.blocked[channels.parent[channels.of(graph.outputs[0])]].all()


def damaged(graph: Graph) -> Graph:
    """Channels multiplied by factors over three decades, the function unchanged."""
    channels = Channels(graph)
    factors = 10 ** np.random.default_rng(0).uniform(-1.5, 1.5, len(channels.parent))
    factors = np.where(channels.blocked, 1.0, factors[channels.parent])
    return with_flatbuffer(with_factors(graph, channels, factors))


def test_a_channel_that_is_silent_on_the_samples_does_not_spoil_the_weights_that_read_it() -> None:
    """It is damaged as well: what reads it has weights a thousand times as large as usual."""
    g = FloatBuilder("silent")
    x = g.layer("CONV_2D", g.input((1, 6, 6, 3)), 16, 3, 3, 3, activation="relu")
    graph = g.graph(g.layer("CONV_2D", x, 8, 1, 1, 16))
    tensors = [t if t.is_constant else replace(t, dtype="float32", quant=None)
               for t in graph.tensors]
    silent = np.arange(16) < 8
    (_, weights, bias), (_, readers, _) = (op.inputs for op in graph.ops)
    for index, part in ((weights, silent[:, None, None, None]), (readers, silent), (bias, silent)):
        data = tensors[index].data
        assert data is not None
        changed = -50.0 if index == bias else data * (1e-3 if index == weights else 1e3)
        tensors[index] = replace(tensors[index], data=np.where(part, changed, data).astype("f4"))
    broken = with_flatbuffer(replace(graph, tensors=tuple(tensors)))
    samples = random_samples(broken, 24)
    assert (peaks(broken, samples)[broken.ops[0].outputs[0]][silent] == 0).all()
    (expected,), (found,) = floats(broken, samples), int8_outputs(
        quantize(broken, samples, effort="fast"), samples)
    noise = np.square(found - expected).sum()
    assert 10 * np.log10(np.square(expected).sum() / noise) >= 35


@pytest.mark.slow
def test_a_mobilenet_with_channels_over_three_decades_keeps_its_accuracy() -> None:
    graph = prepared(read(shared_path("models", "vww_96_float.tflite")))
    broken = damaged(graph)
    with np.load(shared_path("data", "cifar10_calibration.npz")) as file:
        images = file["images"][:96]
    samples = np.repeat(np.repeat(images, 3, 1), 3, 2)[:, None].astype(np.float32) / 255
    calibration, test = (samples[:48],), (samples[48:],)
    (expected,), (same,) = floats(graph, test), floats(broken, test)
    np.testing.assert_allclose(same, expected, atol=1e-3)
    (found,) = int8_outputs(quantize(broken, calibration, effort="fast"), test)
    noise = np.square(found - expected).sum()
    assert (found.argmax(-1) == expected.argmax(-1)).mean() >= 0.97
    assert 10 * np.log10(np.square(expected).sum() / noise) >= 20
