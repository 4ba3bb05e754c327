# SPDX-License-Identifier: MIT
"""The interpreter runs the numpy references over a graph; LiteRT agrees at every tensor."""

from __future__ import annotations

import numpy as np
import pytest

from tests.reader.damage import two_convolutions_file
from tests.shared import shared_path
from tinyeff.data import load_inputs, load_labels, random_inputs
from tinyeff.errors import UsageError
from tinyeff.interpreter import evaluate
from tinyeff.reader import parse, read, simplify
from tinyeff.simulator.litert import Reference


def test_every_activation_is_returned() -> None:
    graph = parse(two_convolutions_file(), "model")
    (x,) = random_inputs(graph, 0)
    values = evaluate(graph, (x[0],))
    assert sorted(values) == [0, 3, 6]
    reference = Reference(graph.source.flatbuffer)
    reference.run((x[0],))
    for index, value in values.items():
        assert value.dtype == np.int8
        assert value.shape == graph.tensors[index].shape
        np.testing.assert_array_equal(value, reference.tensor(index))


def test_inputs_must_fit() -> None:
    graph = parse(two_convolutions_file(), "model")
    with pytest.raises(UsageError, match="has 1 inputs, 0 arrays"):
        evaluate(graph, ())
    for wrong in (np.zeros((8, 8, 3), np.int8), np.zeros((1, 8, 8, 3), np.uint8)):
        with pytest.raises(UsageError, match=r"takes int8 of shape \(1, 8, 8, 3\)"):
            evaluate(graph, (wrong,))


def test_predictions_on_real_data() -> None:
    # The published accuracy of this file is 90.1 %; here a part of the same inputs.
    graph = simplify(read(shared_path("models", "kws_dscnn_int8.tflite")))
    path = shared_path("data", "kws_eval.npz")
    (features,), labels = load_inputs(graph, path), load_labels(path)
    assert labels is not None
    reference = Reference(graph.source.flatbuffer)
    right = 0
    for n in range(20):
        result = evaluate(graph, (features[n],))[graph.outputs[0]]
        reference.run((features[n],))
        np.testing.assert_array_equal(result, reference.tensor(reference.outputs[0]["index"]))
        right += int(result.argmax() == labels[n])
    assert right >= 16
