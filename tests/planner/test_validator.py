# SPDX-License-Identifier: MIT
"""Mutation tests: each wrong plan is caught, by the check that is meant to catch it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.planner.fakes import FLAT, FakeAttrs, Net, ds_cnn, mobilenet_v1, resnet8
from tests.planner.mutants import changed, moved, number_of, refigured
from tinyeff.errors import InternalError
from tinyeff.ir import Graph, Limits, Plan, Segment, Target, Variant, Window
from tinyeff.planner import plan, validate


def _planned(graph: Graph, memory: str = "resident") -> Plan:
    return plan(graph, Target(), Limits(strategy="per-layer", input_memory=memory))


def _rejected(graph: Graph, mutant: Plan, reason: str) -> None:
    with pytest.raises(InternalError, match=reason):
        validate(graph, mutant)


def _tight() -> tuple[Graph, Plan]:
    """A 3x3 convolution over its own input: the output starts two rows before it."""
    net = Net()
    x = net.conv(net.input(1, 8, 4, 2), 2, kernel=3)
    graph = net.graph(net.dense(net.conv(x, 2, kernel=3), 5))
    planned = _planned(graph)
    out, source = (planned.buffers[number_of(planned, n)] for n in ("t2", "t1"))
    assert source.offset_bytes - out.offset_bytes == 16
    return graph, planned


def test_the_untouched_plans_pass() -> None:
    for graph in (mobilenet_v1(), resnet8(), ds_cnn(), _tight()[0]):
        validate(graph, _planned(graph))


def test_an_output_one_byte_too_late() -> None:
    graph, planned = _tight()
    index = number_of(planned, "t2")
    early = planned.buffers[index].offset_bytes
    validate(graph, moved(planned, index, early))
    _rejected(graph, moved(planned, index, early + 1), "'op1'.*'t[12]'")


@pytest.mark.parametrize("graph", [mobilenet_v1(), resnet8(), ds_cnn()])
def test_no_buffer_of_a_network_can_lie_over_another(graph: Graph) -> None:
    planned = _planned(graph)
    caught = 0
    for n, a in enumerate(planned.buffers):
        others = [b for b in planned.buffers
                  if b is not a and max(a.first, b.first) < min(a.last, b.last)]
        for b in others:
            if a.region == b.region == "arena" and a.first < b.last - 1 and b.first < a.last - 1:
                _rejected(graph, moved(planned, n, b.offset_bytes), "validator")
                caught += 1
    if len(graph.ops) == 15:
        assert caught > 5  # the skips of the residual network


def test_offsets_out_of_bounds() -> None:
    graph, planned = _tight()
    _rejected(graph, changed(planned, "t1", offset_bytes=-1), "leaves the arena")
    for change in (-1, 1):
        size = planned.arena_bytes + change
        _rejected(graph, replace(planned, arena_bytes=size), f"has {size} bytes, its buffers end")
    shrunk = replace(planned.regions[0], arena_bytes=planned.arena_bytes - 1)
    _rejected(graph, replace(planned, regions=(shrunk,)), "leaves the arena")


def test_lifetimes_must_be_the_true_ones() -> None:
    graph, planned = _tight()
    _rejected(graph, changed(planned, "t1", last=1), "'t1' is used during steps \\[0, 2\\)")
    _rejected(graph, changed(planned, "t1", last=3), "'t1' is used during")
    _rejected(graph, changed(planned, "t2", first=0), "'t2' is used during")
    _rejected(graph, changed(planned, "t3", last=3), "'t3' is used during")


def test_a_dropped_row() -> None:
    graph, planned = _tight()
    _rejected(graph, changed(planned, "t1", size_bytes=56), "'t1' has 56 bytes, its tensor.*64")
    _rejected(graph, changed(planned, "t1", ring_rows=7), "7 rows of 4 pixels .* have 56")
    ring = changed(planned, "t1", ring_rows=7, size_bytes=56)
    _rejected(graph, ring, "keeps 7 rows of 8, and outlives")


def test_tensors_without_or_with_two_buffers() -> None:
    graph, planned = _tight()
    index = number_of(planned, "t1")
    without = [b for n, b in enumerate(planned.buffers) if n != index]
    _rejected(graph, refigured(planned, without), "'t1' lies in 0 buffers")
    twice = [*planned.buffers, planned.buffers[index]]
    _rejected(graph, refigured(planned, twice), "'t1' lies in 2 buffers")
    both = [replace(b, tensors=(1, 2)) if n == index else replace(b, tensors=())
            if b.tensors == (2,) else b for n, b in enumerate(planned.buffers)]
    _rejected(graph, refigured(planned, both), "'t1' holds tensors with different contents")


def test_rows_that_only_this_call_reads() -> None:
    net = Net()
    net.conv(net.input(1, 8, 4, 2), 2)
    graph = net.graph(net.dense(1, 3))
    planned = _planned(graph)
    planned = replace(planned, flat=(False, False))
    source = planned.buffers[number_of(planned, "t0")].offset_bytes
    index = number_of(planned, "t1")
    validate(graph, moved(moved(planned, number_of(planned, "t0"), 8), index, 0))
    wrong = moved(moved(planned, number_of(planned, "t0"), 7), index, 0)
    _rejected(graph, wrong, "in one call of .*'op0'.*overlap")
    assert source >= 0


def test_flat_needs_more_room_than_row_by_row() -> None:
    net = Net()
    x = net.conv(net.input(1, 8, 4, 2), 2, kernel=3)
    graph = net.graph(net.dense(net.conv(x, 2), 5))
    planned = _planned(graph)
    assert planned.flat == (False, False, False)
    _rejected(graph, replace(planned, flat=(False, True, False)), "in one call of.*'op1'")
    _rejected(graph, replace(planned, flat=(True, False, False)), "runs flat, its variant")


def _adding(variant: Variant) -> tuple[Graph, Plan]:
    """An addition whose output takes the place of its second operand."""
    net = Net()
    x = net.conv(net.input(1, 4, 4, 2), 2, kernel=3)
    y = net.conv(x, 2, kernel=3)
    graph = net.graph(net.dense(net.add(x, y, variants=(variant,)), 5))
    return graph, _planned(graph)


def test_pixels_are_read_before_they_are_overwritten() -> None:
    graph, planned = _adding(Variant("v", consumes=1, flat=True))
    index = number_of(planned, "t3")
    at = planned.buffers[index].offset_bytes
    under = next(b for b in planned.buffers if b.offset_bytes == at and b.name in ("t1", "t2"))
    _rejected(graph, moved(planned, index, at + 1), f"'op2' overwrites rows .*'{under.name}'")


def test_without_the_promise_nothing_is_overwritten_in_a_call() -> None:
    graph, planned = _adding(Variant("v", consumes=1, flat=True))
    plain = Variant("v", flat=True)
    ops = tuple(replace(op, variants=(plain,)) if op.name == "op2" else op for op in graph.ops)
    variants = tuple(plain if n == 2 else v for n, v in enumerate(planned.variants))
    _rejected(replace(graph, ops=ops), replace(planned, variants=variants), "in one call of.*op2")


def test_a_promise_on_pixels_does_not_cover_windows_of_columns() -> None:
    net = Net()
    x, y = net.input(1, 4, 4, 2), net.tensor(1, 4, 4, 2)
    attrs = FakeAttrs("rows", (Window(),), columns=(Window(3, 1, -1),))
    net.op([x], [y], attrs, (Variant("v", consumes=1),))
    graph = net.graph(net.dense(y, 5))
    planned = _planned(graph)
    at = planned.buffers[number_of(planned, "t0")].offset_bytes
    _rejected(graph, moved(planned, number_of(planned, "t1"), at), "in one call of.*'op0'")


def _with_scratch() -> tuple[Graph, Plan]:
    net = Net()
    x = net.conv(net.input(1, 8, 4, 2), 2, variants=(Variant("v", scratch_bytes=12),))
    graph = net.graph(net.dense(net.mean(x), 3))
    return graph, _planned(graph)


def test_scratch_over_live_data() -> None:
    graph, planned = _with_scratch()
    scratch, state = (number_of(planned, n) for n in ("scratch of op0", "state of op1"))
    for victim in ("t0", "t1"):
        at = planned.buffers[number_of(planned, victim)].offset_bytes
        mutant = moved(planned, scratch, at - at % 4 + 4)
        _rejected(graph, mutant, "'op0', 'scratch of op0' and .*overlap")
    at = planned.buffers[number_of(planned, "t1")].offset_bytes
    _rejected(graph, moved(planned, state, at - at % 4 + 4), "'op1' reads.*'t1'.*'state of op1'")
    state_at = planned.buffers[state].offset_bytes
    _rejected(graph, moved(planned, number_of(planned, "t2"), state_at), "'op1'.*overlap")


def test_scratch_of_the_wrong_size_or_alignment() -> None:
    graph, planned = _with_scratch()
    scratch = planned.buffers[number_of(planned, "scratch of op0")]
    _rejected(graph, changed(planned, scratch.name, size_bytes=8), "'op0' needs")
    _rejected(graph, changed(planned, scratch.name, op=1), "'op0' needs")
    _rejected(graph, moved(planned, number_of(planned, scratch.name), scratch.offset_bytes + 2),
              "not aligned to 4")


def test_inputs_hold_their_places_before_the_first_step() -> None:
    net = Net()
    x = net.conv(net.input(1, 4, 4, 2), 2)
    net.input(1, 6)
    graph = net.graph(net.dense(x, 3))
    planned = _planned(graph)
    at = planned.buffers[number_of(planned, "t0")].offset_bytes
    _rejected(graph, moved(planned, number_of(planned, "t2"), at), "the caller reads.*'t0'")


def test_outputs_hold_to_the_end() -> None:
    net = Net()
    x = net.conv(net.input(1, 4, 4, 2), 2)
    graph = net.graph(x, x, net.dense(net.conv(x, 2), 3))
    planned = _planned(graph)
    at = planned.buffers[number_of(planned, "t1")].offset_bytes
    wrong = moved(planned, number_of(planned, "t2"), at)
    _rejected(graph, wrong, "in one call of|the end reads")


@pytest.mark.parametrize(("name", "fields", "reason"), [
    ("t0", {"region": "arena"}, "model input outside"),
    ("t0", {"region": "output"}, "output memory without being just that"),
    ("t1", {"region": "input"}, "input memory without being just that"),
    ("t1", {"region": "flash"}, "lies in region 'flash'"),
    ("t2", {"offset_bytes": 4}, "must start the caller's memory"),
])
def test_regions(name: str, fields: dict[str, Any], reason: str) -> None:
    net = Net()
    graph = net.graph(net.dense(net.conv(net.input(1, 4, 4, 2), 2), 5))
    _rejected(graph, changed(_planned(graph, "excluded"), name, **fields), reason)


def test_groups_and_segments_and_figures() -> None:
    graph, planned = _tight()
    _rejected(graph, changed(planned, "t2", group="other"), "overlap and are not of one group")
    _rejected(graph, replace(planned, segments=planned.segments[:-1]), "every operator once")
    turned = (planned.segments[1], planned.segments[0], planned.segments[2])
    _rejected(graph, replace(planned, segments=turned), "every operator once, in order")
    foreign = Segment("other", 0, 1, planned.segments[0].groups)
    _rejected(graph, replace(planned, segments=(foreign, *planned.segments[1:])), "cannot replay")
    _rejected(graph, replace(planned, activation_bytes=planned.activation_bytes - 1), "the peak")
    _rejected(graph, replace(planned, scratch_bytes=planned.scratch_bytes + 1), "are scratch")
    above = replace(planned, lower_bound_bytes=planned.arena_bytes + 1)
    _rejected(graph, above, "below its own lower bound")
    layer = replace(planned.layers[0], live_bytes=1)
    _rejected(graph, replace(planned, layers=(layer, *planned.layers[1:])), "'op0' has .* live")
    _rejected(graph, replace(planned, variants=planned.variants[:-1]), "2 variants")
    foreign_variant = (Variant("foreign"), *planned.variants[1:])
    _rejected(graph, replace(planned, variants=foreign_variant), "no variant 'foreign'")


def test_operators_of_different_heights_cannot_loop_over_rows() -> None:
    net = Net()
    x = net.input(1, 8, 4, 2)
    outputs = [net.tensor(1, 8, 4, 1), net.tensor(1, 4, 4, 1)]
    net.op([x], outputs, FakeAttrs("rows", (Window(),)), (FLAT,))
    graph = net.graph(*outputs)
    planned = _planned(graph)
    assert planned.flat == (True,)
    _rejected(graph, replace(planned, flat=(False,)), "different heights")
