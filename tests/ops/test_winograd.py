# SPDX-License-Identifier: MIT
"""Winograd's convolution: its ranges, where it is offered, and what gives way to what."""

from __future__ import annotations

import itertools

import numpy as np

from tinyeff.ir import Graph, Limits, Memory, Optimize
from tinyeff.ops import winograd
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.conv_2d import Conv2DAttrs
from tinyeff.ops.operator import SAME, padding_of
from tinyeff.pipeline import compile_graph
from tinyeff.planner.stack import least_stack_bytes
from tinyeff.targets import target_for

INPUT_TRANSFORM = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])
OUTPUT_TRANSFORM = np.array([[1, 1, 1, 0], [0, 1, -1, -1]])


def conv(channels: int = 16, size: int = 3, stride: int = 1, side: int = 12) -> Graph:
    """A convolution of a map of `side` pixels each way into as many channels."""
    g = GraphBuilder("conv")
    x = g.input((1, side, side, channels), 0.05, 3)
    weights = g.random_weights((channels, size, size, channels), 0)
    padding = padding_of(SAME, (side, side), (size, size), (stride, stride))
    bias = g.random_bias(channels, x, weights)
    return g.graph(g.op("CONV_2D", [x, weights, bias],
                        Conv2DAttrs((stride, stride), padding=padding), 0.2, 1))


def chosen(graph: Graph, optimize: Optimize, **limits: int | str) -> str:
    """The variant of the only operator."""
    compiled = compile_graph(graph, target_for("cortex-m4", optimize), Limits(**limits))  # type: ignore[arg-type]
    return compiled.plan.variants[0].name


def test_the_transforms_are_four_times_a_convolution() -> None:
    rng = np.random.default_rng(0)
    filters, x = rng.integers(-128, 128, (5, 3, 3, 7)), rng.integers(-128, 128, (4, 4, 7))
    inputs = np.einsum("iy,yxc,jx->ijc", INPUT_TRANSFORM, x, INPUT_TRANSFORM)
    sums = np.einsum("opc,pc->op", winograd.transformed(filters), inputs.reshape(16, 7))
    found = np.einsum("yi,oij,xj->yxo", OUTPUT_TRANSFORM, sums.reshape(5, 4, 4), OUTPUT_TRANSFORM)
    for y, column in itertools.product(range(2), repeat=2):
        window = x[y:y + 3, column:column + 3]
        np.testing.assert_array_equal(found[y, column], 4 * np.tensordot(filters, window, 3))


def test_ranges_are_those_of_the_kernel() -> None:
    """Over all int8 filters and inputs: a linear form is extreme where every value is."""
    g, b = winograd.DOUBLED_FILTER_TRANSFORM, INPUT_TRANSFORM
    assert 128 * np.abs(g).sum(1).max() ** 2 == 1152
    reach = [(int(np.where(form > 0, 127, -128).ravel() @ form.ravel()),
              int(np.where(form > 0, -128, 127).ravel() @ form.ravel()))
             for form in (np.outer(b[i], b[j]) for i in range(4) for j in range(4))]
    assert 64 * max(high for high, _ in reach) <= 2**15 - 1
    assert 64 * min(low for _, low in reach) == -2**15


def test_speed_takes_it_for_3x3_with_stride_1_where_two_tiles_have_room() -> None:
    assert chosen(conv(), "speed") == winograd.NAME
    assert chosen(conv(), "balanced") == "dsp_3x3"
    assert chosen(conv(), "size") == "dsp_3x3"
    assert chosen(conv(stride=2), "speed") == "dsp_kxk"
    assert chosen(conv(size=5), "speed") == "dsp_kxk"
    assert chosen(conv(size=1), "speed") == "dsp_1x1"
    assert chosen(conv(channels=56, side=4), "speed") == winograd.NAME
    assert chosen(conv(channels=60, side=4), "speed") == "dsp_kxk"


def test_flash_that_does_not_hold_its_weights_goes_without() -> None:
    graph = conv(channels=32)
    sizes = {o: compile_graph(graph, target_for("cortex-m4", o), Limits()).plan.variants[0]
             for o in ("speed", "balanced")}
    assert sizes["speed"].const_bytes > 3.5 * 9 * 32 * 32
    assert chosen(graph, "speed", flash_bytes=64 * 1024) == winograd.NAME
    assert chosen(graph, "speed", flash_bytes=24 * 1024) == "dsp_3x3"


def test_memory_that_does_not_hold_its_rows_goes_without() -> None:
    graph = conv(channels=32)
    made = {o: compile_graph(graph, target_for("cortex-m4", o), Limits(strategy="per-layer"))
            for o in ("speed", "balanced")}
    need = {o: compiled.plan.arena_bytes for o, compiled in made.items()}
    assert need["balanced"] < need["speed"]
    stack = least_stack_bytes(made["speed"].graph, target_for("cortex-m4", "speed"))
    beside = stack + 12 * 12 * 32  # and the caller's output
    for sram_bytes, name in ((need["speed"] + beside, winograd.NAME),
                             (need["speed"] + beside - 1, "dsp_3x3")):
        assert chosen(graph, "speed", strategy="per-layer", sram_bytes=sram_bytes) == name


def test_speed_never_computes_twice_what_other_kernels_compute_once() -> None:
    """Memory in which only the direct kernels stream without extra MACs."""
    g = GraphBuilder("two")
    x = g.input((1, 24, 24, 8), 0.05, 3)
    for scale in (0.2, 0.4):
        weights = g.random_weights((8, 3, 3, 8), 0)
        bias = g.random_bias(8, x, weights)
        padding = padding_of(SAME, (24, 24), (3, 3), (1, 1))
        x = g.op("CONV_2D", [x, weights, bias], Conv2DAttrs(padding=padding), scale, 1)
    graph = g.graph(x)
    made = {o: compile_graph(graph, target_for("cortex-m4", o), Limits())
            for o in ("speed", "balanced")}
    plans = {o: compiled.plan for o, compiled in made.items()}
    assert plans["balanced"].arena_bytes < plans["speed"].arena_bytes
    stack = least_stack_bytes(made["speed"].graph, target_for("cortex-m4", "speed"))
    beside = stack + 24 * 24 * 8  # and the caller's output
    for arena_bytes in range(plans["balanced"].arena_bytes, plans["speed"].arena_bytes, 64):
        for limits in (Limits(sram_bytes=arena_bytes + beside),
                       Limits(memories=(Memory("only", arena_bytes + beside),))):
            plan = compile_graph(graph, target_for("cortex-m4", "speed"), limits).plan
            assert plan.arena_bytes <= arena_bytes and plan.extra_macs == 0
