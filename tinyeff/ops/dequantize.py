# SPDX-License-Identifier: MIT
"""DEQUANTIZE: int8 to float32, at the model's end only.

There it becomes a helper function of the generated header; the simplifier strips it. Generated
code computes in integers, so that no kernel exists.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff.ir import Array, Graph, Kernel, Quant, Target, Variant
from tinyeff.ops.operator import Node, Operator


@dataclass(frozen=True)
class DequantizeAttrs:
    """Nothing: scale and zero point are the input's."""


def dequantized(values: Array, quant: Quant) -> Array:
    """int8 values as float32: scale * (q - zero_point), multiplied in double precision.

    Source: reference_ops::Dequantize of LiteRT.
    """
    return (quant.scale * (values.astype(np.float64) - quant.zero_point)).astype(np.float32)


class Dequantize(Operator[DequantizeAttrs]):
    """Source of the arithmetic: dequantize.cc of LiteRT."""

    kind = "DEQUANTIZE"
    version = 2

    def read(self, options: Any, node: Node[None]) -> DequantizeAttrs:
        return DequantizeAttrs()

    def write(self, node: Node[DequantizeAttrs]) -> Any:
        return schema.DequantizeOptionsT()

    def output_shapes(self, node: Node[DequantizeAttrs]) -> tuple[tuple[int, ...], ...]:
        return (node.input(0).shape,)

    def limits(self, node: Node[DequantizeAttrs]) -> Iterator[str]:
        yield ("it computes floating point inside the graph; a DEQUANTIZE is supported only where "
               "its result is a model output: quantize the operators after it as well")

    def evaluate(
        self, node: Node[DequantizeAttrs], inputs: tuple[Array, ...]
    ) -> tuple[Array, ...]:
        quant = node.input(0).quant
        assert quant is not None
        return (dequantized(inputs[0], quant),)

    def variants(self, node: Node[DequantizeAttrs], target: Target) -> tuple[Variant, ...]:
        return ()

    def lower(self, node: Node[DequantizeAttrs], variant: Variant) -> Kernel:
        raise AssertionError("DEQUANTIZE has no kernel")

    def cases(self) -> Iterator[Graph]:
        yield from ()  # it never reaches a kernel


OPERATOR = Dequantize()
