# SPDX-License-Identifier: MIT
"""Random networks over all operators: numpy = LiteRT = C on the host = C on emulated cores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.networks.attention import attention
from tests.networks.batch import Job, run_on_arm, run_on_host
from tests.networks.strategy import KINDS, Case, networks
from tests.shared import needs
from tinyeff.data import random_inputs
from tinyeff.errors import UnsupportedError
from tinyeff.interpreter import evaluate
from tinyeff.ir import Array, Graph, Limits, Optimize
from tinyeff.pipeline import compile_graph
from tinyeff.reader import check_supported, simplify
from tinyeff.simulator.oracle import Oracle
from tinyeff.targets import target_for

CPUS = ("cortex-m4", "cortex-m0plus")
LEVELS: tuple[Optimize, ...] = ("balanced", "speed", "size")
QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


def expected_outputs(graph: Graph, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
    """The outputs by numpy, all of whose tensors equal LiteRT's."""
    values = evaluate(graph, inputs)
    known = tuple(i for i in values if graph.tensors[i].source is not None)
    for index, value in Oracle(graph).run(inputs, known).items():
        np.testing.assert_array_equal(values[index], value, err_msg=graph.tensors[index].name)
    return tuple(values[i] for i in graph.outputs)


def planned(graph: Graph, case: Case, cpu: str, optimize: Optimize) -> Job:
    """The program for this CPU; per layer where the input cannot be streamed."""
    inputs, target = tuple(x[0] for x in random_inputs(graph, 1)), target_for(cpu, optimize)
    try:
        limits = Limits(strategy=case.strategy, input_memory=case.input_memory)
        if case.input_memory == "streamed":
            limits = Limits(strategy="stream", input_memory="streamed")
        return Job(compile_graph(graph, target, limits).program, inputs)
    except UnsupportedError:
        return Job(compile_graph(graph, target, Limits(strategy="per-layer")).program, inputs)


def drawn(count: int, number: int) -> list[tuple[Case, Graph, tuple[Array, ...]]]:
    """The networks of series `number`, simplified, with their outputs; checks numpy = LiteRT."""
    found: list[tuple[Case, Graph, tuple[Array, ...]]] = []

    @settings(max_examples=count, deadline=None, suppress_health_check=QUIET,
              phases=[Phase.generate, Phase.shrink], database=None)
    @given(networks())
    def check(case: Case) -> None:
        graph = simplify(case.graph)
        check_supported(graph)
        inputs = tuple(x[0] for x in random_inputs(graph, 1))
        found.append((case, graph, expected_outputs(graph, inputs)))

    seed(number)(check)()
    assert len(found) >= count
    return found


def assert_equal(
    found: Sequence[tuple[Array, ...]], cases: Sequence[tuple[Case, Graph, tuple[Array, ...]]]
) -> None:
    """Each result is the expected one."""
    wrong = []
    for number, (result, (case, graph, wanted)) in enumerate(zip(found, cases, strict=True)):
        for index, a, b in zip(graph.outputs, result, wanted, strict=True):
            if not np.array_equal(a, b):
                wrong.append(f"{number}: '{graph.tensors[index].name}' of {case}: "
                             f"{int((a != b).sum())} of {a.size} values differ")
    assert not wrong, "\n".join(wrong)


def check_host(cases: Sequence[tuple[Case, Graph, tuple[Array, ...]]]) -> None:
    """Half of the networks with each path of kernels, a third at each level, with sanitizers."""
    jobs = [planned(graph, case, CPUS[n % 2], LEVELS[n % 3])
            for n, (case, graph, _) in enumerate(cases)]
    assert_equal(run_on_host(jobs), cases)


@pytest.mark.slow
def test_200_networks_on_the_host() -> None:
    cases = drawn(200, number=0)
    check_host(cases)
    kinds = Counter(kind for case, _, _ in cases for kind in case.kinds)
    assert sorted(kinds) == KINDS, f"never drawn: {set(KINDS) - set(kinds)}"


@pytest.mark.slow
@pytest.mark.parametrize(("cpu", "optimize"), [
    ("cortex-m4", "balanced"), ("cortex-m0plus", "balanced"),
    pytest.param("cortex-m4", "speed", marks=pytest.mark.all),
    pytest.param("cortex-m4", "size", marks=pytest.mark.all)])
def test_networks_on_emulated_cores(cpu: str, optimize: Optimize) -> None:
    needs("unicorn", "capstone", "elftools", "arm-none-eabi-gcc")
    cases = drawn(40, number=1)
    jobs = [planned(graph, case, cpu, optimize) for case, graph, _ in cases]
    assert_equal(run_on_arm(jobs, cpu, optimize), cases)


@pytest.mark.all
def test_attention_in_every_strategy() -> None:
    jobs, wanted, parts = [], [], 0
    for number in range(40):
        graph = simplify(attention(number))
        check_supported(graph)
        inputs = tuple(x[0] for x in random_inputs(graph, 1))
        outputs = expected_outputs(graph, inputs)
        for strategy in ("per-layer", "patch", "stream"):
            target = target_for(CPUS[number % 2])
            program = compile_graph(graph, target, Limits(strategy=strategy)).program
            parts += any(0 < g.tile_pixels < g.pixels for g in program.groups)
            jobs.append(Job(program, inputs))
            wanted.append(outputs)
    assert parts > 40, "plans that compute some columns at a time are what this test is for"
    for job, found, expected in zip(jobs, run_on_host(jobs), wanted, strict=True):
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, b, err_msg=job.program.plan.strategy)


@pytest.mark.all
@pytest.mark.parametrize("number", range(20))
def test_5000_networks(number: int) -> None:
    needs("unicorn", "capstone", "elftools", "arm-none-eabi-gcc")
    cases = drawn(250, number + 100)
    check_host(cases)
    cpu, optimize = CPUS[number % 2], LEVELS[number % 3]
    part = cases[:100]
    jobs = [planned(graph, case, cpu, optimize) for case, graph, _ in part]
    assert_equal(run_on_arm(jobs, cpu, optimize), part)
