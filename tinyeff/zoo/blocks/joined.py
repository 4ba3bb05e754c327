# SPDX-License-Identifier: MIT
"""Blocks of blocks: branches side by side, sums, and what stands within them."""

from __future__ import annotations

from dataclasses import dataclass

from tinyeff.zoo import layers as kinds
from tinyeff.zoo.blocks.base import Row
from tinyeff.zoo.builder import Builder, pair
from tinyeff.zoo.layers import Pair

Chain = tuple[Row, ...]


def chained(net: Builder, x: int, rows: Chain) -> int:
    """Rows one after the other; of none of them, `x` itself."""
    for row in rows:
        x = row.apply(net, x)
    return x


@dataclass(frozen=True)
class Branches(Row):
    """Chains of rows that all read the same map; their outputs side by side (Inception)."""

    chains: tuple[Chain, ...]

    def apply(self, net: Builder, x: int) -> int:
        """The concatenation."""
        return net.concat(*(chained(net, x, rows) for rows in self.chains))


@dataclass(frozen=True)
class Sum(Row):
    """The sum of chains of rows that read the same map, activated; () is the map itself."""

    chains: tuple[Chain, ...]
    act: str | None = None

    def apply(self, net: Builder, x: int) -> int:
        """The sum."""
        return net.act(net.add(kinds.Add(), *(chained(net, x, c) for c in self.chains)), self.act)


@dataclass(frozen=True)
class ScaledResidual(Row):
    """Branches side by side, a linear 1x1 of them all, scaled and added (Inception-ResNet).

    Deployed, the factor is part of the 1x1's weights.
    """

    chains: tuple[Chain, ...]
    scale: float = 1.0
    act: str | None = None

    def apply(self, net: Builder, x: int) -> int:
        """As many channels as before."""
        y = Branches(self.chains).apply(net, x)
        y = net.conv(y, net.channels(x), act="none", norm=False, bias=True)
        if self.scale != 1.0 and not net.deployed:
            y = net.add(kinds.Affine(self.scale), y)
        return net.act(net.add(kinds.Add(), y, x), self.act)


@dataclass(frozen=True)
class Repeat(Row):
    """Rows, `n` times."""

    rows: Chain
    n: int

    def apply(self, net: Builder, x: int) -> int:
        """One after the other."""
        for _ in range(net.repeats(self.n)):
            x = chained(net, x, self.rows)
        return x


@dataclass(frozen=True)
class Pooling(Row):
    """Pooling of windows: "max" or "average", padded "same" or "valid"."""

    what: str
    k: int | Pair = 3
    s: int | Pair = 2
    padding: str = "same"

    def apply(self, net: Builder, x: int) -> int:
        """One pooling."""
        kind = {"max": kinds.MaxPool, "average": kinds.AveragePool}[self.what]
        return net.add(kind(pair(self.k), pair(self.s), self.padding), x)


@dataclass(frozen=True)
class Grouped(Row):
    """A convolution in groups that see their share of the channels only."""

    c: int
    k: int | Pair = 1
    s: int | Pair = 1
    groups: int = 1
    act: str | None = None
    norm: bool = True
    bias: bool = False

    def apply(self, net: Builder, x: int) -> int:
        """One convolution."""
        return net.conv(x, net.width(self.c), self.k, self.s, self.act, self.groups, "same",
                        self.norm, self.bias)


@dataclass(frozen=True)
class Norm(Row):
    """Batch normalization that follows no convolution, with an activation or "none"."""

    act: str = "none"

    def apply(self, net: Builder, x: int) -> int:
        """Normalized, activated."""
        return net.act(net.norm(x), self.act)


@dataclass(frozen=True)
class Act(Row):
    """An activation by itself; the network's own where `act` is None."""

    act: str | None = None

    def apply(self, net: Builder, x: int) -> int:
        """Activated."""
        return net.act(x, self.act)


@dataclass(frozen=True)
class ResponseNorm(Row):
    """Local response normalization over `size` neighbouring channels (AlexNet)."""

    size: int = 5
    k: float = 2.0
    alpha: float = 1e-4
    beta: float = 0.75

    def apply(self, net: Builder, x: int) -> int:
        """b = a / (k + alpha * sum of a^2)^beta."""
        return net.add(kinds.ResponseNorm(self.size, self.k, self.alpha, self.beta), x)
