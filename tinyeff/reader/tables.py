# SPDX-License-Identifier: MIT
"""The tables of a TFLite flatbuffer, read with every offset, count and shape checked.

Nothing in a file is believed: a vector is counted against a budget before it is looped over, so
that a small file whose offsets all point at the same table cannot cost more than its size allows,
and no memory is taken for lengths that the file only claims.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff.errors import ModelFileError, UnsupportedError, printable
from tinyeff.ir import ABSENT, Array, Quant, Tensor
from tinyeff.ops.operator import Padding

SCHEMA_VERSION = 3
FILE_IDENTIFIER = b"TFL3"
CUSTOM = "CUSTOM:"
"""What the kinds of custom operators begin with."""
UNREADABLE = ("STABLEHLO", CUSTOM, "BUILTIN_")
"""What the kinds begin with whose options are not read."""
MAX_RANK = 8
MAX_ELEMENTS = 2**31 - 1
MAX_TENSORS = 1 << 16
MAX_OPERATORS = 1 << 14
MAX_SUBGRAPHS = 1 << 10
BUDGET_BASE = 1 << 20
"""Vector elements that any file may have, beyond one for each of its bytes."""

DAMAGE = (struct.error, ValueError, IndexError, TypeError, OverflowError, MemoryError)
"""What the generated accessors raise when an offset or a length leads nowhere."""


def _names(enum: Any) -> dict[int, str]:
    return {v: k for k, v in vars(enum).items() if isinstance(v, int)}


KINDS = _names(schema.BuiltinOperator)
TYPES = {number: name.lower() for number, name in _names(schema.TensorType).items()}
TYPE_NUMBERS = {name: number for number, name in TYPES.items()}
DECODED = frozenset({"float16", "float32", "float64", "bool", "int8", "int16", "int32", "int64",
                     "uint8", "uint16", "uint32", "uint64"})
"""TFLite types that are also numpy types; constants of other types stay undecoded."""


@dataclass(frozen=True, eq=False)
class RawOperator:
    """An operator of the file; `options` is its unpacked option table, or None.

    `padding` is set where a rewriting asks for one that the option table cannot express.
    """

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Any = None
    padding: Padding | None = None
    version: int = 1


@dataclass(frozen=True, eq=False)
class RawModel:
    """The tables of one model, with indices, counts and sizes checked.

    `dynamic` holds the tensors whose shape in the file is a placeholder (their signature has
    free dimensions). `opaque` tells of tensors that hold data which is not read, and why.
    `repairs` says in what these tables differ from those of the file, where LiteRT takes another
    form than the file has.
    """

    name: str
    tensors: tuple[Tensor, ...]
    operators: tuple[RawOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    dynamic: frozenset[int] = frozenset()
    opaque: dict[int, str] = field(default_factory=dict)
    repairs: tuple[str, ...] = ()


def read_tables(data: bytes, name: str) -> RawModel:
    """The checked tables of a flatbuffer.

    Subgraphs that the first one does not run are left out. Raises ModelFileError where the bytes
    are no valid model, UnsupportedError where the model has several entry points, a free
    dimension, or keeps its weights in another file.
    """
    if data[4:8] != FILE_IDENTIFIER:
        raise ModelFileError(f"{name}: not a TFLite model (bytes 4 to 8 are {data[4:8]!r}, "
                             f"not {FILE_IDENTIFIER!r})")
    try:
        raw = _Reader(data, name).read()
    except DAMAGE as error:
        raise ModelFileError(f"{name}: the file is damaged or cut short: an offset or a length "
                             f"leads outside of its {len(data)} bytes") from error
    _check_order(raw)
    return raw


class _Reader:
    """One pass over a file: each method reads one kind of table."""

    def __init__(self, data: bytes, name: str) -> None:
        self.name = name
        self.data = data
        self.model = schema.Model.GetRootAsModel(data, 0)
        self.budget = BUDGET_BASE + len(data)
        self.dynamic: set[int] = set()
        self.opaque: dict[int, str] = {}
        self.repairs: list[str] = []

    def damaged(self, what: str) -> ModelFileError:
        return ModelFileError(f"{self.name}: the file is damaged: {what}")

    def count(self, number: int, limit: int, what: str) -> range:
        """The indices of a vector, once its length has been found bearable."""
        if number > limit:
            raise self.damaged(f"it claims {number} {what}; at most {limit} are read")
        self.spend(number, what)
        return range(number)

    def spend(self, number: int, what: str) -> None:
        self.budget -= number
        if self.budget < 0:
            raise self.damaged(f"its {what} claim more data than the file holds")

    def vector(self, values: Any, what: str) -> tuple[Any, ...]:
        """A vector of numbers; `values` is a view into the file, or 0 where there is none."""
        if isinstance(values, int):
            return ()
        self.spend(len(values), what)
        return tuple(values.tolist())

    def read(self) -> RawModel:
        if self.model.Version() != SCHEMA_VERSION:
            raise self.damaged(f"its schema version is {self.model.Version()}, "
                               f"not {SCHEMA_VERSION}")
        if not self.model.SubgraphsLength():
            raise self.damaged("it has no subgraph")
        if self.model.SubgraphsLength() > 1:
            # Operators of the first that run another (IF, WHILE, CALL ...) are refused by name.
            self.repairs.append("the subgraphs after the first, which it does not run, are left "
                                "out")
        graph = self.model.Subgraphs(0)
        kinds = [_kind(self.model.OperatorCodes(i)) for i in
                 self.count(self.model.OperatorCodesLength(), MAX_OPERATORS, "operator codes")]
        tensors = tuple(self.tensor(i, graph.Tensors(i)) for i in
                        self.count(graph.TensorsLength(), MAX_TENSORS, "tensors"))
        operators = tuple(self.operator(i, graph.Operators(i), kinds, len(tensors)) for i in
                          self.count(graph.OperatorsLength(), MAX_OPERATORS, "operators"))
        tensors = _with_empty_constants(tensors, operators)
        inputs = self.indices(graph.InputsAsNumpy(), "the model's inputs", len(tensors))
        outputs = self.indices(graph.OutputsAsNumpy(), "the model's outputs", len(tensors))
        self.check_inputs(graph, inputs, tensors)
        return RawModel(self.name, self.named(tensors, inputs, outputs), operators, inputs,
                        outputs, frozenset(self.dynamic), self.opaque, tuple(self.repairs))

    def named(
        self, tensors: tuple[Tensor, ...], inputs: tuple[int, ...], outputs: tuple[int, ...]
    ) -> tuple[Tensor, ...]:
        """The tensors with the model's inputs and outputs under the names of its signature."""
        signatures = [self.model.SignatureDefs(i) for i in
                      self.count(self.model.SignatureDefsLength(), MAX_SUBGRAPHS, "signatures")]
        if any(s.SubgraphIndex() for s in signatures):
            raise UnsupportedError(f"{self.name}: it has {len(signatures)} signatures, not all "
                                   "for its first subgraph; only models with one entry point are "
                                   "supported: export the one signature that is needed")
        titles: dict[int, str] = {}
        for s in signatures[:1]:
            entries = [s.Inputs(i) for i in
                       self.count(s.InputsLength(), len(tensors), "names of inputs")]
            entries += [s.Outputs(i) for i in
                        self.count(s.OutputsLength(), len(tensors), "names of outputs")]
            for entry in entries:
                text = entry.Name() or b""
                self.spend(len(text), "names of inputs and outputs")
                titles[entry.TensorIndex()] = printable(text.decode("utf-8", "replace"))
        ends = {*inputs, *outputs}
        if len(signatures) != 1 or titles.keys() != ends or not all(titles.values()):
            return tensors
        return tuple(replace(t, name=titles.get(i, t.name)) for i, t in enumerate(tensors))

    def tensor(self, index: int, table: Any) -> Tensor:
        text = table.Name()
        self.spend(len(text or b""), "tensor names")
        title = printable(text.decode("utf-8", "replace")) if text else f"tensor_{index}"
        shape = self.shape(title, self.vector(table.ShapeAsNumpy(), "shapes"))
        if any(n < 0 for n in self.vector(table.ShapeSignatureAsNumpy(), "shape signatures")):
            self.dynamic.add(index)
        dtype = TYPES.get(table.Type(), f"type_{table.Type()}")
        if table.IsVariable():
            self.opaque[index] = "a variable that keeps its value from one run to the next"
        data = self.constant(index, table, title, shape, dtype)
        return Tensor(title, shape, dtype, self.quant(title, shape, table), data, index)

    def shape(self, title: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(shape) > MAX_RANK or any(n < 0 for n in shape) or math.prod(shape) > MAX_ELEMENTS:
            shown = "x".join(map(str, shape[:MAX_RANK + 1]))
            raise self.damaged(f"tensor '{title}' has the shape {shown}; dimensions are at least "
                               f"0, at most {MAX_RANK}, and below 2**31 values together")
        return shape

    def constant(
        self, index: int, table: Any, title: str, shape: tuple[int, ...], dtype: str
    ) -> Array | None:
        number = table.Buffer()
        if number >= self.model.BuffersLength():
            raise self.damaged(f"tensor '{title}' has its data in buffer {number} of "
                               f"{self.model.BuffersLength()}")
        content = self.content(title, self.model.Buffers(number))
        if table.ExternalBuffer():
            raise UnsupportedError(f"{self.name}: tensor '{title}' keeps its data in another file; "
                                   "only models in one piece are supported")
        if isinstance(content, int) or not len(content):
            return None
        if table.Sparsity() is not None:
            self.opaque[index] = "stored as a sparse matrix"
            return None
        if dtype not in DECODED:
            self.opaque[index] = f"of type {dtype}"
            return None
        kind = np.dtype(dtype).newbyteorder("<")
        if len(content) != math.prod(shape) * kind.itemsize:
            raise self.damaged(f"constant '{title}' of shape {shape} and type {dtype} needs "
                               f"{math.prod(shape) * kind.itemsize} bytes, its buffer has "
                               f"{len(content)}")
        values: Array = content.view(kind).reshape(shape)  # a view: nothing is copied
        return values

    def content(self, title: str, buffer: Any) -> Any:
        """The bytes of a buffer: in the flatbuffer, or behind it in the same file (0: none)."""
        if buffer.Offset() <= 1:
            return buffer.DataAsNumpy()
        start, size = buffer.Offset(), buffer.Size()
        if start + size > len(self.data):
            raise self.damaged(f"the data of tensor '{title}' is said to be bytes {start} to "
                               f"{start + size} of {len(self.data)}")
        self.repairs.append(f"the data of '{title}', behind the flatbuffer, has become part of it")
        return np.frombuffer(self.data, np.uint8, size, start)

    def quant(self, title: str, shape: tuple[int, ...], table: Any) -> Quant | None:
        q = table.Quantization()
        if q is None:
            return None
        scales = self.vector(q.ScaleAsNumpy(), "scales")
        zeros = self.vector(q.ZeroPointAsNumpy(), "zero points") or (0,) * len(scales)
        if not scales:
            return None
        if len(zeros) == 1:
            zeros *= len(scales)
        axis = q.QuantizedDimension()
        outside = axis < 0 or (axis >= len(shape) > 0)
        if outside and (len(scales) == 1 or len(shape) == 1):
            self.repairs.append(f"the scales of '{title}' of shape {shape} lay along dimension "
                                f"{axis}; it is 0 now")
            axis = 0
        axis = axis if len(scales) > 1 else None
        if len(zeros) != len(scales):
            raise self.damaged(f"tensor '{title}' has {len(scales)} scales and {len(zeros)} "
                               "zero points")
        if not all(math.isfinite(s) and s >= 0 for s in scales):
            raise self.damaged(f"tensor '{title}' has a scale that is negative or not a number")
        if axis is not None and not (0 <= axis < len(shape) and shape[axis] == len(scales)):
            raise self.damaged(f"tensor '{title}' of shape {shape} has {len(scales)} scales along "
                               f"dimension {axis}")
        return Quant(scales, zeros, axis)

    def indices(self, values: Any, what: str, count: int) -> tuple[int, ...]:
        numbers = self.vector(values, what)
        for n in numbers:
            if not 0 <= n < count:
                raise self.damaged(f"{what} name tensor {n} of {count}")
        if len(set(numbers)) != len(numbers):
            raise self.damaged(f"{what} name a tensor twice")
        return numbers

    def operator(self, index: int, table: Any, kinds: list[str], tensors: int) -> RawOperator:
        if table.OpcodeIndex() >= len(kinds):
            raise self.damaged(f"operator {index} has code {table.OpcodeIndex()} of {len(kinds)}")
        kind = kinds[table.OpcodeIndex()]
        inputs = self.vector(table.InputsAsNumpy(), "operator inputs")
        outputs = self.vector(table.OutputsAsNumpy(), "operator outputs")
        for n in inputs:
            if n != ABSENT and not 0 <= n < tensors:
                raise self.damaged(f"operator {index}, {kind}, reads tensor {n} of {tensors}")
        for n in outputs:
            if not 0 <= n < tensors:
                raise self.damaged(f"operator {index}, {kind}, writes tensor {n} of {tensors}")
        version = self.model.OperatorCodes(table.OpcodeIndex()).Version()
        return RawOperator(kind, inputs, outputs, _options(kind, table), None, version)

    def check_inputs(
        self, graph: Any, inputs: tuple[int, ...], tensors: tuple[Tensor, ...]
    ) -> None:
        for index in inputs:
            shape, title = tensors[index].shape, tensors[index].name
            signature = tuple(int(n) for n in _some(graph.Tensors(index).ShapeSignatureAsNumpy()))
            free = [d for d, n in enumerate(signature) if n < 0]
            if any(d > 0 for d in free) or (free and shape[:1] != (1,)):
                raise UnsupportedError(f"{self.name}: input '{title}' has free dimensions "
                                       f"{signature}; only the first may be free, and is taken as "
                                       "1: export the model with a fixed input shape")


def _with_empty_constants(
    tensors: tuple[Tensor, ...], operators: tuple[RawOperator, ...]
) -> tuple[Tensor, ...]:
    """TFLite gives a constant without values (the shape of a scalar) no data; give it an array."""
    written = {i for op in operators for i in op.outputs}
    return tuple(
        replace(t, data=np.empty(t.shape, t.dtype))
        if not t.elements and t.data is None and t.dtype in DECODED and i not in written else t
        for i, t in enumerate(tensors)
    )


def _some(values: Any) -> Any:
    return () if isinstance(values, int) else values[:MAX_RANK]


def _kind(code: Any) -> str:
    """TFLite's name of the operator: the larger of the two code fields counts."""
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    if number == schema.BuiltinOperator.CUSTOM:
        custom = code.CustomCode()
        return f"{CUSTOM}{printable(custom[:64].decode('utf-8', 'replace')) if custom else '?'}"
    return KINDS.get(number, f"BUILTIN_{number}")


def _options(kind: str, table: Any) -> Any:
    """The option table; StableHLO's are nested and not needed, so they are not unpacked."""
    if kind.startswith(UNREADABLE) or table.BuiltinOptions() is None:
        return None
    return schema.BuiltinOptionsCreator(table.BuiltinOptionsType(), table.BuiltinOptions())


def _check_order(raw: RawModel) -> None:
    """Raise ModelFileError unless the operators can run in the order of the file."""

    def fail(what: str) -> None:
        raise ModelFileError(f"{raw.name}: the file is damaged: {what}")

    for i in raw.inputs:
        if raw.tensors[i].is_constant or i in raw.opaque:
            fail(f"input '{raw.tensors[i].name}' is a constant")
    written: dict[int, int] = {}
    for number, op in enumerate(raw.operators):
        for i in op.outputs:
            if i in written:
                fail(f"'{raw.tensors[i].name}' is written by operators {written[i]} and {number}")
            if i in raw.inputs or raw.tensors[i].is_constant or i in raw.opaque:
                fail(f"operator {number}, {op.kind}, writes '{raw.tensors[i].name}', which is "
                     "an input or a constant")
            written[i] = number
    for number, op in enumerate(raw.operators):
        for i in op.inputs:
            if i == ABSENT or raw.tensors[i].is_constant or i in raw.inputs or i in raw.opaque:
                continue
            if written.get(i, number) >= number:
                fail(f"operator {number}, {op.kind}, reads '{raw.tensors[i].name}' before it is "
                     "written; operators must stand in the order in which they run")
    for i in raw.outputs:
        if i not in written:
            fail(f"output '{raw.tensors[i].name}' is written by no operator")
