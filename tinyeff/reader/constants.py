# SPDX-License-Identifier: MIT
"""Operators whose result is known when the file is read: shape arithmetic and moved constants.

A converter that does not know the batch size computes the target of every RESHAPE from the shape
of a tensor (SHAPE, STRIDED_SLICE, PACK); with the batch fixed at 1 these are constants.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinyeff.ir import ABSENT, Array, Tensor
from tinyeff.reader.tables import DECODED, RawOperator

MAX_FOLDED_BYTES = 1 << 26
"""No constant larger than this is computed: nothing that runs on a microcontroller needs it."""

WIDE = ("int32", "int64")
"""What LiteRT's SHAPE writes; other types do not hold every dimension."""

MAX_SHAPE_VALUES = 64
"""The arithmetic of shapes has few values; more are the data of an operator like any other."""

Fold = Callable[[Any, tuple[Array, ...]], Array]


def fold(op: RawOperator, tensors: list[Tensor]) -> tuple[Array, ...] | None:
    """The values of the operator's outputs where they are known, else None.

    `tensors` are the graph's tensors with the shapes inferred so far.
    """
    if len(op.outputs) != 1 or not op.inputs or ABSENT in op.inputs:
        return None
    inputs = [tensors[i] for i in op.inputs]
    output = tensors[op.outputs[0]]
    if op.kind == "SHAPE":
        return (np.array(inputs[0].shape, output.dtype),) if output.dtype in WIDE else None
    if op.kind == "RANK":
        return (np.array(len(inputs[0].shape), np.int32),)
    values = tuple(t.data for t in inputs if t.data is not None)
    if op.kind not in FOLDS or len(values) != len(inputs) or output.dtype not in DECODED:
        return None
    if sum(v.nbytes for v in values) > MAX_FOLDED_BYTES:
        return None
    if op.kind not in MOVES and max(v.size for v in values) > MAX_SHAPE_VALUES:
        return None
    try:
        if op.kind == "DEQUANTIZE":
            return (_dequantize(inputs[0]),)
        result = np.asarray(FOLDS[op.kind](op.options, values))
    except (ValueError, IndexError, TypeError, AttributeError, OverflowError, KeyError):
        return None  # the operator then stands as the file has it, and is judged as such
    if op.kind != "CAST" and result.dtype != np.dtype(output.dtype):
        return None
    return (result.astype(output.dtype, copy=False),)


def _dequantize(tensor: Tensor) -> Array:
    """Constant weights of float16, or of int8 with scales, as the float32 that they stand for."""
    assert tensor.data is not None
    values = tensor.data.astype(np.float32)
    if tensor.quant is None:
        return values
    shape = [1] * values.ndim
    if tensor.quant.axis is not None:
        shape[tensor.quant.axis] = -1
    scales = np.array(tensor.quant.scales, np.float32).reshape(shape)
    zeros = np.array(tensor.quant.zero_points, np.float32).reshape(shape)
    result: Array = (values - zeros) * scales
    return result


def _strided_slice(options: Any, inputs: tuple[Array, ...]) -> Array:
    values, begin, end, strides = inputs
    if options.ellipsisMask or options.newAxisMask or options.offset:
        raise ValueError("masks that shape arithmetic does not use")
    index: list[slice | int] = []
    for d, (b, e, step) in enumerate(zip(begin.tolist(), end.tolist(), strides.tolist(),
                                         strict=True)):
        if options.shrinkAxisMask >> d & 1:
            index.append(b)
        else:
            index.append(slice(None if options.beginMask >> d & 1 else b,
                               None if options.endMask >> d & 1 else e, step))
    return np.asarray(values[tuple(index)])


def _slice(options: Any, inputs: tuple[Array, ...]) -> Array:
    values, begin, size = inputs
    return values[tuple(slice(b, None if n < 0 else b + n)
                        for b, n in zip(begin.tolist(), size.tolist(), strict=True))]


def _gather(options: Any, inputs: tuple[Array, ...]) -> Array:
    if options.batchDims:
        raise ValueError("batched gather")
    return np.take(inputs[0], inputs[1], axis=options.axis)


def _expand_dims(options: Any, inputs: tuple[Array, ...]) -> Array:
    return np.expand_dims(inputs[0], int(inputs[1]))


def _squeeze(options: Any, inputs: tuple[Array, ...]) -> Array:
    axes = () if options.squeezeDims is None else tuple(int(d) for d in options.squeezeDims)
    return np.squeeze(inputs[0], axes or None)


def _reduce_prod(options: Any, inputs: tuple[Array, ...]) -> Array:
    axes = tuple(inputs[1].reshape(-1).tolist())
    return np.asarray(np.prod(_whole(inputs[0]), axis=axes, keepdims=bool(options.keepDims),
                              dtype=inputs[0].dtype))


def _whole(values: Array) -> Array:
    """Integers as they are; arithmetic is only done on those (shapes), never on real values."""
    if values.dtype.kind != "i" or values.dtype.itemsize < 4:
        raise ValueError("not the arithmetic of a shape")
    return values


def _concatenate(options: Any, inputs: tuple[Array, ...]) -> Array:
    if options.fusedActivationFunction:
        raise ValueError("an activation")
    return np.concatenate(inputs, axis=options.axis)


def _reshape(options: Any, inputs: tuple[Array, ...]) -> Array:
    shape = inputs[1] if len(inputs) > 1 else options.newShape
    return inputs[0].reshape([int(n) for n in shape])


def _bounded(shape: Array) -> tuple[int, ...]:
    """A shape that the values of a constant give, if it holds no more than any folded constant."""
    result = tuple(int(n) for n in shape.reshape(-1))
    if min(result, default=0) < 0 or math.prod(result) > MAX_FOLDED_BYTES // 8:
        raise ValueError("too large a constant")
    return result


def _fill(options: Any, inputs: tuple[Array, ...]) -> Array:
    return np.full(_bounded(inputs[0]), inputs[1])


def _tile(options: Any, inputs: tuple[Array, ...]) -> Array:
    values, multiples = inputs
    _bounded(np.array(values.shape, np.int64) * multiples.astype(np.int64))
    return np.tile(values, multiples.tolist())


def _broadcast(options: Any, inputs: tuple[Array, ...]) -> Array:
    return np.broadcast_to(inputs[0], _bounded(inputs[1]))


def _range(options: Any, inputs: tuple[Array, ...]) -> Array:
    values = range(*(int(_whole(x)) for x in inputs))
    _bounded(np.array([len(values)]))
    return np.array(values, inputs[0].dtype)


def _quotient(options: Any, inputs: tuple[Array, ...]) -> Array:
    """Of DIV, which rounds towards zero; zero is divided by nothing here."""
    a, b = (_whole(x).astype(np.int64) for x in inputs)
    if not b.all():
        raise ValueError("a division by zero")
    result: Array = (np.abs(a) // np.abs(b) * np.sign(a) * np.sign(b)).astype(inputs[0].dtype)
    return result


def _floored(function: Callable[[Array, Array], Array]) -> Fold:
    def compute(options: Any, inputs: tuple[Array, ...]) -> Array:
        if not _whole(inputs[1]).all():
            raise ValueError("a division by zero")
        return function(_whole(inputs[0]), inputs[1])
    return compute


def _same(options: Any, inputs: tuple[Array, ...]) -> Array:
    return inputs[0]


FOLDS: dict[str, Fold] = {
    "ADD": lambda _, x: _whole(x[0]) + _whole(x[1]),
    "BROADCAST_TO": _broadcast,
    "CAST": _same,
    "CONCATENATION": _concatenate,
    "DEQUANTIZE": _same,
    "DIV": _quotient,
    "EXPAND_DIMS": _expand_dims,
    "FILL": _fill,
    "FLOOR_DIV": _floored(np.floor_divide),
    "FLOOR_MOD": _floored(np.mod),
    "GATHER": _gather,
    "MAXIMUM": lambda _, x: np.maximum(_whole(x[0]), _whole(x[1])),
    "MINIMUM": lambda _, x: np.minimum(_whole(x[0]), _whole(x[1])),
    "MUL": lambda _, x: _whole(x[0]) * _whole(x[1]),
    "PACK": lambda o, x: np.stack(x, axis=o.axis),
    "RANGE": _range,
    "REDUCE_PROD": _reduce_prod,
    "RESHAPE": _reshape,
    "SLICE": _slice,
    "SQUEEZE": _squeeze,
    "STRIDED_SLICE": _strided_slice,
    "SUB": lambda _, x: _whole(x[0]) - _whole(x[1]),
    "TILE": _tile,
    "TRANSPOSE": lambda _, x: np.transpose(x[0], [int(n) for n in x[1]]),
}
"""How each kind of operator is computed on constants; dtypes are those of the inputs."""


MOVES = frozenset({"CONCATENATION", "DEQUANTIZE", "EXPAND_DIMS", "RESHAPE", "SQUEEZE", "TRANSPOSE"})
"""Kinds that also fold constants of any size: their result is not larger than their inputs,
or stands for what a float16 or int8 constant means in float32."""
