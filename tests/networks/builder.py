# SPDX-License-Identifier: MIT
"""A graph that grows operator by operator, and takes back what an operator's limits forbid."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import numpy as np

from tinyeff.ir import Quant
from tinyeff.ops import operator_of
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.operator import node_of

CHANNELS = (1, 3, 5, 17, 1, 3, 5, 17, 2, 4, 8, 12)
MOST_ELEMENTS = 3000
"""Larger tensors make the tests slow and find nothing more."""


class Network(GraphBuilder):
    """A graph of int8 operators; `values` are the activations that others may read."""

    def __init__(self, name: str, seed: int) -> None:
        super().__init__(name, seed)
        self.random = Random(seed)
        self.inputs: list[int] = []
        self.values: list[int] = []
        self.indices: list[int] = []
        """Outputs that are no int8 activations: those of ARG_MAX."""

    # Drawing --------------------------------------------------------------------------------------

    def pick(self, options: Sequence[Any]) -> Any:
        """One of several."""
        return self.random.choice(options)

    def number(self, low: int, high: int) -> int:
        """An integer from `low` to `high`."""
        return self.random.randint(low, high)

    def pair(self, low: int, high: int) -> tuple[int, int]:
        """Two integers, each from `low` to `high`."""
        return self.number(low, high), self.number(low, high)

    def flag(self) -> bool:
        """Yes or no."""
        return self.random.random() < 0.5

    def scale(self, about: float) -> float:
        """A scale within a factor of 3 of `about`."""
        return float(np.float32(about * 3.0 ** self.random.uniform(-1, 1)))

    def zero_point(self) -> int:
        """A zero point, often one of the ends."""
        return int(self.pick([-128, 0, 127, *[self.number(-128, 127)] * 3]))

    # What is there --------------------------------------------------------------------------------

    def shape(self, x: int) -> tuple[int, ...]:
        """The shape of a value."""
        return self.tensor(x).shape

    def quant(self, x: int) -> Quant:
        """The quantization of a value."""
        found = self.tensor(x).quant
        assert found is not None
        return found

    def value(self, fits: Callable[[tuple[int, ...]], bool] = lambda shape: True) -> int | None:
        """One of the values whose shape fits, rather a recent one; None where there is none."""
        found = [v for v in self.values if fits(self.shape(v))]
        if not found:
            return None
        return int(self.pick([found[-1], *found[-4:]]))

    def image(self) -> int | None:
        """A value of four dimensions."""
        return self.value(lambda shape: len(shape) == 4)

    # Growing --------------------------------------------------------------------------------------

    def add(
        self, kind: str, inputs: list[int | None], attrs: Any, scale: float = 0.5,
        zero_point: int = 0, like: int | None = None, dtype: str = "int8",
    ) -> tuple[int, ...]:
        """Append an operator; nothing is left of it where it breaks a limit or grows too large."""
        tensors, ops = len(self._tensors), len(self._ops)
        try:
            outputs = self.ops(kind, inputs, attrs, scale, zero_point, like, dtype)
        except ValueError:
            return ()
        shapes = [self.shape(i) for i in outputs]
        node = node_of(self.graph(*outputs), self._ops[-1])
        if (any(math.prod(s) > MOST_ELEMENTS or 0 in s for s in shapes)
                or any(operator_of(kind).limits(node))):
            del self._tensors[tensors:], self._ops[ops:]
            return ()
        (self.values if dtype == "int8" else self.indices).extend(outputs)
        return outputs

    def ints(self, *values: int) -> int:
        """A constant of int32."""
        return self.constant(np.array(values, np.int32))

    def scalar(self, value: int) -> int:
        """A constant of int32 without dimensions."""
        return self.constant(np.array(value, np.int32))

    def as_quantized(self, x: int, quant: Quant) -> int:
        """`x` itself, or a QUANTIZE of it to this scale and zero point."""
        from tinyeff.ops.quantize import QuantizeAttrs

        if self.quant(x) == quant:
            return x
        found = self.add("QUANTIZE", [x], QuantizeAttrs(), quant.scale, quant.zero_point)
        return found[0] if found else x

    def unread(self) -> list[int]:
        """Everything written that no operator reads."""
        read = {i for op in self._ops for i in op.inputs}
        written = [i for op in self._ops for i in op.outputs]
        return [i for i in written if i not in read]

    @property
    def kinds(self) -> list[str]:
        """The operators so far."""
        return [op.kind for op in self._ops]
