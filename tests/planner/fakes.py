# SPDX-License-Identifier: MIT
"""Operators that are nothing but shapes and access rules, and networks made of them.

The planner sees of an operator its form, its windows and its variants; here tests set these
directly. Use with the fixture `fakes` of conftest.py, which registers the operator.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyeff.ir import Array, Graph, Kernel, Op, Source, Target, Tensor, Variant, Window
from tinyeff.ops.operator import SAME, Node, Operator, padding_of

KIND = "FAKE"
PLAIN = Variant("plain")
FLAT = Variant("plain", flat=True)
PIXELS = Variant("plain", flat=True, consumes=1)


@dataclass(frozen=True)
class FakeAttrs:
    """What the planner will be told; `windows` has one entry per activation.

    `columns` may be shorter: what is not there is the same pixel for a window of the same row of a
    map as wide as the output, else all pixels.
    """

    form: str = "rows"
    windows: tuple[Window, ...] = (Window(),)
    macs: int = 0
    columns: tuple[Window, ...] = ()


class Fake(Operator[FakeAttrs]):
    """Computes nothing."""

    kind = KIND

    def read(self, options: Any, node: Node[None]) -> FakeAttrs:
        raise NotImplementedError

    def write(self, node: Node[FakeAttrs]) -> Any:
        raise NotImplementedError

    def output_shapes(self, node: Node[FakeAttrs]) -> tuple[tuple[int, ...], ...]:
        return tuple(t.shape for t in node.outputs)

    def limits(self, node: Node[FakeAttrs]) -> Iterator[str]:
        return iter(())

    def evaluate(self, node: Node[FakeAttrs], inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        raise NotImplementedError

    def macs(self, node: Node[FakeAttrs]) -> int:
        return node.attrs.macs

    def form_of(self, node: Node[FakeAttrs]) -> str:
        return node.attrs.form

    def window(self, node: Node[FakeAttrs], activation: int) -> Window:
        return node.attrs.windows[activation]

    def columns(self, node: Node[FakeAttrs], activation: int) -> Window:
        if activation < len(node.attrs.columns):
            return node.attrs.columns[activation]
        as_wide = node.activations[activation].pixels == node.output.pixels
        if node.attrs.windows[activation] == Window() and as_wide:
            return Window()
        return Window(node.activations[activation].pixels, 0)

    def variants(self, node: Node[FakeAttrs], target: Target) -> tuple[Variant, ...]:
        raise NotImplementedError

    def lower(self, node: Node[FakeAttrs], variant: Variant) -> Kernel:
        raise NotImplementedError

    def cases(self) -> Iterator[Graph]:
        return iter(())


class Net:
    """Builds a graph of fakes; methods take and return tensor indices.

    With `columns`, convolutions need the columns of their window, else all.
    """

    def __init__(self, columns: bool = False) -> None:
        self.columns = columns
        self.tensors: list[Tensor] = []
        self.ops: list[Op] = []
        self.inputs: list[int] = []

    def tensor(self, *shape: int, dtype: str = "int8") -> int:
        self.tensors.append(Tensor(f"t{len(self.tensors)}", shape, dtype))
        return len(self.tensors) - 1

    def input(self, *shape: int, dtype: str = "int8") -> int:
        self.inputs.append(self.tensor(*shape, dtype=dtype))
        return self.inputs[-1]

    def constant(self, *shape: int) -> int:
        self.tensors.append(Tensor(f"c{len(self.tensors)}", shape, "int8",
                                   data=np.zeros(shape, np.int8)))
        return len(self.tensors) - 1

    def op(
        self, inputs: list[int], outputs: list[int], attrs: FakeAttrs,
        variants: tuple[Variant, ...] = (PLAIN,),
    ) -> None:
        name = f"op{len(self.ops)}"
        if attrs.form == "view":
            variants = ()
        self.ops.append(Op(KIND, name, tuple(inputs), tuple(outputs), attrs, variants))

    def conv(
        self, x: int, channels: int, kernel: int = 1, stride: int = 1,
        variants: tuple[Variant, ...] | None = None,
    ) -> int:
        """SAME padding; a pointwise one may run flat."""
        _, h, w, c = self.tensors[x].shape
        pad = padding_of(SAME, (h, w), (kernel, kernel), (stride, stride))
        y = self.tensor(1, -(-h // stride), -(-w // stride), channels,
                        dtype=self.tensors[x].dtype)
        window = Window(kernel, stride, -pad.top)
        if variants is None:
            variants = (FLAT,) if (kernel, stride) == (1, 1) else (PLAIN,)
        macs = self.tensors[y].elements * kernel * kernel * c
        columns = (Window(kernel, stride, -pad.left),) if self.columns else ()
        self.op([x], [y], FakeAttrs("rows", (window,), macs, columns), variants)
        return y

    def depthwise(self, x: int, kernel: int = 3, stride: int = 1) -> int:
        return self.conv(x, self.tensors[x].channels, kernel, stride)

    def add(self, *xs: int, variants: tuple[Variant, ...] = (PIXELS,)) -> int:
        y = self.tensor(*self.tensors[xs[0]].shape, dtype=self.tensors[xs[0]].dtype)
        self.op(list(xs), [y], FakeAttrs("rows", (Window(),) * len(xs)), variants)
        return y

    def mean(self, x: int) -> int:
        """Global pooling with an int32 state."""
        y = self.tensor(1, self.tensors[x].channels)
        state = Variant("plain", state_bytes=4 * self.tensors[x].channels)
        self.op([x], [y], FakeAttrs("accumulate"), (state,))
        return y

    def dense(self, x: int, channels: int) -> int:
        y = self.tensor(1, channels)
        self.op([x], [y], FakeAttrs("rows", (Window(),)))
        return y

    def view(self, x: int, *shape: int) -> int:
        y = self.tensor(*shape, dtype=self.tensors[x].dtype)
        self.op([x], [y], FakeAttrs("view"))
        return y

    def whole(self, *xs: int, shape: tuple[int, ...] | None = None) -> int:
        y = self.tensor(*(shape or self.tensors[xs[0]].shape))
        self.op(list(xs), [y], FakeAttrs("whole"))
        return y

    def graph(self, *outputs: int) -> Graph:
        return Graph(tuple(self.tensors), tuple(self.ops), tuple(self.inputs), outputs,
                     Source("net", b"", ""))


def mobilenet_v1(size: int = 96, width: int = 8) -> Graph:
    """MobileNetV1 as in MLPerf Tiny's visual wake words (0.25 at 96x96)."""
    net = Net()
    x = net.conv(net.input(1, size, size, 3), width, 3, 2)
    blocks = [(2, 1), (4, 2), (4, 1), (8, 2), (8, 1), (16, 2), *[(16, 1)] * 5, (32, 2), (32, 1)]
    for factor, stride in blocks:
        x = net.conv(net.depthwise(x, 3, stride), width * factor)
    view = net.view(net.mean(x), 1, net.tensors[x].channels)
    return net.graph(net.dense(net.dense(view, 2), 2))


def resnet8() -> Graph:
    """MLPerf Tiny's ResNet-8 for 32x32 images."""
    net = Net()
    x = net.conv(net.input(1, 32, 32, 3), 16, 3)
    for channels, stride in ((16, 1), (32, 2), (64, 2)):
        y = net.conv(net.conv(x, channels, 3, stride), channels, 3)
        if stride > 1:
            x = net.conv(x, channels, 1, stride)
        x = net.add(x, y)
    return net.graph(net.dense(net.dense(net.mean(x), 10), 10))


def ds_cnn() -> Graph:
    """MLPerf Tiny's DS-CNN for 49x10 MFCC features."""
    net = Net()
    x = net.input(1, 49, 10, 1)
    y = net.tensor(1, 25, 5, 64)
    net.op([x], [y], FakeAttrs("rows", (Window(10, 2, -4),)))
    for _ in range(4):
        y = net.conv(net.depthwise(y), 64)
    return net.graph(net.dense(net.dense(net.mean(y), 12), 12))


MOBILENET_V2 = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
                (6, 160, 3, 2), (6, 320, 1, 1))


def mobilenet_v2(size: int = 224, width: float = 1.0, repeats: int = 1) -> Graph:
    """MobileNetV2; `repeats` multiplies the blocks of each stage."""
    def scaled(channels: float) -> int:
        value = channels * width
        rounded = max(8, int(value + 4) // 8 * 8)
        return rounded + 8 if rounded < 0.9 * value else rounded

    net = Net()
    x = net.conv(net.input(1, size, size, 3), scaled(32), 3, 2)
    for expand, channels, count, first_stride in MOBILENET_V2:
        for n in range(count * repeats):
            stride = first_stride if n == 0 else 1
            y = net.conv(x, net.tensors[x].channels * expand) if expand > 1 else x
            y = net.conv(net.depthwise(y, 3, stride), scaled(channels))
            same = stride == 1 and net.tensors[x].shape == net.tensors[y].shape
            x = net.add(x, y) if same else y
    return net.graph(net.dense(net.mean(net.conv(x, max(1280, scaled(1280)))), 1000))
