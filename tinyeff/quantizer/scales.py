# SPDX-License-Identifier: MIT
"""Scales and zero points: which tensors must share them, and what follows from a range."""

from __future__ import annotations

import math

import numpy as np

from tinyeff.ir import ABSENT, Array, Graph, Op, Quant, Tensor
from tinyeff.ops import operator_of

Range = tuple[float, float]
"""The least and the largest value that can be told apart from those beyond."""

LEAST_SCALE = 1e-24
"""No activation gets a smaller scale: products of scales must stay normal float32 numbers."""


def float_tensors(graph: Graph, op: Op) -> tuple[int, ...]:
    """The float activations and constants that an operator reads as values, in order."""
    return tuple(i for i in op.inputs if i != ABSENT and graph.tensors[i].dtype == "float32")


def groups_of(graph: Graph) -> tuple[dict[int, int], dict[int, Quant]]:
    """For each float tensor the least one of those that share its scale; and what TFLite fixes.

    A group whose quantization TFLite fixes is never joined with another such: there an operator
    will need a QUANTIZE in front.
    """
    parent = {i: i for i, t in enumerate(graph.tensors) if t.dtype == "float32"}
    fixed: dict[int, Quant] = {}

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    for op in graph.ops:
        known = operator_of(op.kind)
        if known.output_quant is not None:
            fixed[root(op.outputs[0])] = known.output_quant
    for op in graph.ops:
        known = operator_of(op.kind)
        if not known.shares_scale or known.writes_indices:
            continue
        for i in (*float_tensors(graph, op), *op.outputs):
            a, b = sorted((root(op.outputs[0]), root(i)))
            if a == b or (a in fixed and b in fixed and fixed[a] != fixed[b]):
                continue
            parent[b] = a
            if b in fixed:
                fixed[a] = fixed.pop(b)
    return {i: root(i) for i in parent}, fixed


def quant_of(low: float, high: float) -> Quant:
    """The int8 quantization of a range, widened so that 0 is a value of it, exactly.

    A range of width 0 gets the scale 1/255 (around 0) or that which makes its value exact.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    if not math.isfinite(low) or not math.isfinite(high) or high - low <= 0:
        low, high = 0.0, 1.0
    scale = float(np.float32(max((high - low) / 255, LEAST_SCALE)))
    return Quant((scale,), (int(np.clip(round(-128 - low / scale), -128, 127)),))


def symmetric_quant(values: Array) -> Quant:
    """The quantization of a constant around 0."""
    largest = float(np.abs(values).max(initial=0.0))
    return Quant((float(np.float32(max(largest / 127, LEAST_SCALE))) if largest else 1.0,), (0,))


def constant_quant(kind: str, tensor: Tensor) -> Quant:
    """The quantization of a constant operand that shares its scale with nothing."""
    assert tensor.data is not None
    if kind in ("PRELU", "BATCH_MATMUL"):  # LiteRT's kernels ignore or forbid a zero point here
        return symmetric_quant(tensor.data)
    return quant_of(float(tensor.data.min(initial=0.0)), float(tensor.data.max(initial=0.0)))


def fake(values: Array, quant: Quant) -> Array:
    """The values as int8 of this quantization can hold them, as float32."""
    scale, zero = np.float32(quant.scale), np.float32(quant.zero_point)
    result = np.asarray(values * (np.float32(1) / scale))
    np.rint(result, out=result)
    np.clip(result, -128 - zero, 127 - zero, out=result)
    result *= scale
    return result
