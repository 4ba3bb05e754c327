# SPDX-License-Identifier: MIT
"""The TFLite flatbuffer, both ways: bytes -> Graph and Graph -> bytes."""

from __future__ import annotations

import hashlib
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff.errors import Item, ModelFileError, UnsupportedError
from tinyeff.ir import ABSENT, Array, Graph, Op, Quant, Source, Tensor
from tinyeff.ops import registry
from tinyeff.ops.operator import Node

BUILTINS = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}
DTYPES = {
    schema.TensorType.FLOAT32: "float32",
    schema.TensorType.INT32: "int32",
    schema.TensorType.UINT8: "uint8",
    schema.TensorType.INT64: "int64",
    schema.TensorType.BOOL: "bool",
    schema.TensorType.INT16: "int16",
    schema.TensorType.INT8: "int8",
}
TYPE_NUMBERS = {name: number for number, name in DTYPES.items()}
SCHEMA_VERSION = 3
FILE_IDENTIFIER = b"TFL3"


def parse(data: bytes, name: str) -> Graph:
    """The graph of a TFLite flatbuffer, operator by operator as the file has it.

    Raises ModelFileError where the bytes are no valid model, and UnsupportedError listing every
    operator that tinyeff does not know.
    """
    model = _unpack(data, name)
    if len(model.subgraphs or ()) != 1:
        raise UnsupportedError(f"{name}: {len(model.subgraphs or ())} subgraphs; only models of "
                               "one subgraph are supported")
    subgraph = model.subgraphs[0]
    try:
        tensors = tuple(_tensor(i, t, model) for i, t in enumerate(subgraph.tensors))
        ops = _operators(subgraph, model, tensors, name)
    except (IndexError, TypeError, AttributeError, KeyError) as error:
        raise ModelFileError(f"{name}: the file is damaged ({error})") from error
    source = Source(name, data, hashlib.sha256(data).hexdigest())
    inputs = tuple(int(i) for i in subgraph.inputs)
    return Graph(tensors, ops, inputs, tuple(int(i) for i in subgraph.outputs), source)


def _unpack(data: bytes, name: str) -> Any:
    if data[4:8] != FILE_IDENTIFIER:
        raise ModelFileError(f"{name}: not a TFLite model (bytes 4 to 8 are {data[4:8]!r}, "
                             f"not {FILE_IDENTIFIER!r})")
    try:
        return schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
    except Exception as error:  # the generated parser raises whatever its reads run into
        raise ModelFileError(f"{name}: the file is damaged or cut short ({error})") from error


def _tensor(index: int, tensor: Any, model: Any) -> Tensor:
    dtype = DTYPES.get(tensor.type)
    if dtype is None:
        raise UnsupportedError(f"tensor {index} has TFLite type {tensor.type}, which no supported "
                               "operator uses")
    shape = tuple(int(n) for n in tensor.shape) if tensor.shape is not None else ()
    buffer = model.buffers[tensor.buffer].data
    data = None
    if buffer is not None and len(buffer):
        data = np.frombuffer(bytes(buffer), np.dtype(dtype).newbyteorder("<")).reshape(shape)
    text = tensor.name.decode("utf-8", "replace") if tensor.name else f"tensor_{index}"
    return Tensor(text, shape, dtype, _quant(tensor), data, index)


def _quant(tensor: Any) -> Quant | None:
    q = tensor.quantization
    if q is None or q.scale is None or len(q.scale) == 0:
        return None
    scales = tuple(float(s) for s in q.scale)
    zeros = tuple(int(z) for z in q.zeroPoint) if q.zeroPoint is not None else (0,) * len(scales)
    return Quant(scales, zeros, int(q.quantizedDimension) if len(scales) > 1 else None)


def _operators(subgraph: Any, model: Any, tensors: tuple[Tensor, ...], name: str) -> tuple[Op, ...]:
    ops, problems = [], []
    known = registry()
    for number, operator in enumerate(subgraph.operators):
        code = model.operatorCodes[operator.opcodeIndex]
        kind = _kind(code)
        inputs = tuple(int(i) for i in operator.inputs)
        outputs = tuple(int(i) for i in operator.outputs)
        title = tensors[outputs[0]].name if outputs else f"operator_{number}"
        if kind not in known:
            problems.append(Item(kind, title, "this operator is not supported"))
            continue
        node: Node[None] = Node(
            title, None, tuple(tensors[i] if i != ABSENT else None for i in inputs),
            tuple(tensors[i] for i in outputs),
        )
        try:
            attrs = known[kind].read(operator.builtinOptions, node)
        except ValueError as error:
            problems.append(Item(kind, title, str(error)))
            continue
        ops.append(Op(kind, title, inputs, outputs, attrs))
    if problems:
        raise UnsupportedError(f"{name}: {len(problems)} operators are not supported",
                               tuple(problems))
    return tuple(ops)


def _kind(code: Any) -> str:
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    if number == schema.BuiltinOperator.CUSTOM:
        custom = code.customCode.decode("utf-8", "replace") if code.customCode else "?"
        return f"CUSTOM:{custom}"
    return BUILTINS.get(number, f"BUILTIN_{number}")


def serialize(graph: Graph) -> bytes:
    """A TFLite flatbuffer of the graph, tensor for tensor; the inverse of `parse`.

    Raises ValueError where an operator's attributes have no form in TFLite.
    """
    model = schema.ModelT()
    model.version = SCHEMA_VERSION
    model.description = "tinyeff"
    model.buffers = [schema.BufferT()]
    kinds = sorted({op.kind for op in graph.ops})
    model.operatorCodes = [_operator_code(kind) for kind in kinds]
    subgraph = schema.SubGraphT()
    subgraph.name = "main"
    subgraph.inputs = np.array(graph.inputs, np.int32)
    subgraph.outputs = np.array(graph.outputs, np.int32)
    subgraph.tensors = [_write_tensor(t, model.buffers) for t in graph.tensors]
    subgraph.operators = [_write_operator(graph, op, kinds) for op in graph.ops]
    model.subgraphs = [subgraph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
    return bytes(builder.Output())


def with_flatbuffer(graph: Graph) -> Graph:
    """The graph as read back from its own flatbuffer, so that LiteRT can run what we hold."""
    return parse(serialize(graph), graph.source.name)


def _operator_code(kind: str) -> Any:
    code = schema.OperatorCodeT()
    number = getattr(schema.BuiltinOperator, kind)
    code.builtinCode = number
    # The old 8-bit field holds what fits it; 127 says "look at the other one".
    code.deprecatedBuiltinCode = min(number, 127)
    code.version = registry()[kind].version
    return code


def _write_tensor(tensor: Tensor, buffers: list[Any]) -> Any:
    out = schema.TensorT()
    out.name = tensor.name
    out.shape = np.array(tensor.shape, np.int32)
    out.type = TYPE_NUMBERS[tensor.dtype]
    out.buffer = 0
    if tensor.data is not None:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(_little_endian(tensor.data), np.uint8)
        out.buffer = len(buffers)
        buffers.append(buffer)
    if tensor.quant is not None:
        out.quantization = schema.QuantizationParametersT()
        out.quantization.scale = np.array(tensor.quant.scales, np.float32)
        out.quantization.zeroPoint = np.array(tensor.quant.zero_points, np.int64)
        out.quantization.quantizedDimension = tensor.quant.axis or 0
    return out


def _little_endian(data: Array) -> bytes:
    return np.ascontiguousarray(data).astype(data.dtype.newbyteorder("<")).tobytes()


def _write_operator(graph: Graph, op: Op, kinds: list[str]) -> Any:
    out = schema.OperatorT()
    out.opcodeIndex = kinds.index(op.kind)
    out.inputs = np.array(op.inputs, np.int32)
    out.outputs = np.array(op.outputs, np.int32)
    node = Node(op.name, op.attrs,
                tuple(graph.tensors[i] if i != ABSENT else None for i in op.inputs),
                tuple(graph.tensors[i] for i in op.outputs))
    options = registry()[op.kind].write(node)
    if options is not None:
        out.builtinOptions = options
        table = type(options).__name__.removesuffix("T")
        out.builtinOptionsType = getattr(schema.BuiltinOptions, table)
    return out
