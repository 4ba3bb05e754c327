# SPDX-License-Identifier: MIT
"""What pooling, MEAN and the operators that move data refuse, and how they round.

Each rounding is stated with numbers and checked against LiteRT, so that a new version of it that
rounds differently fails here by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from tests.ops.harness import How, Run, run_on_host
from tinyeff.ir import Graph, Quant, Tensor
from tinyeff.ops import operator as o
from tinyeff.ops import operator_of
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.dequantize import DequantizeAttrs
from tinyeff.ops.mean import MeanAttrs
from tinyeff.ops.operator import Node, Padding, node_of
from tinyeff.ops.pad import PadAttrs
from tinyeff.ops.pooling import Pool2DAttrs
from tinyeff.ops.quantize import QuantizeAttrs
from tinyeff.ops.reshape import ReshapeAttrs
from tinyeff.ops.resize_nearest_neighbor import ResizeNearestNeighborAttrs, nearest
from tinyeff.ops.transpose import TransposeAttrs, is_view, loops_of
from tinyeff.reader.flatbuffer import serialize
from tinyeff.simulator.litert import Reference
from tinyeff.targets import target_for

HALF = Quant((0.5,), (0,))


def tensor(*shape: int, dtype: str = "int8", quant: Quant | None = HALF) -> Tensor:
    return Tensor("t", shape, dtype, quant if dtype == "int8" else None)


def constant(*values: int) -> Tensor:
    data = np.array(values, np.int32)
    return Tensor("c", data.shape, "int32", None, data)


def limits(kind: str, attrs: Any, inputs: list[Tensor], output: Tensor | None = None) -> str:
    """All limit sentences of an operator as one text."""
    operator = operator_of(kind)
    node: Node[Any] = Node("n", attrs, tuple(inputs), ())
    shape = operator.output_shapes(node)[0]
    outputs = (output or replace(inputs[0], shape=shape),)
    return "; ".join(operator.limits(replace(node, outputs=outputs)))


def both(graph: Graph, values: list[int]) -> list[int]:
    """What numpy and LiteRT make of the values, which must be the same."""
    x = np.array(values, np.int8).reshape(graph.tensors[graph.inputs[0]].shape)
    op = graph.ops[0]
    (result,) = operator_of(op.kind).evaluate(node_of(graph, op), (x,))
    reference = Reference(serialize(graph))
    reference.run((x,))
    np.testing.assert_array_equal(result, reference.tensor(graph.outputs[0]))
    return [int(v) for v in result.reshape(-1)]


# Rounding ---------------------------------------------------------------------------------------


def pool_pairs(kind: str, values: list[int], scheme: int = o.VALID) -> list[int]:
    g = GraphBuilder("pool")
    image = (1, len(values))
    x = g.input((1, *image, 1), 0.5, 3)
    attrs = Pool2DAttrs((1, 2), (1, 2), o.padding_of(scheme, image, (1, 2), (1, 2)))
    return both(g.graph(g.op(kind, [x], attrs, like=x)), values)


def test_average_pool_rounds_the_raw_mean_half_away_from_zero() -> None:
    assert pool_pairs("AVERAGE_POOL_2D", [1, 2, -1, -2, 0, -1, 127, 127]) == [2, -2, -1, 127]


def test_average_pool_divides_by_the_taps_inside_the_image() -> None:
    assert pool_pairs("AVERAGE_POOL_2D", [10, 20, 7], o.SAME) == [15, 7]


def test_max_pool_ignores_padding() -> None:
    assert pool_pairs("MAX_POOL_2D", [-100, -120, -128], o.SAME) == [-100, -128]


def mean_of(values: list[int], zero_point: int, scale: float = 1.0, out_scale: float = 1.0) -> int:
    g = GraphBuilder("mean")
    x = g.input((1, 1, len(values), 1), scale, zero_point)
    axes = g.constant(np.array([1, 2], np.int32))
    y = g.op("MEAN", [x, axes], MeanAttrs((1, 2)), out_scale, zero_point)
    return both(g.graph(y), values)[0]


def test_mean_rounds_halves_up_from_the_zero_point() -> None:
    """Around the zero point, not around 0 as pooling does, and never away from it."""
    assert mean_of([3, 4], 0) == 4
    assert mean_of([-3, -4], 0) == -3
    assert mean_of([3, 4], 10) == 4
    assert mean_of([-3, -4], -10) == -3


def test_mean_divides_its_multiplier_rounding_down() -> None:
    """2.5 is a tie; with the third of a multiplier that 3 does not divide it lies just below."""
    assert mean_of([2], 0, 1.25) == 3
    assert mean_of([2, 2, 2], 0, 1.25) == 2


def rescale(values: list[int], scale: float, zero_point: int, out_zero_point: int) -> list[int]:
    """The values at scale 1 and another zero point."""
    g = GraphBuilder("quantize")
    x = g.input((1, len(values)), scale, zero_point)
    return both(g.graph(g.op("QUANTIZE", [x], QuantizeAttrs(), 1.0, out_zero_point)), values)


def test_quantize_rounds_twice() -> None:
    """To halves, ties up; then by a power of two, ties away from zero."""
    assert rescale([1, 3, -1, -3], 0.5, 0, 0) == [1, 2, 0, -1]
    assert rescale([1, 3, -1, -3], 0.5, 0, 5) == [6, 7, 5, 4]
    assert rescale([1, 2, -1, -2, -3], 0.25, 0, 0) == [1, 1, 0, -1, -1]
    assert rescale([127, -128], 2.0, -1, 0) == [127, -128]


# Shapes and views -------------------------------------------------------------------------------


def test_transpose_of_ones_is_a_view() -> None:
    assert is_view((1, 1, 4, 5), (2, 0, 1, 3))
    assert not is_view((1, 2, 4, 5), (0, 2, 1, 3))
    assert loops_of((1, 3, 4, 5), (0, 3, 1, 2)) == ((5, 1), (12, 5))


@pytest.mark.parametrize(
    ("axes", "keep_dims", "form"),
    [((1, 2), False, "accumulate"), ((1,), True, "accumulate"), ((2,), True, "rows"),
     ((2,), False, "whole"), ((3,), True, "rows"), ((3,), False, "whole")],
)
def test_form_of_mean(axes: tuple[int, ...], keep_dims: bool, form: str) -> None:
    operator = operator_of("MEAN")
    node: Node[Any] = Node("n", MeanAttrs(axes, keep_dims), (tensor(1, 4, 5, 6),), ())
    node = replace(node, outputs=(tensor(*operator.output_shapes(node)[0]),))
    assert operator.form_of(node) == form


def test_form_of_pooling() -> None:
    operator = operator_of("AVERAGE_POOL_2D")
    for window, form in (((4, 5), "accumulate"), ((3, 5), "rows")):
        node: Node[Any] = Node("n", Pool2DAttrs(window, (9, 9)), (tensor(1, 4, 5, 6),), ())
        node = replace(node, outputs=(tensor(*operator.output_shapes(node)[0]),))
        assert operator.form_of(node) == form


def test_upsampling_by_two_needs_one_row() -> None:
    operator = operator_of("RESIZE_NEAREST_NEIGHBOR")
    for before in range(1, 60):
        for half_pixel_centers in (False, True):
            attrs = ResizeNearestNeighborAttrs((2 * before, 2), False, half_pixel_centers)
            node: Node[Any] = Node("n", attrs, (tensor(1, before, 1, 1),), ())
            window = operator.window(node, 0)
            rows = [window.first(y) for y in range(2 * before)]
            assert window.count == 1
            assert rows == [y // 2 for y in range(2 * before)]


def test_a_row_window_holds_every_row_that_is_copied() -> None:
    operator = operator_of("RESIZE_NEAREST_NEIGHBOR")
    counts = set()
    for before, after, align, half in (
        (2, 41, False, True), (8, 47, True, False), (3, 2, True, True), (14, 46, False, False),
        (9, 4, False, True),
    ):
        attrs = ResizeNearestNeighborAttrs((after, 1), align, half)
        node: Node[Any] = Node("n", attrs, (tensor(1, before, 1, 1),), ())
        window = operator.window(node, 0)
        counts.add(window.count)
        for y, row in enumerate(nearest(before, after, align, half)):
            assert window.first(y) <= row < window.first(y) + window.count
    assert counts == {1, 2}


# Limits -----------------------------------------------------------------------------------------


def test_pooling_limits() -> None:
    x = tensor(1, 4, 4, 2)
    assert limits("MAX_POOL_2D", Pool2DAttrs((2, 2), (2, 2)), [x]) == ""
    assert "tanh" in limits("MAX_POOL_2D", Pool2DAttrs((2, 2), activation="tanh"), [x])
    assert "see nothing" in limits("AVERAGE_POOL_2D", Pool2DAttrs((2, 2), padding=Padding(2)), [x])
    assert "2 images" in limits("MAX_POOL_2D", Pool2DAttrs((2, 2)), [tensor(2, 4, 4, 2)])
    huge = Pool2DAttrs((4096, 2048), padding=Padding(0, 4095, 0, 2047))
    assert "4096x2048" in limits("AVERAGE_POOL_2D", huge, [x])


def test_mean_limits() -> None:
    assert "some but not all" in limits("MEAN", MeanAttrs((1,)), [tensor(1, 2, 3, 4, 5)])
    assert limits("MEAN", MeanAttrs((1, 2)), [tensor(1, 2, 3, 4, 5)]) == ""
    x = tensor(1, 64, 64, 8)
    fine = replace(x, shape=(1, 8), quant=Quant((0.5e-6,), (0,)))
    assert limits("MEAN", MeanAttrs((1, 2)), [x], fine) == ""
    too_fine = replace(fine, quant=Quant((0.5e-7,), (0,)))
    assert "beyond 1073741824" in limits("MEAN", MeanAttrs((1, 2)), [x], too_fine)


def test_reduce_max_limits() -> None:
    x = tensor(1, 4, 4, 2)
    assert limits("REDUCE_MAX", MeanAttrs((1, 2)), [x]) == ""
    other = replace(x, shape=(1, 2), quant=Quant((0.25,), (0,)))
    assert "they must be equal" in limits("REDUCE_MAX", MeanAttrs((1, 2)), [x], other)
    assert "some but not all" in limits("REDUCE_MAX", MeanAttrs((1,)), [tensor(1, 2, 3, 4, 5)])


def sum_of(values: list[int], scale: float, out_scale: float) -> int:
    g = GraphBuilder("sum")
    x = g.input((1, 1, len(values), 1), scale, 0)
    axes = g.constant(np.array([1, 2], np.int32))
    return both(g.graph(g.op("SUM", [x, axes], MeanAttrs((1, 2)), out_scale, 0)), values)[0]


def test_sum_rounds_twice() -> None:
    """To halves, ties up; then by a power of two, ties away from zero."""
    assert sum_of([1, 2], 0.5, 1.0) == 2
    assert sum_of([-1, -2], 0.5, 1.0) == -1
    assert sum_of([0, 1], 0.25, 1.0) == 1
    assert sum_of([100, 100], 1.0, 1.0) == 127


def test_pad_limits() -> None:
    none, some = (0, 0), (1, 1)
    assert "last three" in limits("PAD", PadAttrs((some, none, none, none)), [tensor(1, 2, 3, 4)])
    assert "several maps" in limits("PAD", PadAttrs((none, some, none, none)), [tensor(2, 2, 3, 4)])
    assert limits("PAD", PadAttrs((none, none, some, some)), [tensor(2, 2, 3, 4)]) == ""


def test_transpose_limits() -> None:
    seven = tensor(*[2] * 7)
    reverse = TransposeAttrs(tuple(range(7))[::-1])
    assert "7 dimensions" in limits("TRANSPOSE", reverse, [seven])
    swap = TransposeAttrs((0, 1, 2, 3, 4, 6, 5))
    assert limits("TRANSPOSE", swap, [seven]) == ""


def test_quantize_and_dequantize_limits() -> None:
    x = tensor(1, 4)
    assert limits("QUANTIZE", QuantizeAttrs(), [x]) == ""
    real = tensor(1, 4, dtype="float32")
    assert "float32 into int8" in limits("QUANTIZE", QuantizeAttrs(), [real], x)
    assert "uint8 into int8" in limits("QUANTIZE", QuantizeAttrs(), [replace(x, dtype="uint8")], x)
    fine = replace(x, quant=Quant((1e-8,), (0,)))
    assert "5e+07 times" in limits("QUANTIZE", QuantizeAttrs(), [x], fine)
    channels = replace(x, quant=Quant((0.5,) * 4, (0,) * 4, 1))
    assert "several scales" in limits("QUANTIZE", QuantizeAttrs(), [channels], x)
    assert "model output" in limits("DEQUANTIZE", DequantizeAttrs(), [x])


def test_resize_and_reshape_limits() -> None:
    wide = tensor(1, 1, 65537, 1)
    attrs = ResizeNearestNeighborAttrs((1, 1))
    assert "65537 pixels wide" in limits("RESIZE_NEAREST_NEIGHBOR", attrs, [wide])
    shape = Tensor("shape", (2,), "int32")
    assert "fixed batch" in limits("RESHAPE", ReshapeAttrs((1, 4)), [tensor(1, 2, 2), shape])


# Reading ----------------------------------------------------------------------------------------


def read(kind: str, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> Any:
    return operator_of(kind).read(options, Node("n", None, tuple(inputs), (output,)))


@pytest.mark.parametrize(
    ("kind", "shape", "values", "complaint"),
    [
        ("MEAN", (1, 2, 3), (3,), "axis 3 does not exist"),
        ("PAD", (1, 2, 3), (0, 0, 1, 1), "needs 6"),
        ("PAD", (1, 2), (0, 0, -1, 1), "must not be negative"),
        ("TRANSPOSE", (1, 2, 3), (0, 1, 1), "no permutation"),
        ("TRANSPOSE", (1, 2, 3), (0, 1), "no permutation"),
        ("RESIZE_NEAREST_NEIGHBOR", (1, 2, 2, 1), (0, 2), "at least 1"),
        ("RESHAPE", (1, 2, 3), (1, 7), "does not hold the 6 elements"),
        ("RESHAPE", (1, 2, 3), (-1, -1), "does not hold the 6 elements"),
    ],
)
def test_nonsense_is_refused(
    kind: str, shape: tuple[int, ...], values: tuple[int, ...], complaint: str
) -> None:
    x = tensor(*shape)
    with pytest.raises(ValueError, match=complaint):
        read(kind, None, [x, constant(*values)], x)


@pytest.mark.parametrize("kind", ["MEAN", "PAD", "TRANSPOSE", "RESIZE_NEAREST_NEIGHBOR"])
def test_values_computed_at_run_time_are_refused(kind: str) -> None:
    x = tensor(1, 2, 2, 3)
    with pytest.raises(ValueError, match=r"'size'\) is computed at run time"):
        read(kind, None, [x, Tensor("size", (2,), "int32")], x)
    with pytest.raises(ValueError, match="is missing"):
        read(kind, None, [x], x)


def test_where_reshape_finds_its_shape() -> None:
    x, y = tensor(1, 2, 6), tensor(1, 12)
    options = schema.ReshapeOptionsT()
    options.newShape = np.array([3, -1], np.int32)
    assert read("RESHAPE", options, [x, constant(4, -1)], y) == ReshapeAttrs((4, 3))
    assert read("RESHAPE", options, [x], y) == ReshapeAttrs((3, 4))
    assert read("RESHAPE", None, [x], y) == ReshapeAttrs((1, 12))
    assert read("RESHAPE", options, [x, Tensor("s", (2,), "int32")], y) == ReshapeAttrs((1, 12))
    with pytest.raises(ValueError, match="left out"):
        read("RESHAPE", options, [x, None], y)


def test_attributes_that_the_constant_does_not_spell_cannot_be_written() -> None:
    x = tensor(1, 2, 2, 3)
    for kind, attrs, values in (
        ("MEAN", MeanAttrs((1,)), (2,)),
        ("PAD", PadAttrs(((0, 0),) * 4), (1,) * 8),
        ("TRANSPOSE", TransposeAttrs((0, 1, 2, 3)), (0, 3, 1, 2)),
        ("RESIZE_NEAREST_NEIGHBOR", ResizeNearestNeighborAttrs((4, 4)), (4, 5)),
        ("RESHAPE", ReshapeAttrs((1, 12)), (12, 1)),
    ):
        with pytest.raises(ValueError, match="from its constant input 1"):
            operator_of(kind).write(Node("n", attrs, (x, constant(*values)), (x,)))


# A graph from PyTorch ---------------------------------------------------------------------------


@pytest.mark.parametrize("first", [2, 3])
def test_means_after_a_transpose_can_read_its_input(first: int) -> None:
    """TRANSPOSE to NCHW, MEAN, MEAN equals two MEANs over the untransposed axes, bit for bit."""
    g = GraphBuilder("torch", first)
    x = g.input((1, 3, 5, 8), 0.05, 6)
    perm = g.constant(np.array([0, 3, 1, 2], np.int32))
    t = g.op("TRANSPOSE", [x, perm], TransposeAttrs((0, 3, 1, 2)), like=x)
    a = g.op("MEAN", [t, g.constant(np.array([first], np.int32))], MeanAttrs((first,)), 0.04, 2)
    b = g.op("MEAN", [a, g.constant(np.array([2], np.int32))], MeanAttrs((2,)), 0.03, -9)
    reference = Reference(serialize(g.graph(b)))

    h = GraphBuilder("direct")
    y = h.input((1, 3, 5, 8), 0.05, 6)
    meant = (1,) if first == 2 else (2,)
    c = h.op("MEAN", [y, None], MeanAttrs(meant, keep_dims=True), 0.04, 2)
    h.op("MEAN", [c, None], MeanAttrs((1, 2)), 0.03, -9)
    direct = h.graph()
    values = np.random.default_rng(first).integers(-128, 128, (1, 3, 5, 8), dtype=np.int8)
    found = values
    for op in direct.ops:
        (found,) = operator_of(op.kind).evaluate(node_of(direct, op), (found,))
    reference.run((values,))
    np.testing.assert_array_equal(found, reference.tensor(b))


# Several rows in a call -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["AVERAGE_POOL_2D", "MAX_POOL_2D", "MEAN", "PAD", "QUANTIZE"])
def test_kernels_take_several_rows_in_a_call(kind: str) -> None:
    """More than their variants ask for, so that a planner may."""
    operator, runs = operator_of(kind), []
    for number, graph in enumerate(operator.cases()):
        node = node_of(graph, graph.ops[0])
        if operator.form_of(node) == "rows":
            values = np.random.default_rng(number).integers(-128, 128, node.input(0).shape)
            how = How("three_rows", rows_per_call=3, tile=2, gap=1)
            runs += [Run(graph.source.name, operator, node, variant, (values.astype(np.int8),), how)
                     for variant in operator.variants(node, target_for("cortex-m4"))]
    for run, found in zip(runs, run_on_host(runs), strict=True):
        np.testing.assert_array_equal(found[0], operator.evaluate(run.node, run.inputs)[0],
                                      err_msg=run.name)
