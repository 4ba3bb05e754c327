# SPDX-License-Identifier: MIT
"""Convolutions that train as sums of diverse branches and run as one: ACB, DBB, ExpandNet."""

from __future__ import annotations

from dataclasses import dataclass

from tinyeff.zoo import layers as kinds
from tinyeff.zoo.blocks.base import Repeated, Row
from tinyeff.zoo.builder import Builder

KINDS = ("asymmetric", "diverse", "expanded")


def overparameterized(
    net: Builder, what: str, x: int, c: int | None, k: int, s: int, act: str | None = None,
) -> int:
    """A k x k convolution (depthwise where `c` is None) in the branches that `what` names."""
    if net.deployed or k == 1:
        y = _single(net, x, c, k, s, what)
    elif what == "asymmetric":
        y = _asymmetric(net, x, c, k, s)
    elif what == "diverse":
        y = _diverse(net, x, c, k, s)
    else:
        y = _expanded(net, x, c, k, s)
    return net.act(y, act)


def _single(net: Builder, x: int, c: int | None, k: int, s: int, what: str) -> int:
    """The one convolution; with a stride, zeros lie where the branches that it was had them."""
    padding = "same"
    if s > 1 and k > 1 and (what == "diverse" or (what == "expanded" and c is not None)):
        x, padding = net.add(kinds.Pad(k // 2), x), "valid"
    if c is None:
        return net.depthwise(x, k, s, "none", padding)
    return net.conv(x, c, k, s, "none", padding=padding)


def _asymmetric(net: Builder, x: int, c: int | None, k: int, s: int) -> int:
    """k x k, k x 1 and 1 x k (ACNet, Ding et al. 2019)."""
    def branch(size: tuple[int, int]) -> int:
        if c is None:
            return net.depthwise(x, size, s, "none")
        return net.conv(x, c, size, s, "none")

    return net.add(kinds.Add(), *(branch(size) for size in ((k, k), (k, 1), (1, k))))


def _diverse(net: Builder, x: int, c: int | None, k: int, s: int) -> int:
    """k x k; 1x1; 1x1 and k x k; 1x1 and an average (DBB, Ding et al. 2021b, figure 3).

    The zeros around the map come first, so that what follows is linear in it without exception: the
    normalization of the 1x1 must see them. A depthwise convolution has no 1x1 branches; its middle
    layer is twice as wide.
    """
    padded, inputs = net.add(kinds.Pad(k // 2), x), net.channels(x)
    groups = inputs if c is None else 1
    out, middle = (inputs, 2 * inputs) if c is None else (c, inputs)

    def convolution(value: int, filters: int, size: int, stride: int) -> int:
        if c is None and filters == net.channels(value):
            return net.depthwise(value, size, stride, "none", "valid")
        return net.conv(value, filters, size, stride, "none", groups, "valid")

    branches = [convolution(padded, out, k, s)]
    averaged = padded
    if c is not None:
        branches.append(convolution(x, out, 1, s))
        averaged = convolution(padded, out, 1, 1)
    window, step = (k, k), (s, s)
    branches.append(net.norm(net.add(kinds.AveragePool(window, step, "valid"), averaged)))
    branches.append(convolution(convolution(padded, middle, 1, 1), out, k, s))
    return net.add(kinds.Add(), *branches)


def _expanded(net: Builder, x: int, c: int | None, k: int, s: int) -> int:
    """1x1, k x k, 1x1 in a row, the inner two wider (ExpandNet-CL, Guo et al. 2020)."""
    if c is None:
        return _single(net, x, c, k, s, "")
    wide = 4 * max(c, net.channels(x))
    x = net.add(kinds.Pad(k // 2), x)
    x = net.conv(x, wide, 1, 1, "none", norm=False)
    x = net.conv(x, wide, k, s, "none", norm=False, padding="valid")
    return net.conv(x, c, 1, 1, "none")


@dataclass(frozen=True)
class OverConv(Row):
    """One convolution, overparameterized."""

    what: str
    c: int
    k: int = 3
    s: int = 1
    act: str | None = None

    def apply(self, net: Builder, x: int) -> int:
        """Its branches, or the one convolution once deployed."""
        return overparameterized(net, self.what, x, net.width(self.c), self.k, self.s, self.act)


@dataclass(frozen=True)
class OverSeparable(Repeated):
    """MobileNetV1's block, its depthwise convolution overparameterized."""

    what: str = "diverse"

    def block(self, net: Builder, x: int, stride: int) -> int:
        """Depthwise and pointwise."""
        x = overparameterized(net, self.what, x, None, 3, stride)
        return net.conv(x, net.width(self.c))


@dataclass(frozen=True)
class OverBasic(Repeated):
    """ResNet's basic block, its 3x3 convolutions overparameterized."""

    what: str = "diverse"

    def block(self, net: Builder, x: int, stride: int) -> int:
        """Two convolutions and a shortcut."""
        c = net.width(self.c)
        y = overparameterized(net, self.what, x, c, 3, stride)
        y = overparameterized(net, self.what, y, c, 3, 1, "none")
        if net.shape(x) != net.shape(y):
            x = net.conv(x, c, 1, stride, "none")
        return net.act(net.residual(x, y))
