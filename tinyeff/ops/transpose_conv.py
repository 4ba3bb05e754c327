# SPDX-License-Identifier: MIT
"""TRANSPOSE_CONV: every input pixel spreads over a window of the output; windows add up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff import fixed_point
from tinyeff.ir import Array, Graph, Kernel, Target, Tensor, Variant, Window
from tinyeff.ops import operator as o
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.operator import Node, Operator, Padding
from tinyeff.ops.weights import image_limits, weight_limits


@dataclass(frozen=True)
class TransposeConvAttrs:
    """Pairs are (height, width); `size` is that of the output.

    `padding` is that of the convolution from output to input whose transpose this is.
    """

    size: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: Padding = Padding()
    activation: str = "none"


def _kernel(node: Node[Any]) -> tuple[int, int]:
    return node.input(1).shape[1], node.input(1).shape[2]


def _windows(size: int, kernel: int, stride: int, before: int, after: int) -> int:
    """How many windows the convolution from output to input has along an axis."""
    if before or after:
        return -(-size // stride)
    return max((size + stride - kernel) // stride, 0)


class TransposeConv(Operator[TransposeConvAttrs]):
    """Source of the arithmetic: reference_integer_ops::TransposeConv of LiteRT.

    Inputs are the output's shape, the weights, the data and an optional bias.
    """

    kind = "TRANSPOSE_CONV"
    uint8 = True
    weight_axis = 0
    data_input = 2

    def read(self, options: Any, node: Node[None]) -> TransposeConvAttrs:
        shape = self._constant_shape(node)
        if len(node.input(2).shape) != 4 or len(node.input(1).shape) != 4:
            raise ValueError(f"input {node.input(2).shape} and weights {node.input(1).shape} "
                             "must both have 4 dimensions")
        size, stride = (shape[1], shape[2]), (options.strideH, options.strideW)
        padding = o.padding_of(options.padding, size, _kernel(node), stride)
        activation = o.activation_name(options.fusedActivationFunction)
        return TransposeConvAttrs(size, stride, padding, activation)

    def _constant_shape(self, node: Node[Any]) -> tuple[int, ...]:
        shape = o.constant_ints(node, 0, "output shape")
        if len(shape) != 4 or min(shape) < 1:
            raise ValueError(f"its output shape {list(shape)} must be 4 numbers of at least 1")
        return shape

    def write(self, node: Node[TransposeConvAttrs]) -> Any:
        a = node.attrs
        if node.optional(0) is not None and self._constant_shape(node)[1:3] != a.size:
            raise ValueError(f"its size {a.size} differs from its constant input 0")
        options = schema.TransposeConvOptionsT()
        options.strideH, options.strideW = a.stride
        options.padding = o.scheme_of(a.padding, a.size, _kernel(node), a.stride)
        options.fusedActivationFunction = o.ACTIVATIONS.index(a.activation)
        return options

    def output_shapes(self, node: Node[TransposeConvAttrs]) -> tuple[tuple[int, ...], ...]:
        a, x, weights = node.attrs, node.input(2).shape, node.input(1).shape
        if weights[3] != x[3]:
            raise ValueError(f"its weights have {weights[3]} input channels, its input {x[3]}")
        shape = self._constant_shape(node) if node.optional(0) is not None else None
        if shape is not None and (shape[0], shape[3]) != (x[0], weights[0]):
            raise ValueError(f"its output shape {list(shape)} does not fit its input of shape {x} "
                             f"and weights of shape {weights}")
        p, k = a.padding, _kernel(node)
        windows = (_windows(a.size[0], k[0], a.stride[0], p.top, p.bottom),
                   _windows(a.size[1], k[1], a.stride[1], p.left, p.right))
        if windows != x[1:3]:
            raise ValueError(f"an output of {a.size} with a kernel of {k} and a stride of "
                             f"{a.stride} needs an input of {windows}, not {x[1:3]}")
        return ((x[0], *a.size, weights[0]),)

    def _as_convolution(self, node: Node[TransposeConvAttrs]) -> Node[TransposeConvAttrs]:
        """The node with data, weights and bias in the order of a convolution's inputs."""
        inputs = (node.input(2), node.input(1), node.optional(3))
        return Node(node.name, node.attrs, inputs, node.outputs)

    def limits(self, node: Node[TransposeConvAttrs]) -> Iterator[str]:
        convolution = self._as_convolution(node)
        yield from o.activation_limits(node.attrs.activation, node.output)
        yield from image_limits(convolution)
        broken = list(weight_limits(convolution, self.output_shapes(node)[0][3]))
        yield from broken
        if broken or not o.is_int8(node.input(2), node.input(1), node.output):
            return
        # An input less its zero point may reach 255, not 128: that much is weights of twice the
        # size. Taps outside the image count as nothing, so that the zero point is not in the bias.
        doubled = 2 * self._filters(node).astype(np.int64)
        limit = (o.accumulator_limit(self._bias(node), doubled)
                 or o.shift_limit(self._bias(node), doubled, self._multipliers(node)[1]))
        if limit:
            yield limit

    def _filters(self, node: Node[TransposeConvAttrs]) -> Array:
        data = node.input(1).data
        assert data is not None
        return data

    def _bias(self, node: Node[TransposeConvAttrs]) -> Array:
        bias: Tensor | None = node.optional(3)
        if bias is None:
            return np.zeros(node.input(1).shape[0], np.int64)
        assert bias.data is not None
        return bias.data.reshape(-1).astype(np.int64)

    def _multipliers(self, node: Node[TransposeConvAttrs]) -> tuple[Array, Array]:
        x, weights, out = node.input(2).quant, node.input(1).quant, node.output.quant
        assert x is not None and weights is not None and out is not None
        return o.conv_multipliers(x, weights, out, node.output.channels)

    def evaluate(
        self, node: Node[TransposeConvAttrs], inputs: tuple[Array, ...]
    ) -> tuple[Array, ...]:
        # x: (H, W, C), filters: (O, kh, kw, C), padded: the output and its padding
        a, filters = node.attrs, self._filters(node)
        x_quant, out_quant = node.input(2).quant, node.output.quant
        assert x_quant is not None and out_quant is not None
        x = inputs[0][0].astype(np.int64) - x_quant.zero_point
        height, width = x.shape[:2]
        (sy, sx), (kh, kw) = a.stride, _kernel(node)
        padded = np.zeros((max((height - 1) * sy + kh, a.size[0] + a.padding.top),
                           max((width - 1) * sx + kw, a.size[1] + a.padding.left),
                           filters.shape[0]), np.int64)
        for ky in range(kh):
            for kx in range(kw):
                padded[ky:ky + (height - 1) * sy + 1:sy, kx:kx + (width - 1) * sx + 1:sx] += (
                    x @ filters[:, ky, kx].T.astype(np.int64))
        top, left = a.padding.top, a.padding.left
        acc = padded[top:top + a.size[0], left:left + a.size[1]] + self._bias(node)
        scaled = fixed_point.multiply_by_quantized_multiplier(acc, *self._multipliers(node))
        low, high = fixed_point.activation_range(a.activation, out_quant)
        return (fixed_point.clamp_int8(scaled + out_quant.zero_point, low, high)[None],)

    def macs(self, node: Node[TransposeConvAttrs]) -> int:
        return node.input(2).elements * node.input(1).elements // node.input(2).channels

    def window(self, node: Node[TransposeConvAttrs], activation: int) -> Window:
        return _reach(_kernel(node)[0], node.attrs.stride[0], node.attrs.padding.top)

    def columns(self, node: Node[TransposeConvAttrs], activation: int) -> Window:
        return _reach(_kernel(node)[1], node.attrs.stride[1], node.attrs.padding.left)

    def variants(self, node: Node[TransposeConvAttrs], target: Target) -> tuple[Variant, ...]:
        const_bytes = node.input(1).elements + 12 * node.output.channels
        return (Variant("portable", const_bytes=const_bytes, code_bytes=620,
                        cost=9 * self.macs(node) + 30 * node.output.elements),)

    def lower(self, node: Node[TransposeConvAttrs], variant: Variant) -> Kernel:
        x, out, a = node.input(2), node.output, node.attrs
        assert x.quant is not None and out.quant is not None
        multipliers, shifts = self._multipliers(node)
        low, high = fixed_point.activation_range(a.activation, out.quant)
        fields = (
            ("weights", o.int8(self._filters(node))),
            ("bias", o.int32(self._bias(node))),
            ("multiplier", o.int32(multipliers)),
            ("shift", o.int32(shifts)),
            ("in_width", x.pixels),
            ("in_pitch", x.channels),
            ("out_pitch", out.channels),
            ("in_count", self.window(node, 0).count),
            ("kernel_height", _kernel(node)[0]),
            ("kernel_width", _kernel(node)[1]),
            ("stride_y", a.stride[0]),
            ("stride_x", a.stride[1]),
            ("pad_top", a.padding.top),
            ("pad_left", a.padding.left),
            ("in_zero_point", x.quant.zero_point),
            ("out_zero_point", out.quant.zero_point),
            ("out_min", low),
            ("out_max", high),
            ("in_channels", x.channels),
            ("out_channels", out.channels),
        )
        return Kernel("te_transpose_conv", "te_transpose_conv_params", fields,
                      ("te_transpose_conv",))

    def cases(self) -> Iterator[Graph]:
        shapes = [  # output, in, out, kernel, stride, scheme, bias
            ("double", (6, 8), 3, 5, (3, 3), (2, 2), o.SAME, True),
            ("double_odd", (7, 5), 4, 3, (4, 2), (2, 2), o.SAME, True),
            ("valid", (9, 11), 2, 4, (3, 3), (2, 2), o.VALID, False),
            ("dense", (5, 4), 3, 6, (3, 2), (1, 1), o.SAME, True),
            ("gaps", (8, 9), 5, 17, (1, 2), (3, 4), o.SAME, True),
            ("gaps_valid", (10, 8), 2, 2, (2, 1), (4, 3), o.VALID, True),
            ("pixel", (4, 4), 17, 1, (4, 4), (4, 4), o.VALID, True),
        ]
        for seed, (name, size, cin, cout, kernel, stride, scheme, has_bias) in enumerate(shapes):
            padding = o.padding_of(scheme, size, kernel, stride)
            image = tuple(-(-n // s) if scheme == o.SAME else (n + s - k) // s
                          for n, k, s in zip(size, kernel, stride, strict=True))
            for activation in o.FUSED if name == "double" else ("none",):
                g = GraphBuilder(f"transpose_conv_{name}_{activation}", seed)
                shape = g.constant(np.array((1, *size, cout), np.int32))
                weights = g.random_weights((cout, *kernel, cin), 0, seed % 2 == 0)
                x = g.input((1, *image, cin), 0.05, 7 * seed - 20)
                inputs: list[int | None] = [shape, weights, x]
                if has_bias:
                    inputs.append(g.random_bias(cout, x, weights))
                attrs = TransposeConvAttrs(size, stride, padding, activation)
                yield g.graph(g.op(self.kind, inputs, attrs, 0.05, 2 - seed))


def _reach(kernel: int, stride: int, pad: int) -> Window:
    """Input i meets output i * stride - pad + k for k in [0, kernel)."""
    return Window(-(-kernel // stride), 1, pad - kernel + stride, stride)


OPERATOR = TransposeConv()
