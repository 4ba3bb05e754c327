# SPDX-License-Identifier: MIT
"""L2_NORMALIZATION: each pixel divided by the root of the sum of its squares."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff import fixed_point
from tinyeff.ir import Array, Graph, Kernel, Quant, Target, Variant
from tinyeff.ops import operator as o
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.operator import Node, Operator

OUTPUT_SCALE, OUTPUT_BITS = 1 / 128, 7
MAX_CHANNELS = (2**31 - 1) // 255**2
"""What a sum of squares has room for in 32 bits."""


@dataclass(frozen=True)
class L2NormalizationAttrs:
    """The fused activation, which TFLite does not have here."""

    activation: str = "none"


class L2Normalization(Operator[L2NormalizationAttrs]):
    """Source of the arithmetic: reference_integer_ops::L2Normalization of LiteRT."""

    kind = "L2_NORMALIZATION"
    output_quant = Quant((OUTPUT_SCALE,), (0,))
    version = 2

    def read(self, options: Any, node: Node[None]) -> L2NormalizationAttrs:
        number = 0 if options is None else options.fusedActivationFunction
        return L2NormalizationAttrs(o.activation_name(number))

    def write(self, node: Node[L2NormalizationAttrs]) -> Any:
        options = schema.L2NormOptionsT()
        options.fusedActivationFunction = o.ACTIVATIONS.index(node.attrs.activation)
        return options

    def output_shapes(self, node: Node[L2NormalizationAttrs]) -> tuple[tuple[int, ...], ...]:
        if not node.input(0).shape:
            raise ValueError("its input has no dimension to go over")
        return (node.input(0).shape,)

    def limits(self, node: Node[L2NormalizationAttrs]) -> Iterator[str]:
        x, out = node.input(0), node.output
        if node.attrs.activation != "none":
            yield f"TFLite has no fused activation here; it says {node.attrs.activation}"
        if x.channels > MAX_CHANNELS:
            yield f"it goes over {x.channels} channels; at most {MAX_CHANNELS} are supported"
        if not o.is_int8(x, out):
            return
        assert out.quant is not None
        if (out.quant.scale, out.quant.zero_point) != (OUTPUT_SCALE, 0):
            yield (f"its output has scale {out.quant.scale:.9g} and zero point "
                   f"{out.quant.zero_point}; TFLite's int8 L2_NORMALIZATION has 1/128 and 0")

    def evaluate(
        self, node: Node[L2NormalizationAttrs], inputs: tuple[Array, ...]
    ) -> tuple[Array, ...]:
        quant = node.input(0).quant
        assert quant is not None
        x = inputs[0].astype(np.int64) - quant.zero_point
        multiplier, shift = fixed_point.inverse_square_root((x * x).sum(-1, keepdims=True))
        return (fixed_point.clamp_int8(fixed_point.multiply_by_quantized_multiplier(
            x, multiplier, shift + OUTPUT_BITS)),)

    def variants(
        self, node: Node[L2NormalizationAttrs], target: Target
    ) -> tuple[Variant, ...]:
        out = node.output
        return (Variant("portable", code_bytes=612,
                        cost=25 * out.elements + 300 * out.elements // out.channels, consumes=1,
                        flat=True),)

    def lower(self, node: Node[L2NormalizationAttrs], variant: Variant) -> Kernel:
        x = node.input(0)
        assert x.quant is not None
        fields = (
            ("channels", x.channels),
            ("in_pitch", x.channels),
            ("out_pitch", node.output.channels),
            ("in_zero_point", x.quant.zero_point),
        )
        return Kernel("te_l2_normalization", "te_l2_normalization_params", fields,
                      ("te_l2_normalization",))

    def cases(self) -> Iterator[Graph]:
        cases: list[tuple[str, tuple[int, ...], int]] = [
            ("embedding", (1, 128), 3), ("map", (1, 3, 4, 5), -20), ("one", (1, 7, 1), 0),
            ("lowest", (1, 2, 2, 33), -128), ("highest", (1, 2, 2, 3), 127),
            ("large", (1, 9000), -128),
        ]
        for name, shape, zero_point in cases:
            g = GraphBuilder(f"l2_normalization_{name}")
            x = g.input(shape, 0.1, zero_point)
            yield g.graph(g.op(self.kind, [x], L2NormalizationAttrs(), OUTPUT_SCALE, 0))


OPERATOR = L2Normalization()
