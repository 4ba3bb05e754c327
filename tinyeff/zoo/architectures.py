# SPDX-License-Identifier: MIT
"""An architecture: a table, and what the table leaves to be said."""

from __future__ import annotations

from dataclasses import dataclass

from tinyeff.errors import UsageError
from tinyeff.zoo.blocks import Dropout, Row
from tinyeff.zoo.builder import Builder
from tinyeff.zoo.layers import Network, Shape

MAX_SIDE = 2048


@dataclass(frozen=True)
class Architecture:
    """A named network as data.

    `input_shape` is (rows, columns, channels), or (channels,) without an image. `width` and `depth`
    multiply the channels and repeats of the table; channels are rounded to `divisor`.
    """

    name: str
    family: str
    source: str
    rows: tuple[Row, ...]
    input_shape: Shape = (224, 224, 3)
    classes: int = 1000
    activation: str = "relu"
    divisor: int = 8
    width: float = 1.0
    depth: float = 1.0

    def network(
        self, width: float | None = None, resolution: int | None = None,
        classes: int | None = None, channels: int | None = None, deployed: bool = False,
        dropout: float = 0.0,
    ) -> Network:
        """The layers of this architecture; what is None is as the paper has it.

        `deployed` is the form that runs: batch normalization folded, branches joined. Raises
        UsageError where a value makes no sense for this architecture.
        """
        shape = self._shape(resolution, channels)
        scale = self.width if width is None else width
        if not 0.01 <= scale <= 16:
            raise UsageError(f"{self.name}: a width of {scale:g} makes no sense; 0.01 to 16 does")
        count = self.classes if classes is None else classes
        if not 1 <= count <= 1_000_000:
            raise UsageError(f"{self.name}: {count} classes; expected is 1 to 1,000,000")
        if not 0 <= dropout < 1:
            raise UsageError(f"{self.name}: a dropout of {dropout:g}; it is a fraction below 1")
        net = Builder(shape, count, self.activation, scale, self.depth, self.divisor, deployed)
        x = net.input
        for i, row in enumerate(self.rows):
            if dropout and i == len(self.rows) - 1:
                x = Dropout(dropout).apply(net, x)
            x = row.apply(net, x)
            if min(net.shape(x)) < 1:
                raise UsageError(f"{self.name}: nothing is left of an image of {shape[0]} x "
                                 f"{shape[1]} after row {i + 1} of the table; use a larger "
                                 "resolution")
        return net.network(self.name)

    def _shape(self, resolution: int | None, channels: int | None) -> Shape:
        shape = self.input_shape
        if resolution is not None:
            if len(shape) != 3 or shape[0] != shape[1]:
                size = " x ".join(map(str, shape))
                raise UsageError(f"{self.name} takes no square image but {size}; leave the "
                                 "resolution out")
            if not 1 <= resolution <= MAX_SIDE:
                raise UsageError(f"{self.name}: a resolution of {resolution}; expected is 1 to "
                                 f"{MAX_SIDE}")
            shape = (resolution, resolution, shape[2])
        if channels is not None:
            if channels < 1:
                raise UsageError(f"{self.name}: {channels} channels; expected is 1 or more")
            shape = (*shape[:-1], channels)
        return shape
