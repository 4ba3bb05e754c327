# SPDX-License-Identifier: MIT
"""SOFTMAX of many channels for LiteRT, whose own ends the process on some inputs.

It does so where the sum of a row's exponentials, each at most 1, reaches 512: where many classes
are about as likely, as in a network that was not trained. Every result is then less than half of
1/256, that is 0. So the sum is computed in integers, as SOFTMAX does; rows that it cannot take are
replaced by one that it can, and their results by the least value:

    fits   = SUM(GATHER(exponentials, REDUCE_MAX(x) - x)) < 512
    result = SELECT_V2(fits, SOFTMAX(SELECT_V2(fits, x, steep)), least)
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff.fixed_point import rounding_divide_by_power_of_two
from tinyeff.ir import Array
from tinyeff.ops.softmax import SUM_SHIFT, exps_of, factor_of
from tinyeff.simulator.file_objects import new_constant, new_operator, new_tensor

TOO_MUCH = 512
INT32, BOOL = schema.TensorType.INT32, schema.TensorType.BOOL
LEAST = {schema.TensorType.INT8: -128, schema.TensorType.UINT8: 0}
"""What stands for 0 in the result, by type."""


def can_end_the_process(dtype: int, shape: Array) -> bool:
    """True for an integer SOFTMAX over so many channels that their exponentials can reach 512."""
    return dtype in LEAST and bool(np.size(shape)) and int(shape[-1]) >= TOO_MUCH


@dataclass
class _Chain:
    """Operators, one after the other."""

    model: Any
    graph: Any
    operators: list[Any] = field(default_factory=list)

    def constant(self, value: object, dtype: int = INT32) -> int:
        kind = {INT32: np.int32, schema.TensorType.INT8: np.int8}.get(dtype, np.uint8)
        return new_constant(self.model, self.graph, np.array(value, kind), dtype)

    def add(self, kind: str, inputs: list[int], output: int, options: str = "", **values: Any
            ) -> int:
        """Append an operator with options of these values; `output` is returned."""
        made = getattr(schema, f"{options or kind.capitalize()}OptionsT")()
        for name, value in values.items():
            setattr(made, name, value)
        version = 2 if kind == "REDUCE_MAX" else 1  # with int8
        self.operators.append(new_operator(self.model, kind, inputs, output, made, version))
        return output


def guarded(model: Any, graph: Any, op: Any) -> list[Any]:
    """Operators that compute what `op` computes, wherever LiteRT can compute it."""
    (x,), (result,) = op.inputs[:1], op.outputs
    old, chain = graph.tensors[x], _Chain(model, graph)
    shape = tuple(map(int, old.shape))
    exps = exps_of(factor_of(op.builtinOptions.beta, float(old.quantization.scale[0])))
    exps = np.pad(rounding_divide_by_power_of_two(exps, SUM_SHIFT), (0, 256))[:256]
    limit = TOO_MUCH << (31 - SUM_SHIFT)
    fits = _fits(chain, x, exps, limit)
    least = chain.constant(np.full(shape, LEAST[old.type]), old.type)
    if exps[0] + (shape[-1] - 1) * exps[255] >= limit:  # no row fits
        chain.add("SELECT_V2", [fits, least, least], result, "SelectV2")
        return chain.operators
    values = np.full(shape, LEAST[old.type])
    values[..., 0] += 255
    steep = chain.constant(values, old.type)
    row = chain.add("SELECT_V2", [fits, x, steep], _like(graph, old), "SelectV2")
    computed, inner = _like(graph, graph.tensors[result]), copy.copy(op)
    inner.inputs, inner.outputs = np.array([row], np.int32), np.array([computed], np.int32)
    chain.operators.append(inner)
    chain.add("SELECT_V2", [fits, computed, least], result, "SelectV2")
    return chain.operators


def _fits(chain: _Chain, x: int, exps: Array, limit: int) -> int:
    """A tensor of bool: for which rows of `x` the exponentials add up to less than `limit`."""
    graph, old = chain.graph, chain.graph.tensors[x]
    shape = tuple(map(int, old.shape))
    one = (*shape[:-1], 1)

    def new(row: tuple[int, ...], dtype: int = INT32) -> int:
        return new_tensor(graph, row, dtype)

    axis = chain.constant([len(shape) - 1])
    largest = chain.add("REDUCE_MAX", [x, axis], _like(graph, old, one), "Reducer", keepDims=True)
    cast = {"inDataType": old.type, "outDataType": INT32}
    top, values = (chain.add("CAST", [i], new(row), **cast)
                   for i, row in ((largest, one), (x, shape)))
    below = chain.add("SUB", [top, values], new(shape))
    parts = chain.add("GATHER", [chain.constant(exps), below], new(shape))
    total = chain.add("SUM", [parts, axis], new(one), "Reducer", keepDims=True)
    return chain.add("LESS", [total, chain.constant([limit])], new(one, BOOL))


def _like(graph: Any, tensor: Any, shape: Any = None) -> int:
    """A new tensor of the same type and scale."""
    index = new_tensor(graph, tensor.shape if shape is None else shape, tensor.type)
    graph.tensors[index].quantization = tensor.quantization
    return index
