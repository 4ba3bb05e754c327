# SPDX-License-Identifier: MIT
"""TILE that repeats rows or columns of an image becomes RESIZE_NEAREST_NEIGHBOR.

Up-sampling by two in Keras arrives as

    (1, H, W, C) RESHAPE (1, H, 1, W, C) TILE (1, H, 2, W, C)              every row twice
                 RESHAPE (1, 2H, W, 1, C) TILE (1, 2H, W, 2, C)            every pixel twice
                 RESHAPE (1, 2H, 2W, C)

in which no operator knows that its rows follow from the image's rows. As one resize it copies
every byte once, row by row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from tinyeff.ir import Graph, Op, Tensor
from tinyeff.ops.reshape import ReshapeAttrs
from tinyeff.ops.resize_nearest_neighbor import ResizeNearestNeighborAttrs, nearest
from tinyeff.reader.edit import constant_of, readers

VIEWS = ("RESHAPE", "EXPAND_DIMS", "SQUEEZE")
MAX_POSITIONS = 1 << 13
"""Rows or columns of a resize: what the generated tables have room for."""


@dataclass(frozen=True)
class Repeat:
    """Each of `outer` blocks of `inner` bytes stands `times` times in a row."""

    outer: int
    times: int
    inner: int


@dataclass(frozen=True)
class Scaling:
    """An image of `shape` whose rows and columns are repeated."""

    shape: tuple[int, int, int, int]
    rows: int
    columns: int

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the result."""
        return self.shape[1] * self.rows, self.shape[2] * self.columns

    @property
    def is_exact(self) -> bool:
        """True where RESIZE_NEAREST_NEIGHBOR copies just these rows and columns."""
        pairs = ((self.shape[1], self.rows), (self.shape[2], self.columns))
        return max(self.size) <= MAX_POSITIONS and all(
            np.array_equal(nearest(before, before * times, False, True),
                           np.arange(before * times) // times) for before, times in pairs)


def join_repeats(graph: Graph) -> Graph:
    """TILE operators that repeat become resizes, two that follow each other one."""
    return _Joiner(graph).run()


class _Joiner:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.tensors = list(graph.tensors)
        self.writers = {i: op for op in graph.ops for i in op.outputs}
        self.readers = readers(graph)

    def run(self) -> Graph:
        replaced: dict[int, list[Op]] = {}
        for op in self.graph.ops:
            if op.outputs and op.outputs[0] not in replaced:
                found = self.joined(op)
                if found is not None:
                    last, ops = found
                    replaced[last.outputs[0]] = ops
        ops = [new for op in self.graph.ops
               for new in (replaced.get(op.outputs[0], [op]) if op.outputs else [op])]
        return replace(self.graph, tensors=tuple(self.tensors), ops=tuple(ops))

    def joined(self, op: Op) -> tuple[Op, list[Op]] | None:
        """The last TILE of a chain that begins with `op`, and what replaces it."""
        first = self.repeat(op)
        if first is None:
            return None
        source = self.source(op.inputs[0])
        second = self.next_tile(op)
        if second is not None:
            repeat = self.repeat(second)
            scaling = repeat and _both(first, repeat)
            if scaling and scaling.is_exact:
                return second, self.resize(source, scaling, second)
        scaling = _one(first, self.graph.tensors[source].shape)
        return (op, self.resize(source, scaling, op)) if scaling.is_exact else None

    def repeat(self, op: Op) -> Repeat | None:
        """What a TILE does, where it repeats neighbouring dimensions of size 1 only."""
        multiples = constant_of(self.graph, op, 1)
        if op.kind != "TILE" or multiples is None:
            return None
        x, y = self.graph.tensors[op.inputs[0]], self.graph.tensors[op.outputs[0]]
        axes = [axis for axis, n in enumerate(multiples.reshape(-1).tolist()) if n > 1]
        if not axes or x.quant != y.quant:
            return None
        shape, first, end = x.shape, axes[0], axes[-1] + 1
        if math.prod(shape[first:end]) != 1:
            return None
        return Repeat(math.prod(shape[:first]), math.prod(y.shape[first:end]),
                      math.prod(shape[end:]))

    def source(self, tensor: int) -> int:
        """The tensor of which `tensor` is a view."""
        while (op := self.writers.get(tensor)) is not None and self.is_view(op):
            tensor = op.inputs[0]
        return tensor

    def is_view(self, op: Op) -> bool:
        x, y = (self.graph.tensors[i] for i in (op.inputs[0], op.outputs[0]))
        return op.kind in VIEWS and x.quant == y.quant and not x.is_constant

    def next_tile(self, op: Op) -> Op | None:
        """The TILE that alone reads what `op` writes, through views that nothing else reads."""
        while True:
            users = self.readers.get(op.outputs[0], [])
            if len(users) != 1 or op.outputs[0] in self.graph.outputs:
                return None
            op = users[0]
            if op.kind == "TILE":
                return op
            if not self.is_view(op):
                return None

    def resize(self, source: int, scaling: Scaling, last: Op) -> list[Op]:
        """From `source` to the output of `last`: a reshape, the resize, a reshape."""
        output = self.graph.tensors[last.outputs[0]]
        image = replace(output, name=f"{output.name}_image", shape=scaling.shape, source=None)
        shape = (1, *scaling.size, scaling.shape[3])
        resized = replace(output, name=f"{output.name}_resized", shape=shape, source=None)
        before, after = self.add(image), self.add(resized)
        size = self.constant(f"{output.name}_size", scaling.size)
        attrs = ResizeNearestNeighborAttrs(scaling.size, False, True)
        return [
            self.reshape(source, before),
            Op("RESIZE_NEAREST_NEIGHBOR", resized.name, (before, size), (after,), attrs),
            self.reshape(after, last.outputs[0]),
        ]

    def reshape(self, x: int, y: int) -> Op:
        tensor = self.tensors[y]
        shape = self.constant(f"{tensor.name}_shape", tensor.shape)
        return Op("RESHAPE", tensor.name, (x, shape), (y,), ReshapeAttrs(tensor.shape))

    def constant(self, name: str, values: tuple[int, ...]) -> int:
        return self.add(Tensor(name, (len(values),), "int32", None, np.array(values, np.int32)))

    def add(self, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1


def _both(first: Repeat, second: Repeat) -> Scaling | None:
    """Rows repeated first and pixels second, or the other way round, of one image."""
    if first.inner % second.inner == 0:
        width = first.inner // second.inner
        if second.outer == first.outer * first.times * width:
            return Scaling((1, first.outer, width, second.inner), first.times, second.times)
    if first.outer % second.outer == 0:
        width = first.outer // second.outer
        if second.inner == width * first.times * first.inner:
            return Scaling((1, second.outer, width, first.inner), second.times, first.times)
    return None


def _one(repeat: Repeat, shape: tuple[int, ...]) -> Scaling:
    """Rows or pixels of an image of `shape` repeated; where it is neither, a column of blocks."""
    if len(shape) == 4 and shape[0] == 1:
        image = (1, shape[1], shape[2], shape[3])
        if repeat.outer == shape[1]:
            return Scaling(image, repeat.times, 1)
        if repeat.inner == shape[3]:
            return Scaling(image, 1, repeat.times)
    return Scaling((1, repeat.outer, 1, repeat.inner), repeat.times, 1)
