# SPDX-License-Identifier: MIT
"""CONV_2D: any kernel, stride, dilation, groups and padding on each side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff import fixed_point
from tinyeff.ir import Array, Graph, Kernel, Target, Variant, Window
from tinyeff.ops import operator as o
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.operator import Node, Operator, Padding


@dataclass(frozen=True)
class Conv2DAttrs:
    """Pairs are (height, width). `padding` is explicit: a PAD in front may have been folded in."""

    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: Padding = Padding()
    activation: str = "none"


def _image(node: Node[Any]) -> tuple[int, int]:
    return node.input(0).shape[1], node.input(0).shape[2]


def _kernel(node: Node[Any]) -> tuple[int, int]:
    return node.input(1).shape[1], node.input(1).shape[2]


def folded_bias(node: Node[Any]) -> Array:
    """Per-channel bias with the input zero point folded in: bias - zero_point * sum(weights).

    With it an accumulator is bias + sum(x * w) over all taps, where a tap outside the image
    counts as x = zero_point. Shape (channels,), int64.
    """
    weights, bias = node.input(1), node.optional(2)
    assert weights.data is not None
    quant = node.input(0).quant
    assert quant is not None
    sums = weights.data.astype(np.int64).reshape(weights.shape[0], -1).sum(1)
    values = np.zeros(weights.shape[0], np.int64)
    if bias is not None:
        assert bias.data is not None
        values = bias.data.astype(np.int64)
    result: Array = values - quant.zero_point * sums
    return result


class Conv2D(Operator[Conv2DAttrs]):
    """Source of the arithmetic: reference_integer_ops::ConvPerChannel of LiteRT."""

    kind = "CONV_2D"

    def read(self, options: Any, node: Node[None]) -> Conv2DAttrs:
        stride = (options.strideH, options.strideW)
        dilation = (options.dilationHFactor, options.dilationWFactor)
        if len(node.input(0).shape) != 4 or len(node.input(1).shape) != 4:
            raise ValueError(f"input {node.input(0).shape} and weights {node.input(1).shape} "
                             "must both have 4 dimensions")
        padding = o.padding_of(options.padding, _image(node), _kernel(node), stride, dilation)
        activation = o.activation_name(options.fusedActivationFunction)
        return Conv2DAttrs(stride, dilation, padding, activation)

    def write(self, node: Node[Conv2DAttrs]) -> Any:
        a = node.attrs
        options = schema.Conv2DOptionsT()
        options.strideH, options.strideW = a.stride
        options.dilationHFactor, options.dilationWFactor = a.dilation
        options.padding = o.scheme_of(a.padding, _image(node), _kernel(node), a.stride, a.dilation)
        options.fusedActivationFunction = o.ACTIVATIONS.index(a.activation)
        return options

    def output_shapes(self, node: Node[Conv2DAttrs]) -> tuple[tuple[int, ...], ...]:
        a, (height, width), (kh, kw) = node.attrs, _image(node), _kernel(node)
        weights = node.input(1).shape
        if weights[3] < 1 or node.input(0).shape[3] % weights[3]:
            raise ValueError(f"weights of {weights[3]} input channels do not divide "
                             f"the input's {node.input(0).shape[3]}")
        groups = node.input(0).shape[3] // weights[3]
        if weights[0] % groups:
            raise ValueError(f"{weights[0]} output channels do not divide into {groups} groups")
        rows = o.windows_along(height, kh, a.stride[0], a.dilation[0],
                               a.padding.top + a.padding.bottom)
        columns = o.windows_along(width, kw, a.stride[1], a.dilation[1],
                                  a.padding.left + a.padding.right)
        return ((node.input(0).shape[0], rows, columns, weights[0]),)

    def limits(self, node: Node[Conv2DAttrs]) -> Iterator[str]:
        x, weights, bias = node.input(0), node.input(1), node.optional(2)
        yield from o.activation_limits(node.attrs.activation)
        if weights.data is None:
            yield "its weights are computed at run time; only constant weights are supported"
            return
        if bias is not None and bias.data is None:
            yield "its bias is computed at run time; only a constant bias is supported"
            return
        if not o.is_int8(x, weights, node.output):
            return
        assert weights.quant is not None
        if any(weights.quant.zero_points):
            yield "its weights have zero points other than 0"
        if len(weights.quant.scales) not in (1, weights.shape[0]):
            yield (f"its weights have {len(weights.quant.scales)} scales for "
                   f"{weights.shape[0]} output channels")
            return
        _, shifts = self._multipliers(node)
        packed = weights.data.reshape(weights.shape[0], -1)
        limit = (o.accumulator_limit(folded_bias(node), packed)
                 or o.shift_limit(folded_bias(node), packed, shifts))
        if limit:
            yield limit

    def _multipliers(self, node: Node[Conv2DAttrs]) -> tuple[Array, Array]:
        x, weights, out = node.input(0), node.input(1), node.output
        assert x.quant is not None and weights.quant is not None and out.quant is not None
        return o.conv_multipliers(x.quant, weights.quant, out.quant, weights.shape[0])

    def evaluate(self, node: Node[Conv2DAttrs], inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        # x: (1, H, W, C), weights: (O, kh, kw, C / groups), result: (1, OH, OW, O)
        a, p, weights = node.attrs, node.attrs.padding, node.input(1)
        x_quant, out_quant = node.input(0).quant, node.output.quant
        assert weights.data is not None and x_quant is not None and out_quant is not None
        x = np.pad(inputs[0][0].astype(np.int64), ((p.top, p.bottom), (p.left, p.right), (0, 0)),
                   constant_values=x_quant.zero_point)
        ((_, rows, columns, channels),) = self.output_shapes(node)
        groups = x.shape[2] // weights.shape[3]
        acc = np.tile(folded_bias(node), (rows, columns, 1))
        w = weights.data.astype(np.int64).reshape(groups, channels // groups, *weights.shape[1:])
        for ky in range(weights.shape[1]):
            for kx in range(weights.shape[2]):
                top, left = ky * a.dilation[0], kx * a.dilation[1]
                taps = x[top:top + (rows - 1) * a.stride[0] + 1:a.stride[0],
                         left:left + (columns - 1) * a.stride[1] + 1:a.stride[1]]
                taps = taps.reshape(rows, columns, groups, -1)
                acc += np.einsum("yxgc,goc->yxgo", taps, w[:, :, ky, kx]).reshape(acc.shape)
        scaled = fixed_point.multiply_by_quantized_multiplier(acc, *self._multipliers(node))
        low, high = fixed_point.activation_range(a.activation, out_quant)
        return (fixed_point.clamp_int8(scaled + out_quant.zero_point, low, high)[None],)

    def macs(self, node: Node[Conv2DAttrs]) -> int:
        return node.output.elements * node.input(1).elements // node.input(1).shape[0]

    def window(self, node: Node[Conv2DAttrs], activation: int) -> Window:
        a = node.attrs
        return Window((_kernel(node)[0] - 1) * a.dilation[0] + 1, a.stride[0], -a.padding.top)

    def variants(self, node: Node[Conv2DAttrs], target: Target) -> tuple[Variant, ...]:
        pointwise = (_kernel(node) == (1, 1) and node.attrs.stride == (1, 1)
                     and node.attrs.padding.is_none)
        weights = node.input(1)
        const_bytes = weights.elements + 12 * weights.shape[0]
        return (Variant("portable", const_bytes=const_bytes, code_bytes=500,
                        cost=8 * self.macs(node), flat=pointwise),)

    def lower(self, node: Node[Conv2DAttrs], variant: Variant) -> Kernel:
        x, weights, out, a = node.input(0), node.input(1), node.output, node.attrs
        assert weights.data is not None and x.quant is not None and out.quant is not None
        multipliers, shifts = self._multipliers(node)
        low, high = fixed_point.activation_range(a.activation, out.quant)
        groups = x.channels // weights.shape[3]
        fields = (
            ("weights", o.int8(weights.data)),
            ("bias", o.int32(folded_bias(node))),
            ("multiplier", o.int32(multipliers)),
            ("shift", o.int32(shifts)),
            ("in_width", x.pixels),
            ("in_pitch", x.channels),
            ("in_channels", weights.shape[3]),
            ("out_pitch", out.channels),
            ("out_channels", out.channels // groups),
            ("groups", groups),
            ("kernel_height", weights.shape[1]),
            ("kernel_width", weights.shape[2]),
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
        return Kernel("te_conv_2d", "te_conv_2d_params", fields, ("te_conv_2d",))

    def cases(self) -> Iterator[Graph]:
        shapes = [  # height, width, in, out, kernel, stride, dilation, scheme, groups
            ("pointwise", 5, 4, 8, 6, (1, 1), (1, 1), (1, 1), o.VALID, 1),
            ("same_3x3", 6, 7, 3, 5, (3, 3), (1, 1), (1, 1), o.SAME, 1),
            ("same_asymmetric", 8, 8, 4, 4, (3, 3), (2, 2), (1, 1), o.SAME, 1),
            ("audio_10x4", 11, 6, 1, 3, (10, 4), (2, 2), (1, 1), o.SAME, 1),
            ("dilated", 9, 9, 2, 3, (3, 3), (1, 1), (2, 3), o.SAME, 1),
            ("stride_over_kernel", 9, 10, 5, 17, (1, 2), (3, 3), (1, 1), o.VALID, 1),
            ("groups", 5, 5, 6, 9, (3, 3), (1, 1), (1, 1), o.SAME, 3),
            ("one_pixel", 1, 1, 17, 1, (3, 3), (1, 1), (1, 1), o.SAME, 1),
        ]
        for seed, (name, h, w, cin, cout, kernel, stride, dilation, scheme, groups) in enumerate(
            shapes
        ):
            for activation in o.FUSED if name == "pointwise" else ("none",):
                g = GraphBuilder(f"conv_2d_{name}_{activation}", seed)
                x = g.input((1, h, w, cin), 0.05, seed - 4)
                weights = g.random_weights((cout, *kernel, cin // groups), 0, seed % 2 == 0)
                bias = g.random_bias(cout, x, weights)
                padding = o.padding_of(scheme, (h, w), kernel, stride, dilation)
                attrs = Conv2DAttrs(stride, dilation, padding, activation)
                yield g.graph(g.op("CONV_2D", [x, weights, bias], attrs, 0.08, 2 - seed))


OPERATOR = Conv2D()
