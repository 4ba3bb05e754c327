# SPDX-License-Identifier: MIT
"""What the rows of a table write into: a network under construction."""

from __future__ import annotations

import math

from tinyeff.zoo import layers as kinds
from tinyeff.zoo.layers import Kind, Layer, Network, Pair, Shape


def divisible(value: float, divisor: int = 8) -> int:
    """The multiple of `divisor` nearest to `value`, at least `divisor`, never 10 % below `value`.

    The rule for channel numbers of MobileNetV2 and all that follow it.
    """
    result = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return result + divisor if result < 0.9 * value else result


def pair(size: int | Pair) -> Pair:
    """A size along both axes."""
    return (size, size) if isinstance(size, int) else size


class Builder:
    """Appends layers, normalized and activated as the table asks.

    `scale` and `depth` multiply the channels and repeats of a table, `divisor` is what channels are
    rounded to, `activation` what a convolution ends with unless a row says otherwise. With
    `deployed` batch normalization is folded into the convolution before it, and branches that a
    single convolution can replace are not made at all. `nominal` is the number of channels that the
    table gives for what the next row reads, before scaling. `taps` are values that a later row
    reads, `outputs` those of a network that has several.

    Values are numbers of layers.
    """

    def __init__(
        self, shape: Shape, classes: int, activation: str, scale: float = 1.0, depth: float = 1.0,
        divisor: int = 8, deployed: bool = False,
    ) -> None:
        self.layers: list[Layer] = []
        self._made: dict[tuple[Kind, tuple[int, ...]], int] = {}
        self.classes, self.activation, self.deployed = classes, activation, deployed
        self.scale, self.depth, self.divisor = scale, depth, divisor
        self.nominal = shape[-1]
        self.taps: list[int] = []
        self.outputs: list[int] = []
        self.input = self.add(kinds.Input(shape))

    def network(self, name: str) -> Network:
        """What has been built."""
        return Network(name, tuple(self.layers), tuple(self.outputs))

    def add(self, kind: Kind, *inputs: int) -> int:
        """Append a layer of any kind; one that trains nothing is not made twice of the same."""
        shapes = tuple(self.layers[i].shape for i in inputs)
        if not kind.parameters(shapes) and (kind, inputs) in self._made:
            return self._made[kind, inputs]
        self.layers.append(Layer(kind, inputs, kind.output_shape(shapes)))
        self._made[kind, inputs] = len(self.layers) - 1
        return len(self.layers) - 1

    def shape(self, x: int) -> Shape:
        """The shape of a value."""
        return self.layers[x].shape

    def channels(self, x: int) -> int:
        """The channels of a value."""
        return self.shape(x)[-1]

    def width(self, channels: float, divisor: int | None = None, at_least: float = 0.0) -> int:
        """Channels of a table, scaled by the width multiplier (or by `at_least`, if larger)."""
        scale = max(self.scale, at_least)
        if scale == 1.0 and channels == int(channels):
            return int(channels)
        return divisible(channels * scale, divisor or self.divisor)

    def repeats(self, number: int) -> int:
        """Repeats of a table, scaled by the depth multiplier."""
        return math.ceil(number * self.depth)

    def norm(self, x: int) -> int:
        """Batch normalization of what no convolution precedes."""
        return self.add(kinds.Norm(), x)

    def act(self, x: int, function: str | None = None) -> int:
        """The activation called `function`, the table's own where it is None, none where "none"."""
        function = self.activation if function is None else function
        if function == "relu" and self.layers[x].kind == kinds.Activation("relu"):
            return x  # a second one changes nothing
        return x if function == "none" else self.add(kinds.Activation(function), x)

    def conv(
        self, x: int, filters: int, kernel: int | Pair = 1, stride: int | Pair = 1,
        act: str | None = None, groups: int = 1, padding: str = "same",
        norm: bool = True, bias: bool = False, dilation: int = 1,
    ) -> int:
        """Convolution, batch normalization, activation."""
        kind = kinds.Conv(pair(kernel), pair(stride), padding, filters, groups,
                          bias or (norm and self.deployed), dilation)
        return self.act(self._normalized(self.add(kind, x), norm), act)

    def depthwise(
        self, x: int, kernel: int | Pair, stride: int | Pair = 1, act: str | None = None,
        padding: str = "same", norm: bool = True, bias: bool = False,
    ) -> int:
        """Depthwise convolution, batch normalization, activation."""
        kind = kinds.Depthwise(pair(kernel), pair(stride), padding,
                               bias or (norm and self.deployed))
        return self.act(self._normalized(self.add(kind, x), norm), act)

    def _normalized(self, x: int, norm: bool) -> int:
        return self.norm(x) if norm and not self.deployed else x

    def scaled(self, x: int, initial: float = 1e-5) -> int:
        """A learned factor per channel; deployed, it is folded into the convolution before it."""
        return x if self.deployed else self.add(kinds.ChannelScale(initial), x)

    def residual(self, x: int, y: int) -> int:
        """y + x where their shapes allow it, else y."""
        return self.add(kinds.Add(), x, y) if self.shape(x) == self.shape(y) else y

    def gate(self, x: int, reduced: int, act: str = "relu", gate: str = "sigmoid") -> int:
        """Squeeze and excite: each channel times a number made of the means of all channels."""
        y = self.add(kinds.GlobalPool(keep=True), x)
        y = self.conv(y, reduced, act=act, norm=False, bias=True)
        y = self.conv(y, self.channels(x), act=gate, norm=False, bias=True)
        return self.add(kinds.Multiply(), x, y)

    def slice(self, x: int, first: int, last: int) -> int:
        """Channels [first, last) of a value."""
        whole = (first, last) == (0, self.channels(x))
        return x if whole else self.add(kinds.Slice(first, last), x)

    def concat(self, *values: int) -> int:
        """Values side by side."""
        return values[0] if len(values) == 1 else self.add(kinds.Concat(), *values)
