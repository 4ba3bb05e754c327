# SPDX-License-Identifier: MIT
"""MEAN over rows, pixels, channels or any of them together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff import fixed_point
from tinyeff.ir import Array, Graph, Kernel, Target, Variant, Window
from tinyeff.ops import operator as o
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.dsp_rounding import MOST_SHIFT
from tinyeff.ops.operator import Node, Operator

MAX_SUM = 1 << 30
"""What a shifted sum may reach, so that nothing after it leaves 32 bits."""


DSP = "dsp"
"""The variant for cores with the DSP extension, where channels are not averaged."""


@dataclass(frozen=True)
class MeanAttrs:
    """`axes` are dimensions of the input, not negative, ascending, without repetition.

    They may differ from the constant that the file holds: a TRANSPOSE may have been folded in.
    """

    axes: tuple[int, ...]
    keep_dims: bool = False


@dataclass(frozen=True)
class Over:
    """Which of the input's rows, pixels and channels are averaged."""

    rows: bool
    pixels: bool
    channels: bool


def over_of(node: Node[MeanAttrs]) -> Over:
    """What the axes mean to the kernels."""
    shape, axes = node.input(0).shape, node.attrs.axes
    rank = len(shape)
    rows = any(axis < rank - 2 and shape[axis] > 1 for axis in axes)
    return Over(rows, rank >= 2 and rank - 2 in axes, rank >= 1 and rank - 1 in axes)


def count_of(node: Node[MeanAttrs]) -> int:
    """How many values are averaged into one."""
    return math.prod(node.input(0).shape[axis] for axis in node.attrs.axes)


def shape_fields(node: Node[MeanAttrs]) -> tuple[tuple[str, int], ...]:
    """What the portable kernels of all reductions know of the shapes."""
    x, out, over = node.input(0), node.output, over_of(node)
    return (
        ("in_rows", x.rows),
        ("in_pixels", x.pixels),
        ("in_pitch", x.channels),
        ("in_channels", x.channels),
        ("out_pixels", out.pixels),
        ("out_pitch", out.channels),
        ("out_channels", out.channels),
        ("over_pixels", int(over.pixels)),
        ("over_channels", int(over.channels)),
    )


class Mean(Operator[MeanAttrs]):
    """Source of the arithmetic: reference_ops::QuantizedMeanOrSum of LiteRT.

    Where rows are averaged the kernel accumulates them. Where they are not, and the output has
    the same rows, it goes row by row; where dimensions fall away so that the output's rows are
    others, it takes the whole map.
    """

    kind = "MEAN"
    uint8 = True

    def scaling(self, node: Node[MeanAttrs]) -> tuple[int, int]:
        """(multiplier, shift) from a sum to a mean at the output's scale.

        LiteRT divides the multiplier by the count (rounding down) after shifting it left as far as
        the count has bits.
        """
        x, out, count = node.input(0).quant, node.output.quant, count_of(node)
        assert x is not None and out is not None
        multiplier, shift = fixed_point.quantize_multiplier(x.scale / out.scale)
        left = min(count.bit_length() - 1, 32, 31 + shift)
        return (multiplier << left) // count, shift - left

    def read(self, options: Any, node: Node[None]) -> MeanAttrs:
        rank = len(node.input(0).shape)
        axes = o.constant_ints(node, 1, "axes")
        for axis in axes:
            if not -rank <= axis < rank:
                raise ValueError(f"axis {axis} does not exist in its input of shape "
                                 f"{node.input(0).shape}")
        keep_dims = options is not None and bool(options.keepDims)
        return MeanAttrs(tuple(sorted({axis % rank for axis in axes})), keep_dims)

    def write(self, node: Node[MeanAttrs]) -> Any:
        if node.optional(1) is not None and self._constant_axes(node) != node.attrs.axes:
            raise ValueError(f"its axes {node.attrs.axes} differ from its constant input 1")
        options = schema.ReducerOptionsT()
        options.keepDims = node.attrs.keep_dims
        return options

    def _constant_axes(self, node: Node[MeanAttrs]) -> tuple[int, ...]:
        rank = len(node.input(0).shape)
        return tuple(sorted({axis % rank for axis in o.constant_ints(node, 1, "axes")}))

    def output_shapes(self, node: Node[MeanAttrs]) -> tuple[tuple[int, ...], ...]:
        shape, a = node.input(0).shape, node.attrs
        if any(not 0 <= axis < len(shape) for axis in a.axes):
            raise ValueError(f"axes {a.axes} do not exist in its input of shape {shape}")
        if a.keep_dims:
            return (tuple(1 if i in a.axes else n for i, n in enumerate(shape)),)
        return (tuple(n for i, n in enumerate(shape) if i not in a.axes),)

    def limits(self, node: Node[MeanAttrs]) -> Iterator[str]:
        x, axes = node.input(0), node.attrs.axes
        rows = [i for i, n in enumerate(x.shape[:-2]) if n > 1]
        if over_of(node).rows and not set(rows) <= set(axes):
            yield (f"it goes over some but not all of the dimensions {rows} of its input "
                   f"{x.shape}; of the dimensions before the last two, all or none are supported")
        if o.is_int8(x, node.output):
            yield from self.scale_limits(node)

    def scale_limits(self, node: Node[MeanAttrs]) -> Iterator[str]:
        """The limit sentences on the scales of an int8 node."""
        x = node.input(0)
        assert x.quant is not None
        largest = max(127 - x.quant.zero_point, x.quant.zero_point + 128, 128)
        reach = count_of(node) * largest << max(self.scaling(node)[1], 0)
        if reach > MAX_SUM:
            yield (f"its sum over {count_of(node)} values times 2**shift can reach {reach}, beyond "
                   f"{MAX_SUM}: take it in two steps, or give the output a larger scale")

    def evaluate(self, node: Node[MeanAttrs], inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        x_quant, out_quant = node.input(0).quant, node.output.quant
        assert x_quant is not None and out_quant is not None
        a = node.attrs
        total = np.asarray(inputs[0].astype(np.int64).sum(a.axes, keepdims=a.keep_dims))
        mean = fixed_point.multiply_by_quantized_multiplier(
            total - x_quant.zero_point * count_of(node), *self.scaling(node))
        return (fixed_point.clamp_int8(mean + out_quant.zero_point),)

    def form_of(self, node: Node[MeanAttrs]) -> str:
        x, out, over = node.input(0), node.output, over_of(node)
        if over.rows:
            return "accumulate"
        same_rows = (out.rows == x.rows
                     and out.pixels == (1 if over.pixels else x.pixels)
                     and out.channels == (1 if over.channels else x.channels))
        return "rows" if same_rows else "whole"

    def columns(self, node: Node[MeanAttrs], activation: int) -> Window:
        return Window(node.input(0).pixels, 0) if over_of(node).pixels else Window()

    def variants(self, node: Node[MeanAttrs], target: Target) -> tuple[Variant, ...]:
        form, out = self.form_of(node), node.output
        inputs = node.input(0).elements
        cost = 6 * inputs + 30 * out.elements
        if form == "accumulate":
            portable = Variant("portable", state_bytes=4 * out.elements, code_bytes=428, cost=cost)
        else:
            pixelwise = form == "rows" and not over_of(node).pixels
            portable = Variant("portable", code_bytes=402, cost=cost,
                               consumes=1 if pixelwise else 0)
        if not o.has_dsp(target) or form == "whole" or self._dsp_fields(node) is None:
            return (portable,)
        dsp = replace(portable, name=DSP, code_bytes=320 if form == "rows" else 392,
                      cost=2 * inputs + 18 * out.elements)
        return dsp, portable

    def _dsp_fields(self, node: Node[MeanAttrs]) -> tuple[tuple[str, int], ...] | None:
        """The parameters of the DSP kernel, or None where it does not apply.

        Halves are rounded away from zero as `tinyeff.ops.dsp_rounding` explains.
        """
        x, out, over = node.input(0), node.output, over_of(node)
        if not over.pixels or over.channels:
            return None
        fields = (("pixels", x.pixels), ("in_pitch", x.channels), ("channels", x.channels))
        if not o.is_int8(x, out):
            return fields
        assert x.quant is not None and out.quant is not None
        multiplier, shift = self.scaling(node)
        if not 1 <= -shift <= MOST_SHIFT or 256 * count_of(node) >= MAX_SUM:
            return None
        constant = (1 << -shift - 1) + (out.quant.zero_point << -shift)
        return (*fields, ("offset", x.quant.zero_point * count_of(node)),
                ("multiplier", multiplier), ("constant", constant), ("shift", -shift))

    def lower(self, node: Node[MeanAttrs], variant: Variant) -> Kernel:
        if variant.name == DSP:
            dsp_fields = self._dsp_fields(node)
            assert dsp_fields is not None
            rows = self.form_of(node) == "rows"
            return Kernel("te_mean_dsp" if rows else "te_mean_accumulate_dsp",
                          "te_mean_dsp_params", dsp_fields, ("te_mean_dsp",))
        x, out = node.input(0), node.output
        assert x.quant is not None and out.quant is not None
        multiplier, shift = self.scaling(node)
        fields = (
            *shape_fields(node),
            ("offset", x.quant.zero_point * count_of(node)),
            ("multiplier", multiplier),
            ("shift", shift),
            ("out_zero_point", out.quant.zero_point),
        )
        function = {"rows": "te_mean", "accumulate": "te_mean_accumulate",
                    "whole": "te_mean_whole"}[self.form_of(node)]
        return Kernel(function, "te_mean_params", fields, ("te_mean",))

    def cases(self) -> Iterator[Graph]:
        cases: list[tuple[str, tuple[int, ...], tuple[int, ...], bool, float]] = [
            # name, input shape, axes, keep_dims, output scale (input: 0.05)
            ("global", (1, 5, 4, 7), (1, 2), False, 0.05),
            ("global_keep", (1, 3, 3, 5), (2, 1), True, 0.03),
            ("rows", (1, 6, 3, 4), (1,), False, 0.05),
            ("rows_keep", (1, 6, 3, 4), (1,), True, 0.04),
            ("pixels", (1, 3, 5, 6), (2,), False, 0.05),
            ("pixels_keep", (1, 3, 5, 6), (2,), True, 0.02),
            ("channels", (1, 4, 3, 9), (3,), False, 0.03),
            ("channels_keep", (1, 4, 3, 9), (-1,), True, 0.05),
            ("pixels_channels", (1, 4, 3, 9), (2, 3), False, 0.01),
            ("pixels_channels_keep", (1, 4, 3, 9), (2, 3), True, 0.01),
            ("rows_channels", (1, 4, 3, 9), (1, 3), False, 0.02),
            ("rows_channels_keep", (1, 4, 3, 9), (1, 3), True, 0.02),
            ("everything", (1, 4, 3, 9), (0, 1, 2, 3), False, 0.005),
            ("torch_height", (1, 8, 3, 3), (2,), False, 0.05),
            ("torch_width", (1, 8, 3), (2,), False, 0.05),
            ("sequence", (1, 7, 6), (1,), False, 0.04),
            ("one_row", (1, 1, 5, 6), (3,), False, 0.04),
            ("vector", (1, 12), (1,), True, 0.02),
            ("nothing", (1, 2, 3, 4), (0,), True, 0.07),
            ("five", (1, 2, 3, 4, 5), (1, 2), False, 0.03),
            ("magnifies", (1, 2, 2, 3), (1, 2), False, 1e-5),
            ("vanishes", (1, 2, 2, 3), (1, 2), False, 1e8),
        ]
        for seed, (name, shape, axes, keep_dims, scale) in enumerate(cases):
            g = GraphBuilder(f"{self.kind.lower()}_{name}", seed)
            x = g.input(shape, 0.05, 7 * seed - 80)
            axis = g.constant(np.array(axes, np.int32))
            attrs = MeanAttrs(tuple(sorted(a % len(shape) for a in axes)), keep_dims)
            yield self.case(g, [x, axis], attrs, scale, 20 - 5 * seed)

    def case(
        self, g: GraphBuilder, inputs: list[int | None], attrs: MeanAttrs, scale: float,
        zero_point: int,
    ) -> Graph:
        """One of the cases, for an output of this scale and zero point."""
        return g.graph(g.op(self.kind, inputs, attrs, scale, zero_point))


OPERATOR = Mean()
