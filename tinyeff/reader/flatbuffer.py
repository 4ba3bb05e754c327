# SPDX-License-Identifier: MIT
"""The TFLite flatbuffer, both ways: bytes -> Graph and Graph -> bytes."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff.errors import UnsupportedError
from tinyeff.ir import ABSENT, Array, Graph, Op, Source, Tensor
from tinyeff.ops import registry
from tinyeff.ops.operator import Node
from tinyeff.reader import constants
from tinyeff.reader.check import (
    NONSENSE,
    REFUSED,
    Refused,
    findings,
    nonsense,
    refusal,
    unsupported,
)
from tinyeff.reader.rewrite import rewrite
from tinyeff.reader.simplify import remove_dead, simplify
from tinyeff.reader.tables import (
    FILE_IDENTIFIER,
    MAX_ELEMENTS,
    SCHEMA_VERSION,
    TYPE_NUMBERS,
    RawModel,
    RawOperator,
    read_tables,
)


def parse(data: bytes, name: str) -> Graph:
    """The graph of a TFLite flatbuffer, operator by operator as the file has it.

    What is known without running the model (the arithmetic of shapes) is folded, and operators
    that tinyeff lacks are expressed by those it has where that changes no bit. Raises
    ModelFileError where the bytes are no valid model, and UnsupportedError listing everything that
    stands in the way: operators that are not known and limits that the others break.
    """
    source = Source(name, data, hashlib.sha256(data).hexdigest())
    graph = _Parser(rewrite(read_tables(data, name)), source).graph()
    if any(op.kind == REFUSED for op in graph.ops):
        items = findings(simplify(graph))
        if items:
            raise unsupported(name, items)
        graph = remove_dead(graph)  # what is not supported is not needed either
    return graph


class _Parser:
    """One pass over the operators in their order: fold, read the options, infer the shapes."""

    def __init__(self, raw: RawModel, source: Source) -> None:
        self.raw = raw
        self.source = source
        self.tensors = list(raw.tensors)
        self.folded_bytes = 0

    def graph(self) -> Graph:
        ops = []
        for number, operator in enumerate(self.raw.operators):
            if not self.fold(operator):
                ops.append(self.read(number, operator))
        for i in self.raw.outputs:
            if self.tensors[i].is_constant:
                raise UnsupportedError(f"{self.raw.name}: output '{self.tensors[i].name}' is a "
                                       "constant: it does not depend on the model's input")
        return Graph(tuple(self.tensors), tuple(ops), self.raw.inputs, self.raw.outputs,
                     self.source)

    def fold(self, operator: RawOperator) -> bool:
        """True where the results are known and have become constants."""
        if self.folded_bytes > constants.MAX_FOLDED_BYTES:
            return False
        values = constants.fold(operator, self.tensors)
        for i, value in zip(operator.outputs, values or (), strict=False):
            self.tensors[i] = replace(self.tensors[i], shape=value.shape, data=value)
            self.folded_bytes += value.nbytes
        return values is not None

    def read(self, number: int, operator: RawOperator) -> Op:
        inputs, outputs = operator.inputs, operator.outputs
        title = self.tensors[outputs[0]].name if outputs else f"operator_{number}"
        reason = refusal(operator.kind) or self.opaque(operator)
        attrs: Any = Refused(operator.kind, reason) if reason else self.attrs(title, operator)
        if isinstance(attrs, Refused):
            inputs = tuple(i for i in inputs if i not in self.raw.opaque)
            return Op(REFUSED, title, inputs, outputs, attrs)
        return Op(operator.kind, title, inputs, outputs, attrs)

    def opaque(self, operator: RawOperator) -> str | None:
        for i in (*operator.inputs, *operator.outputs):
            if i in self.raw.opaque:
                return f"its tensor '{self.tensors[i].name}' is {self.raw.opaque[i]}"
        return None

    def attrs(self, title: str, operator: RawOperator) -> Any:
        """The attributes with the outputs' shapes inferred, or the reason why there are none."""
        known = registry()[operator.kind]
        inputs = tuple(self.tensors[i] if i != ABSENT else None for i in operator.inputs)
        outputs = tuple(self.tensors[i] for i in operator.outputs)
        try:
            attrs = known.read(operator.options, Node(title, None, inputs, outputs))
            if operator.padding is not None:
                attrs = replace(attrs, padding=operator.padding)
            shapes = known.output_shapes(Node(title, attrs, inputs, outputs))
        except NONSENSE as error:
            return Refused(operator.kind, nonsense(error))
        return self.infer(operator, shapes) or attrs

    def infer(self, operator: RawOperator, shapes: tuple[tuple[int, ...], ...]) -> Refused | None:
        """Replace placeholders by the inferred shapes; the reason where file and shapes differ."""
        if len(shapes) != len(operator.outputs):
            return Refused(operator.kind,
                           f"it has {len(operator.outputs)} outputs, not {len(shapes)}")
        for i, inferred in zip(operator.outputs, shapes, strict=True):
            shape = tuple(int(n) for n in inferred)
            tensor = self.tensors[i]
            if tensor.shape == shape:
                continue
            if i not in self.raw.dynamic and tensor.shape:
                return Refused(operator.kind, "the file says that its output has the shape "
                               f"{tensor.shape}; from its inputs it follows as {shape}")
            self.tensors[i] = replace(tensor, shape=shape)
            if self.tensors[i].elements > MAX_ELEMENTS:
                return Refused(operator.kind, f"its output of shape {shape} is too large")
        return None


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
