# SPDX-License-Identifier: MIT
"""Blocks that save work by cheap operations, groups, shifts, or different resolutions."""

from __future__ import annotations

from dataclasses import dataclass

from tinyeff.zoo import layers as kinds
from tinyeff.zoo.blocks.base import Repeated, Row
from tinyeff.zoo.blocks.compact import without_parameters
from tinyeff.zoo.builder import Builder, divisible, pair
from tinyeff.zoo.layers import Pair


@dataclass(frozen=True)
class GhostConv(Row):
    """A k x k convolution as a ghost module: half of it, and a depthwise of that half, joined.

    Batch normalization follows the whole as it did the convolution; `inner` also follows each half
    (Han et al. 2020, section 4.1: s = 2, d = 3).
    """

    c: int
    k: int = 3
    s: int = 1
    act: str | None = None
    inner: bool = True

    def apply(self, net: Builder, x: int) -> int:
        """One module."""
        c = net.width(self.c)
        half = net.conv(x, -(-c // 2), self.k, self.s, norm=self.inner)
        y = net.concat(half, net.depthwise(half, 3, norm=self.inner))
        return net.act(net.norm(net.slice(y, 0, c)), self.act)


@dataclass(frozen=True)
class GhostBasic(Repeated):
    """ResNet's basic block of ghost modules; shortcuts without parameters."""

    inner: bool = True

    def block(self, net: Builder, x: int, stride: int) -> int:
        """Two ghost modules and a shortcut."""
        c = net.width(self.c)
        y = GhostConv(self.c, 3, stride, None, self.inner).apply(net, x)
        y = GhostConv(self.c, 3, 1, "none", self.inner).apply(net, y)
        return net.act(net.residual(without_parameters(net, x, c, stride), y))


@dataclass(frozen=True)
class Interleaved(Repeated):
    """IGCV3's block: an inverted residual of two groups, shuffled in between (Sun et al. 2018)."""

    t: int = 6
    groups: int = 2

    def block(self, net: Builder, x: int, stride: int) -> int:
        """Widen in groups, shuffle, depthwise, narrow in groups, add."""
        y = net.conv(x, net.channels(x) * self.t, groups=self.groups)
        y = net.depthwise(net.add(kinds.Shuffle(self.groups), y), 3, stride)
        y = net.conv(y, net.width(self.c), act="none", groups=self.groups)
        return net.residual(x, y) if stride == 1 else y


@dataclass(frozen=True)
class TwiceDepthwise(Repeated):
    """An inverted residual with a second depthwise convolution in its middle."""

    t: int = 6

    def block(self, net: Builder, x: int, stride: int) -> int:
        """Widen, depthwise twice, narrow, add."""
        y = net.conv(x, net.channels(x) * self.t) if self.t > 1 else x
        y = net.depthwise(net.depthwise(y, 3, stride), 3)
        y = net.conv(y, net.width(self.c), act="none")
        return net.residual(x, y) if stride == 1 else y


@dataclass(frozen=True)
class CondenseBlock(Row):
    """CondenseNet's layers after training: each keeps one of `groups` parts of its connections.

    Which channels a learned group reads is a permutation; it stands here as a shuffle (Huang et al.
    2018). Each of `n` layers adds `growth` channels.
    """

    n: int
    growth: int
    groups: int
    bottleneck: int = 4

    def apply(self, net: Builder, x: int) -> int:
        """All layers of the block."""
        for _ in range(self.n):
            y = net.act(net.norm(net.add(kinds.Shuffle(self.groups), x)))
            y = net.conv(y, self.bottleneck * self.growth, groups=self.groups)
            y = net.add(kinds.Shuffle(self.groups), y)
            y = net.conv(y, self.growth, 3, act="none", groups=self.groups, norm=False)
            x = net.concat(x, y)
        return x


@dataclass(frozen=True)
class HalfClasses(Row):
    """CondenseNet's classifier: it reads half of the features."""

    def apply(self, net: Builder, x: int) -> int:
        """One unit per class."""
        return net.add(kinds.Dense(net.classes), net.slice(x, 0, net.channels(x) // 2))


_AROUND = tuple((dy, dx) for dy in (0, -1, 1) for dx in (0, -1, 1))


def shifted(net: Builder, x: int, offsets: tuple[Pair, ...] = _AROUND) -> int:
    """Each share of the channels moved by one of `offsets`: zero multiply-accumulates.

    A rest of the division stays with the first offset.
    """
    channels, first = net.channels(x), 0
    share = channels // len(offsets)
    parts = []
    for i, (rows, columns) in enumerate(offsets):
        last = first + share + (channels % len(offsets) if i == 0 else 0)
        if last > first:
            part = net.slice(x, first, last)
            moved = rows or columns
            parts.append(net.add(kinds.Offset(rows, columns), part) if moved else part)
        first = last
    return net.concat(*parts)


@dataclass(frozen=True)
class Shifted(Repeated):
    """ShiftNet's conv-shift-conv block: 1x1 to `e` times the channels, shift, 1x1, add.

    `offsets` are the rows and columns by which shares of the channels move: all nine of a 3x3
    window, or those that were learned (Wu et al. 2018; Jeon and Kim 2018; Chen et al. 2019).
    """

    e: float = 3
    offsets: tuple[Pair, ...] = _AROUND

    def block(self, net: Builder, x: int, stride: int) -> int:
        """Normalize, widen, shift, narrow."""
        c = net.width(self.c)
        y = net.conv(net.act(net.norm(x)), divisible(net.channels(x) * self.e, 4))
        if stride > 1:
            y = net.add(kinds.MaxPool((1, 1), (stride, stride)), y)
        y = net.conv(shifted(net, y, self.offsets), c, act="none", norm=False)
        if stride > 1:
            x = net.add(kinds.AveragePool((2, 2), (stride, stride)), x)
        more = c - net.channels(x)
        if more > 0:
            x = net.add(kinds.PadChannels(more), x)
        return net.residual(x, y)


@dataclass(frozen=True)
class Asymmetric(Repeated):
    """ADSCNet's unit: k x 1 and 1 x k depthwise convolutions in place of k x k, then 1x1."""

    k: int = 3

    def block(self, net: Builder, x: int, stride: int) -> int:
        """Columns, rows, channels; added where the shape stays."""
        # TensorFlow has no depthwise convolution whose strides differ: the second has both.
        y = net.depthwise(x, (self.k, 1), 1, "none")
        y = net.depthwise(y, (1, self.k), stride)
        y = net.conv(y, net.width(self.c), act="none")
        return net.act(net.residual(x, y) if stride == 1 else y)


@dataclass(frozen=True)
class Octave(Repeated):
    """Octave convolution: a share `alpha` of the channels lives at half the resolution.

    A block takes and gives one map; inside, high and low are computed from both (Chen et al. 2019).
    """

    k: int = 3
    alpha: float = 0.5

    def block(self, net: Builder, x: int, stride: int) -> int:
        """Split, convolve within and across resolutions, join."""
        c, channels = net.width(self.c), net.channels(x)
        if stride > 1:
            x = net.add(kinds.AveragePool(pair(stride), pair(stride), "valid"), x)
        low_in, low_out = int(channels * self.alpha), int(c * self.alpha)
        high = net.slice(x, low_in, channels)
        low = net.add(kinds.AveragePool((2, 2), (2, 2), "valid"), net.slice(x, 0, low_in))
        halved = net.add(kinds.AveragePool((2, 2), (2, 2), "valid"), high)

        def convolved(value: int, filters: int) -> int:
            return net.conv(value, filters, self.k, act="none", norm=False)

        new_low = net.add(kinds.Add(), convolved(low, low_out), convolved(halved, low_out))
        up = net.add(kinds.Upsample(2), convolved(low, c - low_out))
        new_high = net.add(kinds.Add(), convolved(high, c - low_out), up)
        joined = net.concat(net.add(kinds.Upsample(2), new_low), new_high)
        return net.act(net.norm(joined))


@dataclass(frozen=True)
class BigLittle(Repeated):
    """Big-little: a deep branch at half the resolution beside a narrow one at full (Chen 2019).

    `little` is the share of channels of the narrow branch; its output is widened and added.
    """

    little: float = 0.5

    def block(self, net: Builder, x: int, stride: int) -> int:
        """Two branches, added."""
        c = net.width(self.c)
        big = net.conv(x, c, 3, 2 * stride)
        big = net.conv(net.conv(big, c, 3), c, act="none")
        small = net.conv(x, divisible(c * self.little), 3, stride)
        small = net.conv(small, c, act="none")
        return net.act(net.add(kinds.Add(), net.add(kinds.Upsample(2), big), small))
