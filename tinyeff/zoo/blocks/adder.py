# SPDX-License-Identifier: MIT
"""Adder layers: sums of absolute differences in place of products."""

from __future__ import annotations

from dataclasses import dataclass

from tinyeff.zoo import layers as kinds
from tinyeff.zoo import token_layers as tokens
from tinyeff.zoo.blocks.base import Repeated, Row
from tinyeff.zoo.blocks.compact import without_parameters
from tinyeff.zoo.blocks.efficient import shifted
from tinyeff.zoo.builder import Builder, pair


def added(net: Builder, x: int, c: int, k: int, s: int = 1, act: str | None = None) -> int:
    """An adder layer; batch normalization behind it stays, its output is never positive."""
    kind = tokens.Adder(pair(k), pair(s), "same", c)
    return net.act(net.norm(net.add(kind, x)), act)


@dataclass(frozen=True)
class AdderBasic(Repeated):
    """ResNet's basic block of adder layers; shortcuts without parameters (Chen et al. 2020)."""

    def block(self, net: Builder, x: int, stride: int) -> int:
        """Two adder layers and a shortcut."""
        c = net.width(self.c)
        y = added(net, added(net, x, c, 3, stride), c, 3, act="none")
        return net.act(net.residual(without_parameters(net, x, c, stride), y))


@dataclass(frozen=True)
class ShiftAdd(Row):
    """Channels shifted by a pixel, then a 1x1 adder layer: no product at all.

    In the spirit of ShiftAddNet (You et al. 2020), whose shifts are of bits: int8 weights that are
    powers of two are weights like others here.
    """

    c: int
    s: int = 1

    def apply(self, net: Builder, x: int) -> int:
        """One layer."""
        if self.s > 1:
            x = net.add(kinds.MaxPool(pair(1), pair(self.s)), x)
        return added(net, shifted(net, x), net.width(self.c), 1)
