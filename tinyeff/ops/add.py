# SPDX-License-Identifier: MIT
"""ADD: elementwise sum of two operands, of the same shape or broadcast."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff import fixed_point
from tinyeff.ir import Array, ConstArray, Graph, Kernel, Target, Variant
from tinyeff.ops import operator as o
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.elementwise import DSP, Elementwise, ElementwiseAttrs, reach_of
from tinyeff.ops.linear_sum import VALUES, Linear, linear_sum
from tinyeff.ops.operator import Node

LEFT_SHIFT = 20
"""Binary places that operands gain before they are scaled; LEFT_SHIFT of the kernel."""

Scaling = tuple[int, int]
"""(multiplier, shift)."""

HALF: Scaling = (1 << 30, 0)
"""A factor of exactly 1/2, which the operand with the larger scale has."""

STEPS = "dsp_steps"
"""The variant with the DSP extension where one rounding is not the same as the reference's three:
where scales are fractions of each other, sums may lie halfway between outputs, and what rounds
one operand then decides."""

DSP_CODE_BYTES, STEPS_CODE_BYTES = 652, 824
"""Of the kernels for cores with the DSP extension, on a Cortex-M4."""


class Add(Elementwise):
    """Source of the arithmetic: reference_integer_ops::AddFunc and Prepare in add.cc of LiteRT."""

    kind = "ADD"
    uint8 = True
    code_bytes = 720
    cycles_per_value = 60
    function = "te_add"
    sign = 1

    def write(self, node: Node[ElementwiseAttrs]) -> Any:
        options = schema.AddOptionsT()
        options.fusedActivationFunction = self.activation_number(node)
        return options

    def _real_factors(self, node: Node[ElementwiseAttrs]) -> tuple[float, float, float]:
        """What both operands and their sum are multiplied by; the operands by at most 1/2."""
        a, b, out = node.input(0).quant, node.input(1).quant, node.output.quant
        assert a is not None and b is not None and out is not None
        twice = 2.0 * max(a.scale, b.scale)
        return a.scale / twice, b.scale / twice, twice / ((1 << LEFT_SHIFT) * out.scale)

    def _scalings(self, node: Node[ElementwiseAttrs]) -> tuple[Scaling, Scaling, Scaling]:
        a, b, total = self._real_factors(node)
        quantize = fixed_point.quantize_multiplier
        return quantize(a), quantize(b), quantize(total)

    def scale_limits(self, node: Node[ElementwiseAttrs]) -> Iterator[str]:
        a, b, out = (np.float32(t.quant.scale) for t in (*node.inputs, node.output)
                     if t is not None and t.quant is not None)
        with np.errstate(over="ignore"):
            if not np.isfinite([2 * a, 2 * b, out * np.float32(1 << LEFT_SHIFT)]).all():
                yield "one of its scales is too large for float32; quantize the model again"
                return
        factor = self._real_factors(node)[2]
        if not factor < 1 or fixed_point.quantize_multiplier(factor)[1] > 0:
            yield (f"its output scale is {factor * 2**LEFT_SHIFT:.3g} times smaller than twice the "
                   f"larger input scale; it may be at most 2**{LEFT_SHIFT} times smaller")

    def evaluate(
        self, node: Node[ElementwiseAttrs], inputs: tuple[Array, ...]
    ) -> tuple[Array, ...]:
        return self.finish(node, self._scaled(node, *self.operands(node, inputs)))

    def _scaled(self, node: Node[ElementwiseAttrs], a: Array, b: Array) -> Array:
        """Sums of operands less their zero points, at the output's scale."""
        requantize = fixed_point.multiply_by_quantized_multiplier
        scale_a, scale_b, scale_sum = self._scalings(node)
        scaled_b = requantize(b << LEFT_SHIFT, *scale_b)
        total = requantize(a << LEFT_SHIFT, *scale_a) + self.sign * scaled_b
        return requantize(total, *scale_sum)

    def variants(self, node: Node[ElementwiseAttrs], target: Target) -> tuple[Variant, ...]:
        portable = super().variants(node, target)
        proven = o.is_int8(node.input(0), node.input(1), node.output)
        if not o.has_dsp(target):
            return portable
        if not proven or self._linear(node) is not None:
            return (self.dsp_variant(node, DSP_CODE_BYTES, 15), *portable)
        if self._step_fields(node) is None:
            return portable
        steps = self.dsp_variant(node, STEPS_CODE_BYTES, 22)
        return (replace(steps, name=STEPS), *portable)

    def _linear(self, node: Node[ElementwiseAttrs]) -> Linear | None:
        """The parameters of the DSP kernel, or None where none are found."""
        quants = [node.input(0).quant, node.input(1).quant, node.output.quant]
        a, b, out = (quant for quant in quants if quant is not None)
        clamp = fixed_point.activation_range(node.attrs.activation, out)
        wanted = self.finish(node, self._scaled(node, VALUES[:, None] - a.zero_point,
                                                VALUES - b.zero_point))[0]
        factors = a.scale / out.scale, self.sign * b.scale / out.scale
        return linear_sum(
            wanted.astype(np.int64), factors, (a.zero_point, b.zero_point), clamp)

    def _dsp_fields(
        self, node: Node[ElementwiseAttrs]
    ) -> tuple[tuple[str, int | ConstArray], ...]:
        found = self._linear(node)
        assert found is not None
        return (
            *self.place_fields(node, 0),
            ("in1_multiplier", found.multipliers[0]),
            *self.place_fields(node, 1),
            ("in2_multiplier", found.multipliers[1]),
            ("base", found.base),
            ("shift", found.shift),
            *self.limit_fields(node),
        )

    def _step_fields(self, node: Node[ElementwiseAttrs]) -> tuple[tuple[str, int], ...] | None:
        """The parameters of the kernel in steps, or None where it is not proven to be exact.

        It adds the sign of a product's operand where the reference takes the product's own; they
        differ for products of 0 only, which a shift by at least 1 makes 0 either way.
        """
        if self.sign < 0 or len(node.activations) < 2 or any(
                t.elements != node.output.elements for t in node.activations):
            return None
        scalings, reach = self._scalings(node), [reach_of(t) for t in node.activations]
        large = 0 if scalings[0] == HALF else 1
        (multiplier, shift), (out_multiplier, out_shift) = scalings[1 - large], scalings[2]
        places = 2 if shift == 0 else 1  # a shift by 1 at least
        right, out_right = places - 1 - shift, -out_shift
        quant = node.output.quant
        zeros = [t.quant.zero_point for t in node.activations if t.quant is not None]
        assert quant is not None and len(zeros) == 2
        acc = (reach[large] << LEFT_SHIFT - 1) + (reach[1 - large] << LEFT_SHIFT - 1) + 1
        constant = (1 << out_right >> 1) + (quant.zero_point << out_right)
        most = abs(constant) + (acc * out_multiplier >> 31) + 2
        if scalings[large] != HALF or right > 30 or out_right < 1 or max(
                most, 2 * acc, reach[1 - large] << LEFT_SHIFT + places) > fixed_point.INT32_MAX:
            return None
        low, high = fixed_point.activation_range(node.attrs.activation, quant)
        one = 1 << LEFT_SHIFT + places
        return (
            ("large", large),
            ("large_base", -(zeros[large] << LEFT_SHIFT - 1)),
            ("small_one", one),
            ("small_base", -zeros[1 - large] * one),
            ("small_multiplier", multiplier),
            ("small_half", 1 << right - 1),
            ("small_shift", right),
            ("multiplier", out_multiplier),
            ("constant", constant),
            ("shift", out_right),
            ("out_min", low),
            ("out_max", high),
            ("channels", node.output.channels),
            ("in1_pitch", node.activations[0].channels),
            ("in2_pitch", node.activations[1].channels),
            ("out_pitch", node.output.channels),
        )

    def lower(self, node: Node[ElementwiseAttrs], variant: Variant) -> Kernel:
        if variant.name == STEPS:
            steps = self._step_fields(node)
            assert steps is not None
            return Kernel("te_add_steps_dsp", "te_add_steps_dsp_params", steps,
                          ("te_add_steps_dsp",))
        if variant.name == DSP:
            return Kernel("te_add_dsp", "te_add_dsp_params", self._dsp_fields(node),
                          ("te_add_dsp",))
        scale_a, scale_b, scale_sum = self._scalings(node)
        fields = (
            *self.operand_fields(node, 0),
            ("in1_multiplier", scale_a[0]),
            ("in1_shift", scale_a[1]),
            *self.operand_fields(node, 1),
            ("in2_multiplier", scale_b[0]),
            ("in2_shift", scale_b[1]),
            *self.output_fields(node, *scale_sum),
        )
        return Kernel(self.function, "te_add_params", fields, ("te_add",))

    def cases(self) -> Iterator[Graph]:
        yield from super().cases()
        # Scales are fractions of each other, though not to the last bit.
        for activation in ("none", "relu_n1_to_1"):
            g = GraphBuilder(f"{self.kind.lower()}_near_ties_{activation}")
            a, b = g.input((1, 16, 16, 3), 0.05, 3), g.input((1, 16, 16, 3), 0.03, -7)
            yield self._case(g, a, b, activation, 0.08)


OPERATOR = Add()
