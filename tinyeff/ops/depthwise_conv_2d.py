# SPDX-License-Identifier: MIT
"""DEPTHWISE_CONV_2D: a convolution with one group per input channel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff.ir import Array, Graph, Kernel, Target, Variant
from tinyeff.ops import depthwise_dsp
from tinyeff.ops import operator as o
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.conv_2d import Conv2D, Conv2DAttrs
from tinyeff.ops.operator import Node
from tinyeff.ops.weights import centred, has_zero_point

CODE_BYTES = 868
"""Of the portable kernel on a Cortex-M4."""


class DepthwiseConv2D(Conv2D):
    """Output channel o reads input channel o // depth multiplier.

    Source of the arithmetic: reference_integer_ops::DepthwiseConvPerChannel of LiteRT.
    """

    kind = "DEPTHWISE_CONV_2D"
    weight_axis = 3

    def write(self, node: Node[Conv2DAttrs]) -> Any:
        same = super().write(node)
        options = schema.DepthwiseConv2DOptionsT()
        options.strideH, options.strideW = same.strideH, same.strideW
        options.dilationHFactor = same.dilationHFactor
        options.dilationWFactor = same.dilationWFactor
        options.padding = same.padding
        options.fusedActivationFunction = same.fusedActivationFunction
        options.depthMultiplier = node.input(1).shape[3] // node.input(0).shape[3]
        return options

    def groups(self, node: Node[Conv2DAttrs]) -> int:
        return node.input(0).channels

    def filters(self, node: Node[Conv2DAttrs]) -> Array:
        return np.ascontiguousarray(centred(node.input(1)).transpose(3, 1, 2, 0))

    def output_shapes(self, node: Node[Conv2DAttrs]) -> tuple[tuple[int, ...], ...]:
        weights, channels = node.input(1).shape, node.input(0).shape[3]
        if weights[0] != 1:
            raise ValueError(f"its weights {weights} must have 1 as their first dimension")
        if channels < 1 or weights[3] % channels:
            raise ValueError(f"{weights[3]} filters are not a multiple of {channels} channels")
        return (self._output_shape(node, weights[3]),)

    def variants(self, node: Node[Conv2DAttrs], target: Target) -> tuple[Variant, ...]:
        if has_zero_point(node.input(1)):
            return super().variants(node, target)
        if dsp := self._dsp_variants(node) if o.has_dsp(target) else ():
            return dsp
        return (Variant("portable", const_bytes=self.const_bytes(node), code_bytes=CODE_BYTES,
                        cost=10 * self.macs(node), flat=self.is_pointwise(node)),)

    def _dsp_variants(self, node: Node[Conv2DAttrs]) -> tuple[Variant, ...]:
        """The DSP kernels that are proven to be exact; a float graph counts as if they were."""
        if not o.is_int8(node.input(0), node.input(1), node.output):
            return depthwise_dsp.variants(node, self.filters(node), None)
        rounding = self._dsp_rounding(node, None)
        if rounding is None:
            return ()
        return depthwise_dsp.variants(node, self.filters(node), rounding)

    def lower(self, node: Node[Conv2DAttrs], variant: Variant) -> Kernel:
        if variant.name == "zero_point":
            return self.lower_with_zero_point(node)
        if variant.name in depthwise_dsp.NAMES:
            rounding = self._dsp_rounding(node, None)
            assert rounding is not None
            return depthwise_dsp.kernel(
                node, self.filters(node), self._bias(node), rounding, variant)
        weights, channels = centred(node.input(1)), node.input(0).channels
        fields = (
            ("weights", o.int8(weights)),
            *self.window_fields(node),
            ("in_channels", channels),
            ("depth_multiplier", node.output.channels // channels),
        )
        source = "te_depthwise_conv_2d"
        return Kernel(source, f"{source}_params", fields, (source,))

    def cases(self) -> Iterator[Graph]:
        shapes = [  # height, width, channels, multiplier, kernel, stride, dilation, scheme
            ("3x3", 6, 5, 7, 1, (3, 3), (1, 1), (1, 1), o.SAME),
            ("asymmetric", 8, 8, 17, 1, (3, 3), (2, 2), (1, 1), o.SAME),
            ("multiplier", 5, 6, 3, 4, (3, 2), (1, 1), (1, 1), o.SAME),
            ("one_to_many", 7, 5, 1, 19, (3, 5), (2, 1), (1, 1), o.VALID),
            ("blocks", 4, 4, 6, 6, (2, 2), (1, 2), (1, 1), o.VALID),
            ("dilated", 9, 8, 16, 1, (3, 3), (1, 1), (2, 3), o.SAME),
            ("5x5_small_image", 2, 3, 33, 1, (5, 5), (1, 1), (1, 1), o.SAME),
            ("pointwise", 3, 4, 5, 2, (1, 1), (1, 1), (1, 1), o.VALID),
            ("3x3_stride_2", 7, 11, 9, 1, (3, 3), (2, 2), (1, 1), o.SAME),
            ("3x3_valid", 5, 9, 8, 1, (3, 3), (1, 1), (2, 1), o.VALID),
            ("3x3_one_pixel", 1, 1, 4, 1, (3, 3), (1, 1), (1, 1), o.SAME),
            ("3x3_wide", 3, 180, 6, 1, (3, 3), (1, 1), (1, 1), o.SAME),
            ("7x7", 6, 5, 6, 1, (7, 7), (2, 2), (1, 1), o.SAME),
            ("3x3_odd_rows", 7, 3, 12, 1, (3, 3), (1, 1), (1, 1), o.SAME),
            ("3x3_two_rows", 2, 1, 4, 1, (3, 3), (1, 1), (1, 1), o.SAME),
            ("3x3_valid_rows", 5, 4, 6, 1, (3, 3), (1, 1), (1, 1), o.VALID),
        ]
        for seed, (name, h, w, cin, many, kernel, stride, dilation, scheme) in enumerate(shapes):
            activations = o.FUSED if name == "3x3" else ("relu",) if seed > 7 else ("none",)
            for activation in activations:
                g = GraphBuilder(f"depthwise_conv_2d_{name}_{activation}", seed)
                x = g.input((1, h, w, cin), 0.05, 5 - seed)
                weights = g.random_weights((1, *kernel, cin * many), 3, seed % 2 == 0)
                bias = g.random_bias(cin * many, x, weights)
                padding = o.padding_of(scheme, (h, w), kernel, stride, dilation)
                attrs = Conv2DAttrs(stride, dilation, padding, activation)
                inputs: list[int | None] = [x, weights, *([bias] if name != "pointwise" else [])]
                yield g.graph(g.op(self.kind, inputs, attrs, 0.03, seed - 3))
        yield self._large_biases()

    def _large_biases(self) -> Graph:
        """Accumulators of up to 29 bits, which leave less room for binary places.

        Of each channel the bias alone gives an output between 64 and 65.
        """
        g = GraphBuilder("depthwise_conv_2d_large_biases")
        x = g.input((1, 4, 5, 8), 0.05, -128)
        bias = (1 << np.array([15, 20, 23, 24, 25, 26, 27, 28], np.int32)) + 99
        scales = tuple(float(s) for s in 64.5 / (0.05 * bias))
        data = g.rng.integers(-127, 128, (1, 3, 3, 8), dtype=np.int8)
        weights = g.constant(data, scales, axis=3)
        biases = g.constant(bias, tuple(0.05 * s for s in scales), axis=0)
        attrs = Conv2DAttrs((1, 1), (1, 1), o.padding_of(o.SAME, (4, 5), (3, 3), (1, 1)), "relu")
        return g.graph(g.op(self.kind, [x, weights, biases], attrs, 1.0, -128))


OPERATOR = DepthwiseConv2D()
