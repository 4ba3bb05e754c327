# SPDX-License-Identifier: MIT
"""Rewriting of operators that tinyeff does not have into those it has, before they are read.

Each function keeps every bit of the tensors that it does not remove.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff.ops.operator import VALID, Padding
from tinyeff.reader.tables import RawModel, RawOperator

CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
FUSING = (*CONVOLUTIONS, "FULLY_CONNECTED", "ADD", "MUL", "AVERAGE_POOL_2D", "MAX_POOL_2D")
"""Operators whose option table has a fused activation."""

ACTIVATIONS = {
    "RELU": schema.ActivationFunctionType.RELU,
    "RELU6": schema.ActivationFunctionType.RELU6,
    "RELU_N1_TO_1": schema.ActivationFunctionType.RELU_N1_TO_1,
}


def rewrite(raw: RawModel) -> RawModel:
    """All rewritings of this module, in the order in which they help each other."""
    return fuse_activations(fold_dilation(pad_with_zero_point(raw)))


def pad_with_zero_point(raw: RawModel) -> RawModel:
    """PADV2 whose constant is the real value 0 becomes PAD."""
    operators = []
    for op in raw.operators:
        if op.kind == "PADV2" and len(op.inputs) == 3 and op.inputs[2] >= 0:
            value, tensor = raw.tensors[op.inputs[2]].data, raw.tensors[op.inputs[0]]
            zero = tensor.quant.zero_point if tensor.quant else 0
            if value is not None and value.size == 1 and value.reshape(-1)[0] == zero:
                op = RawOperator("PAD", op.inputs[:2], op.outputs)
        operators.append(op)
    return replace(raw, operators=tuple(operators))


def fold_dilation(raw: RawModel) -> RawModel:
    """SPACE_TO_BATCH_ND, a VALID convolution, BATCH_TO_SPACE_ND become one dilated convolution.

    The three split the image into phases, convolve each and interleave them again: a convolution
    whose dilation is the block size. Both pad with the zero point.
    """
    merged: dict[int, RawOperator] = {}
    removed: set[int] = set()
    for before, conv, after in _chains(raw):
        folded = _dilated(raw, *(raw.operators[n] for n in (before, conv, after)))
        if folded is not None:
            merged[conv] = folded
            removed.update((before, after))
    operators = tuple(merged.get(n, op) for n, op in enumerate(raw.operators) if n not in removed)
    return replace(raw, operators=operators)


def _readers(raw: RawModel) -> dict[int, list[int]]:
    """For each tensor the operators that read it; the model's own outputs count as number -1."""
    readers: dict[int, list[int]] = {i: [-1] for i in raw.outputs}
    for number, op in enumerate(raw.operators):
        for i in op.inputs:
            readers.setdefault(i, []).append(number)
    return readers


def _only_reader(raw: RawModel, readers: dict[int, list[int]], number: int) -> int:
    """The only operator that reads the only output of operator `number`, else -1."""
    outputs = raw.operators[number].outputs
    found = readers.get(outputs[0], []) if len(outputs) == 1 else []
    return found[0] if len(found) == 1 else -1


def _chains(raw: RawModel) -> Iterator[tuple[int, int, int]]:
    readers = _readers(raw)
    for before, op in enumerate(raw.operators):
        if op.kind != "SPACE_TO_BATCH_ND":
            continue
        conv = _only_reader(raw, readers, before)
        if conv < 0 or raw.operators[conv].kind not in CONVOLUTIONS:
            continue
        after = _only_reader(raw, readers, conv)
        if after >= 0 and raw.operators[after].kind == "BATCH_TO_SPACE_ND":
            yield before, conv, after


def _dilated(
    raw: RawModel, before: RawOperator, conv: RawOperator, after: RawOperator
) -> RawOperator | None:
    known = isinstance(conv.options, (schema.Conv2DOptionsT, schema.DepthwiseConv2DOptionsT))
    if len(before.inputs) != 3 or len(after.inputs) != 3 or not known:
        return None
    constants = [raw.tensors[i].data if i >= 0 else None
                 for i in (*before.inputs[1:], *after.inputs[1:])]
    block, pads, block_after, crops = ([] if c is None else c.tolist() for c in constants)
    shapes = [np.shape(v) for v in (block, pads, block_after, crops)]
    if shapes != [(2,), (2, 2), (2,), (2, 2)] or block != block_after or min(block) < 1:
        return None
    options = copy.copy(conv.options)
    strides = (options.strideH, options.strideW, options.dilationHFactor, options.dilationWFactor)
    if options.padding != VALID or strides != (1, 1, 1, 1) or conv.inputs[0] != before.outputs[0]:
        return None
    (top, bottom), (left, right) = pads
    (crop_top, crop_bottom), (crop_left, crop_right) = crops
    padding = Padding(top, bottom - crop_bottom, left, right - crop_right)
    if crop_top or crop_left or min(top, left, padding.bottom, padding.right) < 0:
        return None
    options.dilationHFactor, options.dilationWFactor = block
    return RawOperator(conv.kind, (before.inputs[0], *conv.inputs[1:]), after.outputs, options,
                       padding)


def fuse_activations(raw: RawModel) -> RawModel:
    """RELU, RELU6 and RELU_N1_TO_1 join the operator before them.

    In int8 only where both tensors have the same scale and zero point: then the activation clamps
    and does nothing else.
    """
    readers = _readers(raw)
    operators: list[RawOperator | None] = list(raw.operators)
    for number in range(len(raw.operators)):
        op = operators[number]
        follower = _only_reader(raw, readers, number) if op is not None else -1
        if op is None or follower < 0 or op.kind not in FUSING or op.options is None:
            continue
        activation = raw.operators[follower]
        if activation.kind not in ACTIVATIONS or vars(op.options).get("fusedActivationFunction", 1):
            continue
        x, y = raw.tensors[op.outputs[0]], raw.tensors[activation.outputs[0]]
        if x.dtype == y.dtype and x.quant == y.quant and x.shape == y.shape:
            options = copy.copy(op.options)
            options.fusedActivationFunction = ACTIVATIONS[activation.kind]
            operators[number] = replace(op, outputs=activation.outputs, options=options)
            operators[follower] = None
    return replace(raw, operators=tuple(op for op in operators if op is not None))
