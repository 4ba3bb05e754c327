# SPDX-License-Identifier: MIT
"""More tensors and operators for a TFLite model that was unpacked into the schema's objects."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff.ir import Array


def packed(model: Any) -> bytes:
    """The model as a file."""
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def new_tensor(graph: Any, shape: Any, dtype: int) -> int:
    """The number of a new activation."""
    tensor = schema.TensorT()
    tensor.name = f"stand_in_{len(graph.tensors)}"
    tensor.shape, tensor.type, tensor.buffer = np.array(shape, np.int32), dtype, 0
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def new_constant(model: Any, graph: Any, data: Array, dtype: int) -> int:
    """The number of a new constant."""
    index = new_tensor(graph, data.shape, dtype)
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(data.tobytes(), np.uint8)
    graph.tensors[index].buffer = len(model.buffers)
    model.buffers.append(buffer)
    return index


def new_operator(
    model: Any, kind: str, inputs: list[int], output: int, options: Any, version: int = 1
) -> Any:
    """An operator with a code of its own, to be put in its place."""
    model.operatorCodes.append(new_code(kind, version))
    op = schema.OperatorT()
    op.opcodeIndex = len(model.operatorCodes) - 1
    op.inputs, op.outputs = np.array(inputs, np.int32), np.array([output], np.int32)
    op.builtinOptions = options
    name = type(options).__name__.removesuffix("T")
    op.builtinOptionsType = getattr(schema.BuiltinOptions, name)
    return op


def new_code(kind: str, version: int = 1) -> Any:
    """An operator code."""
    code = schema.OperatorCodeT()
    number = getattr(schema.BuiltinOperator, kind)
    code.builtinCode, code.deprecatedBuiltinCode, code.version = number, min(number, 127), version
    return code
