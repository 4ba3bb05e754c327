# SPDX-License-Identifier: MIT
"""Every case of every operator, bit for bit: numpy = LiteRT = C.

The C runs on the host with sanitizers, and on emulated cores.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pytest

from tests.ops.harness import Run, run_on_arm, run_on_host, runs_of
from tests.shared import needs
from tinyeff.ir import Array, Graph, Optimize, Variant
from tinyeff.ops import operator_of, registry
from tinyeff.ops.operator import Node, node_of
from tinyeff.reader.flatbuffer import serialize
from tinyeff.simulator.litert import Reference
from tinyeff.targets import target_for

TARGETS = ("cortex-m0plus", "cortex-m4", "cortex-m55")
"""One CPU for each kernel path."""

WITH_CASES = [kind for kind, operator in registry().items() if any(operator.cases())]


def input_sets(shapes: list[tuple[int, ...]], seed: int) -> Iterator[list[Array]]:
    """Random values, each of the two extremes throughout, and both of them mixed."""
    rng = np.random.default_rng(seed)
    yield [rng.integers(-128, 128, shape, dtype=np.int8) for shape in shapes]
    for value in (-128, 127):
        yield [np.full(shape, value, np.int8) for shape in shapes]
    yield [rng.choice(np.array([-128, 127], np.int8), shape) for shape in shapes]


def activations(graph: Graph, node: Node[Any], inputs: list[Array]) -> tuple[Array, ...]:
    """What the only operator of `graph` reads of the model's inputs, in its own order."""
    given = dict(zip(graph.inputs, inputs, strict=True))
    return tuple(given[i] for i in graph.ops[0].inputs if i in given)


def variants(kind: str, node: Node[Any], cpus: Iterable[str] = TARGETS) -> list[Variant]:
    """The variants for these CPUs, each once."""
    levels: tuple[Optimize, ...] = ("balanced", "speed")
    every = (v for cpu in cpus for level in levels
             for v in operator_of(kind).variants(node, target_for(cpu, level)))
    return list(dict.fromkeys(every))


def cases(kind: str) -> Iterator[tuple[Graph, Node[Any], list[list[Array]]]]:
    """(graph of one operator, its node, several sets of inputs) for each case."""
    for number, graph in enumerate(operator_of(kind).cases()):
        assert len(graph.ops) == 1
        shapes = [graph.tensors[i].shape for i in graph.inputs]
        yield graph, node_of(graph, graph.ops[0]), list(input_sets(shapes, number))


@pytest.mark.parametrize("kind", WITH_CASES)
def test_numpy_is_litert(kind: str) -> None:
    names = set()
    for graph, node, inputs in cases(kind):
        assert graph.source.name not in names, "two cases of one name"
        names.add(graph.source.name)
        operator = operator_of(kind)
        assert list(operator.limits(node)) == [], graph.source.name
        reference = Reference(serialize(graph), graph.source.name)
        for values in inputs:
            reference.run(tuple(values))
            results = operator.evaluate(node, activations(graph, node, values))
            for result, index in zip(results, graph.outputs, strict=True):
                assert result.dtype == np.dtype(graph.tensors[index].dtype)
                np.testing.assert_array_equal(result, reference.tensor(index),
                                              err_msg=graph.source.name)


@pytest.mark.parametrize("kind", WITH_CASES)
def test_shapes_and_attributes_survive_the_file(kind: str) -> None:
    for graph, node, _ in cases(kind):
        operator = operator_of(kind)
        assert operator.output_shapes(node) == tuple(t.shape for t in node.outputs)
        options = operator.write(node)
        bare: Node[None] = Node(node.name, None, node.inputs, node.outputs)
        assert operator.read(options, bare) == node.attrs, graph.source.name


def all_runs(kind: str, sets: slice, cpus: Iterable[str] = TARGETS) -> list[Run]:
    """Every way to call every variant for every case, with these of the sets of inputs."""
    runs: list[Run] = []
    for graph, node, inputs in cases(kind):
        if operator_of(kind).form_of(node) == "view":
            assert variants(kind, node, cpus) == []
            continue
        batches = [activations(graph, node, values) for values in inputs[sets]]
        for variant in variants(kind, node, cpus):
            runs += runs_of(graph.source.name, kind, node, variant, batches)
    return runs


def assert_like_numpy(runs: list[Run], results: list[tuple[Array, ...]]) -> None:
    """Each run's outputs are what the operator's reference computes."""
    for run, found in zip(runs, results, strict=True):
        wanted = run.operator.evaluate(run.node, run.inputs)
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(a, b, err_msg=run.name)


@pytest.mark.parametrize("kind", WITH_CASES)
def test_c_is_numpy(kind: str) -> None:
    runs = all_runs(kind, slice(0, None, 3))  # random values, and both extremes mixed
    if runs:
        assert_like_numpy(runs, run_on_host(runs))


@pytest.mark.slow
@pytest.mark.parametrize("cpu", ["cortex-m0plus", "cortex-m4"])
@pytest.mark.parametrize("kind", WITH_CASES)
def test_c_on_arm_is_numpy(kind: str, cpu: str) -> None:
    needs("unicorn", "capstone", "elftools", "arm-none-eabi-gcc")
    runs = all_runs(kind, slice(0, 1), [cpu])
    if runs:
        assert_like_numpy(runs, run_on_arm(runs, cpu))


@pytest.mark.parametrize("kind", WITH_CASES)
def test_views_keep_every_byte(kind: str) -> None:
    operator = operator_of(kind)
    for graph, node, inputs in cases(kind):
        if operator.form_of(node) == "view":
            x = activations(graph, node, inputs[0])
            (result,) = operator.evaluate(node, x)
            assert result.tobytes() == x[0].tobytes(), graph.source.name
