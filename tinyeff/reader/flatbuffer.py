# SPDX-License-Identifier: MIT
"""The TFLite flatbuffer, both ways: bytes -> Graph and Graph -> bytes."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

from tinyeff.errors import UnsupportedError
from tinyeff.ir import ABSENT, Graph, Op, Source
from tinyeff.ops import registry
from tinyeff.ops.operator import Node, node_of
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
from tinyeff.reader.repair import repaired
from tinyeff.reader.rewrite import rewrite
from tinyeff.reader.simplify import remove_dead, simplify
from tinyeff.reader.tables import MAX_ELEMENTS, RawModel, RawOperator, read_tables
from tinyeff.reader.uint8 import as_int8
from tinyeff.reader.write import write_tables


def parse(data: bytes, name: str) -> Graph:
    """The graph of a TFLite flatbuffer, operator by operator as the file has it.

    What is known without running the model (the arithmetic of shapes) is folded, and operators
    that tinyeff lacks are expressed by those it has where that changes no bit. Where LiteRT takes
    the model in another form only, the graph's source has that form; the hash is that of `data`.
    A model that computes in uint8 becomes one that computes in int8. Raises ModelFileError where
    the bytes are no valid model, and UnsupportedError listing everything that stands in the way:
    operators that are not known and limits that the others break.
    """
    raw, flatbuffer = repaired(read_tables(data, name), data)
    source = Source(name, flatbuffer, hashlib.sha256(data).hexdigest())
    graph = as_int8(_Parser(rewrite(raw), source).graph())
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
    operators = tuple(
        RawOperator(op.kind, op.inputs, op.outputs, registry()[op.kind].write(node_of(graph, op)),
                    version=registry()[op.kind].version)
        for op in graph.ops)
    return write_tables(RawModel(graph.source.name, graph.tensors, operators, graph.inputs,
                                 graph.outputs))


def with_flatbuffer(graph: Graph) -> Graph:
    """The graph as read back from its own flatbuffer, so that LiteRT can run what we hold."""
    return parse(serialize(graph), graph.source.name)
