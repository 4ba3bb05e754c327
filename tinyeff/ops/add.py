# SPDX-License-Identifier: MIT
"""ADD: elementwise sum of two operands, of the same shape or broadcast."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from tinyeff import fixed_point
from tinyeff.ir import Array, Kernel, Variant
from tinyeff.ops.elementwise import Elementwise, ElementwiseAttrs
from tinyeff.ops.operator import Node

LEFT_SHIFT = 20
"""Binary places that operands gain before they are scaled; LEFT_SHIFT of the kernel."""

Scaling = tuple[int, int]
"""(multiplier, shift)."""


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
        requantize = fixed_point.multiply_by_quantized_multiplier
        a, b = self.operands(node, inputs)
        scale_a, scale_b, scale_sum = self._scalings(node)
        scaled_b = requantize(b << LEFT_SHIFT, *scale_b)
        total = requantize(a << LEFT_SHIFT, *scale_a) + self.sign * scaled_b
        return self.finish(node, requantize(total, *scale_sum))

    def lower(self, node: Node[ElementwiseAttrs], variant: Variant) -> Kernel:
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
