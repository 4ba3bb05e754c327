# SPDX-License-Identifier: MIT
"""Operators that TFLite has in float32 only, between their DEQUANTIZE and QUANTIZE."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.reader.damage import changed, int32, items_of
from tests.reader.random_models import Builder
from tests.reader.test_simplify import kinds
from tinyeff.data import random_inputs
from tinyeff.interpreter import evaluate
from tinyeff.ir import Graph, Limits, Target
from tinyeff.ops.local_response_normalization import LocalResponseNormalizationAttrs
from tinyeff.pipeline import compile_graph
from tinyeff.reader import check_supported, parse, serialize, simplify
from tinyeff.simulator.oracle import Oracle
from tinyeff.simulator.stand_ins import with_stand_ins
from tinyeff.simulator.verify import verify

LRN = "LOCAL_RESPONSE_NORMALIZATION"
ALEXNET = LocalResponseNormalizationAttrs(
    5, 1.0, float(np.float32(1e-4)), 0.75)


def as_in_files(attrs: LocalResponseNormalizationAttrs = ALEXNET) -> bytes:
    """Convolution, DEQUANTIZE, the operator in float32, QUANTIZE, convolution."""
    g = Builder("island", 7)
    x = g.conv(g.input((1, 6, 5, 3), 0.05, -7), 3, channels=17)
    y = g.op(LRN, [x], attrs, 0.08, 3)
    return with_stand_ins(serialize(g.graph(g.conv(y, 1, channels=5))))


def read(data: bytes) -> Graph:
    graph = parse(data, "island")
    assert kinds(graph) == ["CONV_2D", "DEQUANTIZE", LRN, "QUANTIZE", "CONV_2D"]
    return graph


def simplified(graph: Graph) -> Graph:
    """The simplified graph, which computes what LiteRT computes of the file."""
    simple = simplify(graph)
    inputs = tuple(x[0] for x in random_inputs(simple, 0, 1))
    found = evaluate(simple, inputs)
    assert all(simple.tensors[i].source is not None for i in found)
    for index, value in Oracle(simple).run(inputs, tuple(found)).items():
        np.testing.assert_array_equal(found[index], value)
    return simple


@pytest.mark.parametrize("strategy", ["per-layer", "stream"])
def test_the_three_become_one_operator_that_equals_them(strategy: str) -> None:
    simple = simplified(read(as_in_files()))
    assert kinds(simple) == ["CONV_2D", LRN, "CONV_2D"]
    check_supported(simple)
    compiled = compile_graph(simple, Target(), Limits(strategy=strategy))
    images = np.random.default_rng(0).integers(-128, 128, (8, 1, 6, 5, 3), dtype=np.int8)
    found = verify(compiled.program, (images,))
    assert found.exact, found.difference
    assert found.tensors == 3


def test_several_readers_of_the_float_result() -> None:
    def change(model: Any) -> None:
        graph = model.subgraphs[0]
        quantize = graph.operators[3]
        other = type(quantize)(**vars(quantize))
        graph.tensors.append(graph.tensors[quantize.outputs[0]])
        other.outputs = int32(len(graph.tensors) - 1)
        graph.operators.insert(4, other)
        graph.outputs = int32(graph.outputs[0], other.outputs[0])

    simple = simplified(parse(changed(change, as_in_files()), "island"))
    assert kinds(simple) == ["CONV_2D", LRN, LRN, "CONV_2D"]


def test_a_float_result_that_is_asked_for_is_refused() -> None:
    def change(model: Any) -> None:
        graph = model.subgraphs[0]
        graph.outputs = int32(graph.operators[2].outputs[0], graph.outputs[0])

    found = items_of(changed(change, as_in_files()))
    assert [kind for kind, _, _ in found] == ["DEQUANTIZE", LRN, "QUANTIZE"]
    assert all("float32" in reason for _, _, reason in found)


@pytest.mark.parametrize(("attrs", "sentence"), [
    (LocalResponseNormalizationAttrs(2, 0.0, 1.0, 0.5), "its bias 0 not above it"),
    (LocalResponseNormalizationAttrs(2, 1.0, -1.0, 0.5), "alpha -1"),
    (LocalResponseNormalizationAttrs(2, float("nan"), 1.0, 0.5), "bias nan"),
])
def test_parameters_without_a_meaning_are_refused(
    attrs: LocalResponseNormalizationAttrs, sentence: str
) -> None:
    ((kind, _, reason),) = items_of(as_in_files(attrs))
    assert kind == LRN
    assert sentence in reason
