# SPDX-License-Identifier: MIT
"""STRIDED_SLICE: a box with steps out of a tensor, as Python writes x[1:9:2, ..., 0]."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff.ir import Graph
from tinyeff.ops import operator as o
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.operator import Node
from tinyeff.ops.slicing import Range, Ranges, Slicing, no_ranges


@dataclass(frozen=True)
class StridedSliceAttrs:
    """As the file has it. Bit i of a mask says of entry i of begin, end and strides:

    take all from the begin, or up to the end; stand for all dimensions not mentioned (ellipsis);
    add a dimension of size 1 (new axis); take one value and drop the dimension (shrink axis).
    With `offset` the end counts from the begin.
    """

    begin: tuple[int, ...]
    end: tuple[int, ...]
    strides: tuple[int, ...]
    begin_mask: int = 0
    end_mask: int = 0
    ellipsis_mask: int = 0
    new_axis_mask: int = 0
    shrink_axis_mask: int = 0
    offset: bool = False


ELLIPSIS, NEW_AXIS, ALL = "...", "new axis", "all"
Entry = int | str
"""Of a slice: the number of its entry in begin, end and strides, or one of these words."""


def _entries(a: StridedSliceAttrs, rank: int) -> list[Entry]:
    """What is done, dimension by dimension: of the input, and NEW_AXIS in between."""
    entries: list[Entry] = []
    masks = (a.begin_mask, a.end_mask, a.ellipsis_mask, a.new_axis_mask, a.shrink_axis_mask)
    if a.offset and (any(masks) or len(a.begin) != rank):
        raise ValueError("its end counts from its begin; then LiteRT reads beyond the tensor "
                         "unless there is an entry for each dimension, and no mask")
    for i in range(len(a.begin)):
        if a.ellipsis_mask >> i & 1:
            entries.append(ELLIPSIS)
        else:
            entries.append(NEW_AXIS if a.new_axis_mask >> i & 1 else i)
    missing = rank - sum(isinstance(e, int) for e in entries)
    if missing < 0:
        raise ValueError(f"it slices {rank - missing} dimensions of an input that has {rank}")
    if entries.count(ELLIPSIS) > 1 or (ELLIPSIS in entries and not missing):
        raise ValueError("it has several ellipses, or one that stands for no dimension, which "
                         "LiteRT takes for one of the others; write the slice without it")
    if ELLIPSIS not in entries:
        entries.append(ELLIPSIS)
    place = entries.index(ELLIPSIS)
    entries[place:place + 1] = [ALL] * missing
    return entries


def _range(a: StridedSliceAttrs, i: int, size: int) -> Range:
    """Entry `i` of a dimension of `size`. Source: StartForAxis and EndForAxis of LiteRT."""
    step = a.strides[i]
    if step == 0:
        raise ValueError("it has a stride of 0")
    begin = None if a.begin_mask >> i & 1 else a.begin[i]
    if a.shrink_axis_mask >> i & 1:
        first = (begin or 0) if begin is None or begin >= 0 else begin + size
        if not 0 <= first < size or step < 0:
            raise ValueError(f"index {a.begin[i]} (stride {step}) does not exist in a dimension "
                             f"of {size}")
        return Range(first, 1, 1)
    end = None if a.end_mask >> i & 1 else a.end[i]
    if a.offset and end is not None:
        end += a.begin[i]
        if not 0 <= a.begin[i] < end <= size or step < 0:
            raise ValueError(f"its range of {a.end[i]} from {a.begin[i]} on (stride {step}) leaves "
                             f"a dimension of {size}, where LiteRT does not cut it off")
    indices = range(*slice(begin, end, step).indices(size))
    if not indices:
        raise ValueError(f"its range {begin}:{end}:{step} holds nothing of a dimension of {size}")
    return Range(indices[0], step if len(indices) > 1 else 1, len(indices))


class StridedSlice(Slicing[StridedSliceAttrs]):
    """Source: strided_slice.cc of LiteRT."""

    kind = "STRIDED_SLICE"
    uint8 = True
    shares_scale = True
    version = 2

    def read(self, options: Any, node: Node[None]) -> StridedSliceAttrs:
        begin, end, strides = self._constants(node)
        if not len(begin) == len(end) == len(strides):
            raise ValueError(f"its begin {list(begin)}, end {list(end)} and strides "
                             f"{list(strides)} differ in length")
        if not node.input(0).shape:
            raise no_ranges(node)
        return StridedSliceAttrs(
            begin, end, strides, int(options.beginMask), int(options.endMask),
            int(options.ellipsisMask), int(options.newAxisMask), int(options.shrinkAxisMask),
            bool(options.offset))

    def _constants(self, node: Node[Any]) -> tuple[tuple[int, ...], ...]:
        return tuple(o.constant_ints(node, n, what)
                     for n, what in enumerate(("begin", "end", "strides"), 1))

    def write(self, node: Node[StridedSliceAttrs]) -> Any:
        a = node.attrs
        if node.optional(1) is not None and self._constants(node) != (a.begin, a.end, a.strides):
            raise ValueError(f"its slice {a} differs from its constant inputs 1 to 3")
        options = schema.StridedSliceOptionsT()
        options.beginMask, options.endMask = a.begin_mask, a.end_mask
        options.ellipsisMask, options.newAxisMask = a.ellipsis_mask, a.new_axis_mask
        options.shrinkAxisMask, options.offset = a.shrink_axis_mask, a.offset
        return options

    def ranges(self, node: Node[StridedSliceAttrs]) -> Ranges:
        shape = node.input(0).shape
        kept = [e for e in _entries(node.attrs, len(shape)) if e != NEW_AXIS]
        return tuple(_range(node.attrs, e, n) if isinstance(e, int) else Range(0, 1, n)
                     for e, n in zip(kept, shape, strict=True))

    def output_shapes(self, node: Node[StridedSliceAttrs]) -> tuple[tuple[int, ...], ...]:
        ranges, shape = list(self.ranges(node)), []
        for entry in _entries(node.attrs, len(ranges)):
            if entry == NEW_AXIS:
                shape.append(1)
                continue
            count = ranges.pop(0).count
            if not (isinstance(entry, int) and node.attrs.shrink_axis_mask >> entry & 1):
                shape.append(count)
        return (tuple(shape),)

    def cases(self) -> Iterator[Graph]:
        image = (1, 6, 7, 5)
        cases: list[tuple[str, tuple[int, ...], StridedSliceAttrs]] = [
            ("box", image, StridedSliceAttrs((0, 1, 2, 0), (1, 5, 7, 5), (1, 1, 1, 1))),
            ("steps", image, StridedSliceAttrs((0, 1, 0, 1), (1, 6, 7, 5), (1, 2, 3, 2))),
            ("focus", (1, 6, 6, 3), StridedSliceAttrs((0, 0, 1, 0), (0, 0, 0, 0), (1, 2, 2, 1),
                                                      9, 15)),
            ("negative", image, StridedSliceAttrs((0, -4, -3, -2), (1, -1, -1, 9), (1, 1, 1, 1))),
            ("mirrored", image, StridedSliceAttrs((0, 0, 6, 4), (1, 6, -9, 0), (1, 1, -2, -1))),
            ("upside_down", image, StridedSliceAttrs((0, 0), (0, 0), (1, -1), 3, 3)),
            ("last_channel", image, StridedSliceAttrs((0, -1), (0, 0), (1, 1), 1, 1, 1, 0, 2)),
            ("first_row", image, StridedSliceAttrs((0, 0), (0, 1), (1, 1), 1, 1, 0, 0, 2)),
            ("no_batch", image, StridedSliceAttrs((0,), (1,), (1,), 0, 0, 0, 0, 1)),
            ("new_axis", (1, 6, 5), StridedSliceAttrs((0, 0, 2), (0, 0, 4), (1, 1, 1), 1, 1, 0,
                                                      2)),
            ("ellipsis", image, StridedSliceAttrs((0, 0, 1), (1, 0, 4), (1, 1, 1), 0, 0, 2)),
            ("offset", image, StridedSliceAttrs((0, 1, 2, 3), (1, 3, 4, 2), (1, 1, 1, 1), 0, 0, 0,
                                                0, 0, True)),
            ("vector", (1, 12), StridedSliceAttrs((0, 1), (1, 11), (1, 3))),
            ("flat", (12,), StridedSliceAttrs((10,), (2,), (-4,))),
            ("all", image, StridedSliceAttrs((0, 0), (0, 0), (1, 1), 3, 3)),
            ("one", image, StridedSliceAttrs((0, 1, 2, 3), (1, 2, 3, 4), (1, 1, 1, 1), 0, 0, 0, 0,
                                             15)),
        ]
        for name, shape, attrs in cases:
            g = GraphBuilder(f"strided_slice_{name}")
            x = g.input(shape, 0.1, 9)
            constants = [g.constant(np.array(v, np.int32))
                         for v in (attrs.begin, attrs.end, attrs.strides)]
            yield g.graph(g.op(self.kind, [x, *constants], attrs, like=x))


OPERATOR = StridedSlice()
