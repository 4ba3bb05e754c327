# SPDX-License-Identifier: MIT
"""CONV_2D: any kernel, stride, dilation, groups and padding on each side."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff import fixed_point
from tinyeff.ir import Array, ConstArray, Graph, Kernel, Target, Variant, Window
from tinyeff.ops import dsp_grouped, dsp_product, dsp_rows, winograd
from tinyeff.ops import operator as o
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.dsp_rounding import ACCUMULATOR_BITS, Rounding, conv_rounding
from tinyeff.ops.operator import Node, Operator, Padding
from tinyeff.ops.weights import (
    DOTS,
    DOTS_AT_ONCE,
    accumulator_range,
    centred,
    folded_bias,
    has_zero_point,
    image_limits,
    weight_limits,
)

CODE_BYTES = 812
"""Of the portable kernel on a Cortex-M4."""

ZERO_POINT_CODE_BYTES = 568
"""Of the kernel for weights with a zero point."""


@dataclass(frozen=True)
class Conv2DAttrs:
    """Pairs are (height, width). `padding` is explicit: a PAD in front may have been folded in.

    `uint8`: the file computes it in uint8, where the scales are multiplied in single precision
    and the weights may have a zero point.
    """

    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: Padding = Padding()
    activation: str = "none"
    uint8: bool = False


def _image(node: Node[Any]) -> tuple[int, int]:
    return node.input(0).shape[1], node.input(0).shape[2]


def _kernel(node: Node[Any]) -> tuple[int, int]:
    return node.input(1).shape[1], node.input(1).shape[2]


def _products(taps: Array, weights: Array) -> Array:
    """Sums over input channels: (OH, OW, C) by (O, C / groups) gives (OH, OW, O), all integers."""
    channels, depth = weights.shape
    if depth == taps.shape[2]:
        # Doubles hold every partial sum exactly, and their matrix product is the fast one.
        return np.rint(taps.astype(np.float64) @ weights.T.astype(np.float64)).astype(np.int64)
    groups = taps.shape[2] // depth
    grouped = weights.astype(np.int64).reshape(groups, channels // groups, depth)
    result: Array = np.einsum("yxgc,goc->yxgo", taps.reshape(*taps.shape[:2], groups, depth),
                              grouped)
    return result.reshape(*taps.shape[:2], channels)


class Conv2D(Operator[Conv2DAttrs]):
    """Source of the arithmetic: reference_integer_ops::ConvPerChannel of LiteRT."""

    kind = "CONV_2D"
    weight_axis = 0
    uint8 = True

    def read(self, options: Any, node: Node[None]) -> Conv2DAttrs:
        stride = (options.strideH, options.strideW)
        dilation = (options.dilationHFactor, options.dilationWFactor)
        if len(node.input(0).shape) != 4 or len(node.input(1).shape) != 4:
            raise ValueError(f"input {node.input(0).shape} and weights {node.input(1).shape} "
                             "must both have 4 dimensions")
        padding = o.padding_of(options.padding, _image(node), _kernel(node), stride, dilation)
        activation = o.activation_name(options.fusedActivationFunction)
        uint8 = node.input(0).dtype == "uint8"
        return Conv2DAttrs(stride, dilation, padding, activation, uint8)

    def write(self, node: Node[Conv2DAttrs]) -> Any:
        a = node.attrs
        options = schema.Conv2DOptionsT()
        options.strideH, options.strideW = a.stride
        options.dilationHFactor, options.dilationWFactor = a.dilation
        options.padding = o.scheme_of(a.padding, _image(node), _kernel(node), a.stride, a.dilation)
        options.fusedActivationFunction = o.ACTIVATIONS.index(a.activation)
        return options

    def filters(self, node: Node[Conv2DAttrs]) -> Array:
        """The weights less their zero point.

        Shape (output channels, height, width, input channels per group).
        """
        return centred(node.input(1))

    def output_shapes(self, node: Node[Conv2DAttrs]) -> tuple[tuple[int, ...], ...]:
        weights = node.input(1).shape
        if weights[3] < 1 or node.input(0).shape[3] % weights[3]:
            raise ValueError(f"weights of {weights[3]} input channels do not divide "
                             f"the input's {node.input(0).shape[3]}")
        groups = node.input(0).shape[3] // weights[3]
        if weights[0] % groups:
            raise ValueError(f"{weights[0]} output channels do not divide into {groups} groups")
        return (self._output_shape(node, weights[0]),)

    def _output_shape(self, node: Node[Conv2DAttrs], channels: int) -> tuple[int, ...]:
        a, (height, width), (kh, kw) = node.attrs, _image(node), _kernel(node)
        rows = o.windows_along(height, kh, a.stride[0], a.dilation[0],
                               a.padding.top + a.padding.bottom)
        columns = o.windows_along(width, kw, a.stride[1], a.dilation[1],
                                  a.padding.left + a.padding.right)
        return (node.input(0).shape[0], rows, columns, channels)

    def limits(self, node: Node[Conv2DAttrs]) -> Iterator[str]:
        yield from o.activation_limits(node.attrs.activation, node.output)
        yield from image_limits(node)
        broken = list(weight_limits(node, self.output_shapes(node)[0][3], node.attrs.uint8))
        yield from broken
        if broken or not o.is_int8(node.input(0), node.input(1), node.output):
            return
        filters, bias = self.filters(node), self._bias(node)
        limit = (o.accumulator_limit(bias, filters)
                 or o.shift_limit(bias, filters, self._multipliers(node)[1]))
        if limit:
            yield limit

    def _bias(self, node: Node[Conv2DAttrs]) -> Array:
        return folded_bias(node.input(0), self.filters(node), node.optional(2))

    def _multipliers(self, node: Node[Conv2DAttrs]) -> tuple[Array, Array]:
        x, weights, out = node.input(0), node.input(1), node.output
        assert x.quant is not None and weights.quant is not None and out.quant is not None
        if node.attrs.uint8:
            return o.uint8_multipliers(x.quant, weights.quant, out.quant, out.channels)
        return o.conv_multipliers(x.quant, weights.quant, out.quant, out.channels)

    def evaluate(self, node: Node[Conv2DAttrs], inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        # x: (1, H, W, C), filters: (O, kh, kw, C / groups), result: (1, OH, OW, O)
        a, p, filters = node.attrs, node.attrs.padding, self.filters(node)
        x_quant, out_quant = node.input(0).quant, node.output.quant
        assert x_quant is not None and out_quant is not None
        x = np.pad(inputs[0][0].astype(np.int64), ((p.top, p.bottom), (p.left, p.right), (0, 0)),
                   constant_values=x_quant.zero_point)
        ((_, rows, columns, _),) = self.output_shapes(node)
        acc = np.tile(self._bias(node), (rows, columns, 1))
        for ky in range(filters.shape[1]):
            for kx in range(filters.shape[2]):
                top, left = ky * a.dilation[0], kx * a.dilation[1]
                taps = x[top:top + (rows - 1) * a.stride[0] + 1:a.stride[0],
                         left:left + (columns - 1) * a.stride[1] + 1:a.stride[1]]
                acc += _products(taps, filters[:, ky, kx])
        scaled = fixed_point.multiply_by_quantized_multiplier(acc, *self._multipliers(node))
        low, high = fixed_point.activation_range(a.activation, out_quant)
        return (fixed_point.clamp_int8(scaled + out_quant.zero_point, low, high)[None],)

    def macs(self, node: Node[Conv2DAttrs]) -> int:
        return node.output.elements * node.input(1).elements // node.output.channels

    def window(self, node: Node[Conv2DAttrs], activation: int) -> Window:
        a = node.attrs
        return Window((_kernel(node)[0] - 1) * a.dilation[0] + 1, a.stride[0], -a.padding.top)

    def columns(self, node: Node[Conv2DAttrs], activation: int) -> Window:
        a = node.attrs
        return Window((_kernel(node)[1] - 1) * a.dilation[1] + 1, a.stride[1], -a.padding.left)

    def variants(self, node: Node[Conv2DAttrs], target: Target) -> tuple[Variant, ...]:
        if has_zero_point(node.input(1)):
            return (Variant("zero_point", const_bytes=self.const_bytes(node),
                            code_bytes=ZERO_POINT_CODE_BYTES, cost=12 * self.macs(node),
                            flat=self.is_pointwise(node)),)
        dsp = self._product_variants(node, target) if o.has_dsp(target) else ()
        if dsp:
            return dsp
        return (Variant("portable", const_bytes=self.const_bytes(node), code_bytes=CODE_BYTES,
                        shared_code=(DOTS,), cost=self._portable_cost(node),
                        flat=self.is_pointwise(node)),)

    def _portable_cost(self, node: Node[Conv2DAttrs]) -> int:
        """Cycles; where there are groups, much of them go by group, tap and output."""
        groups, macs = self.groups(node), self.macs(node)
        if groups == 1:
            return 8 * macs
        outputs, taps = node.output.channels // groups, math.prod(_kernel(node))
        calls = 80 * taps * -(-outputs // DOTS_AT_ONCE)
        pixels = node.output.rows * node.output.pixels
        return pixels * groups * (100 + calls + 70 * outputs) + 5 * macs

    def _product_variants(self, node: Node[Conv2DAttrs], target: Target) -> tuple[Variant, ...]:
        """The DSP kernels, where they are proven exact; a float graph counts as if they were."""
        proven = o.is_int8(node.input(0), node.input(1), node.output)
        rounding_with = functools.partial(self._dsp_rounding, node) if proven else None
        pointwise, product = self.is_pointwise(node), self._product(node)
        if self.groups(node) > 1:
            limit = self._portable_cost(node)
            return tuple(v for v in dsp_grouped.variants(product, rounding_with, pointwise)
                         if v.cost < limit)
        found = dsp_product.variants(product, rounding_with, pointwise, pointwise)
        found += tuple(dsp_rows.variants(product, rounding_with))
        if target.optimize == "speed" and winograd.applies(product):
            fast = winograd.variant(product, rounding_with)
            found += () if fast is None else (fast,)
        return found

    def groups(self, node: Node[Conv2DAttrs]) -> int:
        """How many parts the channels fall into that know nothing of each other."""
        return node.input(0).channels // node.input(1).shape[3]

    def _product(self, node: Node[Conv2DAttrs]) -> dsp_product.Product:
        a = node.attrs
        return dsp_product.Product(node.input(0), node.output, self.filters(node), a.stride[1],
                                   a.dilation, a.padding, a.stride[0])

    def _dsp_rounding(
        self, node: Node[Conv2DAttrs], bits: int | None = ACCUMULATOR_BITS
    ) -> Rounding | None:
        quant = node.output.quant
        assert quant is not None
        return conv_rounding(
            *self._multipliers(node), accumulator_range(self._bias(node), self.filters(node)),
            quant.zero_point, fixed_point.activation_range(node.attrs.activation, quant), bits)

    def _dsp_kernel(self, node: Node[Conv2DAttrs], variant: Variant) -> Kernel:
        rounding = self._dsp_rounding(node, dsp_product.bits_of(variant))
        quant = node.output.quant
        assert rounding is not None and quant is not None
        clamp = fixed_point.activation_range(node.attrs.activation, quant)
        lower = {winograd.NAME: winograd.kernel, dsp_grouped.NAME: dsp_grouped.kernel,
                 dsp_rows.NAME: dsp_rows.kernel}.get(variant.name, dsp_product.kernel)
        return lower(self._product(node), self._bias(node), rounding, clamp, variant)

    def const_bytes(self, node: Node[Conv2DAttrs]) -> int:
        """Bytes of weights, and of bias, multiplier and shift of each output channel."""
        return node.input(1).elements + 12 * node.output.channels

    def is_pointwise(self, node: Node[Conv2DAttrs]) -> bool:
        """True where an output pixel needs its own input pixel and no other."""
        a = node.attrs
        return _kernel(node) == (1, 1) and a.stride == (1, 1) and a.padding.is_none

    def lower(self, node: Node[Conv2DAttrs], variant: Variant) -> Kernel:
        if variant.name == "zero_point":
            return self.lower_with_zero_point(node)
        if variant.name.startswith(dsp_product.PREFIX):
            return self._dsp_kernel(node, variant)
        filters, fields = self.filters(node), self.window_fields(node)
        groups = self.groups(node)
        fields = (
            ("weights", o.int8(filters)),
            *fields,
            ("in_channels", filters.shape[3]),
            ("out_channels", node.output.channels // groups),
            ("groups", groups),
        )
        return Kernel("te_conv_2d", "te_conv_2d_params", fields, ("te_conv_2d", DOTS[0]))

    def lower_with_zero_point(self, node: Node[Conv2DAttrs]) -> Kernel:
        """The call of the kernel that subtracts the zero point of the weights itself."""
        filters, quant = self.filters(node), node.input(1).quant
        assert quant is not None
        groups = self.groups(node)
        fields = (
            ("weights", o.int8(filters + np.int16(quant.zero_point))),
            *self.window_fields(node),
            ("in_channels", filters.shape[3]),
            ("out_channels", node.output.channels // groups),
            ("groups", groups),
            ("weight_zero_point", quant.zero_point),
        )
        source = "te_conv_2d_zero_point"
        return Kernel(source, f"{source}_params", fields, (source,))

    def window_fields(self, node: Node[Conv2DAttrs]) -> tuple[tuple[str, int | ConstArray], ...]:
        """The parameters that convolutions of every kind have."""
        x, out, a = node.input(0), node.output, node.attrs
        assert x.quant is not None and out.quant is not None
        multipliers, shifts = self._multipliers(node)
        low, high = fixed_point.activation_range(a.activation, out.quant)
        return (
            ("bias", o.int32(self._bias(node))),
            ("multiplier", o.int32(multipliers)),
            ("shift", o.int32(shifts)),
            ("in_width", x.pixels),
            ("in_pitch", x.channels),
            ("out_pitch", out.channels),
            ("kernel_height", _kernel(node)[0]),
            ("kernel_width", _kernel(node)[1]),
            ("stride_y", a.stride[0]),
            ("stride_x", a.stride[1]),
            ("dilation_y", a.dilation[0]),
            ("dilation_x", a.dilation[1]),
            ("pad_left", a.padding.left),
            ("in_zero_point", x.quant.zero_point),
            ("out_zero_point", out.quant.zero_point),
            ("out_min", low),
            ("out_max", high),
        )

    def cases(self) -> Iterator[Graph]:
        shapes = [  # height, width, in, out, kernel, stride, dilation, scheme, groups
            ("pointwise", 5, 4, 8, 6, (1, 1), (1, 1), (1, 1), o.VALID, 1),
            ("same_3x3", 6, 7, 3, 5, (3, 3), (1, 1), (1, 1), o.SAME, 1),
            ("valid_3x3", 7, 13, 16, 3, (3, 3), (1, 1), (1, 1), o.VALID, 1),
            ("same_asymmetric", 8, 8, 4, 4, (3, 3), (2, 2), (1, 1), o.SAME, 1),
            ("audio_10x4", 11, 6, 1, 3, (10, 4), (2, 2), (1, 1), o.SAME, 1),
            ("dilated", 9, 9, 2, 3, (3, 3), (1, 1), (2, 3), o.SAME, 1),
            ("stride_over_kernel", 9, 10, 5, 17, (1, 2), (3, 3), (1, 1), o.VALID, 1),
            ("groups", 5, 5, 6, 9, (3, 3), (1, 1), (1, 1), o.SAME, 3),
            ("one_pixel", 1, 1, 17, 1, (3, 3), (1, 1), (1, 1), o.SAME, 1),
            ("pointwise_stride_2", 5, 11, 13, 7, (1, 1), (2, 2), (1, 1), o.VALID, 1),
            ("whole_words", 5, 10, 12, 6, (3, 3), (1, 1), (1, 1), o.SAME, 1),
            ("dilated_words", 7, 9, 4, 5, (3, 3), (1, 2), (3, 2), o.SAME, 1),
            ("overlapping", 4, 25, 8, 5, (3, 3), (1, 1), (1, 1), o.SAME, 1),
            ("overlapping_rows_apart", 7, 13, 16, 3, (3, 3), (2, 1), (2, 1), o.VALID, 1),
            ("overlapping_one_pixel", 3, 3, 8, 4, (3, 3), (1, 1), (1, 1), o.VALID, 1),
            ("pointwise_blocks", 6, 9, 20, 6, (1, 1), (1, 1), (1, 1), o.VALID, 1),
            ("long_window", 2, 3, 236, 5, (3, 3), (1, 1), (1, 1), o.SAME, 1),
            ("long_pointwise", 1, 2, 2052, 67, (1, 1), (1, 1), (1, 1), o.VALID, 1),
            ("deep_3x3", 4, 6, 28, 2, (3, 3), (1, 1), (1, 1), o.SAME, 1),
            ("deeper_3x3", 3, 7, 44, 3, (3, 3), (1, 1), (1, 1), o.SAME, 1),
            ("groups_of_words", 4, 13, 16, 10, (3, 3), (1, 1), (1, 1), o.SAME, 2),
            ("groups_apart", 7, 9, 15, 9, (3, 2), (1, 2), (2, 1), o.SAME, 3),
            ("groups_joined", 3, 10, 12, 18, (1, 1), (1, 1), (1, 1), o.VALID, 6),
            ("long_groups", 2, 3, 472, 2, (3, 3), (1, 1), (1, 1), o.SAME, 2),
            ("groups_of_one_output", 3, 11, 40, 5, (1, 1), (2, 2), (1, 1), o.VALID, 5),
            ("narrow_rows_of_three", 10, 4, 1, 5, (4, 3), (1, 1), (1, 1), o.SAME, 1),
            ("narrow_one_pixel", 15, 2, 2, 4, (3, 2), (1, 2), (1, 1), o.VALID, 1),
        ]
        fused = ("pointwise", "valid_3x3", "groups_of_words")
        for seed, (name, h, w, cin, cout, kernel, stride, dilation, scheme, groups) in enumerate(
            shapes
        ):
            for activation in o.FUSED if name in fused else ("none",):
                g = GraphBuilder(f"conv_2d_{name}_{activation}", seed)
                x = g.input((1, h, w, cin), 0.05, seed - 4)
                weights = g.random_weights((cout, *kernel, cin // groups), 0, seed % 2 == 0)
                bias = g.random_bias(cout, x, weights)
                padding = o.padding_of(scheme, (h, w), kernel, stride, dilation)
                attrs = Conv2DAttrs(stride, dilation, padding, activation)
                yield g.graph(g.op(self.kind, [x, weights, bias], attrs, 0.08, 2 - seed))
        yield self._constant_channels(1, 7)
        yield self._constant_channels(3, 5)
        yield self._constant_channels(3, 6, 2)
        yield self._constant_channels(3, 2, 2)
        # Scales of powers of two: one accumulator in eight lies halfway between two outputs.
        g = GraphBuilder("conv_2d_ties")
        x = g.input((1, 4, 4, 4), 0.5, -1)
        weights = g.constant(g.rng.integers(-4, 5, (64, 1, 1, 4), dtype=np.int8), 0.25)
        bias = g.random_bias(64, x, weights)
        yield g.graph(g.op(self.kind, [x, weights, bias], Conv2DAttrs(), 1.0, 1))

    def _constant_channels(self, size: int, channels: int, groups: int = 1) -> Graph:
        """The second, the fifth and the sixth channel have one output: their scales are tiny."""
        g = GraphBuilder(f"conv_2d_constant_channels_{size}x{size}x{channels}_{groups}")
        x = g.input((1, 3, 5, 8), 0.05, 3)
        low = -128 if size > 1 else -127
        filters = (channels, size, size, 8 // groups)
        weights = g.constant(g.rng.integers(low, 128, filters, dtype=np.int8),
                             (0.01, 1e-9, 0.02, 0.01, 1e-12, 1e-7, 0.005)[:channels], axis=0)
        bias = g.random_bias(channels, x, weights)
        padding = o.padding_of(o.SAME, (3, 5), (size, size), (1, 1))
        attrs = Conv2DAttrs(padding=padding)
        return g.graph(g.op(self.kind, [x, weights, bias], attrs, 0.08, -4))


OPERATOR = Conv2D()
