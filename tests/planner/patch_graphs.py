# SPDX-License-Identifier: MIT
"""Graphs with a patch stage: fakes with windows along both axes, and real operators for code."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from tests.planner.fakes import PIXELS, PLAIN, FakeAttrs, Net
from tinyeff.ir import Graph, Variant, Window
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.conv_2d import Conv2DAttrs
from tinyeff.ops.elementwise import ElementwiseAttrs
from tinyeff.ops.operator import Padding
from tinyeff.ops.pooling import Pool2DAttrs

TWO_ROWS = Variant("two rows", rows_per_call=2, scratch_bytes=6)


class TiledNet(Net):
    """Fakes whose columns follow windows as their rows do."""

    def window(
        self, x: int, channels: int, rows: Window, columns: Window, size: tuple[int, int],
        variants: tuple[Variant, ...] = (PLAIN,), outputs: int = 1,
    ) -> int:
        """An operator over any windows; returns its first output."""
        ys = [self.tensor(1, *size, channels) for _ in range(outputs)]
        macs = size[0] * size[1] * channels * rows.count * columns.count
        self.op([x], ys, FakeAttrs("rows", (rows,), macs, (columns,)), variants)
        return ys[0]

    def square(self, x: int, channels: int, kernel: int = 3, stride: int = 1) -> int:
        """A convolution with SAME padding for odd sizes of images."""
        _, height, width, _ = self.tensors[x].shape
        window = Window(kernel, stride, -(kernel // 2))
        size = -(-height // stride), -(-width // stride)
        return self.window(x, channels, window, window, size)


@dataclass(frozen=True)
class Shape:
    """What a random operator does to a size."""

    window: Window
    size: int


@st.composite
def _along(draw: st.DrawFn, size: int) -> Shape:
    """Windows that may begin before the image, end behind it, leave gaps or lie outside."""
    step = draw(st.sampled_from([1, 1, 2, 3]))
    window = Window(draw(st.integers(1, 4)), step, draw(st.integers(-3, 1)))
    most = max(1, -(-size // step))
    return Shape(window, draw(st.integers(max(1, most - 1), most)))


@st.composite
def patch_graphs(draw: st.DrawFn) -> Graph:
    """Up to seven operators that can go patch by patch, then some that cannot."""
    net = TiledNet()
    size = draw(st.integers(2, 9)), draw(st.integers(2, 9))
    values = [net.input(1, *size, draw(st.integers(1, 3)))]
    for _ in range(draw(st.integers(2, 7))):
        x = draw(st.sampled_from(values[-2:]))
        alike = [v for v in values if net.tensors[v].shape == net.tensors[x].shape]
        kernels = draw(st.sampled_from([(PLAIN,), (TWO_ROWS,), (PLAIN, TWO_ROWS)]))
        if draw(st.booleans()):
            y = draw(st.sampled_from(alike))
            net.add(x, y, variants=draw(st.sampled_from([(PLAIN,), (PIXELS,)])))
        else:
            rows, columns = (draw(_along(n)) for n in net.tensors[x].shape[1:3])
            net.window(x, draw(st.integers(1, 3)), rows.window, columns.window,
                       (rows.size, columns.size), kernels, draw(st.sampled_from([1, 1, 1, 2])))
        values.append(net.ops[-1].outputs[0])
    x = values[-1]
    outputs = draw(st.lists(st.sampled_from(values[1:]), max_size=1))
    if draw(st.booleans()):
        x = net.mean(net.whole(x))
    return net.graph(x, *outputs)


@st.composite
def real_graphs(draw: st.DrawFn) -> Graph:
    """Convolutions, pools and additions with any padding, then a mean or nothing."""
    g = GraphBuilder("random", draw(st.integers(0, 1 << 16)))
    size = draw(st.integers(5, 13)), draw(st.integers(5, 13))
    values = [g.input((1, *size, draw(st.integers(1, 3))), 0.05, draw(st.integers(-9, 9)))]
    for _ in range(draw(st.integers(2, 6))):
        x = values[-1]
        alike = [v for v in values[:-1] if g.tensor(v).shape == g.tensor(x).shape]
        kind = draw(st.sampled_from(["conv", "depthwise", "pool", "add"]))
        if kind == "add" and alike:
            y = g.op("ADD", [x, draw(st.sampled_from(alike))], ElementwiseAttrs(), 0.07, 3)
        else:
            y = _windowed(draw, g, x, kind)
        values.append(y)
    return g.graph(values[-1])


def _windowed(draw: st.DrawFn, g: GraphBuilder, x: int, kind: str) -> int:
    """A convolution or a pool; the padding of one may be wider than its kernel."""
    _, height, width, channels = g.tensor(x).shape
    kernel = draw(st.sampled_from([(1, 1), (3, 3), (3, 3), (2, 3), (5, 5)]))
    kernel = min(kernel[0], height), min(kernel[1], width)
    stride = draw(st.sampled_from([(1, 1), (1, 1), (2, 2), (1, 2)]))
    if kind == "pool":
        same = Padding(*((n - 1) // 2 for n in (kernel[0], kernel[0], kernel[1], kernel[1])))
        name = draw(st.sampled_from(["MAX_POOL_2D", "AVERAGE_POOL_2D"]))
        return g.op(name, [x], Pool2DAttrs(kernel, stride, same), like=x)
    pads = st.integers(0, draw(st.sampled_from([1, 1, 4])))
    attrs = Conv2DAttrs(stride, (1, 1), Padding(draw(pads), draw(pads), draw(pads), draw(pads)))
    if kind == "depthwise":
        weights = g.random_weights((1, *kernel, channels), 3)
        kind = "DEPTHWISE_CONV_2D"
    else:
        channels = draw(st.sampled_from([channels, 1, 5, 8]))
        weights = g.random_weights((channels, *kernel, g.tensor(x).channels), 0)
        kind = "CONV_2D"
    return g.op(kind, [x, weights, g.random_bias(channels, x, weights)], attrs, 0.2, -4)


def random_inputs(graph: Graph, seed: int = 1) -> list[np.ndarray]:
    """Bytes for every input of a graph of fakes."""
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, graph.tensors[i].elements, dtype=np.uint8) for i in graph.inputs]
