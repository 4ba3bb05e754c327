# SPDX-License-Identifier: MIT
"""The drawing shows the plan and stays within its frame."""

from __future__ import annotations

from functools import cache

import pytest

from tests.planner.fakes import FakeAttrs, Net, ds_cnn, mobilenet_v1, mobilenet_v2, resnet8
from tinyeff.ir import Limits, Plan, Target, Variant
from tinyeff.planner import draw, plan
from tinyeff.planner.drawing import _axis, _columns

NETWORKS = [mobilenet_v1(), resnet8(), ds_cnn(), mobilenet_v2(96, 0.35, 4)]


@cache
def planned(number: int) -> Plan:
    """The plan of a network: once, however wide it is drawn."""
    return plan(NETWORKS[number], Target(), Limits())


@pytest.mark.parametrize("number", range(len(NETWORKS)))
@pytest.mark.parametrize("width", [60, 80, 100])
def test_it_stays_within_its_frame(number: int, width: int) -> None:
    text = draw(planned(number), NETWORKS[number], width=width)
    lines = text.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= width
    assert text.isascii()
    assert sum(line.endswith("peak") for line in lines) == 1


def test_each_buffer_at_its_place() -> None:
    net = Net()
    x = net.input(1, 1, 1, 16)
    y = net.tensor(1, 1, 1, 8)
    net.op([x], [y], FakeAttrs("whole"), (Variant("v", scratch_bytes=8),))
    graph = net.graph(net.dense(net.whole(y), 4))
    planned = plan(graph, Target(), Limits())
    assert draw(planned, graph, width=33, height=9) == "\n".join([
        "arena of 32 bytes over 3 steps, p",
        "     32 |########................",
        "     24 |bbbbbbbbbbbbbbbb........",
        "     16 |aaaaaaaa................",
        "      8 |aaaaaaaacccccccccccccccc",
        "      0 +------------------------",
        "         0       1       2",
        "         ^^^^^^^^ peak",
        "a t0 16   b t1 8",
        "# scratch of op0 8",
    ])


def test_an_arena_without_buffers() -> None:
    net = Net()
    graph = net.graph(net.conv(net.input(1, 4, 4, 2), 2))
    assert "empty" in draw(plan(graph, Target(), Limits(input_memory="excluded")), graph)


def test_no_step_number_is_cut_off() -> None:
    for steps in (13, 40, 101, 137):
        columns = _columns(steps, 91, 0)
        shown = [int(n) for n in _axis(columns).split()]
        assert set(shown) <= set(columns)
        assert shown == sorted(set(shown))
