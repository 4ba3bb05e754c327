# SPDX-License-Identifier: MIT
"""FULLY_CONNECTED: a matrix product with constant weights for each pixel, or for the whole map."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff import fixed_point
from tinyeff.ir import Array, ConstArray, Graph, Kernel, Target, Variant, Window
from tinyeff.ops import dsp_product
from tinyeff.ops import operator as o
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.dsp_rounding import Rounding, product_rounding
from tinyeff.ops.operator import Node, Operator
from tinyeff.ops.weights import (
    DOTS,
    accumulator_range,
    centred,
    folded_bias,
    has_zero_point,
    weight_limits,
)

CODE_BYTES = 508
"""Of the portable kernel on a Cortex-M4."""

ZERO_POINT_CODE_BYTES = 448
"""Of the kernel for weights with a zero point."""


@dataclass(frozen=True)
class FullyConnectedAttrs:
    """`keep_dims`: the output has the input's shape but for the last dimension, else (n, units).

    `shuffled`: the weights are in TFLite's SHUFFLED4x16INT8 format.
    """

    activation: str = "none"
    keep_dims: bool = False
    shuffled: bool = False


class FullyConnected(Operator[FullyConnectedAttrs]):
    """Source of the arithmetic: reference_integer_ops::FullyConnected of LiteRT.

    It scales an accumulator by a product in double precision and rounds once, halves away from
    zero; the generated C does so with integers that are proven to agree (`exact_multiplier`).
    """

    kind = "FULLY_CONNECTED"
    weight_axis = 0
    version = 5  # per-channel weights
    uint8 = True

    def read(self, options: Any, node: Node[None]) -> FullyConnectedAttrs:
        return FullyConnectedAttrs(o.activation_name(options.fusedActivationFunction),
                                   bool(options.keepNumDims), options.weightsFormat != 0)

    def write(self, node: Node[FullyConnectedAttrs]) -> Any:
        options = schema.FullyConnectedOptionsT()
        options.fusedActivationFunction = o.ACTIVATIONS.index(node.attrs.activation)
        options.keepNumDims = node.attrs.keep_dims
        options.weightsFormat = int(node.attrs.shuffled)
        return options

    def output_shapes(self, node: Node[FullyConnectedAttrs]) -> tuple[tuple[int, ...], ...]:
        x, weights = node.input(0), node.input(1).shape
        if len(weights) != 2:
            raise ValueError(f"its weights {weights} must have 2 dimensions: units and depth")
        units, depth = weights
        if depth < 1 or x.elements % depth:
            raise ValueError(f"an input of {x.elements} values does not divide into pixels of "
                             f"{depth}, the depth of its weights")
        if not node.attrs.keep_dims:
            return ((x.elements // depth, units),)
        if x.channels != depth:
            raise ValueError(f"weights of depth {depth} do not match the input's last dimension "
                             f"{x.channels}, and the output is to keep the input's dimensions")
        return ((*x.shape[:-1], units),)

    def limits(self, node: Node[FullyConnectedAttrs]) -> Iterator[str]:
        yield from o.activation_limits(node.attrs.activation, node.output)
        if node.attrs.shuffled:
            yield "its weights are in the format SHUFFLED4x16INT8; only the default is supported"
            return
        broken = list(weight_limits(node, node.input(1).shape[0], zero_points=True))
        yield from broken
        if broken or not o.is_int8(node.input(0), node.input(1), node.output):
            return
        bias, filters = self._bias(node), centred(node.input(1))
        limit = o.accumulator_limit(bias, filters) or self._range_limit(node)
        if limit:
            yield limit

    def _range_limit(self, node: Node[FullyConnectedAttrs]) -> str | None:
        """A sentence where a scaled accumulator might leave int32, or no multiplier fits."""
        low, high = self._ranges(node)
        worst = float((np.maximum(np.abs(low), np.abs(high)) * self._scales(node)).max(initial=0.0))
        if not worst <= fixed_point.INT32_MAX + fixed_point.INT8_MIN:
            return (f"its accumulator times input scale * weight scale / output scale can reach "
                    f"{worst:g}, beyond 32 bits; quantize the model again")
        try:
            self._multipliers(node)
        except ValueError as error:
            return f"{error}; quantize the model again"
        return None

    def _bias(self, node: Node[FullyConnectedAttrs]) -> Array:
        return folded_bias(node.input(0), centred(node.input(1)), node.optional(2))

    def _ranges(self, node: Node[FullyConnectedAttrs]) -> tuple[Array, Array]:
        return accumulator_range(self._bias(node), centred(node.input(1)))

    def _scales(self, node: Node[FullyConnectedAttrs]) -> Array:
        """What an accumulator is multiplied by: one double for all units, or one for each."""
        x, weights, out = node.input(0).quant, node.input(1).quant, node.output.quant
        assert x is not None and weights is not None and out is not None
        return x.scale * np.array(weights.scales, np.float64) / out.scale

    def _multipliers(self, node: Node[FullyConnectedAttrs]) -> tuple[Array, Array]:
        """(multipliers, shifts), one for each scale, exact over the range of the accumulators."""
        quant, scales = node.output.quant, self._scales(node)
        assert quant is not None
        lows, highs = self._ranges(node)
        if len(scales) == 1:
            lows, highs = lows.min(keepdims=True), highs.max(keepdims=True)
        low, high = fixed_point.activation_range(node.attrs.activation, quant)
        pairs = [
            fixed_point.exact_multiplier(scale, first, last, low - quant.zero_point,
                                         high - quant.zero_point)
            for scale, first, last in zip(scales.tolist(), lows.tolist(), highs.tolist(),
                                          strict=True)
        ]
        return np.array([m for m, _ in pairs], np.int64), np.array([s for _, s in pairs], np.int64)

    def evaluate(
        self, node: Node[FullyConnectedAttrs], inputs: tuple[Array, ...]
    ) -> tuple[Array, ...]:
        # x: (n, depth), weights: (units, depth), result: (n, units) in the output's shape
        weights, quant = centred(node.input(1)), node.output.quant
        assert quant is not None
        x = inputs[0].reshape(-1, weights.shape[1]).astype(np.float64)
        # Doubles hold every partial sum exactly, and their matrix product is the fast one.
        acc = np.rint(x @ weights.T.astype(np.float64)).astype(np.int64) + self._bias(node)
        scaled = fixed_point.rounded_double_product(acc, self._scales(node))
        low, high = fixed_point.activation_range(node.attrs.activation, quant)
        result = fixed_point.clamp_int8(scaled + quant.zero_point, low, high)
        return (result.reshape(self.output_shapes(node)[0]),)

    def macs(self, node: Node[FullyConnectedAttrs]) -> int:
        return node.output.elements * node.input(1).shape[1]

    def _by_pixel(self, node: Node[FullyConnectedAttrs]) -> bool:
        """True where output pixel (y, x) is made from input pixel (y, x) and no other."""
        x, out = node.input(0), node.output
        return (x.rows, x.pixels) == (out.rows, out.pixels)

    def window(self, node: Node[FullyConnectedAttrs], activation: int) -> Window:
        return Window() if self._by_pixel(node) else Window(count=node.input(0).rows, step=0)

    def columns(self, node: Node[FullyConnectedAttrs], activation: int) -> Window:
        return Window() if self._by_pixel(node) else Window(count=node.input(0).pixels, step=0)

    def variants(self, node: Node[FullyConnectedAttrs], target: Target) -> tuple[Variant, ...]:
        weights = node.input(1)
        scales = len(weights.quant.scales) if weights.quant is not None else 1
        const_bytes = weights.elements + 4 * weights.shape[0] + 12 * scales
        flat = node.input(0).channels == weights.shape[1]
        if has_zero_point(weights):
            return (Variant("zero_point", const_bytes=const_bytes,
                            code_bytes=ZERO_POINT_CODE_BYTES, cost=12 * self.macs(node),
                            flat=flat),)
        dsp = self._dsp_variants(node, flat) if o.has_dsp(target) else ()
        if dsp:
            return dsp
        return (Variant("portable", const_bytes=const_bytes, code_bytes=CODE_BYTES,
                        shared_code=(DOTS,), cost=8 * self.macs(node), flat=flat),)

    def _dsp_variants(
        self, node: Node[FullyConnectedAttrs], flat: bool
    ) -> tuple[Variant, ...]:
        """The DSP kernel, where it is proven to be exact; a float graph counts as if it were."""
        product = self._product(node)
        if product is None:
            return ()
        proven = o.is_int8(node.input(0), node.input(1), node.output)
        rounding_with = functools.partial(self._dsp_rounding, node) if proven else None
        return dsp_product.variants(product, rounding_with, flat, flat and self._by_pixel(node))

    def _product(self, node: Node[FullyConnectedAttrs]) -> dsp_product.Product | None:
        """The layer as a convolution of each pixel or of the whole map, where it is one."""
        x, out, weights = node.input(0), node.output, centred(node.input(1))
        if self._by_pixel(node):
            return dsp_product.Product(x, out, weights.reshape(len(weights), 1, 1, -1))
        if out.rows * out.pixels > 1:
            return None
        return dsp_product.Product(
            x, out, weights.reshape(len(weights), x.rows, x.pixels, x.channels))

    def _dsp_rounding(self, node: Node[FullyConnectedAttrs], bits: int) -> Rounding | None:
        quant = node.output.quant
        assert quant is not None
        return product_rounding(self._scales(node), self._ranges(node), quant.zero_point,
                                fixed_point.activation_range(node.attrs.activation, quant), bits)

    def lower(self, node: Node[FullyConnectedAttrs], variant: Variant) -> Kernel:
        if variant.name.startswith(dsp_product.PREFIX):
            return self._dsp_kernel(node, variant)
        x, weights, out = node.input(0), node.input(1), node.output
        assert weights.data is not None and weights.quant is not None and out.quant is not None
        multipliers, shifts = self._multipliers(node)
        low, high = fixed_point.activation_range(node.attrs.activation, out.quant)
        subtracts = variant.name == "zero_point"
        per_unit, zero_point = (
            ("per_unit", int(len(multipliers) > 1)),
            ("weight_zero_point", weights.quant.zero_point),
        )
        fields: tuple[tuple[str, int | ConstArray], ...] = (
            ("weights", o.int8(weights.data if subtracts else centred(weights))),
            ("bias", o.int32(self._bias(node))),
            ("multiplier", ConstArray("int64_t", multipliers)),
            ("shift", o.int32(shifts)),
            *(() if subtracts else (per_unit,)),
            ("depth", weights.shape[1]),
            ("units", weights.shape[0]),
            ("rows_per_map", 0 if self._by_pixel(node) else x.rows),
            ("row_values", x.pixels * x.channels),
            ("out_pitch", out.channels),
            ("out_zero_point", out.quant.zero_point),
            ("out_min", low),
            ("out_max", high),
            *((zero_point,) if subtracts else ()),
        )
        source = "te_fully_connected_zero_point" if subtracts else "te_fully_connected"
        sources = (source,) if subtracts else (source, DOTS[0])
        return Kernel(source, f"{source}_params", fields, sources)

    def _dsp_kernel(self, node: Node[FullyConnectedAttrs], variant: Variant) -> Kernel:
        product, quant = self._product(node), node.output.quant
        rounding = self._dsp_rounding(node, dsp_product.bits_of(variant))
        assert product is not None and rounding is not None and quant is not None
        clamp = fixed_point.activation_range(node.attrs.activation, quant)
        return dsp_product.kernel(product, self._bias(node), rounding, clamp, variant)

    def cases(self) -> Iterator[Graph]:
        shapes: list[tuple[str, tuple[int, ...], int, int, bool, bool, str]] = [
            # name, input, units, depth, keep_dims, per channel, activation
            ("vector", (1, 33), 10, 33, False, False, "none"),
            ("relu", (1, 33), 10, 33, False, True, "relu"),
            ("relu6", (1, 7), 3, 7, False, False, "relu6"),
            ("relu_n1_to_1", (1, 7), 3, 7, False, True, "relu_n1_to_1"),
            ("batch", (5, 12), 7, 12, False, True, "none"),
            ("one_unit", (1, 4), 1, 4, False, False, "none"),
            ("map", (1, 3, 4, 5), 6, 60, False, False, "none"),
            ("map_per_channel", (1, 7, 7, 8), 4, 392, False, True, "none"),
            ("pixels", (1, 3, 4, 5), 6, 5, False, True, "none"),
            ("pixels_kept", (1, 3, 4, 5), 6, 5, True, False, "none"),
            ("rows_kept", (2, 3, 9), 4, 9, True, True, "none"),
            ("across_rows", (1, 3, 4, 5), 3, 6, False, False, "none"),
            ("within_pixels", (1, 2, 2, 12), 5, 4, False, True, "none"),
            ("long", (1, 2100), 5, 2100, False, False, "none"),
            ("long_map", (1, 3, 7, 96), 3, 2016, False, True, "none"),
        ]
        for seed, (name, shape, units, depth, keep, per_channel, activation) in enumerate(shapes):
            g = GraphBuilder(f"fully_connected_{name}", seed)
            x = g.input(shape, 0.05, seed - 6)
            weights = g.random_weights((units, depth), 0, per_channel and units > 1)
            inputs: list[int | None] = [x, weights]
            if name != "one_unit":
                inputs.append(g.random_bias(units, x, weights))
            attrs = FullyConnectedAttrs(activation, keep)
            yield g.graph(g.op(self.kind, inputs, attrs, 0.04 * depth**0.5, 4 - seed))
        yield self._ties()

    def _ties(self) -> Graph:
        """A scale of 1/8, so that one accumulator in eight lies halfway between two outputs."""
        g = GraphBuilder("fully_connected_ties")
        x = g.input((16, 4), 0.5, -1)
        weights = g.constant(g.rng.integers(-4, 5, (64, 4), dtype=np.int8), 0.25)
        return g.graph(g.op(self.kind, [x, weights], FullyConnectedAttrs(), 1.0, 1))


OPERATOR = FullyConnected()
