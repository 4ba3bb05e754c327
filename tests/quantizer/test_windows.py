# SPDX-License-Identifier: MIT
"""What operators do not tell apart takes no part of a range, and nothing is lost by that."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from tests.quantizer.test_equalization import FloatBuilder
from tinyeff.ir import Graph
from tinyeff.ops import operator_of, registry
from tinyeff.ops.elementwise import ElementwiseAttrs
from tinyeff.ops.mean import MeanAttrs
from tinyeff.ops.operator import EVERYTHING
from tinyeff.ops.pad import PadAttrs
from tinyeff.ops.pointwise_table import PointwiseAttrs
from tinyeff.quantizer import quantize
from tinyeff.quantizer.attempt import floats, int8_outputs
from tinyeff.quantizer.windows import windows_of

SQUASHING = tuple(kind for kind, known in registry().items() if known.told_apart != EVERYTHING)


def test_all_that_squash_are_looked_at() -> None:
    assert {"HARD_SWISH", "LOGISTIC", "TANH", "RELU", "RELU6", "RELU_N1_TO_1"} <= set(SQUASHING)


@pytest.mark.parametrize("kind", SQUASHING)
def test_beyond_its_bounds_an_operator_tells_nothing_apart(kind: str) -> None:
    """To half a step of the int8 output, where TFLite fixes that, otherwise exactly."""
    g = FloatBuilder("squashed")
    x = g.input((1, 1, 1, 4001))
    graph = g.written(g.op(kind, [x], PointwiseAttrs(), dtype="float32"))
    low, high = operator_of(kind).told_apart
    values = np.linspace(-40, 40, 4001, dtype=np.float32).reshape(1, 1, 1, 1, -1)
    plain, clipped = (floats(graph, (v,))[0] for v in (values, values.clip(low, high)))
    fixed = operator_of(kind).output_quant
    most = 0.5 * fixed.scale if fixed is not None else 1e-6
    assert np.abs(plain - clipped).max() <= most * 1.001


def network(kind: str) -> Graph:
    """A layer, padded, squashed and read by a dense layer."""
    g = FloatBuilder("network")
    x = g.layer("CONV_2D", g.input((1, 4, 4, 3)), 8, 3, 3, 3)
    pads = ((0, 0), (1, 0), (0, 1), (0, 0))
    x = g.op("PAD", [x, g.constant(np.array(pads, np.int32))], PadAttrs(pads), dtype="float32")
    x = g.op(kind, [x], PointwiseAttrs(), dtype="float32")
    axes = g.constant(np.array([1, 2], np.int32))
    x = g.op("MEAN", [x, axes], MeanAttrs((1, 2)), dtype="float32")
    return g.written(g.layer("FULLY_CONNECTED", x, 5, 8))


def test_bounds_go_through_what_moves_values_and_end_where_one_reader_has_none() -> None:
    graph = network("HARD_SWISH")
    bounds = {op.kind: windows_of(graph).get(op.outputs[0]) for op in graph.ops}
    assert bounds == {"CONV_2D": (-3.0, np.inf), "PAD": (-3.0, np.inf), "HARD_SWISH": None,
                      "MEAN": None, "FULLY_CONNECTED": None}
    g = FloatBuilder("two readers")
    x = g.layer("CONV_2D", g.input((1, 4, 4, 3)), 8, 1, 1, 3)
    y = g.op("TANH", [x], PointwiseAttrs(), dtype="float32")
    graph = g.written(g.op("ADD", [x, y], ElementwiseAttrs(), dtype="float32"))
    assert windows_of(graph) == {}


@pytest.mark.parametrize("kind", ["HARD_SWISH", "LOGISTIC"])
def test_finer_steps_where_values_make_a_difference(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = network(kind)
    rng = np.random.default_rng(0)
    first, second = ((rng.uniform(-8, 8, (256, 1, 4, 4, 3)).astype(np.float32),) for _ in range(2))
    expected = floats(graph, second)[0]

    def error() -> float:
        found = int8_outputs(quantize(graph, first, effort="fast"), second)[0]
        return float(np.square(found - expected).mean())

    finer = error()
    for module in ("observation", "calibration"):
        monkeypatch.setattr(sys.modules[f"tinyeff.quantizer.{module}"], "windows_of",
                            lambda graph: {})
    assert finer < 0.8 * error()
