# SPDX-License-Identifier: MIT
"""Random graphs of one operator that moves values, for hypothesis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from tinyeff.ir import Graph
from tinyeff.ops import operator_of
from tinyeff.ops.arg_max import ArgMaxAttrs
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.concatenation import ConcatenationAttrs
from tinyeff.ops.depth_to_space import BlockAttrs
from tinyeff.ops.expand_dims import ExpandDimsAttrs
from tinyeff.ops.operator import node_of
from tinyeff.ops.pack import PackAttrs
from tinyeff.ops.resize_bilinear import ResizeBilinearAttrs
from tinyeff.ops.slice import SliceAttrs
from tinyeff.ops.split import SplitAttrs
from tinyeff.ops.split_v import SplitVAttrs
from tinyeff.ops.squeeze import SqueezeAttrs
from tinyeff.ops.strided_slice import StridedSliceAttrs
from tinyeff.ops.tile import TileAttrs
from tinyeff.ops.unpack import UnpackAttrs

SCALE, ZERO_POINT = 0.1, 9
sizes = st.integers(1, 6)
shapes = st.lists(sizes, min_size=1, max_size=5).map(tuple)
seeds = st.integers(0, 2**32 - 1)


def supported(graph: Graph) -> Graph:
    """The graph, if its only operator breaks none of its limits."""
    op = graph.ops[0]
    assume(not list(operator_of(op.kind).limits(node_of(graph, op))))
    return graph


@st.composite
def concatenations(draw: st.DrawFn) -> Graph:
    g = GraphBuilder("random", draw(seeds))
    shape = draw(shapes)
    axis = draw(st.integers(-len(shape), -1))
    inputs: list[int | None] = []
    for _ in range(draw(st.integers(1, 4))):
        part = list(shape)
        part[axis] = draw(sizes)
        if inputs and draw(st.integers(0, 3)) == 0:
            data = g.rng.integers(-128, 128, part, dtype=np.int8)
            inputs.append(g.constant(data, SCALE, ZERO_POINT))
        else:
            inputs.append(g.input(tuple(part), SCALE, ZERO_POINT))
    inputs = draw(st.permutations(inputs))
    output = g.op("CONCATENATION", inputs, ConcatenationAttrs(axis), SCALE, ZERO_POINT)
    return supported(g.graph(output))


@st.composite
def packs(draw: st.DrawFn) -> Graph:
    g = GraphBuilder("random", draw(seeds))
    shape = draw(shapes)
    inputs: list[int | None] = [g.input(shape, SCALE, ZERO_POINT)
                                for _ in range(draw(st.integers(1, 4)))]
    attrs = PackAttrs(draw(st.integers(0, len(shape))))
    return supported(g.graph(g.op("PACK", inputs, attrs, SCALE, ZERO_POINT)))


@st.composite
def splits(draw: st.DrawFn) -> Graph:
    g = GraphBuilder("random")
    shape = list(draw(shapes))
    axis, count = draw(st.integers(-len(shape), -1)), draw(st.integers(1, 4))
    shape[axis] *= count
    x = g.input(tuple(shape), SCALE, ZERO_POINT)
    constant = g.constant(np.array(axis, np.int32))
    return supported(g.graph(*g.ops("SPLIT", [constant, x], SplitAttrs(axis, count), like=x)))


@st.composite
def uneven_splits(draw: st.DrawFn) -> Graph:
    g = GraphBuilder("random")
    shape = list(draw(shapes))
    axis = draw(st.integers(-len(shape), -1))
    parts = draw(st.lists(sizes, min_size=1, max_size=4))
    shape[axis] = sum(parts)
    x = g.input(tuple(shape), SCALE, ZERO_POINT)
    constants = [g.constant(np.array(parts, np.int32)), g.constant(np.array([axis], np.int32))]
    attrs = SplitVAttrs(axis, tuple(parts))
    return supported(g.graph(*g.ops("SPLIT_V", [x, *constants], attrs, like=x)))


@st.composite
def unpacks(draw: st.DrawFn) -> Graph:
    g = GraphBuilder("random")
    shape = draw(st.lists(sizes, min_size=2, max_size=5).map(tuple))
    axis = draw(st.integers(-len(shape), -1))
    x = g.input(shape, SCALE, ZERO_POINT)
    return supported(g.graph(*g.ops("UNPACK", [x], UnpackAttrs(axis, shape[axis]), like=x)))


@st.composite
def slices(draw: st.DrawFn) -> Graph:
    g = GraphBuilder("random")
    shape = draw(shapes)
    begin = tuple(draw(st.integers(0, n - 1)) for n in shape)
    size = tuple(draw(st.integers(1, n - b)) for n, b in zip(shape, begin, strict=True))
    x = g.input(shape, SCALE, ZERO_POINT)
    constants = [g.constant(np.array(v, np.int32)) for v in (begin, size)]
    return supported(g.graph(g.op("SLICE", [x, *constants], SliceAttrs(begin, size), like=x)))


MASKS = ("begin", "end", "ellipsis", "new_axis", "shrink_axis")


@dataclass
class SliceSpec:
    """The entries of a STRIDED_SLICE, collected one by one."""

    entries: list[tuple[int, int, int]] = field(default_factory=list)
    masks: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MASKS, 0))

    def add(self, entry: tuple[int, int, int], **masks: bool) -> None:
        for name, is_set in masks.items():
            self.masks[name] |= is_set << len(self.entries)
        self.entries.append(entry)

    def attrs(self) -> StridedSliceAttrs:
        begin, end, strides = zip(*self.entries, strict=True)
        a, b, c, d, e = (self.masks[name] for name in MASKS)
        return StridedSliceAttrs(begin, end, strides, a, b, c, d, e)


def draw_range(draw: st.DrawFn, spec: SliceSpec, size: int) -> None:
    """An entry that takes at least one of `size` indices, or exactly one without its dimension."""
    first = draw(st.integers(0, size - 1))
    begin = first - size * draw(st.integers(0, 1))
    if draw(st.integers(0, 4)) == 0:
        spec.add((begin, draw(st.integers(-9, 9)), 1), shrink_axis=True)
        return
    step = draw(st.sampled_from([1, 1, 2, 3, -1, -2]))
    ends = range(first + 1, size + 3) if step > 0 else range(first - 1, -size - 3, -1)
    end = draw(st.sampled_from(ends))
    end -= size * (end < 0 or (0 < end < size and draw(st.booleans())))
    spec.add((begin, end, step), begin=draw(st.booleans()) and draw(st.booleans()),
             end=draw(st.booleans()) and draw(st.booleans()))


@st.composite
def strided_slices(draw: st.DrawFn) -> Graph:
    shape, spec = draw(shapes), SliceSpec()
    mentioned = draw(st.integers(1, len(shape)))
    is_complete = mentioned == len(shape)
    ellipsis = None if is_complete or draw(st.booleans()) else draw(st.integers(0, mentioned))
    left = list(shape if ellipsis is None else
                (*shape[:ellipsis], *shape[len(shape) - mentioned + ellipsis:]))[:mentioned]
    for place in range(mentioned + 1):
        if place == ellipsis:
            spec.add((5, 5, 5), ellipsis=True)
        if draw(st.integers(0, 4)) == 0:
            spec.add((7, 7, 7), new_axis=True)
        if place < mentioned:
            draw_range(draw, spec, left[place])
    g = GraphBuilder("random")
    x, attrs = g.input(shape, SCALE, ZERO_POINT), spec.attrs()
    constants = [g.constant(np.array(v, np.int32)) for v in (attrs.begin, attrs.end, attrs.strides)]
    output = g.op("STRIDED_SLICE", [x, *constants], attrs, like=x)
    assume(g.tensor(output).shape)  # LiteRT cannot tell a scalar from an unknown shape
    return supported(g.graph(output))


@st.composite
def squeezes(draw: st.DrawFn) -> Graph:
    g = GraphBuilder("random")
    shape = draw(st.permutations([1, 2, *draw(st.lists(st.sampled_from([1, 1, 3]), max_size=3))]))
    ones = [i for i, n in enumerate(shape) if n == 1]
    axes = draw(st.lists(st.sampled_from(ones), unique=True))
    x = g.input(tuple(shape), SCALE, ZERO_POINT)
    return supported(g.graph(g.op("SQUEEZE", [x], SqueezeAttrs(tuple(axes)), like=x)))


@st.composite
def expansions(draw: st.DrawFn) -> Graph:
    g = GraphBuilder("random")
    shape = draw(shapes)
    axis = draw(st.integers(0, len(shape)))
    x, constant = g.input(shape, SCALE, ZERO_POINT), g.constant(np.array([axis], np.int32))
    return supported(g.graph(g.op("EXPAND_DIMS", [x, constant], ExpandDimsAttrs(axis), like=x)))


@st.composite
def bilinear_resizes(draw: st.DrawFn) -> Graph:
    lengths = st.integers(1, 40)
    g = GraphBuilder("random")
    x = g.input((1, draw(lengths), draw(lengths), draw(st.integers(1, 3))), SCALE, ZERO_POINT)
    size = (draw(lengths), draw(lengths))
    flags = draw(st.sampled_from([(False, False), (True, False), (False, True)]))
    constant = g.constant(np.array(size, np.int32))
    attrs = ResizeBilinearAttrs(size, *flags)
    return supported(g.graph(g.op("RESIZE_BILINEAR", [x, constant], attrs, like=x)))


@st.composite
def tiles(draw: st.DrawFn) -> Graph:
    g = GraphBuilder("random")
    shape = draw(st.lists(st.sampled_from([1, 1, 2, 3, 5]), min_size=1, max_size=5).map(tuple))
    multiples = tuple(draw(st.sampled_from([1, 1, 2, 3])) for _ in shape)
    x, constant = g.input(shape, SCALE, ZERO_POINT), g.constant(np.array(multiples, np.int32))
    return supported(g.graph(g.op("TILE", [x, constant], TileAttrs(multiples), like=x)))


@st.composite
def largest(draw: st.DrawFn) -> Graph:
    g = GraphBuilder("random")
    shape = draw(st.lists(sizes, min_size=2, max_size=5).map(tuple))
    axis, dtype = draw(st.integers(-len(shape), -1)), draw(st.sampled_from(["int32", "int64"]))
    x, constant = g.input(shape, SCALE, ZERO_POINT), g.constant(np.array(axis, np.int32))
    return supported(g.graph(g.op("ARG_MAX", [x, constant], ArgMaxAttrs(axis, dtype), dtype=dtype)))


@st.composite
def blocks(draw: st.DrawFn, kind: str) -> Graph:
    g = GraphBuilder("random")
    block = draw(st.integers(1, 4))
    height, width, channels = draw(sizes), draw(sizes), draw(sizes)
    shape = (1, height, width, channels * block**2)
    if kind == "SPACE_TO_DEPTH":
        shape = (1, height * block, width * block, channels)
    x = g.input(shape, SCALE, ZERO_POINT)
    return supported(g.graph(g.op(kind, [x], BlockAttrs(block), like=x)))


STRATEGIES: dict[str, Callable[[], st.SearchStrategy[Graph]]] = {
    "CONCATENATION": concatenations,
    "PACK": packs,
    "SPLIT": splits,
    "SPLIT_V": uneven_splits,
    "UNPACK": unpacks,
    "SLICE": slices,
    "STRIDED_SLICE": strided_slices,
    "SQUEEZE": squeezes,
    "EXPAND_DIMS": expansions,
    "RESIZE_BILINEAR": bilinear_resizes,
    "ARG_MAX": largest,
    "TILE": tiles,
    "DEPTH_TO_SPACE": lambda: blocks("DEPTH_TO_SPACE"),
    "SPACE_TO_DEPTH": lambda: blocks("SPACE_TO_DEPTH"),
}
