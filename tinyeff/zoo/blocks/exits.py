# SPDX-License-Identifier: MIT
"""Networks with several heads, each of which may be the last that is computed (--early-exit).

Sources: Teerapittayanon et al., BranchyNet, ICPR 2016; Huang et al., Multi-Scale Dense Networks for
Resource Efficient Image Classification, ICLR 2018.
"""

from __future__ import annotations

from dataclasses import dataclass

from tinyeff.zoo.blocks.base import Classes, Pool, Row
from tinyeff.zoo.builder import Builder


@dataclass(frozen=True)
class Head(Row):
    """A classifier behind what has been computed so far; an output of the network.

    With `c`, two convolutions of stride 2 come first, as in MSDNet.
    """

    c: int = 0

    def apply(self, net: Builder, x: int) -> int:
        """The output; the next row reads what this one has read."""
        y = x
        for _ in range(2 if self.c else 0):
            y = net.conv(y, net.width(self.c), 3, 2)
        net.outputs.append(Classes("softmax").apply(net, Pool().apply(net, y)))
        return x


@dataclass(frozen=True)
class Scales(Row):
    """MSDNet's first layer: a map for each of `scales`, half the size and twice the channels of the
    one before; the first has `c` channels."""

    c: int
    scales: int

    def apply(self, net: Builder, x: int) -> int:
        """The maps are tapped, the finest first."""
        net.taps.clear()
        for scale in range(self.scales):
            x = net.conv(x, net.width(self.c << scale), 3, 1 if scale == 0 else 2)
            net.taps.append(x)
        return x


@dataclass(frozen=True)
class MultiScale(Row):
    """MSDNet's further layers: each map grows by `c` channels, twice as many at each coarser scale.

    Half of them come from the map itself, half from the finer one by a stride of 2; before either
    a 1x1 narrows what is read to `c` times `bottleneck`. Maps before number `finest` grow no more:
    towards the end nothing reads them.
    """

    c: int
    n: int = 1
    finest: int = 0
    bottleneck: int = 1

    def apply(self, net: Builder, x: int) -> int:
        """The coarsest map."""
        for _ in range(net.repeats(self.n)):
            before = list(net.taps)
            for scale, own in list(enumerate(before))[self.finest:]:
                c = net.width(self.c << scale)
                if scale == 0:
                    parts = [self._convolved(net, own, c, 1)]
                else:
                    parts = [self._convolved(net, own, c // 2, 1),
                             self._convolved(net, before[scale - 1], c - c // 2, 2)]
                net.taps[scale] = net.concat(own, *parts)
        return net.taps[-1]

    def _convolved(self, net: Builder, x: int, c: int, stride: int) -> int:
        narrow = min(net.channels(x), c * self.bottleneck)
        return net.conv(net.conv(x, narrow), c, 3, stride)
