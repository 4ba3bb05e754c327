# SPDX-License-Identifier: MIT
"""Small TFLite files to read, and files that are wrong in one chosen place."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from tinyeff.errors import UnsupportedError
from tinyeff.ir import Graph
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.conv_2d import Conv2DAttrs
from tinyeff.ops.operator import SAME, padding_of
from tinyeff.reader import check_supported, parse, serialize, simplify

Change = Callable[[Any], None]


def two_convolutions() -> Graph:
    """8x8x3 -> 3x3 convolution -> 1x1 convolution, int8; tensors 0 to 6 in that order."""
    g = GraphBuilder("two_convolutions", 1)
    x = g.input((1, 8, 8, 3), 0.05, 3)
    w = g.random_weights((4, 3, 3, 3), 0)
    b = g.random_bias(4, x, w)
    same = Conv2DAttrs(padding=padding_of(SAME, (8, 8), (3, 3), (1, 1)))
    y = g.op("CONV_2D", [x, w, b], same, 0.1, -4)
    w2 = g.random_weights((5, 1, 1, 4), 0)
    b2 = g.random_bias(5, y, w2)
    return g.graph(g.op("CONV_2D", [y, w2, b2], Conv2DAttrs(), 0.1, 7))


@cache
def two_convolutions_file() -> bytes:
    return serialize(two_convolutions())


def unpacked(data: bytes) -> Any:
    """The file as objects that can be changed."""
    return schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))


def packed(model: Any) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def changed(change: Change, data: bytes | None = None) -> bytes:
    """The file (two convolutions by default) after `change(model)`."""
    model = unpacked(data or two_convolutions_file())
    change(model)
    return packed(model)


def int32(*values: int) -> Any:
    return np.array(values, np.int32)


def operator_code(name: str) -> Any:
    """An operator code, for operators that tinyeff need not know."""
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, name)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    code.version = 1
    return code


def insert(model: Any, position: int, name: str, inputs: list[int], outputs: list[int],
           options: Any = None) -> None:
    """Put one more operator into the file."""
    model.operatorCodes.append(operator_code(name))
    op = schema.OperatorT()
    op.opcodeIndex = len(model.operatorCodes) - 1
    op.inputs, op.outputs = int32(*inputs), int32(*outputs)
    if options is not None:
        op.builtinOptions = options
        table = type(options).__name__.removesuffix("T")
        op.builtinOptionsType = getattr(schema.BuiltinOptions, table)
    model.subgraphs[0].operators.insert(position, op)


def add_tensor(model: Any, like: int, shape: tuple[int, ...] | None = None,
               data: Any = None, dtype: int | None = None) -> int:
    """One more tensor: a copy of tensor `like`, with another shape or type, or with data."""
    old = model.subgraphs[0].tensors[like]
    new = schema.TensorT(shape=old.shape, type=old.type, buffer=0,
                         name=f"added_{len(model.subgraphs[0].tensors)}",
                         quantization=old.quantization)
    if shape is not None:
        new.shape = int32(*shape)
    if data is not None:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
        new.shape, new.quantization = int32(*np.shape(data)), None
        new.buffer = len(model.buffers)
        model.buffers.append(buffer)
        new.type = schema.TensorType.INT32
    if dtype is not None:
        new.type = dtype
    model.subgraphs[0].tensors.append(new)
    return len(model.subgraphs[0].tensors) - 1


def items_of(data: bytes) -> list[tuple[str, str, str]]:
    """(operator, tensor, reason) of everything for which the file is refused."""
    with pytest.raises(UnsupportedError) as error:
        check_supported(simplify(parse(data, "model")))
    return [(i.operator, i.tensor, i.reason) for i in error.value.items]
