# SPDX-License-Identifier: MIT
"""MAX_POOL_2D: the largest of the taps inside the image."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

import numpy as np

from tinyeff import fixed_point
from tinyeff.ir import Array, Kernel, Target, Variant
from tinyeff.ops import operator as o
from tinyeff.ops import pooling
from tinyeff.ops.operator import Node
from tinyeff.ops.pooling import Pool2D, Pool2DAttrs

DSP = "dsp"


class MaxPool2D(Pool2D):
    """Source of the arithmetic: reference_integer_ops::MaxPool of LiteRT.

    It compares the int8 values themselves: scales and zero points of input and output are taken
    to be equal.
    """

    kind = "MAX_POOL_2D"
    shares_scale = True
    uint8 = True

    def evaluate(self, node: Node[Pool2DAttrs], inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        # x: (H, W, C), largest: (OH, OW, C)
        x = inputs[0][0].astype(np.int64)
        largest = reduce(np.maximum, pooling.taps_of(node, x, fixed_point.INT8_MIN))
        return (fixed_point.clamp_int8(largest, *pooling.clamp_of(node))[None],)

    def variants(self, node: Node[Pool2DAttrs], target: Target) -> tuple[Variant, ...]:
        out, taps = node.output, self.taps(node)
        if pooling.is_global(node):
            inputs = node.input(0).elements
            portable = Variant("portable", state_bytes=out.channels, code_bytes=190,
                               cost=6 * inputs + 8 * out.elements)
            dsp = replace(portable, name=DSP, code_bytes=300, cost=2 * inputs + 8 * out.elements)
        else:
            portable = Variant("portable", code_bytes=280, cost=8 * taps + 15 * out.elements)
            dsp = replace(portable, name=DSP, code_bytes=400, cost=3 * taps + 8 * out.elements)
        return (dsp, portable) if o.has_dsp(target) else (portable,)

    def lower(self, node: Node[Pool2DAttrs], variant: Variant) -> Kernel:
        dsp = "_dsp" if variant.name == DSP else ""
        source = f"te_max_pool_2d{dsp}"
        if not pooling.is_global(node):
            return Kernel(source, "te_max_pool_2d_params", pooling.rows_fields(node), (source,))
        low, high = pooling.clamp_of(node)
        fields = (
            ("in_pitch", node.input(0).channels),
            ("channels", node.input(0).channels),
            ("out_min", low),
            ("out_max", high),
        )
        return Kernel(f"te_max_pool_2d_global{dsp}", "te_max_pool_2d_global_params", fields,
                      (source,))


OPERATOR = MaxPool2D()
