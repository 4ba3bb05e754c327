# SPDX-License-Identifier: MIT
"""Hypothesis strategies: small graphs of fakes with every form, window and kind of variant, and
taller ones that are worth streaming."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.planner.fakes import FakeAttrs, Net
from tinyeff.ir import Graph, Variant, Window

SMALL = st.integers(1, 5)
MOST_VALUES = 8192
"""Of a tall map. A view that makes columns of channels and a convolution that adds channels make a
map 24 times as large; after a few of these, one plan takes minutes to replay."""


@st.composite
def variants(draw: st.DrawFn, one_loop: bool = True) -> tuple[Variant, ...]:
    """One to three kernels; some with scratch memory, several rows per call, or promises."""
    found = []
    for n in range(draw(st.integers(1, 3))):
        found.append(Variant(
            f"v{n}",
            rows_per_call=draw(st.sampled_from([1, 1, 2, 3])) if one_loop else 1,
            scratch_bytes=draw(st.sampled_from([0, 0, 1, 10])),
            cost=draw(st.integers(0, 3)),
            consumes=draw(st.sampled_from([0, 1, 4])) if one_loop else 0,
            flat=one_loop and draw(st.booleans()),
        ))
    return tuple(found)


@st.composite
def windows(draw: st.DrawFn, source_rows: int, rows: int) -> Window:
    """Any window that reads something, among them up-sampling, broadcasting and gaps."""
    kind = draw(st.sampled_from(["any", "same", "whole", "up"]))
    if kind == "same":
        return Window()
    if kind == "whole":
        return Window(source_rows, 0)
    if kind == "up":
        return Window(draw(SMALL), 1, draw(st.integers(-2, 1)), 2)
    return Window(draw(SMALL), draw(st.integers(0, 3)), draw(st.integers(-3, 2)))


@st.composite
def graphs(draw: st.DrawFn, most_ops: int = 9) -> Graph:
    """A graph with up to `most_ops` operators, several inputs and outputs."""
    net = Net()
    dtype = draw(st.sampled_from(["int8", "int8", "float32"]))
    values = [net.input(1, draw(SMALL), draw(SMALL), draw(SMALL), dtype=dtype)
              for _ in range(draw(st.integers(1, 2)))]
    for _ in range(draw(st.integers(1, most_ops))):
        recent = st.sampled_from(values[-3:] + values[:1])
        kind = draw(st.sampled_from(["rows", "rows", "rows", "add", "view", "mean", "whole"]))
        x = draw(recent)
        if kind == "rows":
            values += _rows(draw, net, [x], dtype)
        elif kind == "add":
            alike = [v for v in values if net.tensors[v].shape == net.tensors[x].shape]
            values.append(net.add(x, draw(st.sampled_from(alike)), variants=draw(variants())))
        elif kind == "view":
            values.append(net.tensor(1, net.tensors[x].elements, dtype=net.tensors[x].dtype))
            net.op([x], [values[-1]], FakeAttrs("view"))
        elif kind == "mean":
            values.append(net.mean(x))
        else:
            values.append(net.whole(x, draw(recent)))
    outputs = draw(st.lists(st.sampled_from(values), min_size=1, max_size=3))
    return net.graph(*outputs, values[-1])


def _rows(draw: st.DrawFn, net: Net, xs: list[int], dtype: str) -> list[int]:
    """An operator of form "rows" with one or two outputs of the same height."""
    source = net.tensors[xs[0]]
    rows = draw(st.sampled_from([source.rows, draw(SMALL)]))
    pixels = draw(st.sampled_from([source.pixels, draw(SMALL)]))
    wide = "int32" if draw(st.integers(0, 9)) == 0 else dtype
    outputs = [net.tensor(1, rows, pixels, draw(SMALL), dtype=wide)
               for _ in range(draw(st.sampled_from([1, 1, 2])))]
    window = draw(windows(source.rows, rows))
    net.op(xs, outputs, FakeAttrs("rows", (window,)), draw(variants()))
    return outputs


@st.composite
def tall_graphs(draw: st.DrawFn, most_ops: int = 8) -> Graph:
    """Maps of many rows in a mostly straight line, with skips, strides, stretching, pooling in the
    middle and outputs anywhere: what a streamed segment must get right."""
    net = Net(columns=True)
    channels = st.sampled_from([1, 2, 8, 24])
    x = net.input(1, draw(st.integers(4, 12)), draw(st.integers(1, 9)), draw(channels))
    values = [x]
    for _ in range(draw(st.integers(2, most_ops))):
        x = draw(st.sampled_from([values[-1]] * 4 + values[-4:]))
        kind = draw(st.sampled_from(
            ["conv", "conv", "conv", "depthwise", "add", "odd", "up", "scale", "view", "whole"]))
        values += _tall(draw, net, kind, x, values, draw(channels))
    extra = draw(st.lists(st.sampled_from(values[1:]), max_size=1))
    if draw(st.booleans()):
        values.append(net.dense(net.mean(values[-1]), 3))
    return net.graph(values[-1], *extra)


@st.composite
def block_graphs(draw: st.DrawFn) -> Graph:
    """Inverted residual blocks, wide enough for tiles: what segments may recompute."""
    net = Net(columns=True)
    x = net.input(1, draw(st.integers(4, 11)), draw(st.integers(5, 12)), 2)
    if draw(st.booleans()):
        x = net.conv(x, 2, 3)
    for _ in range(draw(st.integers(1, 3))):
        kernel, stride = draw(st.sampled_from([(3, 1), (3, 1), (3, 2), (5, 1), (5, 2), (2, 2)]))
        wide = net.conv(x, draw(st.sampled_from([4, 9])))
        if draw(st.booleans()) and draw(st.booleans()):
            wide = net.view(wide, *net.tensors[wide].shape)
        y = net.conv(net.depthwise(wide, kernel, stride), 2)
        alike = net.tensors[y].shape == net.tensors[x].shape
        x = net.add(x, y) if alike and draw(st.booleans()) else y
    return net.graph(net.dense(net.mean(x), 3) if draw(st.booleans()) else x)


def _tall(
    draw: st.DrawFn, net: Net, kind: str, x: int, values: list[int], channels: int
) -> list[int]:
    """One operator more; its outputs."""
    source = net.tensors[x]
    kernel, stride = draw(st.sampled_from([(1, 1), (1, 1), (3, 1), (3, 2), (5, 1), (2, 2), (1, 2)]))
    channels = max(1, min(channels, MOST_VALUES // (source.rows * source.pixels)))
    if len(source.shape) < 4 and kind in ("conv", "depthwise"):
        kind = "odd"
    if kind == "conv":
        return [net.conv(x, channels, kernel, stride, variants=draw(variants()))]
    if kind == "depthwise":
        return [net.depthwise(x, 3, stride)]
    if kind == "add":
        alike = [v for v in values if net.tensors[v].shape == source.shape]
        return [net.add(x, draw(st.sampled_from(alike)), variants=draw(variants()))]
    if kind == "up" and source.rows <= 12 and 4 * source.elements <= MOST_VALUES:
        y = net.tensor(1, 2 * source.rows, 2 * source.pixels, source.channels)
        attrs = FakeAttrs("rows", (Window(1, 1, 0, 2),), columns=(Window(1, 1, 0, 2),))
        net.op([x], [y], attrs)
        return [y]
    if kind == "scale":  # squeeze and excite: every pixel times what was pooled of the whole map
        pooled = net.dense(net.mean(x), source.channels)
        y = net.tensor(*source.shape)
        attrs = FakeAttrs("rows", (Window(), Window(1, 0)), columns=(Window(), Window(1, 0)))
        net.op([x, pooled], [y], attrs, draw(variants()))
        return [y]
    if kind == "view":
        rows, pixels, channels = source.rows, source.pixels, source.channels
        return [net.view(x, *draw(st.sampled_from([
            (1, rows, pixels, channels), (1, rows, 1, pixels * channels), (1, source.elements),
            (1, rows, pixels * channels, 1), (1, 1, rows, pixels * channels),
            (1, rows * pixels, 1, channels), (1, pixels, rows, channels)])))]
    if kind == "whole":
        return [net.whole(x)]
    return _rows(draw, net, [x], source.dtype)
