# SPDX-License-Identifier: MIT
"""The rows of the tables: each kind of row is a block, its fields are the columns.

`n` repeats a row; the stride `s` is that of the first repeat. `act` None is the network's own
activation. Field names follow the papers: t or e expansion, c output channels, k kernel, s stride.
"""

from __future__ import annotations

from dataclasses import dataclass

from tinyeff.zoo import layers as kinds
from tinyeff.zoo.builder import Builder, divisible
from tinyeff.zoo.layers import Pair


@dataclass(frozen=True)
class Row:
    """A row of a table."""

    def apply(self, net: Builder, x: int) -> int:
        """Append the row's layers to `net` behind `x`; returns what they compute."""
        raise NotImplementedError


@dataclass(frozen=True)
class Repeated(Row):
    """A row that is repeated: `c` output channels, `n` times, the first with stride `s`."""

    c: int
    n: int = 1
    s: int = 1

    def apply(self, net: Builder, x: int) -> int:
        """All repeats, one after the other."""
        for i in range(net.repeats(self.n)):
            x = self.block(net, x, self.s if i == 0 else 1)
            net.nominal = self.c
        return x

    def block(self, net: Builder, x: int, stride: int) -> int:
        """One repeat."""
        raise NotImplementedError


@dataclass(frozen=True)
class Squeeze:
    """How squeeze and excite is built: its narrow layer has `ratio` of the channels of ..."""

    ratio: float = 0.25
    of_input: bool = False
    """... the block's input, or else of what is squeezed."""
    divisor: int = 1
    act: str = "relu"
    gate: str = "sigmoid"

    def apply(self, net: Builder, x: int, block_input: int) -> int:
        """Squeeze and excite `x` inside a block that reads `block_input` channels."""
        wide = (block_input if self.of_input else net.channels(x)) * self.ratio
        reduced = max(1, int(wide)) if self.divisor == 1 else divisible(wide, self.divisor)
        return net.gate(x, reduced, self.act, self.gate)


@dataclass(frozen=True)
class Conv(Row):
    """Convolution, batch normalization, activation.

    Its channels are scaled by at least `at_least`: 1 for layers that never become narrower. Those
    that are `fixed` are never scaled.
    """

    c: int
    k: int | Pair = 1
    s: int | Pair = 1
    act: str | None = None
    at_least: float = 0.0
    norm: bool = True
    bias: bool = False
    padding: str = "same"
    fixed: bool = False

    def apply(self, net: Builder, x: int) -> int:
        """One convolution."""
        c = self.c if self.fixed else net.width(self.c, at_least=self.at_least)
        x = net.conv(x, c, self.k, self.s, self.act, 1, self.padding, self.norm, self.bias)
        net.nominal = self.c
        return x


@dataclass(frozen=True)
class Pool(Row):
    """Global average pooling; as a map of one pixel where convolutions follow (`keep`)."""

    keep: bool = False

    def apply(self, net: Builder, x: int) -> int:
        """One value per channel."""
        return net.add(kinds.GlobalPool(self.keep), x)


@dataclass(frozen=True)
class MaxPool(Row):
    """Max pooling; `ceil` keeps a last window that is not whole, as in Caffe."""

    k: int = 3
    s: int = 2
    ceil: bool = False

    def apply(self, net: Builder, x: int) -> int:
        """One pooling."""
        rows, columns, _ = net.shape(x)
        whole = (rows - self.k) % self.s == 0 and (columns - self.k) % self.s == 0
        padding = "valid" if self.ceil and whole else "same"
        return net.add(kinds.MaxPool((self.k, self.k), (self.s, self.s), padding), x)


@dataclass(frozen=True)
class Flatten(Row):
    """All values as one vector."""

    def apply(self, net: Builder, x: int) -> int:
        """One dimension is left."""
        return net.add(kinds.Flatten(), x) if len(net.shape(x)) > 1 else x


@dataclass(frozen=True)
class Dropout(Row):
    """In training, forgets a fraction of the values."""

    rate: float = 0.2

    def apply(self, net: Builder, x: int) -> int:
        """Does nothing in inference."""
        return net.add(kinds.Dropout(self.rate), x)


@dataclass(frozen=True)
class Full(Row):
    """A fully connected layer of `c` units, with batch normalization or a bias."""

    c: int
    act: str | None = None
    norm: bool = False

    def apply(self, net: Builder, x: int) -> int:
        """One layer."""
        x = Flatten().apply(net, x)
        x = net.add(kinds.Dense(self.c), x)
        return net.act(net.norm(x) if self.norm and not net.deployed else x, self.act)


@dataclass(frozen=True)
class Classes(Row):
    """The classifier: logits, or probabilities where `act` is "softmax"."""

    act: str = "none"
    bias: bool = True

    def apply(self, net: Builder, x: int) -> int:
        """One unit per class."""
        return net.act(net.add(kinds.Dense(net.classes, self.bias), x), self.act)


@dataclass(frozen=True)
class ConvClasses(Row):
    """A classifier that is a 1x1 convolution before the pooling (SqueezeNet)."""

    act: str | None = None

    def apply(self, net: Builder, x: int) -> int:
        """One channel per class."""
        return net.conv(x, net.classes, act=self.act, norm=False, bias=True)
