# SPDX-License-Identifier: MIT
"""Inputs that the caller pushes row by row, in graphs that hardly let it."""

from __future__ import annotations

import pytest

from tests.planner.fakes import Net
from tinyeff.errors import UnsupportedError
from tinyeff.ir import Limits, Target
from tinyeff.planner import plan

PUSHED = Limits(strategy="stream", input_memory="streamed")


def test_a_segment_of_one_operator_keeps_only_the_rows_that_it_needs() -> None:
    net = Net()
    x = net.input(1, 9, 11, 5)
    y = net.conv(x, 5, 3)
    planned = plan(net.graph(y, net.whole(y)), Target(), PUSHED)
    (ring,) = (b for b in planned.buffers if b.tensors == (x,))
    assert planned.segments[0].pushed == (x,)
    assert planned.segments[0].last == 1
    assert ring.ring_rows == 3


def test_an_input_that_is_an_output_under_another_shape_cannot_be_pushed() -> None:
    net = Net()
    x = net.input(1, 9, 11, 5)
    graph = net.graph(net.conv(x, 5, 3), net.view(x, 1, 99, 5))
    with pytest.raises(UnsupportedError, match="an output of the model is the input itself"):
        plan(graph, Target(), PUSHED)
