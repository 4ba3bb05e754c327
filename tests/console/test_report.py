# SPDX-License-Identifier: MIT
"""The verdict in words, sizes for people, and which layers get a row."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tests.emitter.graphs import chain, two_outputs
from tinyeff.console import report
from tinyeff.ir import Graph, Limits, Target
from tinyeff.ops import operator_of
from tinyeff.ops.operator import node_of


def planned(limits: Limits | None = None, graph: Graph | None = None) -> report.Planned:
    return report.planned(graph or chain(), Target(), limits or Limits())


@pytest.mark.parametrize(("size", "text"), [
    (0, "0 bytes"), (1, "1 byte"), (640, "640 bytes"), (1024, "1 KiB"), (2048, "2 KiB"),
    (75_878, "74.1 KiB"), (236_544, "231 KiB"), (1 << 20, "1 MiB"), (1 << 18, "256 KiB"),
    (2_345_678, "2,291 KiB"),
])
def test_sizes_for_people(size: int, text: str) -> None:
    assert report.kib(size) == text


def test_both_units() -> None:
    assert report.both(75_878) == "75,878 bytes (74.1 KiB)"
    assert report.both(640) == "640 bytes"


def test_the_verdict_without_limits_names_the_need() -> None:
    p = planned()
    assert report.verdict_sentence(p).startswith("needs ")
    assert not list(report.blame(p))


def test_the_caller_is_charged_for_arena_stack_and_outputs() -> None:
    p = planned(graph=two_outputs())
    assert p.verdict.sram_bytes == (
        p.plan.arena_bytes + p.footprint.stack_bytes + p.footprint.output_bytes)
    assert p.footprint.output_bytes == 6 * 6 * 3 + 6 * 6 * 5
    exact = planned(Limits(sram_bytes=p.verdict.sram_bytes), two_outputs())
    assert exact.verdict.fits
    short = planned(Limits(sram_bytes=p.verdict.sram_bytes - 1), two_outputs())
    assert not short.verdict.fits
    assert "1 byte of SRAM too much" in report.verdict_sentence(short)


def test_the_verdict_that_fits_names_what_was_granted() -> None:
    assert report.verdict_sentence(planned(Limits(sram_bytes=1 << 18))).startswith("fits 256 KiB: ")
    assert report.verdict_sentence(planned(Limits(flash_bytes=1 << 20))).startswith(
        "fits 1 MiB of flash: ")
    assert report.verdict_sentence(planned(Limits(1 << 18, 1 << 20))).startswith(
        "fits 256 KiB of SRAM and 1 MiB of flash: ")


def test_what_does_not_fit_names_the_layer_to_blame() -> None:
    p = planned(Limits(sram_bytes=1024, flash_bytes=1024))
    sram, flash = report.blame(p)
    peak = max(p.plan.layers, key=lambda m: m.live_bytes + m.scratch_bytes)
    assert f"layer {peak.op}, CONV_2D" in sram
    assert f"{peak.live_bytes + peak.scratch_bytes:,} bytes" in sram
    largest = max(v.const_bytes for v in p.plan.variants)
    assert f"{largest:,} bytes" in flash


def test_the_object_adds_up() -> None:
    p = planned(Limits(input_memory="excluded"))
    value = report.plan_object(p)
    assert value["arena_bytes"] == value["activation_bytes"] + value["scratch_bytes"]
    assert value["flash_bytes"] == (
        value["const_bytes"] + value["code_bytes"] + value["table_bytes"])
    assert value["macs"] == sum(layer["macs"] for layer in value["layers"]) == sum(
        operator_of(op.kind).macs(node_of(p.graph, op)) for op in p.graph.ops)
    assert value["input_bytes"] == 9 * 7 * 3
    chosen = {name: value[name] for name in (
        "activation_bytes", "scratch_bytes", "arena_bytes", "overhead")}
    assert value["strategies"][value["strategy"]] == chosen
    assert set(value["strategies"]) == {"per-layer", "patch", "stream"}
    assert all(chosen["arena_bytes"] <= other["arena_bytes"]
               for other in value["strategies"].values())


def test_the_front_falls_and_marks_the_plan() -> None:
    p = report.with_front(planned(Limits(input_memory="excluded")))
    points = report.plan_object(p)["front"]
    assert points
    for before, after in pairwise(points):
        assert before["arena_bytes"] > after["arena_bytes"]
        assert before["overhead"] < after["overhead"]
    marked = [n for n, point in enumerate(p.front) if point == p.plan]
    assert marked == [0]
    for point in p.front:
        allowed = float(report.percent(point)[:-1]) / 100
        assert point.extra_macs <= allowed * point.macs


def test_the_bound_and_how_far_the_plan_is_from_it() -> None:
    p = report.with_front(planned(Limits(input_memory="excluded", strategy="stream")))
    value = report.plan_object(p)
    assert p.bound is not None and p.bound.complete
    least = value["lower_bound"]
    assert least["activation_bytes"] + least["gap_bytes"] == value["activation_bytes"]
    assert least["tensor"] in {t.name for t in p.graph.tensors}
    percent = value["activation_bytes"] / least["activation_bytes"] - 1
    line = next(line for line in report.summary(p) if line.startswith("bound"))
    assert f" {least['activation_bytes']:,} bytes of activations live in any plan" in line
    assert line.endswith(f"this one is {percent:.0%} above")
    patch = replace(p, plan=p.strategies["patch"])
    assert report.plan_object(patch)["lower_bound"]["gap_bytes"] is None
    assert any(line.endswith(f"stream is {percent:.0%} above") for line in report.summary(patch))


def test_names_are_cut_to_what_tells_them_apart() -> None:
    assert report.short_name("model/relu;model/bias;model/conv") == "model/relu"
    long = report.short_name("a" * 50 + "/block_7/expand")
    assert len(long) == report.NAME_WIDTH
    assert long.endswith("/block_7/expand")


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=80), st.integers(4, 30))
def test_the_largest_layers_are_shown_and_the_screen_is_kept(totals: list[int], rows: int) -> None:
    shown = report._shown(totals, rows)
    gaps = sum(1 for n in range(len(totals)) if n not in shown and (n == 0 or n - 1 in shown))
    assert len(shown) + gaps <= max(rows, 0)
    assert totals.index(max(totals)) in shown
    if len(totals) <= rows:
        assert shown == set(range(len(totals)))


@pytest.mark.parametrize("rows", [2, 3])
def test_the_table_marks_the_peak_and_counts_what_it_leaves_out(rows: int) -> None:
    p = planned()
    out = io.StringIO()
    Console(file=out, width=100).print(report.layer_table(p, False, rows, 100))
    text = out.getvalue()
    assert text.count("peak") == 1
    assert f"{max(m.live_bytes + m.scratch_bytes for m in p.plan.layers):,}" in text
    assert ("more)" in text) == (rows < 3)
    assert "█" not in text


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_bar_takes_what_the_terminal_leaves(width: int) -> None:
    p = planned()
    out = io.StringIO()
    Console(file=out, width=width).print(report.layer_table(p, False, 10, width))
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert all(f"{layer['macs']:,}" in line
               for layer, line in zip(report.plan_object(p)["layers"], lines[1:], strict=True))
    assert max(line.count("#") for line in lines[1:]) == min(report.BAR, width - 47)
