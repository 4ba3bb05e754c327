# SPDX-License-Identifier: MIT
"""The layers of attention and of additions, as data: maps as matrices of tokens.

A matrix for each head has the shape (heads, tokens, channels); a token is a pixel. What `layers.py`
says of layers holds here too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tinyeff.zoo.layers import Kind, Pair, Shape, Windowed


@dataclass(frozen=True)
class Attention(Kind):
    """softmax(Q K^T / sqrt(d)) V of maps: `heads` queries per pixel, one key and one value."""

    heads: int

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """The query's pixels, `heads` times the value's channels."""
        query, _, value = inputs
        return (*query[:2], self.heads * value[-1])

    def macs(self, inputs: tuple[Shape, ...]) -> int:
        """Both products of matrices."""
        query, key, value = inputs
        rows = query[0] * query[1] * self.heads
        return rows * key[0] * key[1] * (key[-1] + value[-1])


@dataclass(frozen=True)
class LinearAttention(Kind):
    """Attention without softmax, of a map that holds queries, keys and values of all heads.

    A head is 3 * `d` channels side by side. It is relu(Q) (relu(K)^T V) over relu(Q) times the sum
    of all relu(K): work grows with the pixels, not with their square (Cai et al. 2023, equation 3).
    """

    d: int
    epsilon: float = 1e-5

    def heads(self, shape: Shape) -> int:
        """How many heads a map of `shape` holds."""
        return shape[-1] // (3 * self.d)

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """The values' channels of all heads."""
        return (*inputs[0][:2], inputs[0][-1] // 3)

    def macs(self, inputs: tuple[Shape, ...]) -> int:
        """Both products of matrices; the sums of keys count as one more channel of the values."""
        rows, columns, _ = inputs[0]
        return 2 * self.heads(inputs[0]) * rows * columns * self.d * (self.d + 1)


@dataclass(frozen=True)
class Folded(Kind):
    """A map's pixels, in the order of rows, as a map of `rows` rows and `columns` columns."""

    rows: int
    columns: int

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """The same values."""
        return (self.rows, self.columns, inputs[0][-1])


@dataclass(frozen=True)
class ToHeads(Kind):
    """A map as a matrix per head: channel h * d + i of a pixel is channel i of head h.

    With `exchanged` pixels are its columns, not its rows.
    """

    heads: int
    exchanged: bool = False

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """(heads, pixels, channels per head), or (heads, channels per head, pixels)."""
        rows, columns, channels = inputs[0]
        sizes = rows * columns, channels // self.heads
        return (self.heads, *(sizes[::-1] if self.exchanged else sizes))


@dataclass(frozen=True)
class FromHeads(Kind):
    """Matrices of tokens as a map of `rows` rows and `columns` columns; undoes ToHeads."""

    rows: int
    columns: int

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """(rows, columns, channels of all heads)."""
        heads, _, channels = inputs[0]
        return (self.rows, self.columns, heads * channels)


@dataclass(frozen=True)
class Product(Kind):
    """The product of two matrices per head."""

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """(heads, rows of the first, columns of the second)."""
        a, b = inputs
        return (*a[:2], b[2])

    def macs(self, inputs: tuple[Shape, ...]) -> int:
        """The whole product."""
        return math.prod(self.output_shape(inputs)) * inputs[0][-1]


@dataclass(frozen=True)
class PositionBias(Kind):
    """A learned number per head and distance is added to the score of each query and key.

    Keys lie on a grid of `keys` pixels, queries on every `stride`-th of them (Graham et al. 2021,
    LeViT, section 4.2).
    """

    keys: Pair
    stride: int = 1

    def parameters(self, inputs: tuple[Shape, ...]) -> int:
        """One per head and distance along rows and columns."""
        return inputs[0][0] * math.prod(self.keys)


@dataclass(frozen=True)
class Permuted(Kind):
    """Dimensions in another order; `axes` says which of the input's each one is."""

    axes: tuple[int, int, int]

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """The same sizes, reordered."""
        rows, columns, channels = (inputs[0][i] for i in self.axes)
        return (rows, columns, channels)


@dataclass(frozen=True)
class Standardized(Kind):
    """Each pixel's channels minus their mean, over their deviation.

    The first half of layer normalization; Gains are the second one.
    """

    epsilon: float = 1e-5


@dataclass(frozen=True)
class Gains(Kind):
    """A learned factor and offset per channel, behind what no convolution precedes."""

    def parameters(self, inputs: tuple[Shape, ...]) -> int:
        """Two per channel."""
        return 2 * inputs[0][-1]


@dataclass(frozen=True)
class Subtract(Kind):
    """The first input minus the second."""


@dataclass(frozen=True)
class Adder(Windowed):
    """Minus the sum of absolute differences of each window and each of `filters` kernels.

    What a convolution would be with |x - w| in place of -x * w (Chen et al. 2020, equation 2): no
    multiplication. `kernel`, `stride` and `padding` are as of a convolution.
    """

    filters: int = 1

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """`filters` channels."""
        return (*self.window_shape(inputs[0]), self.filters)

    def parameters(self, inputs: tuple[Shape, ...]) -> int:
        """The kernel."""
        return math.prod(self.kernel) * inputs[0][-1] * self.filters


KINDS = (Attention, LinearAttention, Folded, ToHeads, FromHeads, Product, PositionBias, Permuted,
         Standardized, Subtract, Adder)
"""All of them but Gains, which are nothing but a convolution once a network is built."""
