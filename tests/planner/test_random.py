# SPDX-License-Identifier: MIT
"""Random graphs: every plan is valid and computes what the graph says; so does whatever layout the
validator lets pass."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.planner.execution import inputs_of, run_apart, run_planned
from tests.planner.mutants import moved
from tests.planner.random_graphs import graphs
from tinyeff.errors import InternalError
from tinyeff.ir import Graph, Limits, Plan, Target
from tinyeff.planner import plan, validate

QUIET = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)
MEMORIES = st.sampled_from(["resident", "excluded"])


def _planned(graph: Graph, memory: str) -> Plan:
    assume(memory == "resident" or not _passes_input(graph))
    return plan(graph, Target(), Limits(strategy="per-layer", input_memory=memory))


def _passes_input(graph: Graph) -> bool:
    same = set(graph.inputs)
    for op in graph.ops:
        if op.attrs.form == "view" and op.inputs[0] in same:
            same.add(op.outputs[0])
    return bool(same & set(graph.outputs))


def _computes(graph: Graph, planned: Plan) -> bool:
    inputs = inputs_of(graph)
    expected, found = run_apart(graph, inputs), run_planned(graph, planned, inputs)
    return all(np.array_equal(a, b) for a, b in zip(expected, found, strict=True))


@settings(max_examples=150, deadline=None, suppress_health_check=QUIET)
@given(graphs(), MEMORIES)
def test_a_plan_computes_what_the_graph_says(graph: Graph, memory: str) -> None:
    planned = _planned(graph, memory)
    assert _computes(graph, planned)
    assert planned.lower_bound_bytes <= planned.arena_bytes
    assert planned.arena_bytes == planned.activation_bytes + planned.scratch_bytes


@settings(max_examples=60, deadline=None, suppress_health_check=QUIET)
@given(graphs(), MEMORIES)
def test_planning_is_deterministic(graph: Graph, memory: str) -> None:
    assert _planned(graph, memory) == _planned(graph, memory)


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=QUIET)
@given(graphs(5), MEMORIES, st.data())
def test_what_the_validator_accepts_computes_the_right_thing(
    graph: Graph, memory: str, data: st.DataObject
) -> None:
    planned = _planned(graph, memory)
    arena = [n for n, b in enumerate(planned.buffers) if b.region == "arena"]
    assume(arena)
    for _ in range(4):
        index = data.draw(st.sampled_from(arena))
        offset = data.draw(st.integers(0, planned.arena_bytes))
        mutant = moved(planned, index, offset)
        try:
            validate(graph, mutant)
        except InternalError:
            continue
        assert _computes(graph, mutant)
