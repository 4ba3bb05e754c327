# SPDX-License-Identifier: MIT
"""The layers that networks of the zoo are made of, as data: shapes, parameters, work.

A network is a list of layers, each of which names the layers that it reads. From the same list
are counted parameters and multiply-accumulates, built a Keras model (`keras_model.py`) and a graph
that the planner takes (`graphs.py`), so that no two of them can disagree.

Shapes leave the batch out: (rows, columns, channels) of a map, (channels,) of a vector.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

Shape = tuple[int, ...]
Pair = tuple[int, int]


@dataclass(frozen=True)
class Kind:
    """What a layer does. Unless it says otherwise its output has the shape of its first input."""

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Shape of the output for inputs of these shapes."""
        return inputs[0]

    def parameters(self, inputs: tuple[Shape, ...]) -> int:
        """How many values are trained (moving statistics are not)."""
        return 0

    def macs(self, inputs: tuple[Shape, ...]) -> int:
        """Multiply-accumulates of one inference; taps in the padding count."""
        return 0


@dataclass(frozen=True)
class Input(Kind):
    """What the network is given."""

    shape: Shape

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """The shape given."""
        return self.shape


@dataclass(frozen=True)
class Windowed(Kind):
    """What moves a window over rows and columns; `padding` is "same" or "valid", as in Keras."""

    kernel: Pair
    stride: Pair = (1, 1)
    padding: str = "same"

    def window_shape(self, shape: Shape) -> Pair:
        """Rows and columns of the output."""
        if self.padding == "same":
            rows, columns = (-(-n // s) for n, s in zip(shape, self.stride, strict=False))
        else:
            rows, columns = ((n - k) // s + 1 for n, k, s in
                             zip(shape, self.kernel, self.stride, strict=False))
        return rows, columns

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """As many channels as before."""
        return (*self.window_shape(inputs[0]), inputs[0][-1])


@dataclass(frozen=True)
class Conv(Windowed):
    """A convolution, in `groups` that see their share of the channels only.

    With a `dilation` its taps lie so many pixels apart; it is padded "same" then.
    """

    filters: int = 1
    groups: int = 1
    bias: bool = False
    dilation: int = 1

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """`filters` channels."""
        return (*self.window_shape(inputs[0]), self.filters)

    def weights(self, inputs: tuple[Shape, ...]) -> int:
        """Elements of the kernel."""
        return math.prod(self.kernel) * inputs[0][-1] // self.groups * self.filters

    def parameters(self, inputs: tuple[Shape, ...]) -> int:
        """Kernel and bias."""
        return self.weights(inputs) + (self.filters if self.bias else 0)

    def macs(self, inputs: tuple[Shape, ...]) -> int:
        """The whole kernel at each pixel of the output."""
        return math.prod(self.window_shape(inputs[0])) * self.weights(inputs)


@dataclass(frozen=True)
class Depthwise(Windowed):
    """A convolution of each channel for itself."""

    bias: bool = False

    def parameters(self, inputs: tuple[Shape, ...]) -> int:
        """Kernel and bias."""
        return (math.prod(self.kernel) + self.bias) * inputs[0][-1]

    def macs(self, inputs: tuple[Shape, ...]) -> int:
        """The whole kernel at each pixel of the output."""
        return math.prod(self.output_shape(inputs)) * math.prod(self.kernel)


@dataclass(frozen=True)
class MaxPool(Windowed):
    """The largest value of each window."""


@dataclass(frozen=True)
class AveragePool(Windowed):
    """The mean of each window; taps in the padding do not count."""


@dataclass(frozen=True)
class Dense(Kind):
    """A fully connected layer."""

    units: int
    bias: bool = True

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """`units` channels."""
        return (self.units,)

    def parameters(self, inputs: tuple[Shape, ...]) -> int:
        """Kernel and bias."""
        return (inputs[0][-1] + self.bias) * self.units

    def macs(self, inputs: tuple[Shape, ...]) -> int:
        """One per weight."""
        return inputs[0][-1] * self.units


@dataclass(frozen=True)
class Norm(Kind):
    """Batch normalization: gamma and beta are trained, mean and variance are not."""

    def parameters(self, inputs: tuple[Shape, ...]) -> int:
        """Gamma and beta."""
        return 2 * inputs[0][-1]


@dataclass(frozen=True)
class Activation(Kind):
    """A function of each value, by its Keras name; "softmax" is of each pixel's channels."""

    function: str


@dataclass(frozen=True)
class Add(Kind):
    """The sum of its inputs."""


@dataclass(frozen=True)
class Multiply(Kind):
    """The product of a map and a gate per channel."""


@dataclass(frozen=True)
class Concat(Kind):
    """Its inputs side by side, along the channels."""

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """All channels together."""
        return (*inputs[0][:-1], sum(shape[-1] for shape in inputs))


@dataclass(frozen=True)
class Slice(Kind):
    """Channels [first, last)."""

    first: int
    last: int

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """The channels that are kept."""
        return (*inputs[0][:-1], self.last - self.first)


@dataclass(frozen=True)
class PadChannels(Kind):
    """`more` channels of zeros behind those that are there."""

    more: int

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """More channels."""
        return (*inputs[0][:-1], inputs[0][-1] + self.more)


@dataclass(frozen=True)
class Shuffle(Kind):
    """Channel i of group j becomes channel j of group i: ShuffleNet's permutation."""

    groups: int


@dataclass(frozen=True)
class GlobalPool(Kind):
    """The mean over all rows and columns, as a vector or (`keep`) as a map of one pixel."""

    keep: bool = False

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """One value per channel."""
        return (1, 1, inputs[0][-1]) if self.keep else (inputs[0][-1],)


@dataclass(frozen=True)
class Flatten(Kind):
    """All values as one vector."""

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """One dimension."""
        return (math.prod(inputs[0]),)


@dataclass(frozen=True)
class ChannelScale(Kind):
    """A learned factor per channel, `initial` before training."""

    initial: float = 1.0

    def parameters(self, inputs: tuple[Shape, ...]) -> int:
        """One per channel."""
        return inputs[0][-1]


@dataclass(frozen=True)
class Affine(Kind):
    """scale * x + offset."""

    scale: float
    offset: float = 0.0


@dataclass(frozen=True)
class Offset(Kind):
    """Each pixel takes the place of the one `rows` above and `columns` to the left; zeros enter."""

    rows: int
    columns: int


@dataclass(frozen=True)
class ResponseNorm(Kind):
    """Local response normalization: a / (k + alpha * sum of a^2 over `size` channels)^beta."""

    size: int
    k: float
    alpha: float
    beta: float


@dataclass(frozen=True)
class Pad(Kind):
    """`size` rows and columns of zeros on each side."""

    size: int

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """More pixels."""
        rows, columns, channels = inputs[0]
        return (rows + 2 * self.size, columns + 2 * self.size, channels)


@dataclass(frozen=True)
class Crop(Kind):
    """The middle of a map: `rows` rows and `columns` columns."""

    rows: int
    columns: int

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Fewer pixels."""
        return (self.rows, self.columns, inputs[0][-1])


@dataclass(frozen=True)
class Upsample(Kind):
    """Each pixel `factor` times along both axes, or `smooth`: bilinear between pixel centres."""

    factor: int
    smooth: bool = False

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """More pixels."""
        rows, columns, channels = inputs[0]
        return (rows * self.factor, columns * self.factor, channels)


@dataclass(frozen=True)
class TransposedConv(Kind):
    """A transposed convolution whose windows do not overlap: kernel and stride are `factor`."""

    factor: int
    filters: int
    bias: bool = True

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """More pixels, `filters` channels."""
        rows, columns, _ = inputs[0]
        return (rows * self.factor, columns * self.factor, self.filters)

    def parameters(self, inputs: tuple[Shape, ...]) -> int:
        """Kernel and bias."""
        return self.factor**2 * inputs[0][-1] * self.filters + self.bias * self.filters

    def macs(self, inputs: tuple[Shape, ...]) -> int:
        """Each value of the input meets the whole kernel."""
        return math.prod(inputs[0]) * self.factor**2 * self.filters


@dataclass(frozen=True)
class Dropout(Kind):
    """In training, forgets a fraction of the values."""

    rate: float


@dataclass(frozen=True)
class Layer:
    """A layer in its place: what it does, the layers that it reads, and its output's shape."""

    kind: Kind
    inputs: tuple[int, ...]
    shape: Shape


@dataclass(frozen=True)
class Network:
    """Layers in execution order; the first is the input.

    `heads` are the layers that are outputs; without any the last one is.
    """

    name: str
    layers: tuple[Layer, ...]
    heads: tuple[int, ...] = ()

    @property
    def outputs(self) -> tuple[int, ...]:
        """The layers that are outputs."""
        return self.heads or (len(self.layers) - 1,)

    def input_shapes(self, layer: Layer) -> tuple[Shape, ...]:
        """The shapes of what a layer reads."""
        return tuple(self.layers[i].shape for i in layer.inputs)

    @property
    def parameters(self) -> int:
        """Values that are trained: batch normalization counts with gamma and beta."""
        return sum(x.kind.parameters(self.input_shapes(x)) for x in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(x.kind.macs(self.input_shapes(x)) for x in self.layers)
