# SPDX-License-Identifier: MIT
"""ADD and SUB with one rounding: what the DSP kernel computes is the reference, pair by pair."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.test_cases import cases
from tinyeff.ir import Array
from tinyeff.ops import operator_of
from tinyeff.ops.add import Add
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.elementwise import ElementwiseAttrs
from tinyeff.ops.linear_sum import VALUES, Linear
from tinyeff.ops.operator import Node, node_of
from tinyeff.targets import target_for

EVERY = (np.repeat(VALUES, 256).astype(np.int8), np.tile(VALUES, 256).astype(np.int8))


def node(
    kind: str, scales: tuple[float, float, float], zeros: tuple[int, int, int], activation: str
) -> Node[ElementwiseAttrs]:
    """One that reads and writes every pair of values."""
    g = GraphBuilder("pairs")
    a, b = (g.input((1, 65536), s, z) for s, z in zip(scales[:2], zeros[:2], strict=True))
    graph = g.graph(g.op(kind, [a, b], ElementwiseAttrs(activation), scales[2], zeros[2]))
    return node_of(graph, graph.ops[0])


def computed(found: Linear, low: int) -> Array:
    """What the kernel makes of every pair; all in 32 bits."""
    a, b = (v.astype(np.int64) for v in EVERY)
    total = a * found.multipliers[0] + b * found.multipliers[1] + found.base
    assert np.abs(total).max() < 1 << 31
    result: Array = np.clip(np.clip(total >> found.shift, -128, 127), low, None)
    return result


@pytest.mark.parametrize("kind", ["ADD", "SUB"])
@pytest.mark.parametrize("activation", ["none", "relu"])
def test_every_pair_of_values(kind: str, activation: str) -> None:
    rng, proven = np.random.default_rng(len(activation)), 0
    for _ in range(20):
        a, b = (float(s) for s in np.exp(rng.uniform(-4, 0, 2)))
        out = max(a, b) * float(np.exp(rng.uniform(-1, 1)))
        zeros = tuple(int(z) for z in rng.integers(-128, 128, 3))
        pair = node(kind, (a, b, out), (zeros[0], zeros[1], zeros[2]), activation)
        operator = operator_of(kind)
        assert isinstance(operator, Add)
        found = operator._linear(pair)
        if found is not None:
            proven += 1
            low = zeros[2] if activation == "relu" else -128
            wanted = operator.evaluate(pair, EVERY)[0]
            np.testing.assert_array_equal(computed(found, low), wanted)
    assert proven >= 19, "scales of networks are nearly always provable"


@pytest.mark.parametrize("scales", [(0.5, 0.5, 1.0), (0.25, 0.125, 0.5), (0.5, 0.25, 0.5)])
def test_halves_go_away_from_zero(scales: tuple[float, float, float]) -> None:
    operator = operator_of("ADD")
    assert isinstance(operator, Add)
    pair = node("ADD", scales, (3, -5, 2), "none")
    found = operator._linear(pair)
    assert found is not None
    np.testing.assert_array_equal(computed(found, -128), operator.evaluate(pair, EVERY)[0])


@pytest.mark.parametrize(("zeros", "low"), [((-128, -128, 127), 90), ((127, 127, -128), -128)])
def test_sums_that_are_all_clamped(zeros: tuple[int, int, int], low: int) -> None:
    # The interval of bases is open at one end, and begins beyond where bases are looked for.
    operator = operator_of("ADD")
    assert isinstance(operator, Add)
    pair = node("ADD", (0.01756785623729229, 0.01756785623729229, 0.02683713287115097), zeros,
                "relu_n1_to_1")
    found = operator._linear(pair)
    assert found is not None
    wanted = operator.evaluate(pair, EVERY)[0]
    assert np.unique(wanted).size == 1
    high = np.clip(computed(found, low), None, int(wanted.max()))
    np.testing.assert_array_equal(high, wanted)


@pytest.mark.parametrize("kind", ["ADD", "SUB", "MUL", "MAX_POOL_2D", "AVERAGE_POOL_2D"])
def test_cases_reach_the_dsp_kernels(kind: str) -> None:
    names = [operator_of(kind).variants(n, target_for("cortex-m4"))[0].name
             for _, n, _ in cases(kind)]
    assert names.count("dsp") > len(names) / 2


def test_cases_of_add_reach_the_kernel_in_steps() -> None:
    seen = {(v.name, n.attrs.activation) for _, n, _ in cases("ADD")
            for v in operator_of("ADD").variants(n, target_for("cortex-m4"))}
    assert ("dsp_steps", "none") in seen
