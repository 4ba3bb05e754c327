# SPDX-License-Identifier: MIT
"""Which tensors share a buffer, where it lies, and when it lives."""

from __future__ import annotations

import pytest

from tests.planner.fakes import FakeAttrs, Net
from tinyeff.errors import UnsupportedError
from tinyeff.ir import Buffer, Graph
from tinyeff.planner.lifetimes import lifetimes, private_buffers


def _buffers(graph: Graph, memory: str = "resident") -> dict[str, Buffer]:
    return {b.name: b for b in lifetimes(graph, memory).buffers}


def _spans(graph: Graph) -> dict[str, tuple[str, int, int]]:
    return {b.name: (b.region, b.first, b.last) for b in _buffers(graph).values()}


def test_a_chain() -> None:
    net = Net()
    x = net.input(1, 4, 4, 2)
    a = net.conv(x, 3)
    b = net.conv(a, 5)
    graph = net.graph(net.add(b, b))
    assert _spans(graph) == {
        "t0": ("arena", 0, 1), "t1": ("arena", 0, 2), "t2": ("arena", 1, 3), "t3": ("output", 2, 4),
    }
    assert [b.size_bytes for b in _buffers(graph).values()] == [32, 48, 80, 80]


def test_a_skip_lives_to_its_last_reader() -> None:
    net = Net()
    x = net.conv(net.input(1, 4, 4, 2), 2)
    y = net.conv(net.conv(x, 2), 2)
    assert _spans(net.graph(net.add(x, y)))["t1"] == ("arena", 0, 4)


def test_views_share_the_buffer_of_their_input() -> None:
    net = Net()
    x = net.conv(net.input(1, 4, 4, 2), 2)
    y = net.view(net.view(x, 1, 32), 1, 16, 2)
    graph = net.graph(net.conv(net.conv(x, 3), 3), net.add(y, y))
    buffer = _buffers(graph)["t1"]
    assert buffer.tensors == (x, x + 1, y)
    assert (buffer.first, buffer.last, buffer.ring_rows) == (0, 6, 4)


def test_a_view_as_output_is_written_by_the_operator_before_it() -> None:
    net = Net()
    x = net.conv(net.input(1, 4, 4, 2), 2)
    assert _spans(net.graph(net.view(x, 1, 32)))["t1"] == ("output", 0, 3)


def test_an_output_may_be_read_again() -> None:
    net = Net()
    x = net.conv(net.input(1, 4, 4, 2), 2)
    graph = net.graph(x, net.conv(x, 2))
    assert _spans(graph) == {
        "t0": ("arena", 0, 1), "t1": ("output", 0, 3), "t2": ("output", 1, 3)}


@pytest.mark.parametrize("twice", ["tensor", "view"])
def test_two_outputs_of_one_buffer_stay_in_the_arena(twice: str) -> None:
    net = Net()
    x = net.conv(net.input(1, 4, 4, 2), 2)
    other = x if twice == "tensor" else net.view(x, 1, 32)
    assert _spans(net.graph(x, other))["t1"][0] == "arena"


def test_an_input_that_is_an_output_stays_in_the_arena_to_the_end() -> None:
    net = Net()
    x = net.input(1, 4, 4, 2)
    graph = net.graph(net.conv(x, 2), net.view(x, 1, 32))
    assert _spans(graph)["t0"] == ("arena", 0, 3)
    with pytest.raises(UnsupportedError) as caught:
        lifetimes(graph, "excluded")
    assert "model input, unchanged" in str(caught.value.items[0])


def test_constant_outputs_are_refused_all_at_once() -> None:
    net = Net()
    constant = net.constant(1, 4)
    net.input(1, 2)
    graph = net.graph(constant, net.view(constant, 2, 2))
    with pytest.raises(UnsupportedError) as caught:
        lifetimes(graph, "resident")
    reasons = [item.reason for item in caught.value.items]
    assert len(reasons) == 2
    assert "constant" in reasons[0]
    assert "renames a constant" in reasons[1]


def test_excluded_inputs_lie_in_the_callers_memory() -> None:
    net = Net()
    x = net.input(1, 4, 4, 2)
    buffers = _buffers(net.graph(net.conv(net.view(x, 1, 8, 2, 2), 2)), "excluded")
    assert (buffers["t0"].region, buffers["t0"].size_bytes) == ("input", 32)


def test_what_nobody_reads_lives_while_it_is_written() -> None:
    net = Net()
    x = net.input(1, 4, 4, 2)
    net.input(1, 3)
    net.conv(x, 2)
    spans = _spans(net.graph(net.conv(x, 2)))
    assert spans["t1"] == ("arena", 0, 1)
    assert spans["t2"] == ("arena", 0, 1)


def test_float_activations_take_one_byte_int32_four() -> None:
    net = Net()
    x = net.input(1, 4, 4, 2, dtype="float32")
    y = net.tensor(1, 4, dtype="int32")
    net.op([x], [y], FakeAttrs("whole"))
    assert [b.size_bytes for b in _buffers(net.graph(y)).values()] == [32, 16]


def test_scratch_and_state_live_at_their_step() -> None:
    net = Net()
    net.mean(net.conv(net.input(1, 4, 4, 2), 2))
    graph = net.graph()
    (state,) = private_buffers(graph, 1, graph.ops[1].variants[0])
    assert state == Buffer("state of op1", "arena", "state of op1", 1, 2, 8, 0, 0, op=1)
