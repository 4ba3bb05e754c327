# SPDX-License-Identifier: MIT
"""Convolutions and attention in one network, for phones: FastViT, EfficientViT and Next-ViT."""

from __future__ import annotations

from dataclasses import dataclass

from tinyeff.zoo import layers as kinds
from tinyeff.zoo import token_layers as tokens
from tinyeff.zoo.blocks.base import Repeated, Row, Squeeze
from tinyeff.zoo.blocks.branched import branched
from tinyeff.zoo.blocks.efficientformer import scored, weighted
from tinyeff.zoo.builder import Builder, divisible

D = 32
"""Channels of a head, and of a group of Next-ViT's convolutions."""


def attended(net: Builder, x: int, key: int, value: int) -> int:
    """Softmax attention of the queries `x` to `key` and `value`, as a map of the queries' size."""
    rows, columns, channels = net.shape(x)
    heads = channels // D
    weights = net.act(scored(net, x, key, heads), "softmax")
    return weighted(net, weights, value, (rows, columns))


# FastViT (Vasu et al. 2023) --------------------------------------------------------------------


@dataclass(frozen=True)
class FastDown(Row):
    """Twice the channels at half of the rows and columns: a large kernel and a small one, then 1x1.

    Both kernels are depthwise with two outputs per channel; deployed they are one (section 3.1).
    """

    def apply(self, net: Builder, x: int) -> int:
        """Kernels added, channels mixed."""
        groups = net.channels(x)
        sizes = (7,) if net.deployed else (7, 3)
        parts = [net.conv(x, 2 * groups, k, 2, "none", groups) for k in sizes]
        y = net.add(kinds.Add(), *parts) if len(parts) > 1 else parts[0]
        return branched(net, y, 2 * groups, 1, 1)


@dataclass(frozen=True)
class Position(Row):
    """A position as the map around it tells it: a depthwise 7x7 is added, deployed part of it."""

    def apply(self, net: Builder, x: int) -> int:
        """As many channels as before."""
        y = net.depthwise(x, 7, act="none", norm=False, bias=True)
        return y if net.deployed else net.residual(x, y)


@dataclass(frozen=True)
class FastMixer(Row):
    """`n` blocks that mix pixels by a depthwise 3x3, then channels.

    In training the depthwise stands in branches, less the normalized map itself, scaled and added
    (equation 2 and 3). `ratio` is that of the wider layer. With `attention` pixels are mixed by
    attention instead.
    """

    n: int
    ratio: int = 4
    attention: bool = False

    def apply(self, net: Builder, x: int) -> int:
        """All repeats."""
        for _ in range(net.repeats(self.n)):
            x = self._attended(net, x) if self.attention else self._mixed(net, x)
            y, channels = net.depthwise(x, 7, act="none"), net.channels(x)
            y = net.conv(y, self.ratio * channels, norm=False, bias=True)
            y = net.conv(y, channels, act="none", norm=False, bias=True)
            x = net.residual(x, net.scaled(y))
        return x

    def _mixed(self, net: Builder, x: int) -> int:
        if net.deployed:
            return net.depthwise(x, 3, act="none")
        parts = [net.depthwise(x, k, act="none") for k in (3, 1)]
        mixed = net.add(kinds.Add(), *parts, net.norm(x))
        return net.residual(x, net.scaled(net.add(tokens.Subtract(), mixed, net.norm(x))))

    def _attended(self, net: Builder, x: int) -> int:
        y, channels = net.norm(x), net.channels(x)
        query, key, value = (net.conv(y, channels, act="none", norm=False) for _ in range(3))
        y = attended(net, query, key, value)
        y = net.conv(y, channels, act="none", norm=False, bias=True)
        return net.residual(x, net.scaled(y))


@dataclass(frozen=True)
class FastHead(Row):
    """Twice the channels by a depthwise 3x3 with two outputs each, squeezed and excited."""

    def apply(self, net: Builder, x: int) -> int:
        """One block."""
        groups = net.channels(x)
        return branched(net, x, 2 * groups, 3, 1, groups, squeeze=Squeeze(1 / 16))


# EfficientViT (Cai et al. 2023) ------------------------------------------------------------------


@dataclass(frozen=True)
class MultiScaleAttention(Row):
    """A stage that begins with a stride, then `n` times linear attention and an inverted residual.

    Attention, with heads of `d` channels, sees the map and sums of 5x5 windows of it (section 3.1).
    Inverted residuals widen `e` times and are normalized at their end only.
    """

    c: int
    n: int
    d: int
    e: int = 4

    def apply(self, net: Builder, x: int) -> int:
        """The whole stage."""
        x = self._inverted(net, x, net.width(self.c, self.d), 2)
        for _ in range(net.repeats(self.n)):
            x = self._attended(net, x)
            x = net.residual(x, self._inverted(net, x, net.channels(x), 1))
        return x

    def _inverted(self, net: Builder, x: int, c: int, stride: int) -> int:
        y = net.conv(x, net.channels(x) * self.e, norm=False, bias=True)
        y = net.depthwise(y, 3, stride, norm=False, bias=True)
        return net.conv(y, c, act="none")

    def _attended(self, net: Builder, x: int) -> int:
        channels = net.channels(x)
        heads = channels // self.d
        y = net.conv(x, 3 * channels, act="none", norm=False)
        near = net.depthwise(y, 5, act="none", norm=False)
        near = net.conv(near, 3 * channels, act="none", groups=3 * heads, norm=False)
        y = net.add(tokens.LinearAttention(self.d), net.concat(y, near))
        return net.residual(x, net.conv(y, channels, act="none"))


# Next-ViT (Li et al. 2022b) ----------------------------------------------------------------------


def _embedded(net: Builder, x: int, c: int, stride: int) -> int:
    """Windows of 2x2 averaged where there is a stride, channels changed where they differ."""
    if stride > 1:
        x = net.add(kinds.AveragePool((stride, stride), (stride, stride)), x)
    return net.conv(x, c, act="none") if stride > 1 or net.channels(x) != c else x


def _convolved(net: Builder, x: int) -> int:
    """Convolutional attention: 3x3 in groups, then all of them mixed; added."""
    channels = net.channels(x)
    y = net.conv(x, channels, 3, groups=channels // D)
    return net.residual(x, net.conv(y, channels, act="none", norm=False))


def _channels_mixed(net: Builder, x: int, ratio: int) -> int:
    y = net.conv(net.norm(x), ratio * net.channels(x), norm=False, bias=True)
    y = net.conv(y, net.channels(x), act="none", norm=False, bias=True)
    return net.residual(x, y)


@dataclass(frozen=True)
class NextConv(Repeated):
    """Next-ViT's convolutional block (section 3.2)."""

    def block(self, net: Builder, x: int, stride: int) -> int:
        """Pixels mixed within groups, then channels."""
        x = _convolved(net, _embedded(net, x, net.width(self.c, D), stride))
        return _channels_mixed(net, x, 3)


@dataclass(frozen=True)
class NextAttention(Repeated):
    """Next-ViT's block of attention beside convolution (section 3.3).

    Three quarters of the channels attend, to means of `reduce` squared pixels in the order of rows;
    the others are made of them, and convolved.
    """

    reduce: int = 1

    def block(self, net: Builder, x: int, stride: int) -> int:
        """Attention, convolution of what it gives, both side by side, channels mixed."""
        c = net.width(self.c, D)
        far = min(divisible(int(c * 0.75), D), c - D)
        x = _embedded(net, x, far, stride)
        x = net.residual(x, self._attended(net, x))
        near = _convolved(net, _embedded(net, x, c - far, 1))
        return _channels_mixed(net, net.concat(x, near), 2)

    def _attended(self, net: Builder, x: int) -> int:
        rows, columns, channels = net.shape(x)
        y, size = net.norm(x), self.reduce**2
        query = net.conv(y, channels, act="none", norm=False, bias=True)
        if size > 1:
            y = net.add(tokens.Folded(rows * columns // size, size), y)
            y = net.norm(net.add(kinds.AveragePool((1, size), (1, size), "valid"), y))
        key, value = (net.conv(y, channels, act="none", norm=False, bias=True) for _ in range(2))
        return net.conv(attended(net, query, key, value), channels, act="none", norm=False,
                        bias=True)
