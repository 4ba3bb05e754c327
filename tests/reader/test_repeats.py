# SPDX-License-Identifier: MIT
"""TILE that repeats rows or columns becomes a resize, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reader.test_simplify import assert_same_bits, kinds
from tinyeff.ir import Graph
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.expand_dims import ExpandDimsAttrs
from tinyeff.ops.pointwise_table import PointwiseAttrs
from tinyeff.ops.reshape import ReshapeAttrs
from tinyeff.ops.resize_nearest_neighbor import ResizeNearestNeighborAttrs
from tinyeff.ops.tile import TileAttrs
from tinyeff.reader.flatbuffer import with_flatbuffer

RESIZE = "RESIZE_NEAREST_NEIGHBOR"
sizes = st.integers(1, 7)


class Builder(GraphBuilder):
    """Adds the operators of up-sampling with their constants."""

    def reshape(self, x: int, shape: tuple[int, ...]) -> int:
        constant = self.constant(np.array(shape, np.int32))
        return self.op("RESHAPE", [x, constant], ReshapeAttrs(shape), like=x)

    def tile(self, x: int, *multiples: int) -> int:
        constant = self.constant(np.array(multiples, np.int32))
        return self.op("TILE", [x, constant], TileAttrs(multiples), like=x)

    def relu(self, x: int) -> int:
        return self.op("RELU", [x], PointwiseAttrs(), like=x)


def up_sampling(
    image: tuple[int, int, int], times: tuple[int, int], columns_first: bool
) -> Graph:
    (h, w, c), (k, m) = image, times
    g = Builder("up")
    x = g.relu(g.input((1, h, w, c), 0.1, -20))
    if columns_first:
        x = g.tile(g.reshape(x, (1, h, w, 1, c)), 1, 1, 1, m, 1)
        x = g.tile(g.reshape(x, (1, h, 1, w * m, c)), 1, 1, k, 1, 1)
    else:
        x = g.tile(g.reshape(x, (1, h, 1, w, c)), 1, 1, k, 1, 1)
        x = g.tile(g.reshape(x, (1, h * k, w, 1, c)), 1, 1, 1, m, 1)
    return with_flatbuffer(g.graph(g.relu(g.reshape(x, (1, h * k, w * m, c)))))


@settings(max_examples=60)
@given(st.tuples(sizes, sizes, sizes), st.tuples(st.integers(2, 5), st.integers(2, 5)),
       st.booleans())
def test_rows_and_columns(
    image: tuple[int, int, int], times: tuple[int, int], columns_first: bool
) -> None:
    simple = assert_same_bits(up_sampling(image, times, columns_first))
    assert kinds(simple) == ["RELU", RESIZE, "RELU"]
    (resize,) = (op for op in simple.ops if op.kind == RESIZE)
    size = (image[0] * times[0], image[1] * times[1])
    assert resize.attrs == ResizeNearestNeighborAttrs(size, False, True)


@pytest.mark.parametrize(("before", "multiples", "size"), [
    ((1, 4, 1, 5, 3), (1, 1, 2, 1, 1), (8, 5)),
    ((1, 4, 5, 1, 3), (1, 1, 1, 3, 1), (4, 15)),
    ((1, 4, 5, 3, 1), (1, 1, 1, 1, 2), (120, 1)),
    ((1, 1, 4, 5, 3), (1, 2, 1, 1, 1), (2, 1)),
])
def test_one_tile(
    before: tuple[int, ...], multiples: tuple[int, ...], size: tuple[int, int]
) -> None:
    g = Builder("one")
    x = g.relu(g.input((1, 4, 5, 3), 0.1, -20))
    tiled = g.tile(g.reshape(x, before), *multiples)
    simple = assert_same_bits(with_flatbuffer(g.graph(g.relu(tiled))))
    assert kinds(simple).count(RESIZE) == 1
    (resize,) = (op for op in simple.ops if op.kind == RESIZE)
    assert resize.attrs.size == size


def test_a_pixel_for_a_whole_map() -> None:
    g = Builder("broadcast")
    x = g.relu(g.input((1, 1, 1, 6), 0.1, 3))
    simple = assert_same_bits(with_flatbuffer(g.graph(g.relu(g.tile(x, 1, 3, 4, 1)))))
    assert kinds(simple) == ["RELU", RESIZE, "RESHAPE", "RELU"]


def test_a_dimension_may_be_added_in_other_words() -> None:
    g = Builder("expand")
    x = g.relu(g.input((1, 3, 4, 2), 0.1, 3))
    axis = g.constant(np.array(2, np.int32))
    y = g.op("EXPAND_DIMS", [x, axis], ExpandDimsAttrs(2), like=x)
    y = g.reshape(g.tile(y, 1, 1, 2, 1, 1), (1, 6, 4, 2))
    simple = assert_same_bits(with_flatbuffer(g.graph(g.relu(y))))
    assert kinds(simple) == ["RELU", RESIZE, "RELU"]


def test_what_lies_between_may_be_asked_for() -> None:
    g = Builder("between")
    x = g.relu(g.input((1, 3, 4, 2), 0.1, 3))
    rows = g.tile(g.reshape(x, (1, 3, 1, 4, 2)), 1, 1, 2, 1, 1)
    both = g.tile(g.reshape(rows, (1, 6, 4, 1, 2)), 1, 1, 1, 2, 1)
    simple = assert_same_bits(with_flatbuffer(g.graph(rows, both)))
    assert kinds(simple).count(RESIZE) == 2
    assert "TILE" not in kinds(simple)


def test_a_tile_that_does_not_repeat_stays() -> None:
    g = Builder("tile")
    x = g.relu(g.input((1, 3, 4, 2), 0.1, 3))
    simple = assert_same_bits(with_flatbuffer(g.graph(g.tile(x, 1, 2, 1, 1))))
    assert kinds(simple) == ["RELU", "TILE"]
