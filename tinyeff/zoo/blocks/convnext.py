# SPDX-License-Identifier: MIT
"""ConvNeXt: convolutions arranged as transformers are, with layer normalization."""

from __future__ import annotations

from dataclasses import dataclass

from tinyeff.zoo import layers as kinds
from tinyeff.zoo.blocks.base import Row
from tinyeff.zoo.blocks.efficientformer import layer_norm
from tinyeff.zoo.builder import Builder


@dataclass(frozen=True)
class Patches(Row):
    """The stem: squares of `k` x `k` pixels, each to `c` channels, normalized."""

    c: int
    k: int = 4

    def apply(self, net: Builder, x: int) -> int:
        """One convolution without overlap."""
        x = net.conv(x, net.width(self.c), self.k, self.k, "none", padding="valid", norm=False,
                     bias=True)
        return layer_norm(net, x)


@dataclass(frozen=True)
class ConvNext(Row):
    """A stage of `n` blocks; with a stride, a normalized 2x2 convolution comes first.

    A block is a depthwise 7x7, layer normalization, and two 1x1 convolutions, four times as wide
    in between (Liu et al. 2022, figure 4).
    """

    c: int
    n: int
    s: int = 1

    def apply(self, net: Builder, x: int) -> int:
        """The whole stage."""
        c = net.width(self.c)
        if self.s > 1:
            x = net.conv(layer_norm(net, x, True), c, self.s, self.s, "none", padding="valid",
                         norm=False, bias=True)
        for _ in range(net.repeats(self.n)):
            y = net.depthwise(x, 7, act="none", norm=False, bias=True)
            y = net.conv(layer_norm(net, y, True), 4 * c, act="gelu", norm=False, bias=True)
            y = net.conv(y, c, act="none", norm=False, bias=True)
            x = net.add(kinds.Add(), x, net.scaled(y, 1e-6))
        return x
