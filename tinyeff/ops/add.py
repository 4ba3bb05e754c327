# SPDX-License-Identifier: MIT
"""ADD: elementwise sum of two operands, of the same shape or broadcast."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff import fixed_point
from tinyeff.ir import Array, ConstArray, Kernel, Target, Variant
from tinyeff.ops import operator as o
from tinyeff.ops.elementwise import DSP, Elementwise, ElementwiseAttrs
from tinyeff.ops.linear_sum import VALUES, Linear, linear_sum
from tinyeff.ops.operator import Node

LEFT_SHIFT = 20
"""Binary places that operands gain before they are scaled; LEFT_SHIFT of the kernel."""

Scaling = tuple[int, int]
"""(multiplier, shift)."""

DSP_CODE_BYTES = 652
"""Of the kernel for cores with the DSP extension, on a Cortex-M4."""


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
        if not o.has_dsp(target) or (proven and self._linear(node) is None):
            return portable
        return (self.dsp_variant(node, DSP_CODE_BYTES, 15), *portable)

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

    def lower(self, node: Node[ElementwiseAttrs], variant: Variant) -> Kernel:
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


OPERATOR = Add()
