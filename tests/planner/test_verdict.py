# SPDX-License-Identifier: MIT
"""What is missing, and who is to blame."""

from __future__ import annotations

from dataclasses import replace

from tests.planner.fakes import Net, mobilenet_v1
from tinyeff.ir import LayerMemory, Limits, Target
from tinyeff.planner import judge, plan


def test_without_limits_everything_fits() -> None:
    planned = plan(mobilenet_v1(), Target(), Limits(strategy="per-layer"))
    verdict = judge(planned, Limits(), 2048, 300_000)
    assert verdict.fits
    assert verdict.sram_bytes == planned.arena_bytes + 2048
    assert (verdict.flash_bytes, verdict.missing_sram_bytes) == (300_000, 0)


def test_the_last_byte_decides() -> None:
    planned = plan(mobilenet_v1(), Target(), Limits(strategy="per-layer"))
    need = planned.arena_bytes + 2048
    assert judge(planned, Limits(sram_bytes=need, flash_bytes=1000), 2048, 1000).fits
    verdict = judge(planned, Limits(sram_bytes=need - 7, flash_bytes=900), 2048, 1000)
    assert not verdict.fits
    assert (verdict.missing_sram_bytes, verdict.missing_flash_bytes) == (7, 100)
    assert not judge(planned, Limits(flash_bytes=999), 0, 1000).fits


def test_scratch_memory_counts_for_the_blame() -> None:
    planned = plan(mobilenet_v1(), Target(), Limits(strategy="per-layer"))
    peak = judge(planned, Limits(), 0, 0)
    assert peak.peak_op == 2
    assert peak.peak_bytes == planned.layers[2].live_bytes
    layers = [*planned.layers]
    layers[5] = LayerMemory(5, layers[5].live_bytes, 10**6)
    assert judge(replace(planned, layers=tuple(layers)), Limits(), 0, 0).peak_op == 5


def test_an_empty_graph_has_no_peak() -> None:
    net = Net()
    graph = net.graph(net.input(1, 4))
    verdict = judge(plan(graph, Target(), Limits(strategy="per-layer")), Limits(), 0, 0)
    assert (verdict.peak_op, verdict.peak_bytes, verdict.sram_bytes) == (None, 0, 4)
