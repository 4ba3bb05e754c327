# SPDX-License-Identifier: MIT
"""What AVERAGE_POOL_2D and MAX_POOL_2D have in common."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff import fixed_point
from tinyeff.ir import Array, Graph, Window
from tinyeff.ops import operator as o
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.operator import Node, Operator, Padding
from tinyeff.ops.weights import image_limits


@dataclass(frozen=True)
class Pool2DAttrs:
    """Pairs are (height, width). Rows and columns of the padding do not count.

    `uint8`: the file computes it in uint8, where averages round halves up.
    """

    filter: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: Padding = Padding()
    activation: str = "none"
    uint8: bool = False


def image_of(node: Node[Pool2DAttrs]) -> tuple[int, int]:
    """(height, width) of the input."""
    return node.input(0).shape[1], node.input(0).shape[2]


def is_global(node: Node[Pool2DAttrs]) -> bool:
    """True where one window covers the whole map, so that rows can be accumulated."""
    a, (height, width) = node.attrs, image_of(node)
    return (node.output.shape[1:3] == (1, 1)
            and a.filter[0] - a.padding.top >= height
            and a.filter[1] - a.padding.left >= width)


def taps_of(node: Node[Pool2DAttrs], image: Array, outside: int) -> Iterator[Array]:
    """For each position in the window, what all windows see there: (rows, columns, channels).

    `image` is (height, width, channels); what lies outside it is `outside`.
    """
    a, p = node.attrs, node.attrs.padding
    padded = np.pad(image, ((p.top, p.bottom), (p.left, p.right), (0, 0)), constant_values=outside)
    _, rows, columns, _ = Pool2D.shape_of(node)
    for ky in range(a.filter[0]):
        for kx in range(a.filter[1]):
            yield padded[ky:ky + (rows - 1) * a.stride[0] + 1:a.stride[0],
                         kx:kx + (columns - 1) * a.stride[1] + 1:a.stride[1]]


def rows_fields(node: Node[Pool2DAttrs]) -> tuple[tuple[str, int], ...]:
    """Parameters of the kernels that go row by row."""
    x, out, a = node.input(0), node.output, node.attrs
    low, high = clamp_of(node)
    return (
        ("in_width", x.pixels),
        ("in_pitch", x.channels),
        ("channels", x.channels),
        ("out_pitch", out.channels),
        ("filter_height", a.filter[0]),
        ("filter_width", a.filter[1]),
        ("stride_y", a.stride[0]),
        ("stride_x", a.stride[1]),
        ("pad_left", a.padding.left),
        ("out_min", low),
        ("out_max", high),
    )


def clamp_of(node: Node[Pool2DAttrs]) -> tuple[int, int]:
    """What the fused activation lets through."""
    assert node.output.quant is not None
    return fixed_point.activation_range(node.attrs.activation, node.output.quant)


class Pool2D(Operator[Pool2DAttrs]):
    """Everything but the arithmetic."""

    @staticmethod
    def shape_of(node: Node[Pool2DAttrs]) -> tuple[int, int, int, int]:
        """(1, rows, columns, channels) of the output."""
        a, (height, width) = node.attrs, image_of(node)
        rows = o.windows_along(height, a.filter[0], a.stride[0], 1,
                               a.padding.top + a.padding.bottom)
        columns = o.windows_along(width, a.filter[1], a.stride[1], 1,
                                  a.padding.left + a.padding.right)
        return node.input(0).shape[0], rows, columns, node.input(0).shape[3]

    def read(self, options: Any, node: Node[None]) -> Pool2DAttrs:
        shape = node.input(0).shape
        if len(shape) != 4:
            raise ValueError(f"input {shape} must have 4 dimensions")
        window = (options.filterHeight, options.filterWidth)
        stride = (options.strideH, options.strideW)
        padding = o.padding_of(options.padding, (shape[1], shape[2]), window, stride)
        activation = o.activation_name(options.fusedActivationFunction)
        uint8 = node.input(0).dtype == "uint8"
        return Pool2DAttrs(window, stride, padding, activation, uint8)

    def write(self, node: Node[Pool2DAttrs]) -> Any:
        a = node.attrs
        options = schema.Pool2DOptionsT()
        options.filterHeight, options.filterWidth = a.filter
        options.strideH, options.strideW = a.stride
        options.padding = o.scheme_of(a.padding, image_of(node), a.filter, a.stride)
        options.fusedActivationFunction = o.ACTIVATIONS.index(a.activation)
        return options

    def output_shapes(self, node: Node[Pool2DAttrs]) -> tuple[tuple[int, ...], ...]:
        return (self.shape_of(node),)

    def limits(self, node: Node[Pool2DAttrs]) -> Iterator[str]:
        a, p = node.attrs, node.attrs.padding
        yield from o.activation_limits(a.activation, node.output)
        yield from image_limits(node)
        if max(p.top, p.bottom) >= a.filter[0] or max(p.left, p.right) >= a.filter[1]:
            yield f"its padding {p} leaves windows of {a.filter} that see nothing of the image"
        if a.filter[0] * a.filter[1] >= 1 << 23:
            yield (f"its window {a.filter[0]}x{a.filter[1]} has more than {(1 << 23) - 1} taps, "
                   "too many for a sum of 32 bits")

    def form_of(self, node: Node[Pool2DAttrs]) -> str:
        return "accumulate" if is_global(node) else "rows"

    def window(self, node: Node[Pool2DAttrs], activation: int) -> Window:
        a = node.attrs
        return Window(a.filter[0], a.stride[0], -a.padding.top)

    def columns(self, node: Node[Pool2DAttrs], activation: int) -> Window:
        a = node.attrs
        return Window(a.filter[1], a.stride[1], -a.padding.left)

    def taps(self, node: Node[Pool2DAttrs]) -> int:
        """Values looked at, padding included: what the cost grows with."""
        return node.output.elements * node.attrs.filter[0] * node.attrs.filter[1]

    def cases(self) -> Iterator[Graph]:
        shapes = [  # height, width, channels, filter, stride, scheme
            ("plain", 6, 8, 5, (2, 2), (2, 2), o.VALID),
            ("same_odd", 7, 5, 3, (3, 3), (2, 2), o.SAME),
            ("same_dense", 5, 6, 17, (3, 2), (1, 1), o.SAME),
            ("wide_window", 4, 9, 2, (4, 5), (3, 1), o.SAME),
            ("gaps", 9, 10, 4, (2, 1), (3, 4), o.VALID),
            ("partial", 5, 5, 3, (3, 3), (5, 5), o.VALID),
            ("global", 25, 5, 6, (25, 5), (25, 5), o.VALID),
            ("global_same", 3, 4, 8, (9, 9), (9, 9), o.SAME),
            ("one_pixel", 1, 1, 3, (1, 1), (1, 1), o.SAME),
        ]
        for seed, (name, h, w, c, window, stride, scheme) in enumerate(shapes):
            for activation in o.FUSED if name in ("plain", "global") else ("none",):
                g = GraphBuilder(f"{self.kind.lower()}_{name}_{activation}", seed)
                x = g.input((1, h, w, c), 0.06, 3 * seed - 20)
                padding = o.padding_of(scheme, (h, w), window, stride)
                attrs = Pool2DAttrs(window, stride, padding, activation)
                yield g.graph(g.op(self.kind, [x], attrs, like=x))
