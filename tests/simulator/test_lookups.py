# SPDX-License-Identifier: MIT
"""ELU in LiteRT's reference kernels, which lack it: a look-up in a table made by LiteRT itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tinyeff.errors import ModelFileError
from tinyeff.interpreter import evaluate
from tinyeff.ir import Array, Graph
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.pointwise_table import PointwiseAttrs
from tinyeff.reader.flatbuffer import serialize
from tinyeff.simulator.litert import Reference


def chain(*scales: float) -> Graph:
    """As many ELUs, with a ReLU in front."""
    g = GraphBuilder("elus")
    x = g.input((1, 16, 4, 4), 0.03, -5)
    x = g.op("RELU_N1_TO_1", [x], PointwiseAttrs(), 0.05, 3)
    for scale in scales:
        x = g.op("ELU", [x], PointwiseAttrs(), scale, -20)
    return g.graph(x)


def other_kernels(flatbuffer: bytes, x: Array, index: int) -> Array:
    """What LiteRT's optimized kernels make of it; they have ELU and compute it by a table."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter: Any = Interpreter(
        model_content=flatbuffer,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, x)
    interpreter.invoke()
    return np.array(interpreter.get_tensor(index))


def test_every_tensor_keeps_its_number() -> None:
    graph = chain(0.03, 0.02)
    x = np.arange(-128, 128).astype(np.int8).reshape(1, 16, 4, 4)
    reference = Reference(serialize(graph))
    reference.run((x,))
    for index, value in evaluate(graph, (x,)).items():
        np.testing.assert_array_equal(reference.tensor(index), value)


def test_the_table_is_that_of_litert() -> None:
    g = GraphBuilder("elu")
    data = serialize(g.graph(g.op("ELU", [g.input((1, 256), 0.04, 9)], PointwiseAttrs(), 0.02)))
    x = np.arange(-128, 128).astype(np.int8).reshape(1, 256)
    reference = Reference(data)
    reference.run((x,))
    np.testing.assert_array_equal(reference.tensor(1), other_kernels(data, x, 1))


def test_elu_in_float_is_refused() -> None:
    graph = chain(0.03)
    tensors = tuple(replace(t, dtype="float32", quant=None) for t in graph.tensors)
    with pytest.raises(ModelFileError, match="ELU"):
        Reference(serialize(replace(graph, tensors=tensors)))
