# SPDX-License-Identifier: MIT
"""AVERAGE_POOL_2D: the mean of the taps inside the image, rounded to the nearest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinyeff import fixed_point
from tinyeff.ir import Array, Kernel, Target, Variant
from tinyeff.ops import operator as o
from tinyeff.ops import pooling
from tinyeff.ops.operator import Node
from tinyeff.ops.pooling import Pool2D, Pool2DAttrs

DSP = "dsp"
MOST_TAPS = 255
"""What a sum of 16 bits has room for, in the kernel for the DSP extension."""


class AveragePool2D(Pool2D):
    """Source of the arithmetic: reference_integer_ops::AveragePool of LiteRT.

    It averages the int8 values themselves: scales and zero points of input and output are taken
    to be equal. Halves are rounded away from zero; those of uint8 values, which are positive, up.
    """

    kind = "AVERAGE_POOL_2D"
    shares_scale = True
    uint8 = True

    def evaluate(self, node: Node[Pool2DAttrs], inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        # x: (H, W, C), total and count: (OH, OW, C)
        x = inputs[0][0].astype(np.int64)
        total = sum(pooling.taps_of(node, x, 0), np.zeros((), np.int64))
        count = sum(pooling.taps_of(node, np.ones_like(x), 0), np.zeros((), np.int64))
        down = (count - int(node.attrs.uint8)) // 2  # what rounds negative sums
        mean = np.where(total > 0, (total + count // 2) // count, -((down - total) // count))
        return (fixed_point.clamp_int8(mean, *pooling.clamp_of(node))[None],)

    def variants(self, node: Node[Pool2DAttrs], target: Target) -> tuple[Variant, ...]:
        out, taps = node.output, self.taps(node)
        if pooling.is_global(node):
            inputs = node.input(0).elements
            portable = Variant("portable", state_bytes=4 * out.channels, code_bytes=216,
                               cost=6 * inputs + 25 * out.elements)
            dsp = replace(portable, name=DSP, code_bytes=440, cost=2 * inputs + 25 * out.elements)
            return (dsp, portable) if o.has_dsp(target) else (portable,)
        portable = Variant("portable", code_bytes=374, cost=8 * taps + 30 * out.elements)
        if not o.has_dsp(target) or taps > MOST_TAPS * out.elements:
            return (portable,)
        return (replace(portable, name=DSP, code_bytes=724, cost=3 * taps + 16 * out.elements),
                portable)

    def lower(self, node: Node[Pool2DAttrs], variant: Variant) -> Kernel:
        dsp = "_dsp" if variant.name == DSP else ""
        source = f"te_average_pool_2d{dsp}"
        if not pooling.is_global(node):
            return Kernel(source, "te_average_pool_2d_params",
                          (*pooling.rows_fields(node), ("halves_up", int(node.attrs.uint8))),
                          (source,))
        x = node.input(0)
        low, high = pooling.clamp_of(node)
        fields = (
            ("in_pitch", x.channels),
            ("channels", x.channels),
            ("count", x.rows * x.pixels),
            ("out_min", low),
            ("out_max", high),
            ("halves_up", int(node.attrs.uint8)),
        )
        return Kernel(f"te_average_pool_2d_global{dsp}", "te_average_pool_2d_global_params", fields,
                      (source,))


OPERATOR = AveragePool2D()
