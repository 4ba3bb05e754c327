# SPDX-License-Identifier: MIT
"""Models of TFLite's first quantization, whose tensors are uint8, as int8 models.

Every uint8 tensor becomes the int8 tensor 128 below it, with its zero point 128 lower: the same
real values. Integer arithmetic then gives the same results, 128 lower, but for a few roundings,
which the operators concerned keep in their attributes (they read them off the type of their
tensors) and reproduce. A tensor still names the TFLite tensor that it equals; of a uint8 one it
stands 128 below.
"""

from __future__ import annotations

from dataclasses import replace

from tinyeff.fixed_point import int8_of_uint8
from tinyeff.ir import Graph, Op, Quant, Tensor
from tinyeff.ops import registry
from tinyeff.reader.check import REFUSED, Refused

CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")
"""Operators at the ends of an int8 model that may have uint8 inputs or outputs."""


def as_int8(graph: Graph) -> Graph:
    """The graph in int8, if it computes in uint8; operators that cannot be are marked refused."""
    if not any(_computes_in_uint8(graph, op) for op in graph.ops):
        return graph
    ops = tuple(_judged(graph, op) if _computes_in_uint8(graph, op) else op for op in graph.ops)
    return replace(graph, ops=ops, tensors=tuple(_lowered(t) for t in graph.tensors))


def _computes_in_uint8(graph: Graph, op: Op) -> bool:
    tensors = (graph.tensors[i] for i in (*op.inputs, *op.outputs) if i >= 0)
    return op.kind not in CONVERSIONS and any(_is_quantized(t) and not t.is_constant
                                              for t in tensors)


def _is_quantized(tensor: Tensor) -> bool:
    return tensor.dtype == "uint8" and tensor.quant is not None


def _judged(graph: Graph, op: Op) -> Op:
    """The operator as it is, or marked refused with the reason."""
    if op.kind == REFUSED:
        return op
    tensors = [graph.tensors[i] for i in (*op.inputs, *op.outputs) if i >= 0]
    if not registry()[op.kind].uint8:
        reason = "its uint8 form (TFLite's older quantization) is not supported"
    elif any(t.dtype in ("int8", "float32") for t in tensors):
        reason = "some of its tensors are uint8, and some are of other types"
    elif any(_is_quantized(t) and len(t.quant.scales) > 1 for t in tensors if t.quant):
        reason = "uint8 tensors have one scale; this one has tensors with several"
    else:
        return op
    return replace(op, kind=REFUSED,
                   attrs=Refused(op.kind, f"{reason}; convert the model again, to int8"))


def _lowered(tensor: Tensor) -> Tensor:
    if tensor.quant is None or not _is_quantized(tensor):
        return tensor
    zero_points = tuple(z - 128 for z in tensor.quant.zero_points)
    data = None if tensor.data is None else int8_of_uint8(tensor.data)
    return replace(tensor, dtype="int8", data=data,
                   quant=Quant(tensor.quant.scales, zero_points, tensor.quant.axis))
