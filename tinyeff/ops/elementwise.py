# SPDX-License-Identifier: MIT
"""What elementwise operators of two operands share: shapes, broadcasting, kernel parameters.

An operand is an activation or a constant; it has the output's rows, pixels and channels, or one of
them for all. In the kernel these differ in three strides only (te_operand.h).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from tinyeff import fixed_point
from tinyeff.ir import Array, ConstArray, Graph, Target, Tensor, Variant, Window
from tinyeff.ops import operator as o
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.operator import Node, Operator

DSP = "dsp"
"""The variant for cores with the DSP extension."""


@dataclass(frozen=True)
class ElementwiseAttrs:
    """The fused activation."""

    activation: str = "none"


@dataclass(frozen=True)
class Strides:
    """Values from one row, pixel and channel of an operand to the next; 0 where all share one."""

    row: int
    pitch: int
    step: int


def strides_of(operand: Tensor, out: Tensor) -> Strides | None:
    """How an operand of `out` is walked through; None where the kernels cannot.

    Each of its rows, pixels and channels are those of the output, or one for all.
    """
    if operand.elements == out.elements:
        return Strides(out.pixels * out.channels, out.channels, 1)
    sizes = ((operand.rows, out.rows), (operand.pixels, out.pixels),
             (operand.channels, out.channels))
    if any(mine not in (1, theirs) for mine, theirs in sizes):
        return None
    return Strides(operand.pixels * operand.channels * (operand.rows > 1),
                   operand.channels * (operand.pixels > 1), int(operand.channels > 1))


def is_uneven(operand: Tensor, out: Tensor) -> bool:
    """Whether an operand has less values than `out`, but more than one pixel."""
    return operand.elements not in (operand.channels, out.elements)


def reach_of(operand: Tensor) -> int:
    """The largest magnitude of an operand less its zero point."""
    assert operand.quant is not None
    if operand.data is None:
        return max(fixed_point.INT8_MAX - operand.quant.zero_point,
                   operand.quant.zero_point - fixed_point.INT8_MIN)
    values = np.abs(operand.data.astype(np.int64) - operand.quant.zero_point)
    return int(values.max(initial=0))


class Elementwise(Operator[ElementwiseAttrs]):
    """Base of the operators of two operands."""

    fused: ClassVar[tuple[str, ...]] = o.FUSED
    """The activations that it may have fused."""
    code_bytes: int
    cycles_per_value: int

    def read(self, options: Any, node: Node[None]) -> ElementwiseAttrs:
        activation = options.fusedActivationFunction if options is not None else 0
        return ElementwiseAttrs(o.activation_name(activation))

    def activation_number(self, node: Node[ElementwiseAttrs]) -> int:
        """TFLite's number of the fused activation."""
        return o.ACTIVATIONS.index(node.attrs.activation)

    def output_shapes(self, node: Node[ElementwiseAttrs]) -> tuple[tuple[int, ...], ...]:
        a, b = node.input(0).shape, node.input(1).shape
        try:
            return (tuple(int(n) for n in np.broadcast_shapes(a, b)),)
        except ValueError:
            raise ValueError(f"operands of shapes {a} and {b} cannot be broadcast together: "
                             "dimensions must be equal or 1") from None

    def limits(self, node: Node[ElementwiseAttrs]) -> Iterator[str]:
        a, b, out = node.input(0), node.input(1), node.output
        yield from o.activation_limits(node.attrs.activation, node.output)
        for operand in (a, b):
            if strides_of(operand, out) is None:
                yield (f"it broadcasts {operand.shape} to {out.shape}; all but the last two "
                       "dimensions count as one, and must be all equal or all 1")
        if o.is_int8(a, b, out):
            yield from self.scale_limits(node)

    def scale_limits(self, node: Node[ElementwiseAttrs]) -> Iterator[str]:
        """The limit sentences on the scales of an int8 node."""
        yield from ()

    def window(self, node: Node[ElementwiseAttrs], activation: int) -> Window:
        strides = strides_of(node.activations[activation], node.output)
        return Window() if strides is None or strides.row else Window(step=0)

    def columns(self, node: Node[ElementwiseAttrs], activation: int) -> Window:
        strides = strides_of(node.activations[activation], node.output)
        return Window() if strides is None or strides.pitch else Window(step=0)

    def variants(self, node: Node[ElementwiseAttrs], target: Target) -> tuple[Variant, ...]:
        operands = [t for t in node.inputs if t is not None]
        const_bytes = sum(t.size_bytes for t in operands if t.is_constant)
        # A value that several results need must stay until the last of them is written.
        even = not any(is_uneven(t, node.output) for t in operands)
        return (Variant("portable", const_bytes=const_bytes, code_bytes=self.code_bytes,
                        cost=self.cycles_per_value * node.output.elements, consumes=int(even),
                        flat=even),)

    def dsp_variant(
        self, node: Node[ElementwiseAttrs], code_bytes: int, cycles_per_value: int
    ) -> Variant:
        """The variant for cores with the DSP extension, named DSP."""
        (portable,) = Elementwise.variants(self, node, Target())
        return replace(portable, name=DSP, code_bytes=code_bytes,
                       cost=cycles_per_value * node.output.elements)

    def limit_fields(self, node: Node[ElementwiseAttrs]) -> tuple[tuple[str, int], ...]:
        """The last parameters of the DSP kernels."""
        out = node.output
        assert out.quant is not None
        low, high = fixed_point.activation_range(node.attrs.activation, out.quant)
        return (("out_min", low), ("out_max", high), ("channels", out.channels),
                ("out_pitch", out.channels))

    def operand_fields(
        self, node: Node[ElementwiseAttrs], number: int
    ) -> tuple[tuple[str, int | ConstArray], ...]:
        """The parameters of operand `number` that every portable elementwise kernel has."""
        tensor = node.input(number)
        assert tensor.quant is not None
        return (*self.place_fields(node, number),
                (f"in{number + 1}_zero_point", tensor.quant.zero_point))

    def place_fields(
        self, node: Node[ElementwiseAttrs], number: int
    ) -> tuple[tuple[str, int | ConstArray], ...]:
        """Where operand `number` lies."""
        tensor = node.input(number)
        strides = strides_of(tensor, node.output)
        assert strides is not None
        name = f"in{number + 1}"
        return (
            (f"{name}_constant", 0 if tensor.data is None else o.int8(tensor.data)),
            (f"{name}_row", strides.row),
            (f"{name}_pitch", strides.pitch),
            (f"{name}_step", strides.step),
        )

    def output_fields(
        self, node: Node[ElementwiseAttrs], multiplier: int, shift: int
    ) -> tuple[tuple[str, int | ConstArray], ...]:
        """The parameters of the output that every elementwise kernel has."""
        out = node.output
        assert out.quant is not None
        low, high = fixed_point.activation_range(node.attrs.activation, out.quant)
        return (
            ("channels", out.channels),
            ("out_pitch", out.channels),
            ("out_zero_point", out.quant.zero_point),
            ("out_multiplier", multiplier),
            ("out_shift", shift),
            ("out_min", low),
            ("out_max", high),
        )

    def finish(self, node: Node[ElementwiseAttrs], scaled: Array) -> tuple[Array, ...]:
        """Scaled results as the int8 output: zero point added, clamped by the activation."""
        quant = node.output.quant
        assert quant is not None
        low, high = fixed_point.activation_range(node.attrs.activation, quant)
        return (fixed_point.clamp_int8(scaled + quant.zero_point, low, high),)

    def values(self, node: Node[Any], inputs: tuple[Array, ...]) -> list[Array]:
        """Both operands; `inputs` are the activations in order."""
        waiting = list(inputs)
        tensors = (node.input(0), node.input(1))
        return [waiting.pop(0) if t.data is None else t.data for t in tensors]

    def operands(self, node: Node[Any], inputs: tuple[Array, ...]) -> tuple[Array, Array]:
        """Both operands less their zero points, int64; `inputs` are the activations in order."""
        a, b = node.input(0).quant, node.input(1).quant
        assert a is not None and b is not None
        first, second = (v.astype(np.int64) for v in self.values(node, inputs))
        return first - a.zero_point, second - b.zero_point

    def cases(self) -> Iterator[Graph]:
        full, scale = (1, 4, 5, 6), 0.05
        shapes: list[tuple[str, tuple[int, ...], tuple[int, ...] | None]] = [
            ("same_shape", full, full),
            ("pixel", full, (1, 1, 1, 6)),
            ("pixel_first", (1, 1, 1, 6), full),
            ("channels", full, (6,)),
            ("scalar", full, (1,)),
            ("scalar_first", (1, 1, 1, 1), full),
            ("vectors", (1, 17), (1, 17)),
            ("batch", (3, 4, 5), (1, 1, 5)),
            ("one_pixel", (1, 1, 1, 9), (1, 1, 1, 1)),
            ("with_itself", full, None),
            ("value_per_pixel", full, (1, 4, 5, 1)),
            ("value_per_row", (1, 4, 1, 1), full),
            ("map_for_all_rows", full, (1, 1, 5, 6)),
            ("rows_and_pixels", (1, 4, 1, 6), (1, 1, 5, 6)),
        ]
        for seed, (name, first, second) in enumerate(shapes):
            for activation in self.fused if name == "same_shape" else ("none",):
                g = GraphBuilder(f"{self.kind.lower()}_{name}_{activation}", seed)
                a = g.input(first, scale, 3 - seed)
                b = a if second is None else g.input(second, scale * (seed + 1), seed)
                yield self._case(g, a, b, activation)
        constants: list[tuple[str, tuple[int, ...], bool]] = [
            ("constant_map", full, False), ("constant_pixel", (6,), True),
            ("constant_scalar", (), False), ("constant_values_of_pixels", (5, 1), False),
        ]
        for name, shape, first_is_constant in constants:
            g = GraphBuilder(f"{self.kind.lower()}_{name}")
            a = g.input(full, scale, -7)
            data = np.asarray(g.rng.integers(-128, 128, shape), np.int8)
            b = g.constant(data, 0.03, 11)
            operands = (b, a) if first_is_constant else (a, b)
            yield self._case(g, *operands, "relu" if "relu" in self.fused else "none")
        g = GraphBuilder(f"{self.kind.lower()}_constant_decides_the_shape")
        a = g.input((1, 1, 1, 6), scale, 1)
        b = g.constant(g.rng.integers(-128, 128, full, dtype=np.int8), 0.03, 11)
        yield self._case(g, a, b, "none")
        # Scales of powers of two: many results lie halfway between two outputs.
        g = GraphBuilder(f"{self.kind.lower()}_ties")
        a, b = g.input((1, 16, 16, 4), 0.5, -1), g.input((1, 16, 16, 4), 0.25, 2)
        yield self._case(g, a, b, "none", 2.0)

    def _case(
        self, g: GraphBuilder, a: int, b: int, activation: str, scale: float = 0.07
    ) -> Graph:
        return g.graph(g.op(self.kind, [a, b], ElementwiseAttrs(activation), scale, -5))
