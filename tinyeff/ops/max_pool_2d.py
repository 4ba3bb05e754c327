# SPDX-License-Identifier: MIT
"""MAX_POOL_2D: the largest of the taps inside the image."""

from __future__ import annotations

from functools import reduce

import numpy as np

from tinyeff import fixed_point
from tinyeff.ir import Array, Kernel, Target, Variant
from tinyeff.ops import pooling
from tinyeff.ops.operator import Node
from tinyeff.ops.pooling import Pool2D, Pool2DAttrs


class MaxPool2D(Pool2D):
    """Source of the arithmetic: reference_integer_ops::MaxPool of LiteRT.

    It compares the int8 values themselves: scales and zero points of input and output are taken
    to be equal.
    """

    kind = "MAX_POOL_2D"
    uint8 = True

    def evaluate(self, node: Node[Pool2DAttrs], inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        # x: (H, W, C), largest: (OH, OW, C)
        x = inputs[0][0].astype(np.int64)
        largest = reduce(np.maximum, pooling.taps_of(node, x, fixed_point.INT8_MIN))
        return (fixed_point.clamp_int8(largest, *pooling.clamp_of(node))[None],)

    def variants(self, node: Node[Pool2DAttrs], target: Target) -> tuple[Variant, ...]:
        out = node.output
        if pooling.is_global(node):
            return (Variant("portable", state_bytes=out.channels, code_bytes=190,
                            cost=6 * node.input(0).elements + 8 * out.elements),)
        return (Variant("portable", code_bytes=280,
                        cost=8 * self.taps(node) + 15 * out.elements),)

    def lower(self, node: Node[Pool2DAttrs], variant: Variant) -> Kernel:
        source = ("te_max_pool_2d",)
        if not pooling.is_global(node):
            return Kernel("te_max_pool_2d", "te_max_pool_2d_params", pooling.rows_fields(node),
                          source)
        low, high = pooling.clamp_of(node)
        fields = (
            ("in_pitch", node.input(0).channels),
            ("channels", node.input(0).channels),
            ("out_min", low),
            ("out_max", high),
        )
        return Kernel("te_max_pool_2d_global", "te_max_pool_2d_global_params", fields, source)


OPERATOR = MaxPool2D()
