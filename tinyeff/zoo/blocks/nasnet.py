# SPDX-License-Identifier: MIT
"""NASNet-A and PNASNet-5: searched cells, each of which reads the two cells before it."""

from __future__ import annotations

from dataclasses import dataclass

from tinyeff.zoo import layers as kinds
from tinyeff.zoo.blocks.base import Row
from tinyeff.zoo.builder import Builder


@dataclass(frozen=True)
class NasNet(Row):
    """The whole body (Zoph et al. 2018, figure 4): `n` normal cells at each of three resolutions.

    `c` are the channels of the first normal cells, `stem` those of the first convolution.
    """

    c: int
    n: int
    stem: int

    def apply(self, net: Builder, x: int) -> int:
        """Stem, cells, activation."""
        c = net.width(self.c, 4)
        x = net.conv(x, net.width(self.stem), 3, 2, "none", padding="valid")
        before, x = x, _reduction(net, x, None, c // 4)
        before, x = x, _reduction(net, x, before, c // 2)
        for stage in range(3):
            filters = c << stage
            if stage:
                before, x = x, _reduction(net, x, before, filters)
            for _ in range(self.n):
                before, x = x, _normal(net, x, before, filters)
        return net.act(x)


def _separable(net: Builder, x: int, c: int, k: int, s: int = 1) -> int:
    """Activation, depthwise, 1x1, normalization: twice."""
    for stride in (s, 1):
        y = net.depthwise(net.act(x), k, stride, "none", norm=False)
        x = net.conv(y, c, act="none")
    return x


def _squeezed(net: Builder, x: int, c: int) -> int:
    return net.conv(net.act(x), c, act="none")


def _adjusted(net: Builder, before: int | None, x: int, c: int) -> int:
    """The output of the cell before the last, brought to the shape of the last one's."""
    if before is None:
        return x
    if net.shape(before)[:2] != net.shape(x)[:2]:
        return _halved(net, before, c)
    return _squeezed(net, before, c) if net.channels(before) != c else before


def _halved(net: Builder, x: int, c: int) -> int:
    """Every other pixel, and those between them, as half of the channels each."""
    y = net.act(x)
    every = net.add(kinds.MaxPool((1, 1), (2, 2), "valid"), y)
    shifted = net.add(kinds.MaxPool((1, 1), (2, 2), "valid"), net.add(kinds.Offset(1, 1), y))
    halves = (net.conv(p, c // 2, act="none", norm=False) for p in (every, shifted))
    return net.norm(net.concat(*halves))


def _normal(net: Builder, x: int, before: int | None, c: int) -> int:
    p, h = _adjusted(net, before, x, c), _squeezed(net, x, c)

    def average(value: int) -> int:
        return net.add(kinds.AveragePool((3, 3)), value)

    return net.concat(
        p,
        net.add(kinds.Add(), _separable(net, h, c, 5), _separable(net, p, c, 3)),
        net.add(kinds.Add(), _separable(net, p, c, 5), _separable(net, p, c, 3)),
        net.add(kinds.Add(), average(h), p),
        net.add(kinds.Add(), average(p), average(p)),
        net.add(kinds.Add(), _separable(net, h, c, 3), h),
    )


def _reduction(net: Builder, x: int, before: int | None, c: int) -> int:
    p, h = _adjusted(net, before, x, c), _squeezed(net, x, c)
    largest = net.add(kinds.MaxPool((3, 3), (2, 2)), h)
    first = net.add(kinds.Add(), _separable(net, h, c, 5, 2), _separable(net, p, c, 7, 2))
    second = net.add(kinds.Add(), largest, _separable(net, p, c, 7, 2))
    third = net.add(kinds.Add(), net.add(kinds.AveragePool((3, 3), (2, 2)), h),
                    _separable(net, p, c, 5, 2))
    fourth = net.add(kinds.Add(), second, net.add(kinds.AveragePool((3, 3)), first))
    return net.concat(second, third, fourth,
                      net.add(kinds.Add(), _separable(net, first, c, 3), largest))


@dataclass(frozen=True)
class PNasNet(Row):
    """The whole body of PNASNet (Liu et al. 2018, figure 1): one cell, with and without a stride.

    `n` cells at each of three resolutions, and one more at the first; the later two begin with the
    stride. `c` are the channels of the first ones, `stem` those of the first convolution.
    """

    c: int
    n: int
    stem: int

    def apply(self, net: Builder, x: int) -> int:
        """Stem, cells, activation."""
        c = net.width(self.c, 4)
        x = net.conv(x, net.width(self.stem), 3, 2, "none", padding="valid")
        before, x = x, _progressive(net, x, x, c // 4, 2)
        before, x = x, _progressive(net, x, before, c // 2, 2)
        for stage in range(3):
            for i in range(self.n + 1):
                s = 2 if stage and not i else 1
                before, x = x, _progressive(net, x, before, c << stage, s)
        return net.act(x)


def _progressive(net: Builder, x: int, before: int, c: int, s: int) -> int:
    """PNASNet's cell with stride `s`; the first one reads the same map twice, and as it is."""
    h = _squeezed(net, x, c)
    if before == x:
        p = x
    elif net.shape(before)[:2] != net.shape(x)[:2]:
        p = _halved(net, before, c)
    else:
        p = _squeezed(net, before, c)

    def largest(value: int) -> int:
        return net.add(kinds.MaxPool((3, 3), (s, s)), value)

    def both(a: int, b: int) -> int:
        return net.add(kinds.Add(), a, b)

    pooled = largest(h)
    kept = largest(p) if before != x else net.conv(largest(p), c, act="none")
    third = both(_separable(net, h, c, 5, s), _separable(net, h, c, 3, s))
    return net.concat(
        both(_separable(net, p, c, 5, s), kept),
        both(_separable(net, h, c, 7, s), pooled),
        third,
        both(_separable(net, third, c, 3), pooled),
        both(_separable(net, p, c, 3, s),
             net.conv(net.act(h), c, 1, s, "none") if s > 1 else h),
    )
