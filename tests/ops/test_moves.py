# SPDX-License-Identifier: MIT
"""Operators that move values: random attributes against LiteRT and in C, forms, refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.ops.harness import Run, run_on_host, runs_of
from tests.ops.moves import STRATEGIES
from tests.ops.test_cases import activations, input_sets, variants
from tinyeff.ir import Array, Graph, Quant, Tensor, Window
from tinyeff.ops import operator_of
from tinyeff.ops.arg_max import ArgMaxAttrs
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.concatenation import ConcatenationAttrs
from tinyeff.ops.depth_to_space import BlockAttrs
from tinyeff.ops.expand_dims import ExpandDimsAttrs
from tinyeff.ops.operator import Node, node_of
from tinyeff.ops.pack import PackAttrs
from tinyeff.ops.resize_bilinear import ResizeBilinearAttrs
from tinyeff.ops.slice import SliceAttrs
from tinyeff.ops.split import SplitAttrs
from tinyeff.ops.split_v import SplitVAttrs
from tinyeff.ops.squeeze import SqueezeAttrs
from tinyeff.ops.strided_slice import StridedSliceAttrs
from tinyeff.ops.tile import TileAttrs
from tinyeff.ops.unpack import UnpackAttrs
from tinyeff.reader.flatbuffer import serialize
from tinyeff.simulator.litert import Reference

QUANT = Quant((0.5,), (0,))


def inputs_for(graph: Graph) -> list[Array]:
    shapes = [graph.tensors[i].shape for i in graph.inputs]
    return next(input_sets(shapes, len(graph.tensors)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", STRATEGIES)
@settings(max_examples=200)
@given(data=st.data())
def test_numpy_is_litert(kind: str, data: st.DataObject) -> None:
    graph = data.draw(STRATEGIES[kind]())
    operator, node = operator_of(kind), node_of(graph, graph.ops[0])
    reference = Reference(serialize(graph))
    values = inputs_for(graph)
    reference.run(tuple(values))
    results = operator.evaluate(node, activations(graph, node, values))
    for result, index in zip(results, graph.outputs, strict=True):
        np.testing.assert_array_equal(result, reference.tensor(index))


@pytest.mark.slow
@pytest.mark.parametrize("kind", STRATEGIES)
def test_c_is_numpy(kind: str) -> None:
    @settings(max_examples=2, phases=[Phase.generate])
    @given(st.lists(STRATEGIES[kind](), min_size=20, max_size=20))
    def check(graphs: list[Graph]) -> None:
        runs: list[Run] = []
        for number, graph in enumerate(graphs):
            node: Any = node_of(graph, graph.ops[0])
            values = activations(graph, node, inputs_for(graph))
            for variant in variants(kind, node):
                runs += runs_of(f"graph {number}", kind, node, variant, [values])
        for run, found in zip(runs, run_on_host(runs) if runs else [], strict=True):
            wanted = run.operator.evaluate(run.node, run.inputs)
            for a, b in zip(found, wanted, strict=True):
                np.testing.assert_array_equal(a, b, err_msg=run.name)

    check()


# Forms ------------------------------------------------------------------------------------------


def tensor(*shape: int, quant: Quant | None = QUANT) -> Tensor:
    return Tensor("t", shape, "int8", quant)


def constant(*values: int) -> Tensor:
    data = np.array(values, np.int32)
    return Tensor("c", data.shape, "int32", None, data)


def node_for(kind: str, attrs: Any, *inputs: Tensor) -> Node[Any]:
    node: Node[Any] = Node("n", attrs, inputs, ())
    shapes = operator_of(kind).output_shapes(node)
    return replace(node, outputs=tuple(replace(tensor(), shape=shape) for shape in shapes))


def form(kind: str, attrs: Any, *inputs: Tensor) -> str:
    return operator_of(kind).form_of(node_for(kind, attrs, *inputs))



@pytest.mark.parametrize(("attrs", "sentence"), [
    (StridedSliceAttrs((0, 4), (1, 4), (1, 1), offset=True), "range of 4 from 4 on .* leaves"),
    (StridedSliceAttrs((0, -1), (1, 1), (1, 1), offset=True), "leaves"),
    (StridedSliceAttrs((0, 3), (1, 2), (1, -1), offset=True), "leaves"),
    (StridedSliceAttrs((0, 3), (1, 2), (1, 1), begin_mask=1, offset=True), "beyond the tensor"),
    (StridedSliceAttrs((0,), (1,), (1,), offset=True), "beyond the tensor"),
])
def test_slices_for_which_litert_reads_beyond_the_tensor(
    attrs: StridedSliceAttrs, sentence: str
) -> None:
    g = GraphBuilder("g")
    x = g.input((1, 7), 0.1)
    constants = [g.constant(np.array(v, np.int32)) for v in (attrs.begin, attrs.end, attrs.strides)]
    with pytest.raises(ValueError, match=sentence):
        g.op("STRIDED_SLICE", [x, *constants], attrs, like=x)


def test_forms_of_joining() -> None:
    image = tensor(1, 3, 4, 5)
    for axis, expected in ((-1, "rows"), (-2, "rows"), (-3, "rows"), (-4, "rows")):
        assert form("CONCATENATION", ConcatenationAttrs(axis), image, image) == expected
    two = tensor(2, 3, 4, 5)
    assert form("CONCATENATION", ConcatenationAttrs(-3), two, two) == "whole"
    assert form("PACK", PackAttrs(1), image, image) == "rows"
    assert form("PACK", PackAttrs(4), image, image) == "whole"


def test_windows_of_joined_rows() -> None:
    a, b = tensor(1, 3, 4, 5), tensor(1, 2, 4, 5)
    node = node_for("CONCATENATION", ConcatenationAttrs(-3), a, b)
    operator = operator_of("CONCATENATION")
    assert [operator.window(node, n) for n in (0, 1)] == [Window(), Window(offset=-3)]
    node = node_for("CONCATENATION", ConcatenationAttrs(-2), a, tensor(1, 3, 2, 5))
    assert [operator.columns(node, n) for n in (0, 1)] == [Window(4, 0), Window(2, 0)]


def test_forms_of_parting() -> None:
    image = tensor(1, 4, 4, 6)
    axis = constant(3)
    assert form("SPLIT", SplitAttrs(-1, 3), axis, image) == "rows"
    assert form("SPLIT", SplitAttrs(-2, 2), axis, image) == "whole"
    assert form("SPLIT", SplitAttrs(-1, 1), axis, image) == "view"
    assert form("UNPACK", UnpackAttrs(-1, 6), image) == "whole"


def test_forms_of_slicing() -> None:
    image = tensor(1, 4, 5, 6)
    operator = operator_of("STRIDED_SLICE")
    box = node_for("STRIDED_SLICE", StridedSliceAttrs((0, 1, 1), (1, 4, 5), (1, 2, 3)), image)
    assert operator.form_of(box) == "rows"
    assert operator.window(box, 0) == Window(1, 2, 1)
    assert operator.columns(box, 0) == Window(1, 3, 1)
    mirrored = StridedSliceAttrs((0, 0, 4), (1, 4, -9), (1, 1, -1))
    node = node_for("STRIDED_SLICE", mirrored, image)
    assert operator.form_of(node) == "rows"
    assert operator.columns(node, 0) == Window(5, 0)
    flipped = StridedSliceAttrs((0, 3), (1, -9), (1, -1))
    assert form("STRIDED_SLICE", flipped, image) == "whole"
    channel = StridedSliceAttrs((0, 2), (0, 3), (1, 1), 1, 1, 1, 0, 2)
    assert form("STRIDED_SLICE", channel, image) == "whole"
    assert form("STRIDED_SLICE", StridedSliceAttrs((0,), (1,), (1,)), image) == "view"


# Limits and nonsense ----------------------------------------------------------------------------


def limits(kind: str, attrs: Any, *inputs: Tensor) -> str:
    return "; ".join(operator_of(kind).limits(node_for(kind, attrs, *inputs)))


def test_scales_must_be_equal() -> None:
    x, other = tensor(1, 3), tensor(1, 3, quant=Quant((0.25,), (0,)))
    for kind, attrs in (("CONCATENATION", ConcatenationAttrs(-1)), ("PACK", PackAttrs(1))):
        assert limits(kind, attrs, x, x) == ""
        assert "does not rescale here" in limits(kind, attrs, x, other)
    assert "does not rescale here" in limits("UNPACK", UnpackAttrs(-1, 3), other)
    assert "does not rescale here" in limits("EXPAND_DIMS", ExpandDimsAttrs(0), other)


def test_other_limits() -> None:
    x = tensor(1, 3)
    relu = ConcatenationAttrs(-1, "relu")
    assert "no fused activation" in limits("CONCATENATION", relu, x, x)
    many = tensor(*[3] * 7)
    attrs = SliceAttrs((0,) * 7, (2,) * 7)
    assert "7 dimensions" in limits("SLICE", attrs, many)
    assert "8 loops" in limits("TILE", TileAttrs((2,) * 4), tensor(*[3] * 4))


def test_arg_max_takes_the_first_and_says_its_type() -> None:
    node = node_for("ARG_MAX", ArgMaxAttrs(-1), tensor(1, 4))
    (found,) = operator_of("ARG_MAX").evaluate(node, (np.array([[3, 7, 7, -1]], np.int8),))
    assert (found.tolist(), str(found.dtype)) == ([1], "int32")
    index = replace(node.output, dtype="int32", quant=None)
    assert list(operator_of("ARG_MAX").limits(replace(node, outputs=(index,)))) == []
    for attrs in (ArgMaxAttrs(-1, "int64"), ArgMaxAttrs(-1, "type 4")):
        broken = replace(node, attrs=attrs, outputs=(index,))
        assert "they must be equal" in "".join(operator_of("ARG_MAX").limits(broken))


def test_limits_of_bilinear_resizing() -> None:
    x = tensor(1, 100, 100, 1)
    for size, words in (((3, 3), "100 rows to 3; down to one in 31"), ((4, 100), ""),
                        ((200, 491), "491 columns reach beyond the 100")):
        found = limits("RESIZE_BILINEAR", ResizeBilinearAttrs(size), x)
        assert words in found if words else found == ""
    assert "one of the two" in limits("RESIZE_BILINEAR", ResizeBilinearAttrs((9, 9), True, True), x)
    two = limits("RESIZE_BILINEAR", ResizeBilinearAttrs((9, 9)), tensor(2, 9, 9, 1))
    assert "2 images" in two


def test_bilinear_rounds_half_away_from_zero() -> None:
    node = node_for("RESIZE_BILINEAR", ResizeBilinearAttrs((1, 6)), tensor(1, 1, 3, 1))
    values = np.array([1, 2, -5], np.int8).reshape(1, 1, 3, 1)
    (found,) = operator_of("RESIZE_BILINEAR").evaluate(node, (values,))
    assert found.reshape(-1).tolist() == [1, 2, 2, -2, -5, -5]


@pytest.mark.parametrize(("kind", "attrs", "inputs", "complaint"), [
    ("ARG_MAX", ArgMaxAttrs(-3), (tensor(1, 3),), "axis -3 does not exist"),
    ("TILE", TileAttrs((1,)), (tensor(1, 3),), "one number of at least 1"),
    ("TILE", TileAttrs((1, 0)), (tensor(1, 3),), "one number of at least 1"),
    ("DEPTH_TO_SPACE", BlockAttrs(2), (tensor(1, 2, 2, 3),), "blocks of 2x2"),
    ("SPACE_TO_DEPTH", BlockAttrs(2), (tensor(1, 3, 2, 3),), "blocks of 2x2"),
    ("SPACE_TO_DEPTH", BlockAttrs(0), (tensor(1, 3, 2, 3),), "blocks of 0x0"),
    ("CONCATENATION", ConcatenationAttrs(-1), (tensor(1, 2), tensor(2, 2)), "differ in more than"),
    ("CONCATENATION", ConcatenationAttrs(-1), (tensor(1, 2), tensor(2)), "differ in more than"),
    ("PACK", PackAttrs(0), (tensor(1, 2), tensor(1, 3)), "must be equal"),
    ("SPLIT", SplitAttrs(-1, 2), (constant(1), tensor(1, 3)), "2 equal parts"),
    ("SPLIT", SplitAttrs(-1, 0), (constant(1), tensor(1, 3)), "0 equal parts"),
    ("SPLIT_V", SplitVAttrs(-1, (1, 1)), (tensor(1, 3),), "do not make up"),
    ("SPLIT_V", SplitVAttrs(-1, (4, -1)), (tensor(1, 3),), "do not make up"),
    ("UNPACK", UnpackAttrs(-1, 2), (tensor(1, 3),), "do not make up"),
    ("SQUEEZE", SqueezeAttrs((1,)), (tensor(1, 3),), "it is not 1"),
    ("SLICE", SliceAttrs((0, 1), (1, 3)), (tensor(1, 3),), "does not lie in"),
    ("STRIDED_SLICE", StridedSliceAttrs((0,), (1,), (0,)), (tensor(1, 3),), "stride of 0"),
    ("STRIDED_SLICE", StridedSliceAttrs((3,), (2,), (1,)), (tensor(4, 3),), "holds nothing"),
    ("STRIDED_SLICE", StridedSliceAttrs((4,), (5,), (1,), shrink_axis_mask=1), (tensor(4, 3),),
     "index 4"),
    ("STRIDED_SLICE", StridedSliceAttrs((0,) * 3, (1,) * 3, (1,) * 3), (tensor(4, 3),),
     "slices 3 dimensions"),
    ("STRIDED_SLICE", StridedSliceAttrs((0,) * 2, (1,) * 2, (1,) * 2, ellipsis_mask=3),
     (tensor(4, 3),), "several ellipses"),
])
def test_nonsense_is_refused(
    kind: str, attrs: Any, inputs: tuple[Tensor, ...], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        operator_of(kind).output_shapes(Node("n", attrs, inputs, ()))


@pytest.mark.parametrize(("kind", "attrs", "inputs"), [
    ("SPLIT", SplitAttrs(-1, 3), (constant(0), tensor(1, 3))),
    ("SPLIT_V", SplitVAttrs(-1, (1, 2)), (tensor(1, 3), constant(2, 1), constant(1))),
    ("SPLIT_V", SplitVAttrs(-1, (1, 2)), (tensor(1, 3), constant(1, 2), constant(0))),
    ("SLICE", SliceAttrs((0, 1), (1, 2)), (tensor(1, 3), constant(0, 0), constant(1, 2))),
    ("STRIDED_SLICE", StridedSliceAttrs((0,), (1,), (1,)),
     (tensor(1, 3), constant(0), constant(1), constant(2))),
    ("EXPAND_DIMS", ExpandDimsAttrs(1), (tensor(1, 3), constant(0))),
    ("ARG_MAX", ArgMaxAttrs(-1), (tensor(1, 3), constant(0))),
    ("TILE", TileAttrs((1, 2)), (tensor(1, 3), constant(1, 1))),
])
def test_attributes_that_the_constants_do_not_spell_cannot_be_written(
    kind: str, attrs: Any, inputs: tuple[Tensor, ...]
) -> None:
    with pytest.raises(ValueError, match="differ"):
        operator_of(kind).write(node_for(kind, attrs, *inputs))


@pytest.mark.parametrize("kind", ["SPLIT", "SPLIT_V", "SLICE", "STRIDED_SLICE", "EXPAND_DIMS"])
def test_values_computed_at_run_time_are_refused(kind: str) -> None:
    given = Tensor("axis", (1,), "int32")
    inputs = (given, tensor(1, 3)) if kind == "SPLIT" else (tensor(1, 3), given, given, given)
    with pytest.raises(ValueError, match="computed at run time"):
        operator_of(kind).read(None, Node("n", None, inputs, ()))
