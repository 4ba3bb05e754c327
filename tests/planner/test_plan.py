# SPDX-License-Identifier: MIT
"""Whole plans: figures of known networks, choices of kernels, refusals, speed."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from tests.planner.fakes import (
    FLAT,
    FakeAttrs,
    Net,
    ds_cnn,
    mobilenet_v1,
    mobilenet_v2,
    resnet8,
)
from tests.shared import shared_path
from tinyeff.errors import UnsupportedError, UsageError
from tinyeff.ir import Graph, Limits, Plan, Target, Variant, Window
from tinyeff.planner import plan


def _planned(graph: Graph, memory: str = "resident") -> Plan:
    return plan(graph, Target(), Limits(strategy="per-layer", input_memory=memory))


def test_a_chain_by_hand() -> None:
    net = Net()
    a = net.conv(net.input(1, 8, 8, 1), 2, kernel=3)
    b = net.conv(a, 2, kernel=3)
    planned = _planned(net.graph(net.dense(b, 10)), "excluded")
    # Rows of 16 bytes; the second convolution keeps one finished row and a halo of one ahead.
    assert planned.activation_bytes == planned.arena_bytes == 8 * 16 + 2 * 16
    assert [m.live_bytes for m in planned.layers] == [128, 160, 128]
    assert planned.macs == 64 * 2 * 9 + 64 * 2 * 9 * 2
    assert planned.buffers[0].region == "input"


def test_an_addition_replaces_an_operand() -> None:
    net = Net()
    x = net.conv(net.input(1, 8, 8, 1), 2, kernel=3)
    y = net.conv(x, 2, kernel=3)
    planned = _planned(net.graph(net.dense(net.add(x, y), 10)), "excluded")
    assert planned.arena_bytes == 256
    assert planned.flat[2]


@pytest.mark.parametrize("memory", ["resident", "excluded"])
@pytest.mark.parametrize(("graph", "ceiling"), [
    (mobilenet_v1(), 55_296), (resnet8(), 49_152), (ds_cnn(), 16_000),
    (mobilenet_v2(), 1_404_928), (mobilenet_v2(144, 0.35), 311_040),
])
def test_networks_stay_below_the_plain_layout(graph: Graph, ceiling: int, memory: str) -> None:
    planned = _planned(graph, memory)
    assert planned.activation_bytes < ceiling
    assert planned.arena_bytes == planned.lower_bound_bytes
    assert planned.scratch_bytes <= 4096


def test_one_call_where_it_costs_nothing() -> None:
    net = Net()
    x = net.conv(net.input(1, 8, 8, 1), 4, kernel=3)
    y = net.conv(x, 8)  # the peak: row by row
    z = net.conv(net.conv(y, 2, kernel=3), 2)  # far below it: one call
    planned = _planned(net.graph(net.dense(z, 10)), "excluded")
    assert planned.flat == (False, False, False, True, False)
    assert planned.activation_bytes == 8 * 64 + 32


def test_the_fastest_kernel_that_costs_no_memory() -> None:
    fast = Variant("fast", scratch_bytes=200, cost=1)
    medium = Variant("medium", scratch_bytes=100, cost=2)
    slow = Variant("slow", cost=3)
    net = Net()
    x = net.conv(net.input(1, 8, 8, 4), 4, kernel=3, variants=(slow, fast, medium))
    y = net.whole(x)
    z = net.conv(y, 2, kernel=3, variants=(slow, medium, fast))
    planned = _planned(net.graph(net.dense(z, 10)), "excluded")
    assert planned.arena_bytes == 512
    assert [v.name for v in planned.variants] == ["fast", "plain", "fast", "plain"]
    net = Net()
    x = net.conv(net.input(1, 8, 8, 1), 4, variants=(slow, fast, medium))
    resident = _planned(net.graph(net.dense(net.whole(x), 10)), "resident")
    assert resident.variants[0].name == "fast"
    alone = Net()
    x = alone.conv(alone.input(1, 8, 8, 4), 4, kernel=3, variants=(fast, medium, slow))
    assert _planned(alone.graph(alone.dense(x, 10))).variants[0].name == "slow"


SLOW = Variant("slow", cost=3)
TWO_ROWS = Variant("two", rows_per_call=2, cost=1)
"""Its outputs start further before its inputs than those of `SLOW`."""


def test_several_rows_at_a_time_where_outputs_do_not_drift_too_far() -> None:
    net = Net()
    x = net.conv(net.input(1, 8, 1, 4), 4, kernel=3, variants=(SLOW, TWO_ROWS))
    for _ in range(2):
        x = net.conv(x, 4, kernel=3, variants=(SLOW, TWO_ROWS))
    planned = _planned(net.graph(net.dense(x, 10)), "excluded")
    assert planned.arena_bytes == 8 * 4 + 2 * 2 * 4  # two rows are added by each
    assert [v.name for v in planned.variants] == ["two", "slow", "slow", "plain"]
    alone = Net()
    x = alone.conv(alone.input(1, 8, 1, 4), 8, kernel=3)
    x = alone.conv(alone.whole(x), 4, kernel=3, variants=(SLOW, TWO_ROWS))
    planned = _planned(alone.graph(alone.dense(x, 10)), "excluded")
    assert planned.variants[2] == TWO_ROWS


def test_the_fastest_kernel_in_what_the_layout_leaves_free() -> None:
    """Between the two 3x3 convolutions the map lies in the middle, 8 bytes free on each side."""
    slow = Variant("slow", cost=3, consumes=1)
    net = Net()
    x = net.conv(net.input(1, 8, 1, 4), 4, kernel=3,
                 variants=(SLOW, Variant("fast", scratch_bytes=16, cost=1)))
    x = net.conv(x, 4, kernel=3, variants=(SLOW, TWO_ROWS))
    for scratch_bytes in (16, 7):
        fast = Variant("fast", scratch_bytes=scratch_bytes, cost=1, consumes=1)
        x = net.conv(x, 4, variants=(slow, fast))
    x = net.conv(x, 4, kernel=3, variants=(SLOW, TWO_ROWS))
    planned = _planned(net.graph(net.dense(x, 10)), "excluded")
    assert planned.arena_bytes == 8 * 4 + 2 * 2 * 4
    assert [v.name for v in planned.variants] == ["fast", "slow", "slow", "fast", "slow", "plain"]


def test_states_and_scratch_are_aligned() -> None:
    net = Net()
    x = net.conv(net.input(1, 3, 5, 1), 3, variants=(Variant("v", scratch_bytes=5),))
    planned = _planned(net.graph(net.dense(net.mean(x), 3)))
    private = [b for b in planned.buffers if b.op is not None]
    assert [b.size_bytes for b in private] == [5, 12]
    assert all(b.offset_bytes % 4 == 0 for b in private)
    assert [m.scratch_bytes for m in planned.layers] == [5, 12, 0]


def test_an_input_that_is_an_output_is_kept() -> None:
    net = Net()
    x = net.input(1, 4, 4, 2)
    planned = _planned(net.graph(x, net.dense(net.whole(x), 2)))
    assert planned.buffers[0].last == 3
    assert planned.arena_bytes == 64


def test_a_graph_without_operators() -> None:
    net = Net()
    planned = _planned(net.graph(net.input(1, 7)))
    assert (planned.arena_bytes, planned.layers, planned.segments) == (7, (), ())


def test_refusals() -> None:
    graph = resnet8()
    with pytest.raises(UnsupportedError, match="needs the stream strategy"):
        _planned(graph, "streamed")
    with pytest.raises(UsageError, match="'nowhere' is not known"):
        _planned(graph, "nowhere")


def test_float_is_planned_as_int8() -> None:
    plans = []
    for dtype in ("int8", "float32"):
        net = Net()
        x = net.conv(net.input(1, 8, 8, 3, dtype=dtype), 8, kernel=3, stride=2)
        plans.append(_planned(net.graph(net.conv(net.depthwise(x), 16))))
    assert plans[0] == plans[1]


def test_speed() -> None:
    """Far above what it takes (0.1 and 0.5 s), so that a busy machine does not fail the test."""
    for graph, seconds in ((mobilenet_v2(), 2.0), (mobilenet_v2(96, 0.35, 8), 6.0)):
        _planned(graph)  # loads the solver
        start = time.process_time()
        _planned(graph)
        assert time.process_time() - start < seconds


def test_the_solver_is_not_loaded_at_start() -> None:
    code = "import sys, tinyeff.planner; sys.exit('ortools' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(("name", "ceiling"), [
    ("vww_96_int8", 55_296), ("ic_resnet8_int8", 49_152), ("kws_dscnn_int8", 16_000),
    ("mcunet_vww_int8", 96_000), ("ad_autoencoder_int8", 768), ("vww_96_float", 55_296),
])
def test_real_models_stay_below_the_plain_layout(name: str, ceiling: int) -> None:
    from tinyeff.reader import read, simplify
    from tinyeff.selection import select

    graph = select(simplify(read(shared_path("models", f"{name}.tflite"))), Target())
    for memory in ("excluded", "resident"):
        planned = _planned(graph, memory)
        assert planned.activation_bytes <= ceiling
        assert planned.arena_bytes == planned.lower_bound_bytes
        assert planned.scratch_bytes <= 4096


@pytest.mark.parametrize(("form", "flat"), [("whole", False), ("accumulate", False),
                                            ("rows", True)])
def test_only_rows_run_flat(form: str, flat: bool) -> None:
    net = Net()
    y = net.tensor(1, 4)
    net.op([net.input(1, 8)], [y], FakeAttrs(form), (FLAT,))
    assert _planned(net.graph(y)).flat == (flat,)


def test_a_kernel_with_scratch_may_need_less_in_the_end() -> None:
    """By itself "plain" is the smallest way, but only "ordered" may write over its input."""
    plain, ordered = Variant("plain", cost=1), Variant("ordered", scratch_bytes=1, consumes=1)
    net = Net()
    x = net.input(1, 2, 1, 2)
    a = net.whole(x, x)
    b, c, d, e = (net.tensor(1, 2, 1, 1, dtype="int32") for _ in range(4))
    net.op([x], [b], FakeAttrs("rows", (Window(1, 0),)))
    net.op([a], [c, d], FakeAttrs(), (plain, ordered))
    net.op([b], [e], FakeAttrs())
    planned = _planned(net.graph(x, e))
    assert planned.variants[2] == ordered
    assert planned.lower_bound_bytes <= planned.arena_bytes == 29


def test_two_outputs_cannot_both_replace_one_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """The liveness bound sees it, so that no solver has to prove it."""
    monkeypatch.setitem(sys.modules, "tinyeff.planner.exact", None)
    net = Net()
    a, b = net.tensor(1, 4, 4, 4), net.tensor(1, 4, 4, 4)
    net.op([net.input(1, 4, 4, 4)], [a, b], FakeAttrs(), (Variant("v", consumes=1),))
    assert _planned(net.graph(net.dense(net.add(a, b), 2))).arena_bytes == 128


@pytest.mark.parametrize("swapped", [False, True])
def test_an_operand_read_twice_keeps_the_wider_window(swapped: bool) -> None:
    net = Net()
    x, y = net.conv(net.input(1, 8, 4, 2), 2, kernel=3), net.tensor(1, 8, 4, 2)
    windows = (Window(3, 1, -1), Window())
    net.op([x, x], [y], FakeAttrs("rows", windows[::-1] if swapped else windows))
    planned = _planned(net.graph(net.dense(y, 5)), "excluded")
    assert planned.arena_bytes == 64 + 2 * 8
