# SPDX-License-Identifier: MIT
"""Blocks that save by reusing, splitting or shuffling channels; residual blocks."""

from __future__ import annotations

from dataclasses import dataclass

from tinyeff.zoo import layers as kinds
from tinyeff.zoo.blocks.base import Repeated, Row, Squeeze
from tinyeff.zoo.builder import Builder


@dataclass(frozen=True)
class Fire(Row):
    """SqueezeNet's block: `s1` channels by 1x1, then `e1` by 1x1 beside `e3` by 3x3."""

    s1: int
    e1: int
    e3: int

    def apply(self, net: Builder, x: int) -> int:
        """Squeeze, expand."""
        x = net.conv(x, net.width(self.s1), norm=False, bias=True)
        return net.concat(net.conv(x, net.width(self.e1), norm=False, bias=True),
                          net.conv(x, net.width(self.e3), 3, norm=False, bias=True))


@dataclass(frozen=True)
class ShuffleV1(Repeated):
    """ShuffleNetV1's unit: 1x1 in `g` groups, shuffled, depthwise, 1x1 in groups.

    `first` marks the stage whose first 1x1 is dense, because its input has few channels.
    """

    g: int = 3
    first: bool = False

    def block(self, net: Builder, x: int, stride: int) -> int:
        """One unit; with stride 2 beside an average pooling of its input."""
        c = net.width(self.c, 4 * self.g)
        out = c - net.channels(x) if stride > 1 else c
        step = (stride, stride)
        passed = net.add(kinds.AveragePool((3, 3), step), x) if stride > 1 else x
        y = net.conv(x, c // 4, groups=1 if self.first and stride > 1 else self.g)
        y = net.add(kinds.Shuffle(self.g), y)
        y = net.depthwise(y, 3, stride, "none")
        y = net.conv(y, out, act="none", groups=self.g)
        if stride == 1:
            return net.act(net.residual(passed, y))
        return net.concat(passed, net.act(y))


@dataclass(frozen=True)
class ShuffleV2(Repeated):
    """ShuffleNetV2's unit: one half of the channels passes, the other is computed; shuffled."""

    def block(self, net: Builder, x: int, stride: int) -> int:
        """One unit; with stride 2 both halves are computed from all channels."""
        c, channels = net.width(self.c, 4), net.channels(x)
        if stride > 1:
            left = net.conv(net.depthwise(x, 3, stride, "none"), channels)
            right = x
        else:
            left, right = net.slice(x, 0, c // 2), net.slice(x, c // 2, c)
        y = net.conv(right, c // 2)
        y = net.depthwise(y, 3, stride, "none")
        y = net.concat(left, net.conv(y, c - net.channels(left)))
        return net.add(kinds.Shuffle(2), y)


def ghost(net: Builder, x: int, c: int, act: str | None) -> int:
    """GhostNet's module: half of the channels by 1x1, the other half from these by depthwise."""
    first = net.conv(x, -(-c // 2), act=act)
    return net.slice(net.concat(first, net.depthwise(first, 3, 1, act)), 0, c)


@dataclass(frozen=True)
class Ghost(Repeated):
    """GhostNet's bottleneck: ghost module to `exp` channels, depthwise with a stride, another."""

    k: int = 3
    exp: int = 0
    squeeze: Squeeze | None = None

    def block(self, net: Builder, x: int, stride: int) -> int:
        """Widen, narrow, add."""
        c = net.width(self.c, 4)
        y = ghost(net, x, net.width(self.exp, 4), None)
        if stride > 1:
            y = net.depthwise(y, self.k, stride, "none")
        if self.squeeze is not None:
            y = self.squeeze.apply(net, y, net.channels(x))
        y = ghost(net, y, c, "none")
        if stride > 1 or net.channels(x) != c:
            x = net.conv(net.depthwise(x, self.k, stride, "none"), c, act="none")
        return net.residual(x, y)


def without_parameters(net: Builder, x: int, c: int, stride: int) -> int:
    """A shortcut to `c` channels: every other pixel, channels of zeros (He 2016, option A)."""
    if stride > 1:
        x = net.add(kinds.MaxPool((1, 1), (stride, stride)), x)
    more = c - net.channels(x)
    return net.add(kinds.PadChannels(more), x) if more else x


@dataclass(frozen=True)
class Residual(Repeated):
    """ResNet's basic block of two 3x3 convolutions.

    Where the shape changes the shortcut is a 1x1 convolution with `project`, else every other pixel
    and channels of zeros (option A of the paper, without parameters).
    """

    project: bool = False
    bias: bool = False

    def block(self, net: Builder, x: int, stride: int) -> int:
        """Two convolutions and a shortcut."""
        c = net.width(self.c)
        y = net.conv(x, c, 3, stride, bias=self.bias)
        y = net.conv(y, c, 3, act="none", bias=self.bias)
        if net.shape(x) != net.shape(y):
            x = self._shortcut(net, x, c, stride)
        return net.act(net.residual(x, y))

    def _shortcut(self, net: Builder, x: int, c: int, stride: int) -> int:
        if self.project:
            return net.conv(x, c, 1, stride, "none", norm=False, bias=True)
        return without_parameters(net, x, c, stride)
