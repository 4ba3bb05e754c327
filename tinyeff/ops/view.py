# SPDX-License-Identifier: MIT
"""What operators share that move nothing: the output is the input's memory."""

from __future__ import annotations

from typing import TypeVar

from tinyeff.ir import Array, Kernel, Target, Variant
from tinyeff.ops.operator import Node, Operator

A = TypeVar("A")


class View(Operator[A]):
    """Base of the operators whose output is their input under another shape; no code runs."""

    version = 1
    form = "view"

    def evaluate(self, node: Node[A], inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        return (inputs[0].reshape(self.output_shapes(node)[0]),)

    def variants(self, node: Node[A], target: Target) -> tuple[Variant, ...]:
        return ()

    def lower(self, node: Node[A], variant: Variant) -> Kernel:
        raise AssertionError("a view has no kernel")
