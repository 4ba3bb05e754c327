# SPDX-License-Identifier: MIT
"""LOCAL_RESPONSE_NORMALIZATION: x * (bias + alpha * sum of squares)^-beta, over some channels.

TFLite has it in float32 only, between a DEQUANTIZE and a QUANTIZE; simplifying makes of the three
one operator from int8 to int8. Its result is a step function of the bracket for each of the 256
inputs: the brackets at which it steps are worked out here. The bracket itself is a sum in float32,
which depends on the order of its terms, so that the kernel adds as float32 does, in integers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from tinyeff.ir import Array, Graph, Kernel, Quant, Target, Variant
from tinyeff.ops import operator as o
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.dequantize import dequantized
from tinyeff.ops.operator import Node, Operator
from tinyeff.ops.quantize import quantized

Floats = npt.NDArray[np.float32]
VALUES: Array = np.arange(-128, 128)
SLACK = 1e-4
"""By how much, as a fraction, the range of brackets is taken wider than exact sums give it."""


@dataclass(frozen=True)
class LocalResponseNormalizationAttrs:
    """float32 values held exactly; the sum is over channels [c - radius, c + radius)."""

    radius: int
    bias: float
    alpha: float
    beta: float


@dataclass(frozen=True, eq=False)
class Steps:
    """For each input value its result at the least bracket, and the brackets where it steps.

    `bits` are those of float32, `start` has 257 entries.
    """

    first: Array
    start: Array
    bits: Array


def _squares(quant: Quant) -> Floats:
    """The square of every int8 value, in float32."""
    with np.errstate(over="ignore", under="ignore"):
        x = dequantized(VALUES, quant)
        squares: Floats = x * x
    return squares


def _results(values: Array, brackets: Floats, beta: float, x: Quant, out: Quant) -> Array:
    """int8 results of input values with these brackets.

    LiteRT calls the C library's powf; here its result is rounded to float32 once.
    """
    power = np.power(brackets.astype(np.float64), -beta).astype(np.float32)
    result: Array = quantized(dequantized(values, x) * power, out).astype(np.int64)
    return result


@cache
def _steps(
    attrs: LocalResponseNormalizationAttrs, channels: int, x: Quant, out: Quant
) -> Steps:
    squares = _squares(x).astype(np.float64)
    terms = min(2 * attrs.radius, channels)
    own = squares if attrs.radius else np.zeros(256)
    least = ((attrs.bias + attrs.alpha * own) * (1 - SLACK)).astype(np.float32)
    most = np.full(256, (attrs.bias + attrs.alpha * terms * squares.max()) * (1 + SLACK),
                   np.float32)
    first = _results(VALUES, least, attrs.beta, x, out)
    counts = np.abs(_results(VALUES, most, attrs.beta, x, out) - first)
    start = np.concatenate([[0], np.cumsum(counts)])
    values, base = np.repeat(VALUES, counts), np.repeat(first, counts)
    wanted = np.arange(start[-1]) - np.repeat(start[:-1], counts) + 1
    # Bisection: in terms of bits, the threshold lies in (low, high].
    low = np.repeat(least.view(np.int32), counts).astype(np.int64)
    high = np.repeat(most.view(np.int32), counts).astype(np.int64)
    while np.any(high - low > 1):
        middle = (low + high) // 2
        brackets = middle.astype(np.int32).view(np.float32)
        reached = np.abs(_results(values, brackets, attrs.beta, x, out) - base) >= wanted
        high, low = np.where(reached, middle, high), np.where(reached, low, middle)
    return Steps(first.astype(np.int8), start, high)


def _bits(value: float) -> int:
    return int(np.float32(value).view(np.int32))


class LocalResponseNormalization(Operator[LocalResponseNormalizationAttrs]):
    """Source of the arithmetic: reference_ops::LocalResponseNormalization of LiteRT."""

    kind = "LOCAL_RESPONSE_NORMALIZATION"
    version = 1

    def read(self, options: Any, node: Node[None]) -> LocalResponseNormalizationAttrs:
        bias, alpha, beta = (float(np.float32(v))
                             for v in (options.bias, options.alpha, options.beta))
        return LocalResponseNormalizationAttrs(int(options.radius), bias, alpha, beta)

    def write(self, node: Node[LocalResponseNormalizationAttrs]) -> Any:
        a, options = node.attrs, schema.LocalResponseNormalizationOptionsT()
        options.radius, options.bias = a.radius, a.bias
        options.alpha, options.beta = a.alpha, a.beta
        return options

    def output_shapes(
        self, node: Node[LocalResponseNormalizationAttrs]
    ) -> tuple[tuple[int, ...], ...]:
        if len(node.input(0).shape) != 4:
            raise ValueError(f"input {node.input(0).shape} must have 4 dimensions")
        return (node.input(0).shape,)

    def limits(self, node: Node[LocalResponseNormalizationAttrs]) -> Iterator[str]:
        a = node.attrs
        if not (a.radius >= 0 and a.bias > 0 and a.alpha >= 0 and a.beta >= 0):
            yield (f"its radius {a.radius}, alpha {a.alpha:.3g} or beta {a.beta:.3g} is below 0, "
                   f"or its bias {a.bias:.3g} not above it; then results are no numbers, or grow "
                   "with what lies beside them, which is not supported")
        elif o.is_int8(node.input(0), node.output):
            yield from self._range_limits(node)

    def _range_limits(self, node: Node[LocalResponseNormalizationAttrs]) -> Iterator[str]:
        a, quant = node.attrs, node.input(0).quant
        assert quant is not None
        squares = _squares(quant).astype(np.float64)
        squares = squares[quant.zero_point != VALUES]
        terms = 2 * min(a.radius, node.input(0).channels)
        least = min(squares.min(), a.alpha * squares.min() if a.alpha else 1.0, a.bias)
        most = max(1.0, a.alpha) * squares.max() * max(terms, 1) + a.bias
        if not 2.0**-126 <= least <= most < 2.0**127:
            yield (f"with its input scale {quant.scale:.3g} squares leave the range of float32; "
                   "quantize the model again")

    def evaluate(
        self, node: Node[LocalResponseNormalizationAttrs], inputs: tuple[Array, ...]
    ) -> tuple[Array, ...]:
        # inputs, squares, total, brackets: (1, H, W, C)
        a, x, out = node.attrs, node.input(0).quant, node.output.quant
        assert x is not None and out is not None
        channels = inputs[0].shape[-1]
        radius = min(a.radius, channels)
        squares = _squares(x)[inputs[0].astype(np.int64) + 128]
        padded = np.pad(squares, ((0, 0),) * 3 + ((radius, radius),))
        total = np.zeros(squares.shape, np.float32)
        for offset in range(2 * radius):  # one after the other, as the sum rounds each time
            total += padded[..., offset:offset + channels]
        brackets = np.float32(a.bias) + np.float32(a.alpha) * total
        return (_results(inputs[0], brackets, a.beta, x, out).astype(np.int8),)

    def _table(self, node: Node[LocalResponseNormalizationAttrs]) -> Steps:
        x, out = node.input(0).quant, node.output.quant
        assert x is not None and out is not None
        return _steps(node.attrs, node.input(0).channels, x, out)

    def variants(
        self, node: Node[LocalResponseNormalizationAttrs], target: Target
    ) -> tuple[Variant, ...]:
        const_bytes = 256 * 9 + 4
        if o.is_int8(node.input(0), node.output):
            const_bytes += 4 * max(len(self._table(node).bits), 1)
        cost = (150 + 90 * min(node.attrs.radius, node.input(0).channels)) * node.output.elements
        return (Variant("portable", const_bytes=const_bytes, code_bytes=676, cost=cost,
                        flat=True),)

    def lower(self, node: Node[LocalResponseNormalizationAttrs], variant: Variant) -> Kernel:
        x, a, steps = node.input(0), node.attrs, self._table(node)
        assert x.quant is not None
        fields = (
            ("square", o.int32(_squares(x.quant).view(np.int32))),
            ("first", o.int8(steps.first)),
            ("start", o.int32(steps.start)),
            ("threshold", o.int32(steps.bits if len(steps.bits) else [0])),
            ("alpha", _bits(a.alpha)),
            ("bias", _bits(a.bias)),
            ("radius", min(a.radius, x.channels)),
            ("in_zero_point", x.quant.zero_point),
            ("in_pitch", x.channels),
            ("out_pitch", node.output.channels),
            ("channels", x.channels),
        )
        return Kernel("te_local_response_normalization",
                      "te_local_response_normalization_params", fields,
                      ("te_local_response_normalization",))

    def cases(self) -> Iterator[Graph]:
        cases: list[tuple[str, int, tuple[float, float, float], float, int, float]] = [
            # name, radius, (bias, alpha, beta), input scale and zero point, output scale
            ("alexnet", 5, (1.0, 1e-4, 0.75), 0.5, -128, 0.4),
            ("strong", 2, (2.0, 0.5, 0.5), 0.05, 10, 0.01),
            ("one", 1, (1.0, 1.0, 1.0), 0.1, -3, 0.01),
            ("none", 0, (0.7, 1.0, 0.5), 0.1, 0, 0.1),
            ("wide", 40, (1.0, 0.01, 0.75), 0.2, 5, 0.1),
            ("flat", 3, (1.0, 0.0, 0.75), 0.2, 5, 0.2),
        ]
        for seed, (name, radius, factors, scale, zero_point, out_scale) in enumerate(cases):
            g = GraphBuilder(f"local_response_normalization_{name}", seed)
            x = g.input((1, 3, 4, 12), scale, zero_point)
            bias, alpha, beta = (float(np.float32(f)) for f in factors)
            attrs = LocalResponseNormalizationAttrs(radius, bias, alpha, beta)
            yield g.graph(g.op(self.kind, [x], attrs, out_scale, zero_point // 2))


OPERATOR = LocalResponseNormalization()
