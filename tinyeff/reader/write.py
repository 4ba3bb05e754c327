# SPDX-License-Identifier: MIT
"""Writing the tables of a model as a TFLite flatbuffer."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff.ir import Array, Tensor
from tinyeff.reader.tables import (
    CUSTOM,
    FILE_IDENTIFIER,
    SCHEMA_VERSION,
    TYPE_NUMBERS,
    RawModel,
    RawOperator,
)


def write_tables(raw: RawModel) -> bytes:
    """A TFLite flatbuffer of the tables, tensor for tensor; the inverse of `read_tables`.

    Tensors whose data was not read, and that no operator uses, become empty ones.
    """
    model = schema.ModelT()
    model.version = SCHEMA_VERSION
    model.description = "tinyeff"
    codes = sorted({(op.kind, op.version) for op in raw.operators})
    model.operatorCodes = [_operator_code(*code) for code in codes]
    buffers = _Buffers()
    subgraph = schema.SubGraphT()
    subgraph.name = "main"
    subgraph.inputs = np.array(raw.inputs, np.int32)
    subgraph.outputs = np.array(raw.outputs, np.int32)
    subgraph.tensors = [_tensor(raw, i, t, buffers) for i, t in enumerate(raw.tensors)]
    subgraph.operators = [_operator(op, codes) for op in raw.operators]
    model.subgraphs = [subgraph]
    model.buffers = buffers.tables
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
    return bytes(builder.Output())


class _Buffers:
    """The data of the constants; tensors that share it in memory share it in the file."""

    def __init__(self) -> None:
        self.tables = [schema.BufferT()]
        self._numbers: dict[tuple[int, int], int] = {}
        self._kept: list[Array] = []

    def number(self, data: Array) -> int:
        plain = np.ascontiguousarray(data).astype(data.dtype.newbyteorder("<"), copy=False)
        place = (plain.__array_interface__["data"][0], plain.nbytes)
        if place not in self._numbers:
            self._kept.append(plain)  # so that no other array can take its place in memory
            self._numbers[place] = len(self.tables)
            buffer = schema.BufferT()
            buffer.data = plain.reshape(-1).view(np.uint8)
            self.tables.append(buffer)
        return self._numbers[place]


def _operator_code(kind: str, version: int) -> Any:
    code = schema.OperatorCodeT()
    if kind.startswith(CUSTOM):
        code.builtinCode = schema.BuiltinOperator.CUSTOM
        code.customCode = kind.removeprefix(CUSTOM)
    else:
        code.builtinCode = getattr(schema.BuiltinOperator, kind)
    # The old 8-bit field holds what fits it; 127 says "look at the other one".
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    code.version = version
    return code


def _tensor(raw: RawModel, index: int, tensor: Tensor, buffers: _Buffers) -> Any:
    out = schema.TensorT()
    out.name = tensor.name
    out.buffer = 0
    if index in raw.opaque or tensor.dtype not in TYPE_NUMBERS:
        out.shape = np.zeros(1, np.int32)
        return out
    out.shape = np.array(tensor.shape, np.int32)
    out.type = TYPE_NUMBERS[tensor.dtype]
    if index in raw.dynamic:
        out.shapeSignature = np.array((-1, *tensor.shape[1:]), np.int32)
    if tensor.data is not None and tensor.data.size:
        out.buffer = buffers.number(tensor.data)
    if tensor.quant is not None:
        out.quantization = schema.QuantizationParametersT()
        out.quantization.scale = np.array(tensor.quant.scales, np.float32)
        out.quantization.zeroPoint = np.array(tensor.quant.zero_points, np.int64)
        out.quantization.quantizedDimension = tensor.quant.axis or 0
    return out


def _operator(op: RawOperator, codes: list[tuple[str, int]]) -> Any:
    out = schema.OperatorT()
    out.opcodeIndex = codes.index((op.kind, op.version))
    out.inputs = np.array(op.inputs, np.int32)
    out.outputs = np.array(op.outputs, np.int32)
    if op.options is not None:
        out.builtinOptions = op.options
        table = type(op.options).__name__.removesuffix("T")
        out.builtinOptionsType = getattr(schema.BuiltinOptions, table)
    return out
