# SPDX-License-Identifier: MIT
"""SOFTMAX beyond 511 channels, where the sum of exponentials can reach 512."""

from __future__ import annotations

import numpy as np

from tests.ops.harness import run_on_host, runs_of
from tinyeff.ops import operator_of
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.operator import node_of
from tinyeff.ops.softmax import SoftmaxAttrs
from tinyeff.reader.flatbuffer import serialize
from tinyeff.simulator.litert import Reference
from tinyeff.targets import target_for


def test_many_classes() -> None:
    g = GraphBuilder("classes")
    x = g.input((1, 4095), 0.1, 3)
    graph = g.graph(g.op("SOFTMAX", [x], SoftmaxAttrs(), 1 / 256, -128))
    node, operator = node_of(graph, graph.ops[0]), operator_of("SOFTMAX")
    values = np.random.default_rng(0).normal(-40, 30, (1, 4095)).clip(-128, 127).astype(np.int8)
    reference = Reference(serialize(graph))
    reference.run((values,))
    (result,) = operator.evaluate(node, (values,))
    np.testing.assert_array_equal(result, reference.tensor(graph.outputs[0]))
    assert len(np.unique(result)) > 2

    flat = np.full((1, 4095), 5, np.int8)
    halves = np.where(np.arange(4095) < 512, 9, -128).astype(np.int8)[None]
    batches = [(values,), (flat,), (halves,)]
    runs = [run for variant in operator.variants(node, target_for("cortex-m4"))
            for run in runs_of("classes", "SOFTMAX", node, variant, batches)]
    for run, found in zip(runs, run_on_host(runs), strict=True):
        (wanted,) = operator.evaluate(node, run.inputs)
        np.testing.assert_array_equal(found[0], wanted, err_msg=run.name)
    (result,) = operator.evaluate(node, (flat,))
    assert (result == -128).all(), "1/4095 is nearer to 0 than to 1/256"
