# SPDX-License-Identifier: MIT
"""Stand-ins for what LiteRT's reference kernels lack or get wrong, in operators that they have.

ELU     they do not have. LiteRT's other kernels compute an int8 ELU by a table of 256 bytes. That
        table is read out of them, and the operator is written as a GATHER from it:
        CAST to int32, ADD 128, GATHER.
LOCAL_RESPONSE_NORMALIZATION
        they have in float32 only: DEQUANTIZE, the operator, QUANTIZE.
SUM     of int8 takes the values for uint8. What it means is what it computes in uint8, 128 higher:
        QUANTIZE to uint8, SUM, QUANTIZE to int8.
SOFTMAX of 512 channels and more ends the process on some inputs, which are kept from it: see
        `wide_softmax`.

Converters write versions of operators that only LiteRT's other kernels are registered for, such as
TILE 3 for int8, and names that are not UTF-8, which its Python does not take.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff.ir import Array
from tinyeff.ops import registry
from tinyeff.simulator.file_objects import (
    new_code,
    new_constant,
    new_operator,
    new_tensor,
    packed,
)
from tinyeff.simulator.wide_softmax import can_end_the_process, guarded

ELU, SUM = schema.BuiltinOperator.ELU, schema.BuiltinOperator.SUM
SOFTMAX = schema.BuiltinOperator.SOFTMAX
NORMALIZATION = schema.BuiltinOperator.LOCAL_RESPONSE_NORMALIZATION
FLOAT32 = schema.TensorType.FLOAT32
INT8, UINT8, INT32 = schema.TensorType.INT8, schema.TensorType.UINT8, schema.TensorType.INT32
VALUES: Array = np.arange(-128, 128).astype(np.int8)


def needs_stand_ins(flatbuffer: bytes) -> bool:
    """True where the model, which LiteRT has read, has one of these operators or names."""
    model = schema.Model.GetRootAsModel(flatbuffer, 0)
    codes = (model.OperatorCodes(i) for i in range(model.OperatorCodesLength()))
    kinds = [max(c.BuiltinCode(), c.DeprecatedBuiltinCode()) for c in codes]
    graph = model.Subgraphs(0)
    if not all(map(_is_utf8, (graph.Tensors(i).Name() for i in range(graph.TensorsLength())))):
        return True
    for op in (graph.Operators(i) for i in range(graph.OperatorsLength())):
        kind = kinds[op.OpcodeIndex()]
        if kind in STAND_INS:
            x = graph.Tensors(op.Inputs(0))
            if _stands_in(kind, x.Type(), x.ShapeAsNumpy()):
                return True
    return False


def _stands_in(kind: int, dtype: int, shape: Any) -> bool:
    """True for an operator of STAND_INS whose first input is like this."""
    return can_end_the_process(dtype, shape) if kind == SOFTMAX else dtype == INT8


def _is_utf8(name: bytes | None) -> bool:
    return name is None or name.decode("utf-8", "replace").encode() == name


def with_older_versions(flatbuffer: bytes) -> bytes:
    """The model with each operator in a version that LiteRT's reference kernels are known by."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(flatbuffer, 0))
    known = {getattr(schema.BuiltinOperator, k): op.version for k, op in registry().items()}
    for code in model.operatorCodes:
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        code.version = min(code.version, known.get(number, code.version))
    return packed(model)


def with_stand_ins(flatbuffer: bytes) -> bytes:
    """The model with these operators in other words; its tensors keep their numbers."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(flatbuffer, 0))
    graph = model.subgraphs[0]
    kinds = [max(c.builtinCode, c.deprecatedBuiltinCode) for c in model.operatorCodes]
    operators = []
    for op in graph.operators:
        kind = kinds[op.opcodeIndex]
        x = graph.tensors[op.inputs[0]] if kind in STAND_INS else None
        if x and _stands_in(kind, x.type, x.shape):
            operators += STAND_INS[kind](model, graph, op)
        else:
            operators.append(op)
    graph.operators = operators
    for tensor in graph.tensors:
        if isinstance(tensor.name, bytes):
            tensor.name = tensor.name.decode("utf-8", "replace")
    used = {op.opcodeIndex for op in operators}
    for number, kind in enumerate(kinds):
        if kind == ELU and number not in used:
            model.operatorCodes[number] = new_code("CAST")  # LiteRT looks up unused ones as well
    return packed(model)


def _lookup(model: Any, graph: Any, op: Any) -> list[Any]:
    x, out = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    numbers = new_tensor(graph, x.shape, INT32)
    offset = new_constant(model, graph, np.array(128, np.int32), INT32)
    indices = new_tensor(graph, x.shape, INT32)
    table = new_constant(model, graph, _table(model, op, x, out), INT8)
    graph.tensors[table].quantization = out.quantization
    cast = schema.CastOptionsT()
    cast.inDataType, cast.outDataType = INT8, INT32
    return [
        new_operator(model, "CAST", [op.inputs[0]], numbers, cast),
        new_operator(model, "ADD", [numbers, offset], indices, schema.AddOptionsT()),
        new_operator(model, "GATHER", [table, indices], op.outputs[0], schema.GatherOptionsT()),
    ]


def _sum(model: Any, graph: Any, op: Any) -> list[Any]:
    before, after = (_in_uint8(graph, graph.tensors[i]) for i in (op.inputs[0], op.outputs[0]))
    options = schema.QuantizeOptionsT
    result, inner = op.outputs[0], copy.copy(op)
    inner.inputs = np.array([before, *op.inputs[1:]], np.int32)
    inner.outputs = np.array([after], np.int32)
    return [
        new_operator(model, "QUANTIZE", [op.inputs[0]], before, options(), version=2),
        inner,
        new_operator(model, "QUANTIZE", [after], result, options(), version=2),
    ]


def _in_float32(model: Any, graph: Any, op: Any) -> list[Any]:
    x, result = op.inputs[0], op.outputs[0]
    before, after = (new_tensor(graph, graph.tensors[i].shape, FLOAT32) for i in (x, result))
    inner = copy.copy(op)
    inner.inputs, inner.outputs = np.array([before], np.int32), np.array([after], np.int32)
    return [
        new_operator(model, "DEQUANTIZE", [x], before, schema.DequantizeOptionsT(), version=2),
        inner,
        new_operator(model, "QUANTIZE", [after], result, schema.QuantizeOptionsT()),
    ]


def _in_uint8(graph: Any, tensor: Any) -> int:
    """A new tensor for the same values, 128 higher."""
    index = new_tensor(graph, tensor.shape, UINT8)
    quantization = copy.copy(tensor.quantization)
    quantization.zeroPoint = np.array(quantization.zeroPoint) + 128
    graph.tensors[index].quantization = quantization
    return index


def _table(model: Any, op: Any, x: Any, out: Any) -> Array:
    """What LiteRT's ELU makes of every int8 value with these scales: int8 of shape (256,)."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    alone = schema.ModelT()
    alone.version, alone.buffers = model.version, [schema.BufferT()]
    alone.operatorCodes = [model.operatorCodes[op.opcodeIndex]]
    graph = schema.SubGraphT()
    graph.name, graph.tensors = "elu", []
    for tensor in (x, out):
        graph.tensors[new_tensor(graph, (256,), INT8)].quantization = tensor.quantization
    graph.inputs, graph.outputs = np.array([0], np.int32), np.array([1], np.int32)
    elu = schema.OperatorT()
    elu.opcodeIndex, elu.inputs, elu.outputs = 0, graph.inputs, graph.outputs
    graph.operators, alone.subgraphs = [elu], [graph]
    interpreter: Any = Interpreter(
        model_content=packed(alone),
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, VALUES)
    interpreter.invoke()
    return np.array(interpreter.get_tensor(1))


STAND_INS: dict[int, Callable[[Any, Any, Any], list[Any]]] = {
    ELU: _lookup, SUM: _sum, NORMALIZATION: _in_float32, SOFTMAX: guarded,
}
"""What writes an operator of integers in other words."""
