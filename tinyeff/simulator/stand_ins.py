# SPDX-License-Identifier: MIT
"""Stand-ins for what LiteRT's reference kernels lack or get wrong, in operators that they have.

ELU     they do not have. LiteRT's other kernels compute an int8 ELU by a table of 256 bytes. That
        table is read out of them, and the operator is written as a GATHER from it:
        CAST to int32, ADD 128, GATHER.
LOCAL_RESPONSE_NORMALIZATION
        they have in float32 only: DEQUANTIZE, the operator, QUANTIZE.
SUM     of int8 takes the values for uint8. What it means is what it computes in uint8, 128 higher:
        QUANTIZE to uint8, SUM, QUANTIZE to int8.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff.ir import Array

ELU, SUM = schema.BuiltinOperator.ELU, schema.BuiltinOperator.SUM
NORMALIZATION = schema.BuiltinOperator.LOCAL_RESPONSE_NORMALIZATION
FLOAT32 = schema.TensorType.FLOAT32
INT8, UINT8, INT32 = schema.TensorType.INT8, schema.TensorType.UINT8, schema.TensorType.INT32
VALUES: Array = np.arange(-128, 128).astype(np.int8)


def needs_stand_ins(flatbuffer: bytes) -> bool:
    """True where the model, which LiteRT has read, names one of these operators."""
    model = schema.Model.GetRootAsModel(flatbuffer, 0)
    codes = (model.OperatorCodes(i) for i in range(model.OperatorCodesLength()))
    return any(max(c.BuiltinCode(), c.DeprecatedBuiltinCode()) in STAND_INS for c in codes)


def with_stand_ins(flatbuffer: bytes) -> bytes:
    """The model with these operators of int8 in other words; its tensors keep their numbers."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(flatbuffer, 0))
    graph = model.subgraphs[0]
    kinds = [max(c.builtinCode, c.deprecatedBuiltinCode) for c in model.operatorCodes]
    operators = []
    for op in graph.operators:
        stand_in = STAND_INS.get(kinds[op.opcodeIndex])
        if stand_in and graph.tensors[op.inputs[0]].type == INT8:
            operators += stand_in(model, graph, op)
        else:
            operators.append(op)
    graph.operators = operators
    used = {op.opcodeIndex for op in operators}
    for number, kind in enumerate(kinds):
        if kind == ELU and number not in used:
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


def _sum(model: Any, graph: Any, op: Any) -> list[Any]:
    before, after = (_in_uint8(graph, graph.tensors[i]) for i in (op.inputs[0], op.outputs[0]))
    options = schema.QuantizeOptionsT
    result, inner = op.outputs[0], copy.copy(op)
    inner.inputs = np.array([before, *op.inputs[1:]], np.int32)
    inner.outputs = np.array([after], np.int32)
    return [
        _operator(model, "QUANTIZE", [op.inputs[0]], before, options(), version=2),
        inner,
        _operator(model, "QUANTIZE", [after], result, options(), version=2),
    ]


def _in_float32(model: Any, graph: Any, op: Any) -> list[Any]:
    x, result = op.inputs[0], op.outputs[0]
    before, after = (_tensor(graph, graph.tensors[i].shape, FLOAT32) for i in (x, result))
    inner = copy.copy(op)
    inner.inputs, inner.outputs = np.array([before], np.int32), np.array([after], np.int32)
    return [
        _operator(model, "DEQUANTIZE", [x], before, schema.DequantizeOptionsT(), version=2),
        inner,
        _operator(model, "QUANTIZE", [after], result, schema.QuantizeOptionsT()),
    ]


def _in_uint8(graph: Any, tensor: Any) -> int:
    """A new tensor for the same values, 128 higher."""
    index = _tensor(graph, tensor.shape, UINT8)
    quantization = copy.copy(tensor.quantization)
    quantization.zeroPoint = np.array(quantization.zeroPoint) + 128
    graph.tensors[index].quantization = quantization
    return index


def _tensor(graph: Any, shape: Any, dtype: int) -> int:
    tensor = schema.TensorT()
    tensor.name = f"stand_in_{len(graph.tensors)}"
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


def _operator(
    model: Any, kind: str, inputs: list[int], output: int, options: Any, version: int = 1
) -> Any:
    model.operatorCodes.append(_code(kind, version))
    op = schema.OperatorT()
    op.opcodeIndex = len(model.operatorCodes) - 1
    op.inputs, op.outputs = np.array(inputs, np.int32), np.array([output], np.int32)
    op.builtinOptions = options
    name = type(options).__name__.removesuffix("T")
    op.builtinOptionsType = getattr(schema.BuiltinOptions, name)
    return op


def _code(kind: str, version: int = 1) -> Any:
    code = schema.OperatorCodeT()
    number = getattr(schema.BuiltinOperator, kind)
    code.builtinCode, code.deprecatedBuiltinCode, code.version = number, min(number, 127), version
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


STAND_INS: dict[int, Callable[[Any, Any, Any], list[Any]]] = {
    ELU: _lookup, SUM: _sum, NORMALIZATION: _in_float32,
}
"""What writes an operator of int8 in other words."""
