# SPDX-License-Identifier: MIT
"""Attention for mobile networks: all heads share one key and one value (MobileNetV4)."""

from __future__ import annotations

from dataclasses import dataclass

from tinyeff.zoo import token_layers as tokens
from tinyeff.zoo.blocks.base import Repeated
from tinyeff.zoo.builder import Builder


@dataclass(frozen=True)
class MobileAttention(Repeated):
    """Mobile multi-query attention (Qin et al. 2024, section 3.2): `heads` queries of `d` channels.

    Keys and values may be reduced in space by a depthwise convolution with stride `reduce`. The
    block's output is scaled per channel before it is added.
    """

    heads: int = 4
    d: int = 64
    reduce: int = 1

    def block(self, net: Builder, x: int, stride: int) -> int:
        """Normalize, attend, project, scale, add."""
        y = net.norm(x)
        query = net.conv(y, self.heads * self.d, act="none", norm=False)
        key, value = (self._projected(net, y) for _ in range(2))
        y = net.add(tokens.Attention(self.heads), query, key, value)
        # Deployed, the factor is part of the convolution, which has a bias then.
        y = net.conv(y, net.width(self.c), act="none", norm=False, bias=net.deployed)
        return net.residual(x, net.scaled(y))

    def _projected(self, net: Builder, x: int) -> int:
        if self.reduce > 1:
            x = net.depthwise(x, 3, self.reduce, "none")
        return net.conv(x, self.d, act="none", norm=False)
