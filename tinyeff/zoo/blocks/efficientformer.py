# SPDX-License-Identifier: MIT
"""EfficientFormer's blocks: pooling and attention between layers that mix channels."""

from __future__ import annotations

from dataclasses import dataclass

from tinyeff.zoo import layers as kinds
from tinyeff.zoo import token_layers as tokens
from tinyeff.zoo.blocks.base import Classes, Repeated, Row
from tinyeff.zoo.builder import Builder
from tinyeff.zoo.layers import Pair

D = 32
"""Channels of a query or key of one head; a value has four times as many."""


def scaled(net: Builder, x: int) -> int:
    """A small factor per channel that stays: no convolution is before it to take it in."""
    return net.add(kinds.ChannelScale(1e-5), x)


def layer_norm(net: Builder, x: int, before_one: bool = False) -> int:
    """Layer normalization: each pixel's channels standardized, then a gain and an offset each.

    These two are part of the convolution behind them once deployed, if it is the only one.
    """
    x = net.add(tokens.Standardized(), x)
    return x if net.deployed and before_one else net.add(tokens.Gains(), x)


def mixed(net: Builder, x: int, ratio: float, between: bool = False) -> int:
    """Two 1x1 convolutions, `ratio` times the channels between them, and maybe a depthwise."""
    y = net.conv(x, int(net.channels(x) * ratio), act="gelu", bias=True)
    if between:
        y = net.depthwise(y, 3, act="gelu", bias=True)
    y = net.conv(y, net.channels(x), act="none", bias=True)
    return net.residual(x, net.scaled(y))


@dataclass(frozen=True)
class PooledMixer(Repeated):
    """MetaFormer's block with the means of 3 x 3 windows (Li et al. 2022, equation 4)."""

    def block(self, net: Builder, x: int, stride: int) -> int:
        """Means less the map itself, added; channels mixed."""
        y = net.add(tokens.Subtract(), net.add(kinds.AveragePool((3, 3)), x), x)
        return mixed(net, net.residual(x, scaled(net, y)), 4)


@dataclass(frozen=True)
class TokenMixer(Repeated):
    """MetaFormer's block with attention of `heads` heads (Li et al. 2022, equations 5 and 6)."""

    heads: int = 8

    def block(self, net: Builder, x: int, stride: int) -> int:
        """Normalize, attend, add; normalize, mix channels, add."""
        normed, width = layer_norm(net, x), self.heads * D
        query, key = (net.conv(normed, width, act="none", norm=False, bias=True)
                      for _ in range(2))
        weights = attention(net, query, key, self.heads)
        value = net.conv(normed, 4 * width, act="none", norm=False, bias=True)
        rows, columns, _ = net.shape(x)
        y = weighted(net, weights, value, (rows, columns))
        y = net.conv(y, net.channels(x), act="none", norm=False, bias=True)
        x = net.residual(x, net.scaled(y))
        y = net.conv(layer_norm(net, x, True), 4 * net.channels(x), act="gelu", norm=False,
                     bias=True)
        y = net.conv(y, net.channels(x), act="none", norm=False, bias=True)
        return net.residual(x, net.scaled(y))


def scored(net: Builder, query: int, key: int, heads: int) -> int:
    """Q K^T / sqrt(d) of the maps `query` and `key`: (heads, queries, keys)."""
    queries = net.add(tokens.ToHeads(heads), query)
    keys = net.add(tokens.ToHeads(heads, exchanged=True), key)
    scores = net.add(tokens.Product(), queries, keys)
    return net.add(kinds.Affine(net.channels(queries) ** -0.5), scores)


def attention(
    net: Builder, query: int, key: int, heads: int, stride: int = 1, talking: bool = False,
) -> int:
    """softmax(Q K^T / sqrt(d) + b) of the maps `query` and `key`: (heads, queries, keys).

    `stride` is that of the queries' grid; `talking` heads exchange scores before and after the
    softmax (Shazeer et al. 2020).
    """
    rows, columns, _ = net.shape(key)
    scores = net.add(tokens.PositionBias((rows, columns), stride), scored(net, query, key, heads))
    if not talking:
        return net.act(scores, "softmax")
    return _talked(net, net.act(_talked(net, scores, heads), "softmax"), heads)


def weighted(net: Builder, weights: int, value: int, size: Pair) -> int:
    """Sums of the pixels of the map `value`, weighted by attention, as a map of `size`."""
    heads = net.shape(weights)[0]
    values = net.add(tokens.ToHeads(heads), value)
    return net.add(tokens.FromHeads(*size), net.add(tokens.Product(), weights, values))


def _talked(net: Builder, x: int, heads: int) -> int:
    """A linear combination of the heads for each of them."""
    x = net.add(tokens.Permuted((1, 2, 0)), x)
    x = net.conv(x, heads, act="none", norm=False, bias=True)
    return net.add(tokens.Permuted((2, 0, 1)), x)


@dataclass(frozen=True)
class LocalTokenMixer(Repeated):
    """EfficientFormerV2's block: attention with a local path, then channels mixed with a depthwise.

    Only the last `attending` of the repeats attend; they do so at `reduce` times less resolution.
    `ratios` are those of the wider layer, one per repeat (Li et al. 2023, section 3).
    """

    ratios: tuple[int, ...] = (4,)
    attending: int = 0
    reduce: int = 1
    heads: int = 8

    def apply(self, net: Builder, x: int) -> int:
        """All repeats."""
        for i in range(self.n):
            if i >= self.n - self.attending:
                x = net.residual(x, net.scaled(self._attended(net, x)))
            x = mixed(net, x, self.ratios[i], between=True)
        return x

    def _attended(self, net: Builder, x: int) -> int:
        rows, columns, channels = net.shape(x)
        y, width = x, self.heads * D
        if self.reduce > 1:
            y = net.depthwise(y, 3, self.reduce, "none", bias=True)
        small = net.shape(y)[0], net.shape(y)[1]
        query, key = (net.conv(y, width, act="none", bias=True) for _ in range(2))
        weights = attention(net, query, key, self.heads, talking=True)
        value = net.conv(y, 4 * width, act="none", bias=True)
        local = net.depthwise(value, 3, act="none", bias=True)
        y = net.add(kinds.Add(), weighted(net, weights, value, small), local)
        if self.reduce > 1:
            y = net.add(kinds.Upsample(self.reduce, smooth=True), y)
            if net.shape(y)[:2] != (rows, columns):
                y = net.add(kinds.Crop(rows, columns), y)
        return net.conv(net.act(y, "gelu"), channels, act="none", bias=True)


@dataclass(frozen=True)
class AttentionDown(Row):
    """EfficientFormerV2's way to half of the rows and columns: a convolution beside attention."""

    c: int
    heads: int = 8
    d: int = 16

    def apply(self, net: Builder, x: int) -> int:
        """Both, added."""
        c, width = net.width(self.c), self.heads * self.d
        plain = net.conv(x, c, 3, 2, "none", bias=True)
        near = net.depthwise(x, 3, 2, "none", norm=False, bias=True)
        every = net.add(kinds.AveragePool((1, 1), (2, 2), "same"), x)
        query = net.conv(net.add(kinds.Add(), near, every), width, act="none", bias=True)
        small = net.shape(query)[0], net.shape(query)[1]
        weights = attention(net, query, net.conv(x, width, act="none", bias=True), self.heads, 2)
        value = net.conv(x, 4 * width, act="none", bias=True)
        local = net.depthwise(value, 3, 2, "none", bias=True)
        y = net.add(kinds.Add(), weighted(net, weights, value, small), local)
        return net.add(kinds.Add(), plain, net.conv(net.act(y, "gelu"), c, act="none", bias=True))


@dataclass(frozen=True)
class LayerNorm(Row):
    """Layer normalization."""

    def apply(self, net: Builder, x: int) -> int:
        """Normalized."""
        return layer_norm(net, x)


@dataclass(frozen=True)
class TwoHeads(Row):
    """The mean of two classifiers, one of which learned from a teacher; deployed they are one."""

    def apply(self, net: Builder, x: int) -> int:
        """One unit per class."""
        if net.deployed:
            return Classes().apply(net, x)
        both = net.add(kinds.Add(), *(Classes().apply(net, x) for _ in range(2)))
        return net.add(kinds.Affine(0.5), both)
