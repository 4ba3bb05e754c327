# SPDX-License-Identifier: MIT
"""What operators share that map each int8 value to another: a table of 256 bytes, one kernel."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from tinyeff import fixed_point
from tinyeff.ir import Array, Graph, Kernel, Quant, Target, Variant
from tinyeff.ops import operator as o
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.operator import Node, Operator

A = TypeVar("A")
Floats = npt.NDArray[np.float32]

VALUES: Array = np.arange(-128, 128)
"""Every int8 value, in the order of the table."""

MAX_SHIFT = 22
"""The largest shift at which an input of at most 255, and all that follows, stays in 32 bits."""

SHAPES: tuple[tuple[int, ...], ...] = ((1, 256), (1, 3, 4, 5), (1, 2, 7), (1, 1, 1, 1))
"""Of the cases: all values in one row, maps with and without a rest of four."""


@dataclass(frozen=True)
class PointwiseAttrs:
    """Nothing: scales and zero points are the tensors'."""


class PointwiseTable(Operator[A]):
    """Base of the operators that are a table; one need only say what stands in it."""

    @abstractmethod
    def table(self, node: Node[A]) -> Array:
        """What -128 to 127 become: int8 of shape (256,)."""

    @abstractmethod
    def scale_limits(self, node: Node[A]) -> Iterator[str]:
        """The limit sentences on the scales and zero points of an int8 node."""

    def output_shapes(self, node: Node[A]) -> tuple[tuple[int, ...], ...]:
        return (node.input(0).shape,)

    def limits(self, node: Node[A]) -> Iterator[str]:
        if o.is_int8(node.input(0), node.output):
            yield from self.scale_limits(node)

    def evaluate(self, node: Node[A], inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        return (self.table(node)[inputs[0].astype(np.int64) + 128],)

    def variants(self, node: Node[A], target: Target) -> tuple[Variant, ...]:
        return (Variant("portable", const_bytes=256, code_bytes=248,
                        cost=5 * node.output.elements, consumes=1, flat=True),)

    def lower(self, node: Node[A], variant: Variant) -> Kernel:
        fields = (
            ("table", o.int8(self.table(node))),
            ("in_pitch", node.input(0).channels),
            ("out_pitch", node.output.channels),
            ("channels", node.output.channels),
        )
        return Kernel("te_table", "te_table_params", fields, ("te_table",))


class PlainTable(PointwiseTable[PointwiseAttrs]):
    """Base of those without attributes; `options` is the class of the option table, if any."""

    version = 1
    options: Any = None
    quantizations: tuple[tuple[float, int, float, int], ...]
    """Of the cases: input scale and zero point, output scale and zero point."""

    def read(self, options: Any, node: Node[None]) -> PointwiseAttrs:
        return PointwiseAttrs()

    def write(self, node: Node[PointwiseAttrs]) -> Any:
        return None if self.options is None else self.options()

    def cases(self) -> Iterator[Graph]:
        for number, quantization in enumerate(self.quantizations):
            shape = SHAPES[number % len(SHAPES)]
            yield case_of(self.kind, PointwiseAttrs(), quantization, shape, str(number))


def case_of(
    kind: str, attrs: Any, quantization: tuple[float, int, float, int], shape: tuple[int, ...],
    name: str,
) -> Graph:
    """A graph of one operator with this quantization of input and output."""
    scale, zero_point, out_scale, out_zero_point = quantization
    g = GraphBuilder(f"{kind.lower()}_{name}")
    x = g.input(shape, scale, zero_point)
    return g.graph(g.op(kind, [x], attrs, out_scale, out_zero_point))


def quants(node: Node[Any]) -> tuple[Quant, Quant]:
    """The quantization of input and output."""
    x, out = node.input(0).quant, node.output.quant
    assert x is not None and out is not None
    return x, out


# Tables of functions computed in float32 --------------------------------------------------------


def float32_ratio(before: Quant, after: Quant) -> float:
    """The input scale over the output scale as LiteRT divides them: in float32."""
    with np.errstate(over="ignore", under="ignore"):
        return float(np.float32(before.scale) / np.float32(after.scale))


def rounded_to_float32(function: Callable[[Array], Array]) -> Callable[[Floats], Floats]:
    """`function` of float32 values, computed in double precision and rounded to float32 once.

    LiteRT calls the C library, whose result may lie one step of float32 beside the right one. An
    int8 result can only differ where the value lies that close to the middle between two.
    """
    def rounded(x: Floats) -> Floats:
        result: Floats = function(x.astype(np.float64)).astype(np.float32)
        return result
    return rounded


def float_table(function: Callable[[Floats], Floats], before: Quant, after: Quant) -> Array:
    """The int8 table of a function of float32 values.

    Source: LUTPopulateInt8 of LiteRT: the value is scaled in float32, multiplied by the inverse of
    the output scale, rounded half away from zero, and saturates.
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
        x = np.float32(before.scale) * (VALUES - before.zero_point).astype(np.float32)
        inverse = np.float32(1.0) / np.float32(after.scale)
        scaled = (function(x) * inverse).astype(np.float64)
        # The sum with 0.5 is exact in float64, where in float32 it might round up.
        rounded = np.copysign(np.floor(np.abs(scaled) + 0.5), scaled)
    # Beyond +-512 the zero point changes nothing.
    return fixed_point.clamp_int8(np.clip(rounded, -512, 512).astype(np.int64) + after.zero_point)


def float_limits(node: Node[Any]) -> Iterator[str]:
    """The limit sentence where scaled values, or the inverse of the output scale, are infinite."""
    before, after = quants(node)
    with np.errstate(over="ignore", divide="ignore"):
        reach = float(np.float32(255) * np.float32(before.scale))
        inverse = float(np.float32(1) / np.float32(after.scale))
    if not (math.isfinite(reach) and math.isfinite(inverse)):
        yield (f"its input scale {before.scale:.3g} or its output scale {after.scale:.3g} leaves "
               "the range of float32; quantize the model again")


def shift_limits(node: Node[Any], factor: float) -> Iterator[str]:
    """The limit sentence where an input times `factor` leaves 32 bits."""
    if not math.isfinite(factor) or fixed_point.quantize_multiplier(abs(factor))[1] > MAX_SHIFT:
        yield (f"its input scale is {factor:.3g} times its output scale; at most {2**MAX_SHIFT} "
               "is supported")
