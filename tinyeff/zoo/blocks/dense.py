# SPDX-License-Identifier: MIT
"""Dense prediction: one answer per pixel, or per place, from maps of several resolutions."""

from __future__ import annotations

from dataclasses import dataclass

from tinyeff.errors import UsageError
from tinyeff.zoo import layers as kinds
from tinyeff.zoo.blocks.base import Row
from tinyeff.zoo.builder import Builder
from tinyeff.zoo.layers import Pair


@dataclass(frozen=True)
class Tap(Row):
    """Marks a map that a later row reads too."""

    def apply(self, net: Builder, x: int) -> int:
        """Nothing is computed."""
        net.taps.append(x)
        return x


@dataclass(frozen=True)
class UNet(Row):
    """Down `depth` times to half the size, up again, joined with what was before (U-Net).

    Two 3x3 convolutions at each size, `c` channels at the first, doubled with each. With `padding`
    "valid" the map that is joined is cut to the size of the other.
    """

    c: int = 64
    depth: int = 4
    padding: str = "same"

    def apply(self, net: Builder, x: int) -> int:
        """The whole body."""
        passed, sizes = [], self._sizes(net, x)
        for level in range(self.depth):
            x = self._twice(net, x, self.c << level)
            # Cut before it waits: less is kept in memory.
            cut = net.shape(x)[:2] != sizes[level]
            passed.append(net.add(kinds.Crop(*sizes[level]), x) if cut else x)
            x = net.add(kinds.MaxPool((2, 2), (2, 2), "valid"), x)
        x = self._twice(net, x, self.c << self.depth)
        for level in reversed(range(self.depth)):
            x = net.add(kinds.TransposedConv(2, net.width(self.c << level)), x)
            x = self._twice(net, net.concat(passed[level], x), self.c << level)
        return x

    def _sizes(self, net: Builder, x: int) -> list[Pair]:
        """Rows and columns of each level's map on the way up."""
        lost = 4 if self.padding == "valid" else 0
        rows, columns, _ = net.shape(x)
        for _ in range(self.depth):
            rows, columns = (rows - lost) // 2, (columns - lost) // 2
        found = []
        for _ in range(self.depth):
            rows, columns = 2 * (rows - lost), 2 * (columns - lost)
            found.append((rows, columns))
        return found[::-1]

    def _twice(self, net: Builder, x: int, c: int) -> int:
        for _ in range(2):
            x = net.conv(x, net.width(c), 3, norm=False, bias=True, padding=self.padding)
        return x


@dataclass(frozen=True)
class PixelClasses(Row):
    """A 1x1 convolution to one channel per class, enlarged by `factor`."""

    factor: int = 1

    def apply(self, net: Builder, x: int) -> int:
        """Logits for each pixel."""
        x = net.conv(x, net.classes, act="none", norm=False, bias=True)
        return x if self.factor == 1 else net.add(kinds.Upsample(self.factor, True), x)


@dataclass(frozen=True)
class Pyramid(Row):
    """Feature pyramid of the tapped maps, the last of which is the smallest (Lin et al. 2017b).

    Each map by 1x1 to `c` channels, plus the smaller one enlarged, then 3x3. The results become the
    new taps, in the same order.
    """

    c: int = 64

    def apply(self, net: Builder, x: int) -> int:
        """From the smallest map to the largest."""
        c, above = net.width(self.c), None
        found = []
        for tap in reversed(net.taps):
            y = net.conv(tap, c, act="none")
            if above is not None:
                factor, rest = divmod(net.shape(y)[0], net.shape(above)[0])
                if rest or net.shape(y)[0] != net.shape(y)[1]:
                    raise UsageError(
                        f"a pyramid joins a map of {net.shape(y)[:2]} with one of "
                        f"{net.shape(above)[:2]}, whose sides must be whole multiples: use a "
                        "resolution that is a multiple of 32")
                y = net.add(kinds.Add(), y, net.add(kinds.Upsample(factor), above))
            above = y
            found.append(net.conv(y, c, 3))
        net.taps[:] = reversed(found)
        return net.taps[0]


@dataclass(frozen=True)
class Extra(Row):
    """A smaller map behind the last one, tapped: 1x1 to `c` / 2, depthwise of stride 2, 1x1."""

    c: int

    def apply(self, net: Builder, x: int) -> int:
        """One map more."""
        c = net.width(self.c)
        y = net.conv(net.depthwise(net.conv(x, c // 2), 3, 2), c)
        net.taps.append(y)
        return y


@dataclass(frozen=True)
class BoxHeads(Row):
    """SSDLite's heads: for each tapped map, boxes and classes by depthwise and 1x1.

    Outputs of the network: for each map (rows, columns, anchors * 4), then (…, anchors * classes).
    """

    anchors: int = 6

    def apply(self, net: Builder, x: int) -> int:
        """Two outputs for each map."""
        for tap in net.taps:
            for values in (4, net.classes):
                y = net.depthwise(tap, 3)
                net.outputs.append(net.conv(y, self.anchors * values, act="none", norm=False,
                                            bias=True))
        return net.outputs[-1]


@dataclass(frozen=True)
class GridHeads(Row):
    """YOLO's heads: for each tapped map, `anchors` boxes with objectness and classes.

    Outputs of the network: for each map (rows, columns, anchors * (5 + classes)).
    """

    anchors: int = 3

    def apply(self, net: Builder, x: int) -> int:
        """One output for each map."""
        for tap in net.taps:
            y = net.conv(tap, net.channels(tap), 3)
            net.outputs.append(net.conv(y, self.anchors * (5 + net.classes), act="none",
                                        norm=False, bias=True))
        return net.outputs[-1]


@dataclass(frozen=True)
class PyramidPooling(Row):
    """PSPNet's module: means over grids of several sizes, enlarged and joined (Zhao et al. 2017).

    Grids that do not divide the map are left out.
    """

    c: int
    grids: tuple[int, ...] = (1, 2, 3, 6)

    def apply(self, net: Builder, x: int) -> int:
        """Pool, narrow, enlarge, join, convolve."""
        rows, columns, _ = net.shape(x)
        c = net.width(self.c)
        parts = [x]
        for grid in self.grids:
            if rows == columns and rows % grid == 0:
                size = rows // grid
                window = (size, size)
                y = net.add(kinds.AveragePool(window, window, "valid"), x) if size > 1 else x
                y = net.conv(y, max(1, c // len(self.grids)))
                parts.append(net.add(kinds.Upsample(size, True), y) if size > 1 else y)
        return net.conv(net.concat(*parts), c, 3)
