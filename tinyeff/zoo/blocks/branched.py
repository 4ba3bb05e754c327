# SPDX-License-Identifier: MIT
"""Blocks that train in several branches and run as one convolution.

`tinyeff/zoo/deploy.py` turns the trained branches into that convolution; with `Builder.deployed`
the blocks are built as it from the start.
"""

from __future__ import annotations

from dataclasses import dataclass

from tinyeff.zoo import layers as kinds
from tinyeff.zoo.blocks.base import Repeated, Row, Squeeze
from tinyeff.zoo.builder import Builder


def branched(
    net: Builder, x: int, c: int | None, k: int, s: int, groups: int = 1, branches: int = 1,
    squeeze: Squeeze | None = None, dilation: int = 1,
) -> int:
    """The sum of `branches` convolutions k x k, one 1x1 (if k > 1) and the identity (if it fits).

    Each branch has its own batch normalization. `c` None makes all of them depthwise.
    """
    def convolution(size: int) -> int:
        if c is None:
            return net.depthwise(x, size, s, "none")
        return net.conv(x, c, size, s, "none", groups, dilation=dilation if size > 1 else 1)

    fits = s == 1 and c in (None, net.channels(x))
    if net.deployed:
        y = convolution(k)
    else:
        parts = [convolution(k) for _ in range(branches)]
        parts += [convolution(1)] if k > 1 else []
        parts += [net.norm(x)] if fits else []
        y = net.add(kinds.Add(), *parts) if len(parts) > 1 else parts[0]
    if squeeze is not None:
        y = squeeze.apply(net, y, net.channels(x))
    return net.act(y)


@dataclass(frozen=True)
class RepVGG(Repeated):
    """RepVGG's block: 3x3, 1x1 and identity; a single 3x3 once deployed.

    With `groups` every other repeat, from the second one, is grouped.
    """

    groups: int = 1
    squeeze: Squeeze | None = None

    def apply(self, net: Builder, x: int) -> int:
        """All repeats; grouped and dense ones alternate."""
        for i in range(net.repeats(self.n)):
            groups = self.groups if i % 2 else 1
            x = branched(net, x, net.width(self.c), 3, self.s if i == 0 else 1, groups,
                         squeeze=self.squeeze)
        return x


@dataclass(frozen=True)
class ScaledBranches(Repeated):
    """RepOpt's block while its factors are searched: 3x3, 1x1 and identity, each scaled, added.

    One batch normalization follows the sum (Ding et al. 2022, section 3.2).
    """

    def block(self, net: Builder, x: int, stride: int) -> int:
        """Scaled branches, or the one 3x3 once deployed."""
        c = net.width(self.c)
        if net.deployed:
            return net.conv(x, c, 3, stride)
        parts = [net.conv(x, c, k, stride, "none", norm=False) for k in (3, 1)]
        parts += [x] if stride == 1 and c == net.channels(x) else []
        return net.act(net.norm(net.add(kinds.Add(), *(net.scaled(p, 1.0) for p in parts))))


@dataclass(frozen=True)
class DilatedRepVGG(Row):
    """`n` of RepVGG's blocks with stride 1, whose taps lie `dilation` pixels apart."""

    c: int
    n: int
    dilation: int

    def apply(self, net: Builder, x: int) -> int:
        """All repeats."""
        for _ in range(net.repeats(self.n)):
            x = branched(net, x, net.width(self.c), 3, 1, dilation=self.dilation)
        return x


@dataclass(frozen=True)
class MobileOneStem(Row):
    """MobileOne's first block: 3x3 and 1x1, with stride 2."""

    c: int

    def apply(self, net: Builder, x: int) -> int:
        """One block."""
        return branched(net, x, net.width(self.c), 3, 2)


@dataclass(frozen=True)
class MobileOne(Repeated):
    """MobileOne's block: depthwise 3x3, then 1x1, each of them in `k` branches and more."""

    k: int = 1
    squeeze: Squeeze | None = None

    def block(self, net: Builder, x: int, stride: int) -> int:
        """Depthwise and pointwise."""
        x = branched(net, x, None, 3, stride, 1, self.k, self.squeeze)
        return branched(net, x, net.width(self.c), 1, 1, 1, self.k, self.squeeze)
