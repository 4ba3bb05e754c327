# SPDX-License-Identifier: MIT
"""The residual networks' blocks: ResNet in its versions, ResNeXt, RegNet, Xception, CSP."""

from __future__ import annotations

from dataclasses import dataclass

from tinyeff.zoo import layers as kinds
from tinyeff.zoo.blocks.base import Repeated, Row, Squeeze
from tinyeff.zoo.builder import Builder


@dataclass(frozen=True)
class Basic(Repeated):
    """ResNet's block of two 3x3 convolutions; a 1x1 convolution where the shape changes."""

    def block(self, net: Builder, x: int, stride: int) -> int:
        """Two convolutions and a shortcut."""
        c = net.width(self.c)
        y = net.conv(net.conv(x, c, 3, stride), c, 3, act="none")
        if net.shape(x) != net.shape(y):
            x = net.conv(x, c, 1, stride, "none")
        return net.act(net.residual(x, y))


@dataclass(frozen=True)
class Bottleneck(Repeated):
    """ResNet's block of 1x1, 3x3 and 1x1; ResNeXt's and RegNet's with `groups`.

    `mid` are the channels of the 3x3, a quarter of `c` unless given. The stride is that of the 3x3,
    or with `early` that of the first 1x1 (ResNet as it was published first). `bias` is of the
    convolutions beside batch normalization, as Keras has it. `per_group` gives the channels of a
    group instead of their number; widths are multiples of it then. `form` is "grouped", or one of
    the two that compute the same (Xie et al. 2017, figure 3): each group a path of its own, whose
    outputs are "concatenated" before the last 1x1, or "summed" behind a 1x1 of each path.
    """

    mid: int | None = None
    groups: int = 1
    squeeze: Squeeze | None = None
    early: bool = False
    bias: bool = False
    per_group: int | None = None
    form: str = "grouped"

    def block(self, net: Builder, x: int, stride: int) -> int:
        """Narrow, convolve, widen, add."""
        c, mid = (net.width(n, self.per_group) for n in (self.c, self.mid or self.c // 4))
        groups = mid // self.per_group if self.per_group else self.groups
        first, second = (stride, 1) if self.early else (1, stride)
        if self.form == "grouped":
            y = net.conv(x, mid, 1, first, bias=self.bias)
            y = net.conv(y, mid, 3, second, groups=groups, bias=self.bias)
            y = net.conv(y, c, act="none", bias=self.bias)
        else:
            inner = mid // groups
            y = self._joined(net, [net.conv(net.conv(x, inner, 1, first), inner, 3, second)
                                   for _ in range(groups)], c)
        if self.squeeze is not None:
            y = self.squeeze.apply(net, y, net.channels(x))
        if net.shape(x) != net.shape(y):
            x = net.conv(x, c, 1, stride, "none", bias=self.bias)
        return net.act(net.residual(x, y))

    def _joined(self, net: Builder, paths: list[int], c: int) -> int:
        if self.form == "concatenated":
            return net.conv(net.concat(*paths), c, act="none")
        wide = (net.conv(path, c, act="none", norm=False) for path in paths)
        return net.norm(net.add(kinds.Add(), *wide))


@dataclass(frozen=True)
class PreActivated(Repeated):
    """ResNetV2's bottleneck: normalization and activation stand before each convolution.

    Where the shape changes the shortcut is a 1x1 convolution of the activated input. The stride is
    that of the 3x3, or with `early` that of the first 1x1. As Keras has it (`late`), it belongs to
    the last repeat, whose shortcut takes every other pixel, and linear convolutions have a bias.
    Before the first repeat a convolution may be normalized and activated itself: `ready`.
    """

    early: bool = False
    late: bool = False
    ready: bool = False

    def apply(self, net: Builder, x: int) -> int:
        """All repeats, one after the other."""
        count = net.repeats(self.n)
        strided = count - 1 if self.late else 0
        for i in range(count):
            y = x if self.ready and i == 0 else net.act(net.norm(x))
            x = self._added(net, x, y, self.s if i == strided else 1)
            net.nominal = self.c
        return x

    def _added(self, net: Builder, x: int, y: int, stride: int) -> int:
        """Narrow the activated input `y`, convolve, widen, add to `x`."""
        c = net.width(self.c)
        mid = c // 4
        first, second = (stride, 1) if self.early else (1, stride)
        shortcut = self._shortcut(net, x, y, c, stride)
        y = net.conv(net.conv(y, mid, 1, first), mid, 3, second)
        return net.add(kinds.Add(), shortcut,
                       net.conv(y, c, act="none", norm=False, bias=self.late))

    def _shortcut(self, net: Builder, x: int, activated: int, c: int, stride: int) -> int:
        if net.channels(x) == c and stride == 1:
            return x
        if net.channels(x) == c and self.late:
            return net.add(kinds.MaxPool((1, 1), (stride, stride), "valid"), x)
        return net.conv(activated, c, 1, stride, "none", norm=False, bias=self.late)


@dataclass(frozen=True)
class OrderedBasic(Repeated):
    """A basic block with one of the orders and shortcuts that He et al. 2016b compare.

    `order`: "original" (activation after the sum), "norm after sum", "act before sum" (within the
    branch), "act only before" (activation, then convolution, then normalization), "full" (both
    before). `shortcut`: "identity", "scaled" (by one half, like the branch), "gated" (each by a
    1x1 convolution's sigmoid), "projection" (a 1x1 convolution everywhere), "dropout".
    """

    order: str = "full"
    shortcut: str = "identity"

    def block(self, net: Builder, x: int, stride: int) -> int:
        """Two convolutions, a shortcut, in the order asked for."""
        c = net.width(self.c)
        if self.order == "full":
            y = net.conv(net.act(net.norm(x)), c, 3, stride)
            y = net.conv(y, c, 3, act="none", norm=False)
        else:
            y = self._convolved(net, self._convolved(net, x, c, stride, 0), c, 1, 1)
        if net.shape(x) != net.shape(y):
            x = net.conv(x, c, 1, stride, "none")
        elif self.shortcut == "projection":
            x = net.conv(x, c, act="none")
        x, y = self._weighted(net, x, y)
        y = net.add(kinds.Add(), x, y)
        if self.order == "norm after sum":
            return net.act(net.norm(y))
        return net.act(y) if self.order == "original" else y

    def _convolved(self, net: Builder, x: int, c: int, stride: int, place: int) -> int:
        if self.order == "act only before":
            return net.conv(net.act(x), c, 3, stride, "none")
        last = "relu" if self.order == "act before sum" else "none"
        return net.conv(x, c, 3, stride, "relu" if place == 0 else last,
                        norm=place == 0 or self.order != "norm after sum")

    def _weighted(self, net: Builder, x: int, y: int) -> tuple[int, int]:
        if self.shortcut == "scaled":
            return net.add(kinds.Affine(0.5), x), net.add(kinds.Affine(0.5), y)
        if self.shortcut == "dropout":
            return net.add(kinds.Dropout(0.5), x), y
        if self.shortcut == "gated":
            c = net.channels(x)
            opened = net.conv(x, c, act="sigmoid", norm=False, bias=True)
            closed = net.add(kinds.Affine(-1.0, 1.0), opened)
            return net.add(kinds.Multiply(), x, closed), net.add(kinds.Multiply(), y, opened)
        return x, y


@dataclass(frozen=True)
class Separated(Row):
    """Depthwise 3x3 and 1x1, then normalization (Xception); with `between` also in their middle."""

    c: int
    act: str = "none"
    s: int = 1
    between: bool = False

    def apply(self, net: Builder, x: int) -> int:
        """One separable convolution."""
        y = net.depthwise(x, 3, self.s, "none", norm=self.between)
        return net.conv(y, net.width(self.c), act=self.act)


@dataclass(frozen=True)
class DenseBlock(Row):
    """`n` layers, each of which adds `growth` channels to all that came before (DenseNet)."""

    n: int
    growth: int = 32
    bottleneck: int = 4

    def apply(self, net: Builder, x: int) -> int:
        """All layers of the block."""
        for _ in range(self.n):
            y = net.act(net.norm(x))
            y = net.conv(y, net.width(self.growth) * self.bottleneck)
            x = net.concat(x, net.conv(y, net.width(self.growth), 3, act="none", norm=False))
        return x


@dataclass(frozen=True)
class Transition(Row):
    """Between dense blocks: half of the channels, half of the rows and columns."""

    def apply(self, net: Builder, x: int) -> int:
        """Normalize, narrow, pool."""
        y = net.act(net.norm(x))
        y = net.conv(y, net.channels(x) // 2, act="none", norm=False)
        return net.add(kinds.AveragePool((2, 2), (2, 2), "valid"), y)


@dataclass(frozen=True)
class CrossStage(Repeated):
    """A stage of CSPNet: half of the channels passes `n` residual blocks, the other half does not.

    `expand`, `mid` and `inner` give the channels before the split, within a block and behind it, as
    fractions of `c`. `grow` lets the convolution with the stride have the stage's channels already;
    `linear` leaves the convolution before the split without activation. With `fusion` "last" the
    blocks' output is joined before the one transition, with "first" after its own ("both": as
    published).
    """

    expand: float = 2.0
    mid: float = 0.5
    inner: float = 1.0
    groups: int = 1
    grow: bool = False
    linear: bool = False
    bottleneck: bool = True
    fusion: str = "both"

    def apply(self, net: Builder, x: int) -> int:
        """The whole stage."""
        c, before = net.width(self.c), net.channels(x)
        if self.s > 1:
            x = net.conv(x, c if self.grow else before, 3, self.s, groups=self.groups)
        wide = round(c * self.expand)
        x = net.conv(x, wide, act="none" if self.linear else None)
        kept, y = net.slice(x, 0, wide // 2), net.slice(x, wide // 2, wide)
        for _ in range(net.repeats(self.n)):
            y = self._inner(net, y, round(c * self.inner))
        if self.fusion != "last":
            y = net.conv(y, wide // 2)
        if self.fusion == "first":
            return net.concat(kept, y)
        return net.conv(net.concat(kept, y), c)

    def _inner(self, net: Builder, x: int, out: int) -> int:
        mid = round(out * self.mid)
        y = net.conv(x, mid)
        if not self.bottleneck:
            return net.residual(x, net.conv(y, out, 3))
        y = net.conv(y, mid, 3, groups=self.groups)
        return net.act(net.residual(x, net.conv(y, out, act="none")))
