# SPDX-License-Identifier: MIT
"""Operators that are a table of 256 bytes: all inputs at many scales, how they round, limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinyeff.ir import Array, Graph, Quant
from tinyeff.ops import operator_of, registry
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.gelu import GeluAttrs
from tinyeff.ops.leaky_relu import LeakyReluAttrs
from tinyeff.ops.operator import Node, node_of
from tinyeff.ops.pointwise_table import (
    VALUES,
    PointwiseAttrs,
    PointwiseTable,
    case_of,
    quants,
)
from tinyeff.reader.flatbuffer import serialize
from tinyeff.simulator.litert import Reference

KINDS = [kind for kind, operator in registry().items() if isinstance(operator, PointwiseTable)]
ONLY_FROM_ZERO = ("SQRT", "RSQRT")
"""LiteRT stops at values below zero."""

SCALES_EACH = 150


def random_attrs(kind: str, rng: np.random.Generator) -> Any:
    if kind == "LEAKY_RELU":
        return LeakyReluAttrs(float(np.float32(rng.choice([0.01, 0.3, -0.2, 1.5]) * rng.random())))
    if kind == "GELU":
        return GeluAttrs(bool(rng.integers(2)))
    return PointwiseAttrs()


def random_case(kind: str, rng: np.random.Generator) -> Graph:
    scale, out_scale = (float(np.float32(10 ** rng.uniform(-4, 1.5))) for _ in range(2))
    zero_point, out_zero_point = (int(rng.integers(-128, 128)) for _ in range(2))
    if kind == "LOGISTIC":
        out_scale = 1 / 256
    quantization = (scale, zero_point, out_scale, out_zero_point)
    return case_of(kind, random_attrs(kind, rng), quantization, (1, 256), "random")


def both(graph: Graph, values: list[int] | None = None) -> list[int]:
    """What numpy and LiteRT make of the values (all: None), which must be the same."""
    op = graph.ops[0]
    node = node_of(graph, op)
    x = np.array(VALUES if values is None else values, np.int8).reshape(node.input(0).shape)
    if op.kind in ONLY_FROM_ZERO:
        x = np.maximum(x, np.int8(quants(node)[0].zero_point))
    (result,) = operator_of(op.kind).evaluate(node, (x,))
    reference = Reference(serialize(graph))
    reference.run((x,))
    np.testing.assert_array_equal(result, reference.tensor(graph.outputs[0]))
    return [int(v) for v in result.reshape(-1)]


def test_there_are_all_of_them() -> None:
    assert len(KINDS) == 15


@pytest.mark.parametrize("kind", KINDS)
def test_every_value_at_many_scales(kind: str) -> None:
    rng = np.random.default_rng(sum(map(ord, kind)))
    seen: set[int] = set()
    tried = 0
    while tried < SCALES_EACH:
        graph = random_case(kind, rng)
        if not list(operator_of(kind).limits(node_of(graph, graph.ops[0]))):
            tried += 1
            seen.update(both(graph))
    assert len(seen) > 200


def single(kind: str, values: list[int], quantization: tuple[float, int, float, int],
           attrs: Any = None) -> list[int]:
    graph = case_of(kind, attrs or PointwiseAttrs(), quantization, (1, len(values)), "single")
    return both(graph, values)


def test_relu_rounds_twice_around_the_zero_point() -> None:
    """To halves, ties up; then by a power of two, ties away from zero."""
    assert single("RELU_N1_TO_1", [1, 3, -1, -3], (0.5, 0, 1.0, 0)) == [1, 1, 0, -1]
    assert single("RELU", [1, 2, 5, 6, -1], (0.25, 0, 1.0, 5)) == [6, 6, 7, 7, 5]
    assert single("RELU6", [127, 23, 25], (0.25, 0, 0.25, 0)) == [24, 23, 24]
    assert single("RELU_0_TO_1", [-128, 127], (0.01, 0, 0.01, -10)) == [-10, 90]


def test_leaky_relu_is_two_products() -> None:
    half = LeakyReluAttrs(0.5)
    assert single("LEAKY_RELU", [3, -1, -2, -3], (1.0, 0, 1.0, 0), half) == [3, 0, -1, -1]
    minus = LeakyReluAttrs(-0.5)
    assert single("LEAKY_RELU", [3, -1, -2, -3], (1.0, 0, 1.0, 0), minus) == [3, 0, 1, 1]


def test_float_tables_round_half_away_from_zero() -> None:
    """ELU leaves values above zero as they are: 0.5 and 1.5 steps of the output scale."""
    assert single("ELU", [1, 3, 5], (0.5, 0, 1.0, 0)) == [1, 2, 3]
    assert single("GELU", [100, -100], (1.0, 0, 8.0, 0), GeluAttrs()) == [13, 0]
    assert single("EXP", [0, 127], (0.01, 0, 2.0, 0)) == [1, 2]


def test_float_tables_saturate() -> None:
    assert single("EXP", [127, -128], (10.0, 0, 0.001, -3)) == [127, -3]


def test_square_roots_are_cut_off() -> None:
    assert single("SQRT", [3, 4, 8, 9], (1.0, 0, 1.0, 0)) == [1, 2, 2, 3]
    assert single("RSQRT", [0, 1, 4], (1.0, 0, 0.25, 0)) == [127, 4, 2]


def test_values_below_zero_have_the_root_of_zero() -> None:
    for kind, root in (("SQRT", -5), ("RSQRT", 127)):
        graph = case_of(kind, PointwiseAttrs(), (1.0, 10, 1.0, -5), (1, 2), "below")
        x = np.array([[-128, 9]], np.int8)
        (result,) = operator_of(kind).evaluate(node_of(graph, graph.ops[0]), (x,))
        assert result.tolist() == [[root, root]]


def test_neg_looks_at_no_zero_point() -> None:
    assert single("NEG", [-128, -127, 5], (0.1, 30, 0.2, 7)) == [-128, 127, -5]


def test_abs_rescales_only_where_scales_differ() -> None:
    assert single("ABS", [-3, 3, 127, -128], (0.1, 0, 0.1, 4)) == [7, 7, 127, 127]
    assert single("ABS", [-3, 3], (0.5, 0, 1.0, 0)) == [2, 2]


# Limits -----------------------------------------------------------------------------------------


def limits(kind: str, quantization: tuple[float, int, float, int], attrs: Any = None) -> str:
    g = GraphBuilder("limits")
    x = g.input((1, 4), 1.0, 0)
    graph = g.graph(g.op(kind, [x], attrs or PointwiseAttrs(), 1.0, 0))
    node: Node[Any] = node_of(graph, graph.ops[0])
    scale, zero_point, out_scale, out_zero_point = quantization
    tensors = [t.__class__(t.name, t.shape, t.dtype, q) for t, q in (
        (node.input(0), Quant((scale,), (zero_point,))),
        (node.output, Quant((out_scale,), (out_zero_point,))))]
    node = Node(node.name, node.attrs, (tensors[0],), (tensors[1],))
    return "; ".join(operator_of(kind).limits(node))


@pytest.mark.parametrize("kind", ["RELU", "RELU6", "ABS"])
def test_limits_of_those_that_rescale(kind: str) -> None:
    assert limits(kind, (1.0, 0, 1.0, 0)) == ""
    assert "4194304 is supported" in limits(kind, (1e4, 0, 1e-4, 0))
    assert "inf times" in limits(kind, (1e30, 0, 1e-30, 0))


@pytest.mark.parametrize("kind", ["TANH", "EXP", "ELU", "GELU", "SQRT"])
def test_limits_of_those_in_float32(kind: str) -> None:
    attrs = GeluAttrs() if kind == "GELU" else None
    assert limits(kind, (1.0, 0, 1.0, 0), attrs) == ""
    assert "range of float32" in limits(kind, (2e36, 0, 1.0, 0), attrs)
    assert "range of float32" in limits(kind, (1.0, 0, 1e-40, 0), attrs)


def test_other_limits() -> None:
    assert "1/256" in limits("LOGISTIC", (0.1, 0, 1 / 128, 0))
    assert "less than 128" in limits("HARD_SWISH", (100.0, 0, 0.5, 0))
    assert "16-bit" in limits("HARD_SWISH", (1e9, 0, 1e9, 0))
    assert "2**30 is supported" in limits("RSQRT", (1e-10, 0, 1e-6, 0))
    assert "beyond 32 bits" in limits("SQRT", (1e10, 0, 1e-6, 0))
    assert "alpha of 1e+08" in limits("LEAKY_RELU", (1.0, 0, 1.0, 0), LeakyReluAttrs(1e8))
    assert "not a number" in limits("LEAKY_RELU", (1.0, 0, 1.0, 0), LeakyReluAttrs(np.nan))


def test_scales_of_the_limits_are_exact() -> None:
    """Right below each limit numpy and LiteRT still agree."""
    for kind, quantization in (
        ("RELU", (4194303.0, 3, 1.0, -3)), ("ABS", (4194303.0, 3, 1.0, -3)),
        ("HARD_SWISH", (127.9, 3, 1.0, 5)), ("HARD_SWISH", (1e7, 3, 1e9, 5)),
        ("RSQRT", (1.0, -128, 2.0**-29, 3)), ("SQRT", (1e8, -128, 1e-4, 3)),
    ):
        assert limits(kind, quantization) == "", (kind, quantization)
        both(case_of(kind, PointwiseAttrs(), quantization, (1, 256), "edge"))


def test_table_is_int8() -> None:
    for kind in KINDS:
        for graph in operator_of(kind).cases():
            operator = operator_of(kind)
            assert isinstance(operator, PointwiseTable)
            table: Array = operator.table(node_of(graph, graph.ops[0]))
            assert table.dtype == np.int8
            assert table.shape == (256,)
