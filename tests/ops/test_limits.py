# SPDX-License-Identifier: MIT
"""What operators refuse, and the sentence that says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.ops.test_cases import TARGETS, WITH_CASES, cases
from tinyeff.ir import Quant, Tensor
from tinyeff.ops import operator as o
from tinyeff.ops import operator_of
from tinyeff.ops.batch_matmul import BatchMatmulAttrs
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.conv_2d import Conv2DAttrs
from tinyeff.ops.elementwise import ElementwiseAttrs
from tinyeff.ops.fully_connected import FullyConnectedAttrs
from tinyeff.ops.l2_normalization import L2NormalizationAttrs
from tinyeff.ops.operator import Node, node_of
from tinyeff.ops.pointwise_table import PointwiseAttrs
from tinyeff.ops.pooling import Pool2DAttrs
from tinyeff.ops.softmax import SoftmaxAttrs
from tinyeff.ops.transpose_conv import TransposeConvAttrs
from tinyeff.targets import target_for


def sentences(kind: str, node: Node[Any]) -> str:
    return "\n".join(operator_of(kind).limits(node))


def with_input(node: Node[Any], number: int, **changes: Any) -> Node[Any]:
    """The node with one of its inputs changed."""
    inputs = list(node.inputs)
    inputs[number] = replace(node.input(number), **changes)
    return replace(node, inputs=tuple(inputs))


def with_output(node: Node[Any], **changes: Any) -> Node[Any]:
    """The node with its output changed."""
    return replace(node, outputs=(replace(node.output, **changes),))


def convolution(kind: str = "CONV_2D") -> Node[Any]:
    g = GraphBuilder("g")
    x = g.input((1, 4, 4, 3), 0.05, 1)
    shape, axis = ((4, 3, 3, 3), 0) if kind == "CONV_2D" else ((1, 3, 3, 3), 3)
    weights = g.random_weights(shape, axis)
    bias = g.random_bias(shape[axis], x, weights)
    padding = o.padding_of(o.SAME, (4, 4), (3, 3), (1, 1))
    graph = g.graph(g.op(kind, [x, weights, bias], Conv2DAttrs(padding=padding), 0.1))
    return node_of(graph, graph.ops[0])


def dense() -> Node[Any]:
    g = GraphBuilder("g")
    x = g.input((1, 12), 0.05, 1)
    weights = g.random_weights((4, 12), 0, per_channel=False)
    bias = g.random_bias(4, x, weights)
    graph = g.graph(g.op("FULLY_CONNECTED", [x, weights, bias], FullyConnectedAttrs(), 0.1))
    return node_of(graph, graph.ops[0])


def binary(kind: str, second: tuple[int, ...] = (1, 4, 4, 3)) -> Node[Any]:
    g = GraphBuilder("g")
    a, b = g.input((1, 4, 4, 3), 0.05, 1), g.input(second, 0.05, 1)
    graph = g.graph(g.op(kind, [a, b], ElementwiseAttrs(), 0.1))
    return node_of(graph, graph.ops[0])


def softmax(channels: int = 10) -> Node[Any]:
    g = GraphBuilder("g")
    x = g.input((1, channels), 0.05, 1)
    graph = g.graph(g.op("SOFTMAX", [x], SoftmaxAttrs(), 1 / 256, -128))
    return node_of(graph, graph.ops[0])


def bias_of(value: int, dtype: str = "int32") -> dict[str, Any]:
    return {"data": np.full(4, value, dtype), "dtype": dtype}


WEIGHTED: dict[str, tuple[Callable[[Node[Any]], Node[Any]], str]] = {
    "runtime_weights": (lambda n: with_input(n, 1, data=None), "weights are computed at run time"),
    "runtime_bias": (lambda n: with_input(n, 2, data=None), "bias is computed at run time"),
    "short_bias": (lambda n: with_input(n, 2, shape=(2,)), "bias has 2 values for 4"),
    "wide_weights": (lambda n: with_input(n, 1, dtype="int16"), "weights are int16"),
    "wide_bias": (lambda n: with_input(n, 2, **bias_of(1, "int64")), "bias is int64"),
    "zero_points": (lambda n: with_input(n, 1, quant=Quant((0.1,), (3,))), "zero points other"),
    "scales": (lambda n: with_input(n, 1, quant=Quant((0.1, 0.2, 0.3), (0, 0, 0), 0)),
               "3 scales for 4 output channels"),
    "no_scale": (lambda n: with_input(n, 1, quant=Quant((0.0,), (0,))), "not a positive finite"),
    "inf_scale": (lambda n: with_input(n, 1, quant=Quant((np.inf,), (0,))), "positive finite"),
    "accumulator": (lambda n: with_input(n, 2, **bias_of(2**31 - 1)), "beyond 32 bits"),
    "small_output_scale": (lambda n: with_output(n, quant=Quant((1e-9,), (0,))), "beyond 32 bits"),
    "activation": (lambda n: replace(n, attrs=replace(n.attrs, activation="tanh")), "tanh"),
}


@pytest.mark.parametrize("name", WEIGHTED)
@pytest.mark.parametrize("kind", ["CONV_2D", "FULLY_CONNECTED"])
def test_weighted(kind: str, name: str) -> None:
    node = convolution() if kind == "CONV_2D" else dense()
    assert sentences(kind, node) == ""
    change, words = WEIGHTED[name]
    said = sentences(kind, change(node))
    # FULLY_CONNECTED takes one zero point for all weights, as LiteRT does.
    assert said == "" if (kind, name) == ("FULLY_CONNECTED", "zero_points") else words in said


def test_depthwise_has_the_limits_of_convolutions() -> None:
    node = convolution("DEPTHWISE_CONV_2D")
    assert sentences("DEPTHWISE_CONV_2D", node) == ""
    broken = with_input(node, 1, data=None)
    assert "weights are computed at run time" in sentences("DEPTHWISE_CONV_2D", broken)


@pytest.mark.parametrize("kind", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_batch(kind: str) -> None:
    node = with_input(convolution(kind), 0, shape=(2, 4, 4, 3))
    assert "2 images" in sentences(kind, node)


def test_shift_beyond_any_word() -> None:
    quiet = with_input(convolution(), 1, data=np.zeros((4, 3, 3, 3), np.int8),
                       quant=Quant((1e9,), (0,)))
    node = with_input(quiet, 2, data=np.zeros(4, np.int32))
    assert "beyond 32 bits" in sentences("CONV_2D", with_output(node, quant=Quant((1e-9,), (0,))))


def test_fully_connected() -> None:
    node = dense()
    shuffled = replace(node, attrs=replace(node.attrs, shuffled=True))
    assert "SHUFFLED4x16INT8" in sentences("FULLY_CONNECTED", shuffled)
    for weights, words in [((4, 12, 1), "2 dimensions"), ((4, 5), "does not divide")]:
        with pytest.raises(ValueError, match=words):
            operator_of("FULLY_CONNECTED").output_shapes(with_input(node, 1, shape=weights))
    kept = replace(with_input(node, 1, shape=(4, 6)), attrs=FullyConnectedAttrs(keep_dims=True))
    with pytest.raises(ValueError, match="last dimension"):
        operator_of("FULLY_CONNECTED").output_shapes(kept)


@pytest.mark.parametrize("kind", ["ADD", "SUB", "MUL", "MINIMUM", "MAXIMUM"])
def test_elementwise(kind: str) -> None:
    node = binary(kind)
    assert sentences(kind, node) == ""
    assert sentences(kind, binary(kind, (1, 4, 1, 1))) == ""
    assert sentences(kind, binary(kind, (1, 4, 4, 1))) == ""
    outer = sentences(kind, binary(kind, (2, 1, 4, 3)))
    assert "broadcasts (1, 4, 4, 3) to (2, 4, 4, 3)" in outer
    assert "broadcasts (2, 1, 4, 3) to (2, 4, 4, 3)" in outer
    tanh = replace(node, attrs=ElementwiseAttrs("tanh"))
    assert "tanh" in sentences(kind, tanh)
    with pytest.raises(ValueError, match="cannot be broadcast"):
        binary(kind, (1, 4, 4, 2))


@pytest.mark.parametrize("kind", ["ADD", "SUB"])
def test_add_scales(kind: str) -> None:
    node = binary(kind)
    just = with_output(node, quant=Quant((float(np.float32(0.05)) * 2 / 2**20 * 1.001,), (0,)))
    assert sentences(kind, just) == ""
    beyond = with_output(node, quant=Quant((float(np.float32(0.05)) * 2 / 2**20,), (0,)))
    assert "2**20 times smaller" in sentences(kind, beyond)
    for huge in (with_output(node, quant=Quant((3e38,), (0,))),
                 with_input(node, 0, quant=Quant((3e38,), (0,)))):
        assert "too large for float32" in sentences(kind, huge)


def test_prelu() -> None:
    node = binary("PRELU", (1, 1, 1, 3))
    assert sentences("PRELU", node) == ""
    steep = with_input(node, 1, quant=Quant((10.0,), (0,)))
    assert "beyond 32 bits" in sentences("PRELU", with_output(steep, quant=Quant((1e-6,), (0,))))
    assert "4194304 is" in sentences("PRELU", with_output(node, quant=Quant((1e-9,), (0,))))
    huge = with_input(with_input(node, 0, quant=Quant((1e30,), (0,))), 1,
                      quant=Quant((1e30,), (0,)))
    assert "float32" in sentences("PRELU", with_output(huge, quant=Quant((1e30,), (0,))))
    constant = with_input(node, 0, data=np.zeros((1, 4, 4, 3), np.int8))
    assert "input is a constant" in sentences("PRELU", constant)
    with pytest.raises(ValueError, match="alpha of shape"):
        operator_of("PRELU").output_shapes(with_input(node, 0, shape=(1, 4, 4, 1)))


def test_mul_scales() -> None:
    node = binary("MUL")
    assert "beyond 32 bits" in sentences("MUL", with_output(node, quant=Quant((1e-8,), (0,))))
    huge = with_input(with_input(node, 0, quant=Quant((1e30,), (0,))), 1,
                      quant=Quant((1e30,), (0,)))
    assert "float32" in sentences("MUL", huge)


@pytest.mark.parametrize("kind", ["RELU6", "RELU_0_TO_1", "RELU_N1_TO_1", "MAX_POOL_2D"])
def test_bounds_of_activations_beyond_32_bits(kind: str) -> None:
    g = GraphBuilder("g")
    x = g.input((1, 4, 4, 3), 1e-8, 1)
    attrs = Pool2DAttrs((2, 2), activation="relu6") if "POOL" in kind else PointwiseAttrs()
    graph = g.graph(g.op(kind, [x], attrs, 1e-8, 1))
    node = node_of(graph, graph.ops[0])
    assert sentences(kind, node) == ""
    quant = Quant((1e-11,), (1,))
    small = with_output(with_input(node, 0, quant=quant), quant=quant)
    assert "leaves 32 bits" in sentences(kind, small)


def test_softmax() -> None:
    node = softmax()
    assert sentences("SOFTMAX", node) == ""
    assert sentences("SOFTMAX", softmax(4095)) == ""
    assert "4096 channels" in sentences("SOFTMAX", softmax(4096))
    other = with_output(node, quant=Quant((0.1,), (0,)))
    assert "1/256 and -128" in sentences("SOFTMAX", other)
    assert "2**-26" in sentences("SOFTMAX", replace(node, attrs=SoftmaxAttrs(beta=-1.0)))
    with pytest.raises(ValueError, match="no dimension"):
        operator_of("SOFTMAX").output_shapes(with_input(node, 0, shape=()))


def test_l2_normalization() -> None:
    g = GraphBuilder("g")
    x = g.input((1, 10), 0.05, 1)
    graph = g.graph(g.op("L2_NORMALIZATION", [x], L2NormalizationAttrs(), 1 / 128, 0))
    node = node_of(graph, graph.ops[0])
    assert sentences("L2_NORMALIZATION", node) == ""
    other = with_output(node, quant=Quant((1 / 128,), (1,)))
    assert "1/128 and 0" in sentences("L2_NORMALIZATION", other)
    wide = with_input(node, 0, shape=(1, 40000))
    assert "40000 channels" in sentences("L2_NORMALIZATION", wide)
    relu = replace(node, attrs=L2NormalizationAttrs("relu"))
    assert "no fused activation" in sentences("L2_NORMALIZATION", relu)
    with pytest.raises(ValueError, match="no dimension"):
        operator_of("L2_NORMALIZATION").output_shapes(with_input(node, 0, shape=()))


def transposed() -> Node[Any]:
    g = GraphBuilder("g")
    shape = g.constant(np.array((1, 8, 8, 4), np.int32))
    weights = g.random_weights((4, 3, 3, 3), 0)
    x = g.input((1, 4, 4, 3), 0.05, 1)
    bias = g.random_bias(4, x, weights)
    padding = o.padding_of(o.SAME, (8, 8), (3, 3), (2, 2))
    attrs = TransposeConvAttrs((8, 8), (2, 2), padding)
    graph = g.graph(g.op("TRANSPOSE_CONV", [shape, weights, x, bias], attrs, 0.1))
    return node_of(graph, graph.ops[0])


def test_transpose_conv() -> None:
    kind, node = "TRANSPOSE_CONV", transposed()
    assert sentences(kind, node) == ""
    assert "computed at run time" in sentences(kind, with_input(node, 1, data=None))
    assert "beyond 32 bits" in sentences(kind, with_input(node, 3, **bias_of(2**31 - 1)))
    assert "beyond 32 bits" in sentences(kind, with_output(node, quant=Quant((1e-9,), (0,))))
    two = with_input(with_input(node, 2, shape=(2, 4, 4, 3)), 0, data=np.array((2, 8, 8, 4)))
    assert "2 images" in sentences(kind, two)
    operator = operator_of(kind)
    for change, words in (
        (with_input(node, 2, shape=(1, 5, 4, 3)), "needs an input of"),
        (with_input(node, 2, shape=(1, 4, 4, 2)), "3 input channels, its input 2"),
        (with_input(node, 0, data=np.array((1, 8, 8, 5))), "does not fit"),
        (with_input(node, 0, data=np.array((1, 8, 8))), "must be 4 numbers"),
    ):
        with pytest.raises(ValueError, match=words):
            operator.output_shapes(change)
    with pytest.raises(ValueError, match="differs from its constant input 0"):
        operator.write(with_input(node, 0, data=np.array((1, 7, 8, 4))))


def matmul(first: tuple[int, ...], second: tuple[int, ...]) -> Node[Any]:
    g = GraphBuilder("g")
    a, b = g.input(first, 0.05, 1), g.input(second, 0.05, 1)
    graph = g.graph(g.op("BATCH_MATMUL", [a, b], BatchMatmulAttrs(), 0.1))
    return node_of(graph, graph.ops[0])


def test_batch_matmul() -> None:
    kind, node = "BATCH_MATMUL", matmul((1, 2, 4, 3), (1, 2, 3, 5))
    assert sentences(kind, node) == ""
    assert "there must be one for each" in sentences(kind, matmul((1, 2, 1, 4, 3), (1, 1, 3, 3, 5)))
    assert "more than 5" in sentences(kind, matmul((1,) * 4 + (4, 3), (3, 5)))
    assert "beyond 32 bits" in sentences(kind, with_output(node, quant=Quant((1e-9,), (0,))))
    large = Quant((1e30,), (0,))
    huge = with_input(with_input(node, 0, quant=large), 1, quant=large)
    assert "not finite" in sentences(kind, huge)
    several = with_input(node, 1, quant=Quant((0.1,) * 5, (0,) * 5, 3))
    assert "several scales" in sentences(kind, several)
    for shapes, words in ((((4, 3), (4, 5)), "cannot be multiplied"),
                          (((2, 4, 3), (3, 3, 5)), "must be equal or 1"),
                          (((3,), (3, 5)), "2 dimensions or more")):
        with pytest.raises(ValueError, match=words):
            matmul(*shapes)


@pytest.mark.parametrize("kind", WITH_CASES)
def test_float_graphs_can_be_planned(kind: str) -> None:
    """Without quantization everything that planning asks for still answers."""

    def in_float(tensor: Tensor | None) -> Tensor | None:
        if tensor is None or (tensor.quant is None and tensor.dtype != "int8"):
            return tensor
        data = None if tensor.data is None else tensor.data.astype(np.float32)
        return replace(tensor, dtype="float32", quant=None, data=data)

    operator = operator_of(kind)
    for graph, node, _ in cases(kind):
        inputs = tuple(in_float(t) for t in node.inputs)
        outputs = tuple(t for t in map(in_float, node.outputs) if t is not None)
        node = replace(node, inputs=inputs, outputs=outputs)
        list(operator.limits(node))
        assert operator.output_shapes(node) == tuple(t.shape for t in outputs)
        assert operator.macs(node) >= 0, graph.source.name
        assert operator.form_of(node) in ("rows", "accumulate", "whole", "view")
        for cpu in TARGETS:
            for variant in operator.variants(node, target_for(cpu)):
                assert variant.cost >= 0
        for number in range(len(node.activations)):
            assert operator.window(node, number).divisor > 0
            assert operator.columns(node, number).divisor > 0
