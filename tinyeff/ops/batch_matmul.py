# SPDX-License-Identifier: MIT
"""BATCH_MATMUL: products of matrices, of which an operand may hold one for all or one for each.

A matrix is a row of pixels as kernels see it, so that a product goes pixel by pixel over the left
operand; the right operand's matrix is read whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff import fixed_point
from tinyeff.ir import Array, ConstArray, Graph, Kernel, Target, Tensor, Variant, Window
from tinyeff.ops import operator as o
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.elementwise import reach_of
from tinyeff.ops.operator import Node, Operator

Shape = tuple[int, ...]


@dataclass(frozen=True)
class BatchMatmulAttrs:
    """Whether each operand is stored with rows and columns exchanged."""

    adj_x: bool = False
    adj_y: bool = False


def _matrix(shape: Shape, adjoint: bool) -> tuple[int, int]:
    """(rows, columns) of the matrices as they are multiplied."""
    return (shape[-1], shape[-2]) if adjoint else (shape[-2], shape[-1])


def _adjoint(node: Node[BatchMatmulAttrs], operand: int) -> bool:
    return node.attrs.adj_y if operand else node.attrs.adj_x


def _depth(node: Node[BatchMatmulAttrs]) -> int:
    return _matrix(node.input(0).shape, node.attrs.adj_x)[1]


def _factor(node: Node[BatchMatmulAttrs]) -> float:
    """What sums are multiplied by; LiteRT multiplies the input scales in float32."""
    a, b, out = node.input(0).quant, node.input(1).quant, node.output.quant
    assert a is not None and b is not None and out is not None
    with np.errstate(over="ignore", under="ignore"):
        return float(np.float32(a.scale) * np.float32(b.scale)) / out.scale


class BatchMatmul(Operator[BatchMatmulAttrs]):
    """Source of the arithmetic: reference_ops::BatchMatMul and batch_matmul.cc of LiteRT."""

    kind = "BATCH_MATMUL"

    def read(self, options: Any, node: Node[None]) -> BatchMatmulAttrs:
        return BatchMatmulAttrs(bool(options.adjX), bool(options.adjY))

    def write(self, node: Node[BatchMatmulAttrs]) -> Any:
        options = schema.BatchMatMulOptionsT()
        options.adjX, options.adjY = node.attrs.adj_x, node.attrs.adj_y
        return options

    def output_shapes(self, node: Node[BatchMatmulAttrs]) -> tuple[Shape, ...]:
        a, b = node.input(0).shape, node.input(1).shape
        if min(len(a), len(b)) < 2:
            raise ValueError(f"operands of shapes {a} and {b} must have 2 dimensions or more")
        rows, depth = _matrix(a, node.attrs.adj_x)
        other_depth, columns = _matrix(b, node.attrs.adj_y)
        if depth != other_depth:
            raise ValueError(f"matrices of {rows}x{depth} and {other_depth}x{columns} cannot be "
                             "multiplied")
        try:
            batch = np.broadcast_shapes(a[:-2], b[:-2])
        except ValueError:
            raise ValueError(f"the leading dimensions of operands of shapes {a} and {b} must be "
                             "equal or 1") from None
        return ((*(int(n) for n in batch), rows, columns),)

    def limits(self, node: Node[BatchMatmulAttrs]) -> Iterator[str]:
        a, b, out = node.input(0), node.input(1), node.output
        if max(len(a.shape), len(b.shape)) > 5:
            yield f"its operands of shapes {a.shape} and {b.shape} have more than 5 dimensions"
        for operand in (a, b):
            if operand.rows not in (1, out.rows):
                yield (f"it uses the {operand.rows} matrices of {operand.shape} for {out.rows} "
                       "products; there must be one for each, or one for all")
        if o.is_int8(a, b, out):
            yield from self._scale_limits(node)

    def _scale_limits(self, node: Node[BatchMatmulAttrs]) -> Iterator[str]:
        for tensor in (node.input(0), node.input(1)):
            if tensor.quant is not None and len(tensor.quant.scales) > 1:
                yield f"'{tensor.name}' has several scales; one is supported"
                return
        factor = _factor(node)
        if not math.isfinite(factor):
            yield "the product of its input scales over its output scale is not finite"
            return
        reach = reach_of(node.input(0)) * reach_of(node.input(1)) * _depth(node)
        reach <<= max(fixed_point.quantize_multiplier(factor)[1], 0)
        if reach > fixed_point.INT32_MAX + fixed_point.INT8_MIN:
            yield (f"its sum of {_depth(node)} products times 2**shift can reach {reach}, beyond "
                   "32 bits: multiply smaller matrices, or give the output a larger scale")

    def evaluate(
        self, node: Node[BatchMatmulAttrs], inputs: tuple[Array, ...]
    ) -> tuple[Array, ...]:
        waiting, values, out_quant = list(inputs), [], node.output.quant
        for number in (0, 1):
            tensor = node.input(number)
            assert tensor.quant is not None and out_quant is not None
            data = waiting.pop(0) if tensor.data is None else tensor.data
            matrices = data.astype(np.float64) - tensor.quant.zero_point
            values.append(matrices.swapaxes(-1, -2) if _adjoint(node, number) else matrices)
        # Doubles hold every partial sum exactly, and their matrix product is the fast one.
        acc = np.rint(values[0] @ values[1]).astype(np.int64)
        scaled = fixed_point.multiply_by_quantized_multiplier(
            acc, *fixed_point.quantize_multiplier(_factor(node)))
        assert out_quant is not None
        return (fixed_point.clamp_int8(scaled + out_quant.zero_point),)

    def macs(self, node: Node[BatchMatmulAttrs]) -> int:
        return node.output.elements * _depth(node)

    def _operand(self, node: Node[BatchMatmulAttrs], activation: int) -> int:
        """Which operand the activation is."""
        return [i for i in (0, 1) if not node.input(i).is_constant][activation]

    def window(self, node: Node[BatchMatmulAttrs], activation: int) -> Window:
        return Window(step=0) if _is_shared(node, self._operand(node, activation)) else Window()

    def columns(self, node: Node[BatchMatmulAttrs], activation: int) -> Window:
        operand = self._operand(node, activation)
        if operand == 0 and not node.attrs.adj_x:
            return Window()
        return Window(node.input(operand).pixels, 0)

    def variants(self, node: Node[BatchMatmulAttrs], target: Target) -> tuple[Variant, ...]:
        const_bytes = sum(t.size_bytes for t in node.inputs if t is not None and t.is_constant)
        return (Variant("portable", const_bytes=const_bytes, code_bytes=636,
                        cost=9 * self.macs(node) + 30 * node.output.elements),)

    def lower(self, node: Node[BatchMatmulAttrs], variant: Variant) -> Kernel:
        out = node.output
        assert out.quant is not None
        multiplier, shift = fixed_point.quantize_multiplier(_factor(node))
        fields = (
            *_operand_fields(node, 0),
            *_operand_fields(node, 1),
            ("depth", _depth(node)),
            ("channels", out.channels),
            ("out_pitch", out.channels),
            ("out_multiplier", multiplier),
            ("out_shift", shift),
            ("out_zero_point", out.quant.zero_point),
        )
        return Kernel("te_batch_matmul", "te_batch_matmul_params", fields, ("te_batch_matmul",))

    def cases(self) -> Iterator[Graph]:
        cases: list[tuple[str, Shape, Shape, bool, bool]] = [
            ("plain", (1, 5, 7), (1, 7, 4), False, False),
            ("adj_x", (1, 7, 5), (1, 7, 4), True, False),
            ("adj_y", (1, 5, 7), (1, 4, 7), False, True),
            ("both", (1, 7, 5), (1, 4, 7), True, True),
            ("heads", (1, 3, 5, 6), (1, 3, 6, 4), False, False),
            ("heads_adj", (1, 3, 5, 6), (1, 3, 4, 6), False, True),
            ("one_for_all", (1, 3, 5, 6), (6, 4), False, False),
            ("first_for_all", (1, 6, 5), (1, 3, 6, 4), True, False),
            ("matrices", (5, 3), (3, 2), False, False),
            ("long", (1, 2, 300), (1, 300, 2), False, False),
        ]
        for seed, (name, first, second, adj_x, adj_y) in enumerate(cases):
            scale = 0.02 if name == "long" else 0.05
            for constant in (None, 0, 1) if name in ("heads", "heads_adj", "both") else (None,):
                g = GraphBuilder(f"batch_matmul_{name}_{constant}", seed)
                operands: list[int | None] = []
                for number, shape in enumerate((first, second)):
                    zero_point = 5 - 9 * number + seed
                    if number == constant:
                        data = g.rng.integers(-128, 128, shape, dtype=np.int8)
                        operands.append(g.constant(data, scale, zero_point))
                    else:
                        operands.append(g.input(shape, scale, zero_point))
                attrs = BatchMatmulAttrs(adj_x, adj_y)
                yield g.graph(g.op(self.kind, operands, attrs, 0.3, 4 - seed))
        g = GraphBuilder("batch_matmul_with_itself")
        x = g.input((1, 4, 6), 0.05, -3)
        yield g.graph(g.op(self.kind, [x, x], BatchMatmulAttrs(adj_y=True), 0.3, 4))


def _is_shared(node: Node[BatchMatmulAttrs], operand: int) -> bool:
    """True where one matrix of the operand serves all products."""
    return node.input(operand).rows != node.output.rows


def _operand_fields(
    node: Node[BatchMatmulAttrs], operand: int
) -> tuple[tuple[str, int | ConstArray], ...]:
    tensor: Tensor = node.input(operand)
    assert tensor.quant is not None
    name, shared = f"in{operand + 1}", _is_shared(node, operand)
    return (
        (f"{name}_constant", 0 if tensor.data is None else o.int8(tensor.data)),
        (f"{name}_row", 0 if shared else tensor.pixels * tensor.channels),
        (f"{name}_shared", int(shared)),
        (f"{name}_pitch", tensor.channels),
        (f"{name}_adjoint", int(_adjoint(node, operand))),
        (f"{name}_zero_point", tensor.quant.zero_point),
    )


OPERATOR = BatchMatmul()
