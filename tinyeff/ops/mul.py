# SPDX-License-Identifier: MIT
"""MUL: elementwise product of two operands, of the same shape or broadcast."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff import fixed_point
from tinyeff.ir import Array, Kernel, Target, Variant
from tinyeff.ops import operator as o
from tinyeff.ops.dsp_rounding import MOST_SHIFT
from tinyeff.ops.elementwise import DSP, Elementwise, ElementwiseAttrs, reach_of
from tinyeff.ops.operator import Node

DSP_CODE_BYTES = 684
"""Of the kernel for cores with the DSP extension, on a Cortex-M4."""


class Mul(Elementwise):
    """Source of the arithmetic: reference_integer_ops::MulElementwise and mul.cc of LiteRT."""

    kind = "MUL"
    uint8 = True
    code_bytes = 520
    cycles_per_value = 30

    def write(self, node: Node[ElementwiseAttrs]) -> Any:
        options = schema.MulOptionsT()
        options.fusedActivationFunction = self.activation_number(node)
        return options

    def _factor(self, node: Node[ElementwiseAttrs]) -> float:
        """What products are multiplied by; LiteRT computes it in float32."""
        a, b, out = node.input(0).quant, node.input(1).quant, node.output.quant
        assert a is not None and b is not None and out is not None
        with np.errstate(over="ignore", under="ignore"):
            return float(np.float32(a.scale) * np.float32(b.scale) / np.float32(out.scale))

    def _scaling(self, node: Node[ElementwiseAttrs]) -> tuple[int, int]:
        return fixed_point.quantize_multiplier(self._factor(node))

    def scale_limits(self, node: Node[ElementwiseAttrs]) -> Iterator[str]:
        if not math.isfinite(self._factor(node)):
            yield "the product of its input scales over its output scale leaves float32"
            return
        reach = reach_of(node.input(0)) * reach_of(node.input(1)) << max(self._scaling(node)[1], 0)
        if reach > fixed_point.INT32_MAX + fixed_point.INT8_MIN:
            yield (f"its product times 2**shift can reach {reach}, beyond 32 bits: "
                   "its output scale is too small for its input scales")

    def evaluate(
        self, node: Node[ElementwiseAttrs], inputs: tuple[Array, ...]
    ) -> tuple[Array, ...]:
        a, b = self.operands(node, inputs)
        scaled = fixed_point.multiply_by_quantized_multiplier(a * b, *self._scaling(node))
        return self.finish(node, scaled)

    def variants(self, node: Node[ElementwiseAttrs], target: Target) -> tuple[Variant, ...]:
        portable = super().variants(node, target)
        proven = o.is_int8(node.input(0), node.input(1), node.output)
        if not o.has_dsp(target) or (proven and self._dsp_fields(node) is None):
            return portable
        return (self.dsp_variant(node, DSP_CODE_BYTES, 18), *portable)

    def _dsp_fields(self, node: Node[ElementwiseAttrs]) -> tuple[tuple[str, int], ...] | None:
        """Rounding of the DSP kernel, or None where shifts are not what it takes.

        Halves are rounded away from zero as `tinyeff.ops.dsp_rounding` explains.
        """
        (multiplier, shift), quant = self._scaling(node), node.output.quant
        assert quant is not None
        if not 1 <= -shift <= MOST_SHIFT:
            return None
        constant = (1 << -shift - 1) + (quant.zero_point << -shift)
        return (("two", 2), ("multiplier", multiplier), ("constant", constant), ("shift", -shift))

    def lower(self, node: Node[ElementwiseAttrs], variant: Variant) -> Kernel:
        if variant.name == DSP:
            rounding = self._dsp_fields(node)
            assert rounding is not None
            operands = (*self.operand_fields(node, 0), *self.operand_fields(node, 1))
            return Kernel("te_mul_dsp", "te_mul_dsp_params",
                          (*operands, *rounding, *self.limit_fields(node)), ("te_mul_dsp",))
        fields = (
            *self.operand_fields(node, 0),
            *self.operand_fields(node, 1),
            *self.output_fields(node, *self._scaling(node)),
        )
        return Kernel("te_mul", "te_mul_params", fields, ("te_mul",))


OPERATOR = Mul()
