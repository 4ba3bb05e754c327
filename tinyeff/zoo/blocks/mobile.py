# SPDX-License-Identifier: MIT
"""The blocks of the MobileNets and of the searched networks that followed them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tinyeff.zoo.blocks.base import Repeated, Squeeze
from tinyeff.zoo.builder import Builder, divisible
from tinyeff.zoo.layers import Pair


@dataclass(frozen=True)
class Separable(Repeated):
    """MobileNetV1's block: depthwise, then 1x1.

    With `direct` nothing stands between the two: the separable block that is made for quantization
    (Sheng et al. 2018), since batch normalization of single channels spreads their ranges.
    """

    direct: bool = False
    bias: bool = False

    def block(self, net: Builder, x: int, stride: int) -> int:
        """Depthwise and pointwise."""
        if self.direct:
            x = net.depthwise(x, 3, stride, "none", norm=False)
        else:
            x = net.depthwise(x, 3, stride, bias=self.bias)
        return net.conv(x, net.width(self.c), bias=self.bias)


def inverted(
    net: Builder, x: int, mid: int, c: int, k: int | tuple[int, ...], s: int,
    act: str | None = None, squeeze: Squeeze | None = None, groups: Pair = (1, 1),
    shortcut: bool = True,
) -> int:
    """MobileNetV2's inverted residual: widen to `mid`, depthwise, narrow linearly, add.

    `groups` are those of the two 1x1 convolutions; several `k` share the channels (MixConv).
    """
    y, wide = x, mid != net.channels(x)
    if wide:
        y = net.conv(y, mid, act=act, groups=groups[0])
    y = mixed(net, y, (k,) if isinstance(k, int) else k, s, act)
    if squeeze is not None:
        y = squeeze.apply(net, y, net.channels(x))
    y = net.conv(y, c, act="none", groups=groups[1])
    return net.residual(x, y) if s == 1 and shortcut else y


def mixed(net: Builder, x: int, kernels: tuple[int, ...], s: int, act: str | None) -> int:
    """Depthwise convolution with several kernel sizes, each on its share of the channels."""
    if len(kernels) == 1:
        return net.depthwise(x, kernels[0], s, act)
    channels = net.channels(x)
    share, first = channels // len(kernels), 0
    parts = []
    for i, k in enumerate(kernels):
        last = channels if i == len(kernels) - 1 else first + share
        parts.append(net.depthwise(net.slice(x, first, last), k, s, act))
        first = last
    return net.concat(*parts)


@dataclass(frozen=True)
class Inverted(Repeated):
    """Inverted residual with expansion factor `t`; with t = 1 the first 1x1 is left out.

    `keep` leaves it in, as FBNet's first table does.
    """

    t: float = 6
    k: int | tuple[int, ...] = 3
    act: str | None = None
    squeeze: Squeeze | None = None
    groups: Pair = (1, 1)
    keep: bool = False
    shortcut: bool = True

    def block(self, net: Builder, x: int, stride: int) -> int:
        """Widen, depthwise, narrow."""
        channels = net.channels(x)
        mid = round(channels * self.t)
        kept = self.keep and mid == channels
        y = net.conv(x, mid, act=self.act) if kept else x
        y = inverted(net, y, mid, net.width(self.c), self.k, stride, self.act, self.squeeze,
                     self.groups, self.shortcut and not kept)
        return net.residual(x, y) if kept and stride == 1 else y


@dataclass(frozen=True)
class Bneck(Repeated):
    """A row of MobileNetV3's tables: the expanded size `exp` is given in channels."""

    k: int = 3
    exp: int = 0
    act: str | None = None
    squeeze: Squeeze | None = None

    def block(self, net: Builder, x: int, stride: int) -> int:
        """Widen, depthwise, squeeze and excite, narrow."""
        ratio = self.exp / net.nominal
        mid = net.channels(x) if ratio == 1 else divisible(net.channels(x) * ratio)
        return inverted(net, x, mid, net.width(self.c), self.k, stride, self.act, self.squeeze)


@dataclass(frozen=True)
class UniversalInverted(Repeated):
    """MobileNetV4's universal inverted bottleneck: a depthwise before and within, or neither.

    `k1` and `k2` are their sizes, 0 leaves one out; the stride is that of the last of the two. With
    `scaled` a learned factor per channel ends it.
    """

    k1: int = 0
    k2: int = 0
    e: float = 4
    scaled: bool = False

    def block(self, net: Builder, x: int, stride: int) -> int:
        """Depthwise, widen, depthwise, narrow."""
        y, mid = x, divisible(net.channels(x) * self.e)
        if self.k1:
            y = net.depthwise(y, self.k1, 1 if self.k2 else stride, "none")
        y = net.conv(y, mid)
        if self.k2:
            y = net.depthwise(y, self.k2, stride)
        y = net.conv(y, net.width(self.c), act="none")
        y = net.scaled(y) if self.scaled else y
        return net.residual(x, y) if stride == 1 else y


@dataclass(frozen=True)
class FusedInverted(Repeated):
    """Widening and depthwise as one dense convolution, then narrow."""

    k: int = 3
    e: float = 4

    def block(self, net: Builder, x: int, stride: int) -> int:
        """Widen, narrow."""
        y = net.conv(x, divisible(net.channels(x) * self.e), self.k, stride)
        y = net.conv(y, net.width(self.c), act="none")
        return net.residual(x, y) if stride == 1 else y


@dataclass(frozen=True)
class Sandglass(Repeated):
    """MobileNeXt's block: the shortcut joins the wide ends, depthwise at both of them.

    Where the channels change the first depthwise is left out, and the second one too unless it has
    a stride; `whole` keeps both. `identity` is the fraction of channels that the shortcut adds.
    """

    t: int = 6
    whole: bool = False
    plain: bool = False
    identity: float = 1.0
    at_least: float = 0.0

    def block(self, net: Builder, x: int, stride: int) -> int:
        """Depthwise, narrow, widen, depthwise."""
        channels, c = net.channels(x), net.width(self.c, at_least=self.at_least)
        changes = channels != c
        leave_out = changes and not self.whole and not self.plain
        hidden = channels // self.t
        if not self.plain and hidden < c / 6:
            hidden = divisible(math.ceil(c / 6), 16)
        y = x if leave_out else net.depthwise(x, 3)
        y = net.conv(y, hidden, act="none")
        y = net.conv(y, c)
        if stride > 1 or not leave_out:
            y = net.depthwise(y, 3, stride, "none")
        return y if changes or stride > 1 or self._alone else self._shortcut(net, x, y)

    @property
    def _alone(self) -> bool:
        """A whole block that stands alone has no shortcut, even where one would fit."""
        return self.whole and self.n == 1 and self.s == 1

    def _shortcut(self, net: Builder, x: int, y: int) -> int:
        channels = net.channels(y)
        added = int(channels * self.identity)
        if added == channels:
            return net.residual(x, y)
        first = net.residual(net.slice(x, 0, added), net.slice(y, 0, added))
        return net.concat(first, net.slice(y, added, channels))
