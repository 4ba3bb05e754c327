# SPDX-License-Identifier: MIT
"""RESIZE_BILINEAR: every output value interpolates between two rows and two columns.

Positions are in units of 1/1024 pixel, so that the rows that an output row needs are exactly a
`Window`: the row at or above the position, and the next. A row outside the image is a null pointer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff.ir import Array, Graph, Kernel, Target, Variant, Window
from tinyeff.ops import operator as o
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.operator import Node, Operator
from tinyeff.ops.weights import image_limits

ONE = 1 << 10
"""A whole pixel."""

MAX_SCALE = 32767
"""Steps of a window are kept in 16 bits."""


@dataclass(frozen=True)
class ResizeBilinearAttrs:
    """`size` is (height, width) of the output; the flags choose where pixels are sampled."""

    size: tuple[int, int]
    align_corners: bool = False
    half_pixel_centers: bool = False


@dataclass(frozen=True)
class _Axis:
    """Output position i lies at (i * scale + offset) / ONE among `before` input positions."""

    before: int
    after: int
    scale: int
    offset: int

    @property
    def window(self) -> Window:
        return Window(2, self.scale, self.offset, ONE)

    def positions(self) -> tuple[Array, Array, Array]:
        """For each output position the two input positions, and the weight of the second."""
        scaled = np.arange(self.after) * self.scale + self.offset
        # The division rounds towards zero, which matters to positions before the first.
        first = np.maximum(np.trunc(scaled / ONE).astype(np.int64), 0)
        second = np.minimum(np.trunc((scaled + ONE - 1) / ONE).astype(np.int64), self.before - 1)
        return first, second, scaled - ONE * first


def _axes(node: Node[ResizeBilinearAttrs]) -> tuple[_Axis, _Axis]:
    """Rows and columns. Source: ResizeBilinearInteger of LiteRT."""
    a = node.attrs

    def axis(before: int, after: int) -> _Axis:
        numerator, denominator = before, after
        if a.align_corners and after > 1:
            numerator, denominator = before - 1, after - 1
        scale = (ONE * numerator + denominator // 2) // denominator
        return _Axis(before, after, scale, scale // 2 - ONE // 2 if a.half_pixel_centers else 0)

    shape = node.input(0).shape
    return axis(shape[1], a.size[0]), axis(shape[2], a.size[1])


class ResizeBilinear(Operator[ResizeBilinearAttrs]):
    """Source of the arithmetic: reference_ops::ResizeBilinearInteger of LiteRT.

    It multiplies by weights of 10 bits and rounds once, halves away from zero.
    """

    kind = "RESIZE_BILINEAR"
    shares_scale = True

    def read(self, options: Any, node: Node[None]) -> ResizeBilinearAttrs:
        if len(node.input(0).shape) != 4:
            raise ValueError(f"input {node.input(0).shape} must have 4 dimensions")
        size = o.constant_ints(node, 1, "size")
        if len(size) != 2 or min(size) < 1:
            raise ValueError(f"size {list(size)} must be two numbers of at least 1")
        return ResizeBilinearAttrs((size[0], size[1]), bool(options.alignCorners),
                                   bool(options.halfPixelCenters))

    def write(self, node: Node[ResizeBilinearAttrs]) -> Any:
        o.check_constant_ints(node, 1, "size", node.attrs.size)
        options = schema.ResizeBilinearOptionsT()
        options.alignCorners = node.attrs.align_corners
        options.halfPixelCenters = node.attrs.half_pixel_centers
        return options

    def output_shapes(self, node: Node[ResizeBilinearAttrs]) -> tuple[tuple[int, ...], ...]:
        x = node.input(0).shape
        return ((x[0], *node.attrs.size, x[3]),)

    def limits(self, node: Node[ResizeBilinearAttrs]) -> Iterator[str]:
        yield from image_limits(node)
        if node.attrs.align_corners and node.attrs.half_pixel_centers:
            yield "it aligns corners and has half-pixel centers; TFLite allows one of the two"
        for what, axis in zip(("rows", "columns"), _axes(node), strict=True):
            if axis.scale > MAX_SCALE:
                yield (f"it shrinks {axis.before} {what} to {axis.after}; down to one in "
                       f"{MAX_SCALE // ONE} is supported")
            elif axis.positions()[0][-1] >= axis.before:
                yield (f"with weights of 10 bits its {axis.after} {what} reach beyond the "
                       f"{axis.before} of its input; resize in two steps")

    def evaluate(
        self, node: Node[ResizeBilinearAttrs], inputs: tuple[Array, ...]
    ) -> tuple[Array, ...]:
        # x: (H, W, C), rows: (OH, W, C), total: (OH, OW, C)
        rows, columns = _axes(node)
        x = inputs[0][0].astype(np.int64)
        top, bottom, down = rows.positions()
        down = down[:, None, None]
        mixed = x[top] * (ONE - down) + x[bottom] * down
        left, right, weight = columns.positions()
        weight = weight[None, :, None]
        total = mixed[:, left] * (ONE - weight) + mixed[:, right] * weight
        half = ONE * ONE // 2
        rounded = np.sign(total) * ((np.abs(total) + half) // (ONE * ONE))
        return (rounded.astype(np.int8)[None],)

    def window(self, node: Node[ResizeBilinearAttrs], activation: int) -> Window:
        return _axes(node)[0].window

    def columns(self, node: Node[ResizeBilinearAttrs], activation: int) -> Window:
        return _axes(node)[1].window

    def variants(self, node: Node[ResizeBilinearAttrs], target: Target) -> tuple[Variant, ...]:
        return (Variant("portable", code_bytes=380, cost=24 * node.output.elements),)

    def lower(self, node: Node[ResizeBilinearAttrs], variant: Variant) -> Kernel:
        rows, columns = _axes(node)
        fields = (
            ("y_scale", rows.scale),
            ("y_offset", rows.offset),
            ("x_scale", columns.scale),
            ("x_offset", columns.offset),
            ("in_width", node.input(0).pixels),
            ("in_pitch", node.input(0).channels),
            ("out_pitch", node.output.channels),
            ("channels", node.output.channels),
        )
        return Kernel("te_resize_bilinear", "te_resize_bilinear_params", fields,
                      ("te_resize_bilinear",))

    def cases(self) -> Iterator[Graph]:
        cases = [  # name, input, output, align_corners, half_pixel_centers
            ("double", (3, 4), (6, 8), False, False),
            ("double_half_pixel", (3, 4), (6, 8), False, True),
            ("double_align", (3, 4), (6, 8), True, False),
            ("odd", (5, 7), (11, 3), False, True),
            ("shrink", (9, 10), (4, 3), False, False),
            ("shrink_half_pixel", (9, 10), (4, 3), False, True),
            ("much", (31, 62), (1, 2), False, True),
            ("same", (3, 4), (3, 4), False, True),
            ("one", (1, 1), (3, 4), True, False),
            ("to_one", (4, 5), (1, 1), True, False),
            ("large", (2, 3), (97, 61), False, True),
        ]
        for name, before, after, align_corners, half_pixel_centers in cases:
            g = GraphBuilder(f"resize_bilinear_{name}")
            x = g.input((1, *before, 5), 0.1, 9)
            size = g.constant(np.array(after, np.int32))
            attrs = ResizeBilinearAttrs(after, align_corners, half_pixel_centers)
            yield g.graph(g.op(self.kind, [x, size], attrs, like=x))


OPERATOR = ResizeBilinear()
