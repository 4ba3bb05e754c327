# SPDX-License-Identifier: MIT
"""What a graph needs that tinyeff does not do, all of it, in sentences for the user."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from typing import Any

from tinyeff.errors import Item, UnsupportedError
from tinyeff.ir import Graph, Op, Tensor
from tinyeff.ops import registry
from tinyeff.ops.operator import Node, Padding, node_of

NONSENSE = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError,
            MemoryError, struct.error)
"""What an operator may raise on inputs or options that contradict each other."""

INT8_CONSTANTS = frozenset({"int8", "int32", "int64"})
"""Types of the constants of an int8 operator: weights, biases, and axes or shapes."""

QUANTIZED = frozenset({"int8", "uint8", "int16"})
"""Types of constants that make an operator on float32 activations a hybrid one."""

MAX_PADDING = 1 << 15
"""Rows or columns around an image; positions in it are 32-bit numbers in the generated code."""

MAX_BYTES = 1 << 28
"""Of one activation. The memory of a microcontroller is far smaller, and so are its addresses."""

MAX_OPERATORS = 1 << 11
"""Of a simplified graph. Networks have a thousand at most, and the search takes their square."""

MAX_ROWS = 1 << 16
"""Of all activations together: plans are followed row by row. Networks have a few thousand."""

RECURRENT = ("LSTM", "RNN", "SVDF", "GRU")
CONTROL_FLOW = ("IF", "WHILE", "CALL", "CALL_ONCE", "VAR_HANDLE", "READ_VARIABLE",
                "ASSIGN_VARIABLE")
WHOLE_MODEL = "quantize the whole model to int8, inputs and outputs included"


REFUSED = "REFUSED"
"""The kind that an operator has in a graph while it only waits to be listed."""


@dataclass(frozen=True)
class Refused:
    """The attributes of an operator that is not supported: its kind in the file, and why."""

    kind: str
    reason: str


def refusal(kind: str) -> str | None:
    """Why operators of this kind are not supported, or None where they are."""
    if kind in registry():
        return None
    if kind.startswith("CUSTOM:Flex"):
        return "an operator of TensorFlow itself (Flex); convert the model with built-in operators"
    if kind.startswith("CUSTOM:"):
        return "a custom operator; only TFLite's built-in operators are supported"
    if any(word in kind for word in RECURRENT):
        return "recurrent operators are not supported"
    if kind in CONTROL_FLOW:
        return "control flow and variables are not supported"
    return "this operator is not supported"


def nonsense(error: Exception) -> str:
    """The reason for a contradiction: the operator's own sentence, or what was run into."""
    if type(error) is ValueError:
        return str(error)
    if isinstance(error, AttributeError):
        return "its option table is missing or that of another operator"
    return f"its inputs and options contradict each other ({type(error).__name__}: {error})"


def unsupported(name: str, items: tuple[Item, ...]) -> UnsupportedError:
    """The error that lists `items`."""
    count = "one thing is" if len(items) == 1 else f"{len(items)} things are"
    return UnsupportedError(f"{name}: {count} not supported", items)


def check_supported(graph: Graph) -> None:
    """Raise UnsupportedError listing every operator of a simplified graph that breaks a limit."""
    items = findings(graph)
    if items:
        raise unsupported(graph.source.name, items)


def findings(graph: Graph) -> tuple[Item, ...]:
    """Everything that is not supported, in the order of the graph."""
    items = [Item("input", graph.tensors[i].name, reason)
             for i in graph.inputs for reason in _input_reasons(graph, i)]
    mixed = graph.is_float and any(
        graph.tensors[i].dtype == "int8" for op in graph.ops for i in op.outputs)
    for op in graph.ops:
        kind = op.attrs.kind if isinstance(op.attrs, Refused) else op.kind
        items += [Item(kind, op.name, reason) for reason in _reasons(graph, op, mixed)]
    if not graph.outputs:
        items.append(Item("model", graph.source.name, "it has no outputs, so it computes nothing"))
    elif not graph.ops:
        items.append(Item("model", graph.source.name, "it has no operators"))
    # Sizes that follow from what is refused anyway say nothing more.
    return tuple(items or _size_findings(graph))


def _size_findings(graph: Graph) -> Iterator[Item]:
    written = (*graph.inputs, *(i for op in graph.ops for i in op.outputs))
    tensors = [graph.tensors[i] for i in written if not graph.tensors[i].is_constant]
    for tensor in tensors:
        if tensor.elements > MAX_BYTES:
            yield Item("tensor", tensor.name, f"its shape {tensor.shape} holds {tensor.elements} "
                       f"values; at most {MAX_BYTES} are supported")
    if len(graph.ops) > MAX_OPERATORS:
        yield Item("model", graph.source.name, f"it has {len(graph.ops)} operators; at most "
                   f"{MAX_OPERATORS} are supported")
    rows = sum(t.rows for t in tensors if t.elements)
    if rows > MAX_ROWS:
        yield Item("model", graph.source.name, f"its tensors have {rows} rows in all; at most "
                   f"{MAX_ROWS} are supported: let long inputs lie along the columns, as (1, 1, "
                   "length, channels)")


def _input_reasons(graph: Graph, index: int) -> Iterator[str]:
    tensor = graph.tensors[index]
    if tensor.dtype not in ("int8", "float32"):
        yield _other_type(tensor)
    elif tensor.dtype == "float32" and not graph.is_float and all(
            index not in op.inputs for op in graph.ops):
        yield "it is float32, the model computes in int8, and no operator reads it: remove it"
    elif len(tensor.shape) > 1 and tensor.shape[0] != 1:
        yield (f"its shape {tensor.shape} has a batch of {tensor.shape[0]}; only batch 1 is "
               "supported: export the model with batch 1")
    elif not tensor.elements:
        yield f"its shape {tensor.shape} holds no values"


def _reasons(graph: Graph, op: Op, mixed: bool) -> Iterator[str]:
    if isinstance(op.attrs, Refused):
        yield op.attrs.reason
        return
    node = node_of(graph, op)
    outputs = () if registry()[op.kind].writes_indices else node.outputs
    main = tuple(t for t in (*node.inputs[:1], *outputs) if t and not t.is_constant)
    problem = (_type_problem(node, main, mixed) or _activation_problem(main)
               or _shape_problem(op.kind, node))
    if problem:
        yield problem
        return
    if not node.activations:
        yield "all its inputs are constants; fold it before quantizing"
        return
    try:
        broken = tuple(registry()[op.kind].limits(node))
    except NONSENSE as error:
        broken = (nonsense(error),)
    # Of its other inputs the operator's own sentence says more: weights that are not constant.
    others = (*node.activations, *outputs)
    general = None if broken else _type_problem(node, others, mixed) or _activation_problem(others)
    yield from (general,) if general else broken


def _other_type(tensor: Tensor) -> str:
    advice = {
        "uint8": "TFLite's older quantization; convert the model again, to int8",
        "int16": "only 8-bit activations are supported; convert the model with int8 activations",
    }.get(tensor.dtype, "only int8 and float32 are supported")
    return f"'{tensor.name}' is {tensor.dtype}: {advice}"


def _type_problem(
    node: Node[Any], activations: tuple[Tensor, ...], mixed: bool
) -> str | None:
    constants = [t for t in node.inputs if t is not None and t.is_constant]
    for tensor in activations:
        if tensor.dtype not in ("int8", "float32"):
            return _other_type(tensor)
    types = {t.dtype for t in activations}
    if len(types) > 1:
        return f"it converts between int8 and float32 inside the model; {WHOLE_MODEL}"
    quantized = [t.dtype for t in constants if t.dtype in QUANTIZED]
    if types == {"float32"} and quantized:
        return (f"hybrid: float32 activations with {quantized[0]} weights (dynamic range "
                f"quantization); {WHOLE_MODEL}")
    if types == {"float32"} and mixed:
        return f"it computes in float32 where other operators compute in int8; {WHOLE_MODEL}"
    if types == {"int8"}:
        return _int8_problem(activations, constants)
    return None


def _int8_problem(activations: tuple[Tensor, ...], constants: list[Tensor]) -> str | None:
    for tensor in constants:
        if tensor.dtype not in INT8_CONSTANTS:
            return f"its constant '{tensor.name}' is {tensor.dtype} where its activations are int8"
    for tensor in (*activations, *(t for t in constants if t.dtype == "int8")):
        quant = tensor.quant
        if quant is None:
            return f"'{tensor.name}' is int8 without a scale"
        if min(quant.scales) <= 0:
            return f"'{tensor.name}' has the scale 0"
        if not all(-128 <= z <= 127 for z in quant.zero_points):
            return f"'{tensor.name}' has a zero point outside -128 to 127"
    return None


def _activation_problem(activations: tuple[Tensor, ...]) -> str | None:
    for tensor in activations:
        if not tensor.elements:
            return f"'{tensor.name}' of shape {tensor.shape} holds no values"
        if len(tensor.shape) > 2 and tensor.shape[0] != 1:
            return (f"'{tensor.name}' of shape {tensor.shape} has a batch of {tensor.shape[0]}; "
                    "only batch 1 is supported")
        if tensor.dtype == "int8" and tensor.quant is not None and len(tensor.quant.scales) > 1:
            return f"'{tensor.name}' is an activation with a scale per channel; one is supported"
    return None


def _shape_problem(kind: str, node: Node[Any]) -> str | None:
    padding = getattr(node.attrs, "padding", None)
    if isinstance(padding, Padding) and max(astuple(padding)) > MAX_PADDING:
        return (f"it pads {max(astuple(padding))} rows or columns on one side; at most "
                f"{MAX_PADDING} are supported")
    try:
        shapes = registry()[kind].output_shapes(node)
    except NONSENSE as error:
        return nonsense(error)
    found = tuple(t.shape for t in node.outputs)
    if shapes != found:
        return f"its outputs have the shapes {found}; from its inputs follow {shapes}"
    return None
