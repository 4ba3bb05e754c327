# SPDX-License-Identifier: MIT
"""Operators with weights as matrix products, so that one rounding method serves them all.

A product has G groups: y[g] = weights[g] @ x[g], with weights of shape (G, O, K) and x of shape
(G, K, positions). A convolution has a group per group of its channels, a depthwise convolution
one per input channel, a dense layer one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyeff.ir import Array
from tinyeff.ops.operator import Node

MAX_VALUES = 1 << 23
"""Of a matrix of inputs at most so many values are looked at."""


def to_groups(kind: str, weights: Array, groups: int) -> Array:
    """Weights as the file has them, as (groups, outputs, depth)."""
    if kind == "DEPTHWISE_CONV_2D":
        _, height, width, filters = weights.shape
        return weights.reshape(height * width, groups, filters // groups).transpose(1, 2, 0)
    return weights.reshape(groups, weights.shape[0] // groups, -1)


def from_groups(kind: str, grouped: Array, shape: tuple[int, ...]) -> Array:
    """The inverse of `to_groups` for weights of this shape."""
    if kind == "DEPTHWISE_CONV_2D":
        return np.ascontiguousarray(grouped.transpose(2, 0, 1).reshape(shape))
    return np.ascontiguousarray(grouped.reshape(shape))


def groups_of(kind: str, weights: tuple[int, ...], channels: int) -> int:
    """How many groups an operator with weights of this shape has on so many input channels."""
    if kind == "DEPTHWISE_CONV_2D":
        return channels
    return channels // weights[3] if kind == "CONV_2D" else 1


def has_patches(kind: str) -> bool:
    """True where `patches` can say what the weights are multiplied with."""
    return kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def positions_of(kind: str, node: Node[Any], count: int, rng: np.random.Generator) -> Array:
    """Which output positions of `count` samples to look at, as flat numbers in rising order."""
    channels = node.input(0).channels
    groups = groups_of(kind, node.input(1).shape, channels)
    depth = node.input(1).elements // node.output.channels
    total = count * node.output.elements // node.output.channels
    wanted = max(1, MAX_VALUES // (depth * groups))
    if total <= wanted:
        return np.arange(total)
    return np.sort(rng.choice(total, wanted, replace=False))




def patches(kind: str, node: Node[Any], x: Array, positions: Array) -> Array:
    """What the weights are multiplied with: (groups, depth, positions), float32.

    `x` holds all samples (count, *shape); taps outside of the image are 0, as the zero point is.
    """
    if kind == "FULLY_CONNECTED":
        depth = node.input(1).shape[1]
        return np.ascontiguousarray(x.reshape(-1, depth)[positions].T)[None]
    a, weights = node.attrs, node.input(1).shape
    height, width, channels = weights[1], weights[2], node.input(0).channels
    groups = groups_of(kind, weights, channels)
    _, rows, columns, _ = node.output.shape
    x = x.reshape(len(x), *node.input(0).shape[1:])
    p = a.padding
    x = np.pad(x, ((0, 0), (p.top, p.bottom), (p.left, p.right), (0, 0)))
    sample, place = np.divmod(positions, rows * columns)
    top, left = place // columns * a.stride[0], place % columns * a.stride[1]
    result = np.empty((groups, height, width, channels // groups, len(positions)), np.float32)
    for dy in range(height):
        for dx in range(width):
            taps = x[sample, top + dy * a.dilation[0], left + dx * a.dilation[1]]
            result[:, dy, dx] = taps.T.reshape(groups, channels // groups, -1)
    return result.reshape(groups, -1, len(positions))
