# SPDX-License-Identifier: MIT
"""RESIZE_NEAREST_NEIGHBOR: every output pixel is a copy of one input pixel.

LiteRT finds that pixel in float32, where (y + 0.5) * scale may fall on either side of an integer.
Its choice is worked out here, once: a table of columns, and for rows a `Window` that gives the row
itself. Where rounding errors leave the pattern of floor((y * step + offset) / divisor), the window
is made as many rows taller as needed and a table says which of its rows is meant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff.ir import Array, ConstArray, Graph, Kernel, Target, Variant, Window
from tinyeff.ops import operator as o
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.operator import Node, Operator
from tinyeff.ops.weights import image_limits

MAX_WIDTH = 1 << 16
"""Columns are kept in 16 bits."""


@dataclass(frozen=True)
class ResizeNearestNeighborAttrs:
    """`size` is (height, width) of the output; the flags choose where pixels are sampled."""

    size: tuple[int, int]
    align_corners: bool = False
    half_pixel_centers: bool = False


def nearest(before: int, after: int, align_corners: bool, half_pixel_centers: bool) -> Array:
    """For each of `after` positions the input position it copies, int64 of shape (after,).

    Source: GetNearestNeighbor of LiteRT; all steps are in float32.
    """
    if align_corners and after > 1:
        scale = np.float32(before - 1) / np.float32(after - 1)
    else:
        scale = np.float32(before) / np.float32(after)
    offset = np.float32(0.5 if half_pixel_centers else 0.0)
    position = (np.arange(after).astype(np.float32) + offset) * scale
    if align_corners:
        # The sum with 0.5 is exact in float64, where in float32 it might round up.
        position = np.floor(position.astype(np.float64) + 0.5)
    result: Array = np.minimum(np.floor(position).astype(np.int64), before - 1)
    return result


def _ideal(before: int, after: int, align_corners: bool, half_pixel_centers: bool) -> Window:
    """The rule of `nearest` in exact arithmetic, as far as it goes without clamping."""
    numerator, denominator = before, after
    if align_corners and after > 1:
        numerator, denominator = before - 1, after - 1
    step, divisor = 2 * numerator, 2 * denominator
    offset = (numerator if half_pixel_centers else 0) + (denominator if align_corners else 0)
    return Window(1, step, offset, divisor)


def fitted(positions: Array, ideal: Window) -> Window:
    """The window with the pattern of `ideal` that holds every position; count 1 if it can."""
    first = np.array([ideal.first(y) for y in range(len(positions))])
    low, high = int((positions - first).min()), int((positions - first).max())
    return Window(high - low + 1, ideal.step, ideal.offset + low * ideal.divisor, ideal.divisor)


def _rows(node: Node[ResizeNearestNeighborAttrs]) -> Array:
    a = node.attrs
    return nearest(node.input(0).shape[1], a.size[0], a.align_corners, a.half_pixel_centers)


def _columns(node: Node[ResizeNearestNeighborAttrs]) -> Array:
    a = node.attrs
    return nearest(node.input(0).shape[2], a.size[1], a.align_corners, a.half_pixel_centers)


class ResizeNearestNeighbor(Operator[ResizeNearestNeighborAttrs]):
    """Source: reference_ops::ResizeNearestNeighbor of LiteRT."""

    kind = "RESIZE_NEAREST_NEIGHBOR"
    shares_scale = True
    uint8 = True

    def read(self, options: Any, node: Node[None]) -> ResizeNearestNeighborAttrs:
        if len(node.input(0).shape) != 4:
            raise ValueError(f"input {node.input(0).shape} must have 4 dimensions")
        size = o.constant_ints(node, 1, "size")
        if len(size) != 2 or min(size) < 1:
            raise ValueError(f"size {list(size)} must be two numbers of at least 1")
        return ResizeNearestNeighborAttrs((size[0], size[1]), bool(options.alignCorners),
                                          bool(options.halfPixelCenters))

    def write(self, node: Node[ResizeNearestNeighborAttrs]) -> Any:
        o.check_constant_ints(node, 1, "size", node.attrs.size)
        options = schema.ResizeNearestNeighborOptionsT()
        options.alignCorners = node.attrs.align_corners
        options.halfPixelCenters = node.attrs.half_pixel_centers
        return options

    def output_shapes(self, node: Node[ResizeNearestNeighborAttrs]) -> tuple[tuple[int, ...], ...]:
        x = node.input(0).shape
        return ((x[0], *node.attrs.size, x[3]),)

    def limits(self, node: Node[ResizeNearestNeighborAttrs]) -> Iterator[str]:
        yield from image_limits(node)
        if node.input(0).shape[2] > MAX_WIDTH:
            yield f"its input is {node.input(0).shape[2]} pixels wide; at most {MAX_WIDTH} can be"

    def evaluate(
        self, node: Node[ResizeNearestNeighborAttrs], inputs: tuple[Array, ...]
    ) -> tuple[Array, ...]:
        return (inputs[0][:, _rows(node)][:, :, _columns(node)],)

    def window(self, node: Node[ResizeNearestNeighborAttrs], activation: int) -> Window:
        a = node.attrs
        ideal = _ideal(node.input(0).shape[1], a.size[0], a.align_corners, a.half_pixel_centers)
        return fitted(_rows(node), ideal)

    def columns(self, node: Node[ResizeNearestNeighborAttrs], activation: int) -> Window:
        a = node.attrs
        ideal = _ideal(node.input(0).shape[2], a.size[1], a.align_corners, a.half_pixel_centers)
        return fitted(_columns(node), ideal)

    def variants(
        self, node: Node[ResizeNearestNeighborAttrs], target: Target
    ) -> tuple[Variant, ...]:
        rows, columns = node.attrs.size
        const_bytes = 2 * columns + (rows if self.window(node, 0).count > 1 else 0)
        return (Variant("portable", const_bytes=const_bytes, code_bytes=116,
                        cost=5 * node.output.elements),)

    def lower(self, node: Node[ResizeNearestNeighborAttrs], variant: Variant) -> Kernel:
        window = self.window(node, 0)
        first = np.array([window.first(y) for y in range(node.attrs.size[0])])
        row: int | ConstArray = 0
        if window.count > 1:
            row = ConstArray("uint8_t", (_rows(node) - first).astype(np.uint8))
        fields = (
            ("columns", ConstArray("uint16_t", _columns(node).astype(np.uint16))),
            ("row", row),
            ("in_pitch", node.input(0).channels),
            ("out_pitch", node.output.channels),
            ("channels", node.output.channels),
        )
        return Kernel("te_resize_nearest_neighbor", "te_resize_nearest_neighbor_params", fields,
                      ("te_resize_nearest_neighbor",))

    def cases(self) -> Iterator[Graph]:
        cases = [  # name, input, output, align_corners, half_pixel_centers
            ("double", (3, 4), (6, 8), False, False),
            ("half_pixel", (3, 4), (7, 5), False, True),
            ("align", (4, 3), (7, 8), True, False),
            ("align_half_pixel", (4, 3), (7, 8), True, True),
            ("shrink", (9, 10), (4, 3), False, True),
            ("odd", (5, 7), (11, 3), False, False),
            ("rounding", (2, 16), (41, 47), False, True),
            ("rounding_align", (8, 14), (47, 23), True, False),
            ("clamped", (3, 3), (2, 5), True, True),
            ("one", (1, 1), (3, 4), True, False),
            ("to_one", (4, 5), (1, 1), True, True),
        ]
        for name, before, after, align_corners, half_pixel_centers in cases:
            g = GraphBuilder(f"resize_nearest_neighbor_{name}")
            x = g.input((1, *before, 5), 0.1, 9)
            size = g.constant(np.array(after, np.int32))
            attrs = ResizeNearestNeighborAttrs(after, align_corners, half_pixel_centers)
            yield g.graph(g.op("RESIZE_NEAREST_NEIGHBOR", [x, size], attrs, like=x))


OPERATOR = ResizeNearestNeighbor()
