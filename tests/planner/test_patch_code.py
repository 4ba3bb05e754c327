# SPDX-License-Identifier: MIT
"""Patch stages as generated C, under sanitizers: every row right, every MAC counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from benchmarks.mobilenet_v2 import mobilenet_v2
from tests.objects import SANITIZERS
from tests.planner.patch_graphs import real_graphs
from tests.shared import shared_path
from tinyeff import zoo
from tinyeff.data import random_inputs
from tinyeff.ir import Array, Graph, Limits, Plan, Target
from tinyeff.ops import operator_of
from tinyeff.ops.operator import node_of
from tinyeff.pipeline import lower, prepare
from tinyeff.planner import validate
from tinyeff.planner.patches import Patch, PatchSearch, plan_patch
from tinyeff.quantizer import quantize
from tinyeff.reader import simplify
from tinyeff.reader.flatbuffer import parse, serialize
from tinyeff.selection import select
from tinyeff.simulator.host import WARNINGS, HostProgram
from tinyeff.simulator.oracle import Oracle
from tinyeff.targets import target_for

MODELS = ["kws_dscnn_int8", "vww_96_int8", "ic_resnet8_int8", "mcunet_vww_int8"]
CORTEX_M4 = target_for("cortex-m4")
MADE: dict[str, Callable[[], Graph]] = {
    "mobilenet_v2_0.35_144": lambda: written(mobilenet_v2(144, 0.35)),
    "mcunet_in3": lambda: quantized(zoo.graph("mcunet_in3")),
    "mobilenet_v2_1.0_224": lambda: written(mobilenet_v2(224, 1.0)),
}
"""The other networks of the table of memory, with random weights; they take minutes."""
QUIET = (HealthCheck.too_slow, HealthCheck.data_too_large)


def written(graph: Graph) -> Graph:
    """The graph as its own file has it, which LiteRT can run."""
    return parse(serialize(graph), graph.source.name)


def quantized(graph: Graph) -> Graph:
    """A float graph without weights in int8, with random ones."""
    rng = np.random.default_rng(4)
    tensors = tuple(
        t if t.data is None or t.dtype != "float32" else replace(t, data=rng.normal(
            0, (3 / max(t.elements // t.shape[0], 1)) ** 0.5, t.shape).astype(np.float32))
        for t in graph.tensors)
    shape = graph.tensors[graph.inputs[0]].shape
    samples = rng.normal(0, 1, (2, *shape)).astype(np.float32)
    return quantize(written(replace(graph, tensors=tensors)), (samples,), effort="fast")


def check(graph: Graph, plan: Plan, expected: dict[int, Array], inputs: tuple[Array, ...],
          *flags: str) -> None:
    """Each time a row is written it is right; multiply-accumulates are those of the plan."""
    validate(graph, plan)
    pixels: dict[int, int] = {}
    flags = (*WARNINGS, *SANITIZERS, *flags)
    with HostProgram(lower(graph, plan), trace=True, flags=flags) as program:
        outputs, records = program.run_traced(inputs, graph.tensors)
        for r in records:
            pixels[r.tensor] = pixels.get(r.tensor, 0) + r.x1 - r.x0
            if r.tensor in expected:
                tensor = graph.tensors[r.tensor]
                start = r.y * tensor.pixels + r.x0
                right = expected[r.tensor].reshape(-1, tensor.channels)[start:start + r.x1 - r.x0]
                assert np.array_equal(right, r.data), (tensor.name, r.y, r.x0)
    for index, output in zip(graph.outputs, outputs, strict=True):
        assert np.array_equal(output[0], expected[index])
    assert plan.macs + plan.extra_macs == sum(
        macs_of(graph, n) * pixels.get(op.outputs[0], 0) // pixels_of(graph, n)
        for n, op in enumerate(graph.ops))


def macs_of(graph: Graph, op: int) -> int:
    return operator_of(graph.ops[op].kind).macs(node_of(graph, graph.ops[op]))


def pixels_of(graph: Graph, op: int) -> int:
    output = graph.tensors[graph.ops[op].outputs[0]]
    return output.rows * output.pixels


@cache
def model(name: str) -> tuple[Graph, tuple[Array, ...], dict[int, Array]]:
    """A shared model or one of `MADE`, an input, and what LiteRT says of every tensor."""
    graph = simplify(MADE[name]()) if name in MADE else prepare(
        shared_path("models", f"{name}.tflite"))
    graph = select(graph, CORTEX_M4)
    inputs = random_inputs(graph, 3, 1)
    written = {i for op in graph.ops for i in op.outputs} | set(graph.outputs)
    known = tuple(i for i in written if graph.tensors[i].source is not None)
    return graph, inputs, Oracle(graph).run(tuple(x[0] for x in inputs), known)


def grids(patches: list[Patch]) -> list[Patch]:
    """The longest stage in the finest grid, and in between one of stripes, one odd, one tall."""
    half = patches[len(patches) // 2].last
    stage = [p for p in patches if p.last == half]
    rows, pixels = (max(getattr(p, side) for p in stage) for side in ("tile_rows", "tile_pixels"))
    return [
        patches[-1],
        next(p for p in stage if p.tile_rows == 1 or p.tile_pixels == pixels),
        next(p for p in stage if p.tile_rows % 2 and p.tile_pixels % 2),
        next(p for p in reversed(stage) if p.tile_rows == rows),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("memory", ["resident", "excluded"])
@pytest.mark.parametrize("name", MODELS)
def test_the_smallest_patches_of_models(name: str, memory: str) -> None:
    graph, inputs, expected = model(name)
    plan = plan_patch(graph, CORTEX_M4, Limits(input_memory=memory))
    assert plan.strategy == "patch"
    check(graph, plan, expected, inputs, "-O1")  # some warnings are the optimizer's


@pytest.mark.slow
@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("name", MODELS)
def test_grids_of_models(name: str, number: int) -> None:
    graph, inputs, expected = model(name)
    search = PatchSearch(graph, CORTEX_M4, Limits())
    check(graph, search.plan(grids(list(search.patches()))[number]), expected, inputs)


@pytest.mark.all
@pytest.mark.parametrize("name", MODELS)
def test_points_along_the_front(name: str) -> None:
    """Ten budgets between the smallest arena with patches and the one without."""
    graph, inputs, expected = model(name)
    limits = Limits(input_memory="excluded")
    smallest = plan_patch(graph, CORTEX_M4, limits).arena_bytes
    largest = plan_patch(graph, CORTEX_M4, limits, 1 << 30).arena_bytes
    plans = [plan_patch(graph, CORTEX_M4, limits, round(b))
             for b in np.linspace(smallest, largest, 10)]
    extra = [p.extra_macs for p in plans]
    assert extra == sorted(extra, reverse=True)
    assert extra[-1] == 0 < extra[0]
    for plan in dict(zip(extra, plans, strict=True)).values():
        check(graph, plan, expected, inputs)


def reference(graph: Graph, inputs: tuple[Array, ...]) -> dict[int, Array]:
    """Every tensor by the integer references in numpy."""
    values = {i: x[0] for i, x in zip(graph.inputs, inputs, strict=True)}
    for op in graph.ops:
        node = node_of(graph, op)
        activations = tuple(values[i] for i in op.inputs if i in values)
        values.update(zip(op.outputs, operator_of(op.kind).evaluate(node, activations),
                          strict=True))
    return values


def a_random_one(graph: Graph, data: st.DataObject) -> None:
    target = data.draw(st.sampled_from([Target(), CORTEX_M4]))
    graph = select(graph, target)
    assume(not any(list(operator_of(op.kind).limits(node_of(graph, op))) for op in graph.ops))
    search = PatchSearch(graph, target, Limits(
        input_memory=data.draw(st.sampled_from(["resident", "excluded"]))))
    patches = list(search.patches())
    assume(patches)
    plan = search.plan(data.draw(st.sampled_from(patches)))
    inputs = random_inputs(graph, 5, 1)
    check(graph, plan, reference(graph, inputs), inputs)


@settings(max_examples=12, deadline=None, suppress_health_check=QUIET, phases=[Phase.generate])
@given(real_graphs(), st.data())
def test_random_graphs(graph: Graph, data: st.DataObject) -> None:
    a_random_one(graph, data)


@pytest.mark.all
@settings(max_examples=300, deadline=None, suppress_health_check=QUIET)
@given(real_graphs(), st.data())
def test_many_random_graphs(graph: Graph, data: st.DataObject) -> None:
    a_random_one(graph, data)
