# SPDX-License-Identifier: MIT
"""ELU for LiteRT's reference kernels, which do not have it.

LiteRT's other kernels compute an int8 ELU by a table of 256 bytes. That table is read out of them,
and the operator is written as a GATHER from it: CAST to int32, ADD 128, GATHER.
"""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff.ir import Array

ELU = schema.BuiltinOperator.ELU
INT8, INT32 = schema.TensorType.INT8, schema.TensorType.INT32
VALUES: Array = np.arange(-128, 128).astype(np.int8)


def with_lookups(flatbuffer: bytes) -> bytes:
    """The model with every int8 ELU as a look-up; its tensors keep their numbers."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(flatbuffer, 0))
    graph = model.subgraphs[0]
    elus = {n for n, c in enumerate(model.operatorCodes)
            if max(c.builtinCode, c.deprecatedBuiltinCode) == ELU}
    operators = []
    for op in graph.operators:
        if op.opcodeIndex in elus and graph.tensors[op.inputs[0]].type == INT8:
            operators += _lookup(model, graph, op)
        else:
            operators.append(op)
    graph.operators = operators
    for number in elus - {op.opcodeIndex for op in operators}:
        model.operatorCodes[number] = _code("CAST")  # LiteRT looks up unused ones as well
    return _packed(model)


def _packed(model: Any) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _lookup(model: Any, graph: Any, op: Any) -> list[Any]:
    x, out = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    numbers = _tensor(graph, x.shape, INT32)
    offset = _constant(model, graph, np.array(128, np.int32), INT32)
    indices = _tensor(graph, x.shape, INT32)
    table = _constant(model, graph, _table(model, op, x, out), INT8)
    graph.tensors[table].quantization = out.quantization
    cast = schema.CastOptionsT()
    cast.inDataType, cast.outDataType = INT8, INT32
    return [
        _operator(model, "CAST", [op.inputs[0]], numbers, cast),
        _operator(model, "ADD", [numbers, offset], indices, schema.AddOptionsT()),
        _operator(model, "GATHER", [table, indices], op.outputs[0], schema.GatherOptionsT()),
    ]


def _tensor(graph: Any, shape: Any, dtype: int) -> int:
    tensor = schema.TensorT()
    tensor.name = f"lookup_{len(graph.tensors)}"
    tensor.shape, tensor.type, tensor.buffer = np.array(shape, np.int32), dtype, 0
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _constant(model: Any, graph: Any, data: Array, dtype: int) -> int:
    index = _tensor(graph, data.shape, dtype)
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(data.tobytes(), np.uint8)
    graph.tensors[index].buffer = len(model.buffers)
    model.buffers.append(buffer)
    return index


def _operator(model: Any, kind: str, inputs: list[int], output: int, options: Any) -> Any:
    model.operatorCodes.append(_code(kind))
    op = schema.OperatorT()
    op.opcodeIndex = len(model.operatorCodes) - 1
    op.inputs, op.outputs = np.array(inputs, np.int32), np.array([output], np.int32)
    op.builtinOptions = options
    name = type(options).__name__.removesuffix("T")
    op.builtinOptionsType = getattr(schema.BuiltinOptions, name)
    return op


def _code(kind: str) -> Any:
    code = schema.OperatorCodeT()
    number = getattr(schema.BuiltinOperator, kind)
    code.builtinCode, code.deprecatedBuiltinCode, code.version = number, min(number, 127), 1
    return code


def _table(model: Any, op: Any, x: Any, out: Any) -> Array:
    """What LiteRT's ELU makes of every int8 value with these scales: int8 of shape (256,)."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    alone = schema.ModelT()
    alone.version, alone.buffers = model.version, [schema.BufferT()]
    alone.operatorCodes = [model.operatorCodes[op.opcodeIndex]]
    graph = schema.SubGraphT()
    graph.name, graph.tensors = "elu", []
    for tensor in (x, out):
        graph.tensors[_tensor(graph, (256,), INT8)].quantization = tensor.quantization
    graph.inputs, graph.outputs = np.array([0], np.int32), np.array([1], np.int32)
    elu = schema.OperatorT()
    elu.opcodeIndex, elu.inputs, elu.outputs = 0, graph.inputs, graph.outputs
    graph.operators, alone.subgraphs = [elu], [graph]
    interpreter: Any = Interpreter(
        model_content=_packed(alone),
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, VALUES)
    interpreter.invoke()
    return np.array(interpreter.get_tensor(1))
