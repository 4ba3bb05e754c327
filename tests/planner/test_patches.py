# SPDX-License-Identifier: MIT
"""Patch stages: where they may end, what they hold and recompute, and which one is chosen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from benchmarks import mcunetv2
from benchmarks.mobilenet_v2 import mobilenet_v2
from tests.planner.execution import run_apart, run_planned
from tests.planner.fakes import PLAIN, FakeAttrs, Net, resnet8
from tests.planner.mutants import changed, moved, number_of
from tests.planner.patch_graphs import TiledNet, patch_graphs, random_inputs
from tinyeff.errors import InternalError
from tinyeff.ir import Graph, Limits, Plan, Target, Variant, Window
from tinyeff.ops import operator_of
from tinyeff.ops.operator import node_of
from tinyeff.planner import plan, validate
from tinyeff.planner.patches import Patch, PatchSearch, longest_stage, plan_patch
from tinyeff.planner.per_layer import plan_per_layer
from tinyeff.planner.stack import stack_bytes
from tinyeff.planner.tiles import tile_sizes
from tinyeff.schedule import Tile, schedule, spread
from tinyeff.selection import select

QUIET = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)
MEMORIES = st.sampled_from(["resident", "excluded"])


def search_of(graph: Graph, memory: str = "excluded") -> PatchSearch:
    return PatchSearch(graph, Target(), Limits(input_memory=memory))


def ends(graph: Graph) -> set[int]:
    """After how many operators a patch stage may end."""
    return {p.last for p in search_of(graph).patches()}


# The figures of the paper ---------------------------------------------------------------------


def test_mcunetv2_figures_for_mobilenet_v2() -> None:
    graph = select(mobilenet_v2(), Target())
    f = mcunetv2.figures(graph)
    assert f.per_layer_bytes == 1372 * 1024 == 112 * 112 * (16 + 96)
    assert f.rest_bytes == 28 * 28 * (32 + 192)
    assert round(f.rest_bytes / 1024) == 172
    assert f.stage_macs == 91_282_688
    assert f.patch_side == 75
    assert f.constant_macs == 129_517_568
    assert f.clipped_macs == 119_202_032
    planned = mcunetv2.paper_stage(graph, Limits(input_memory="excluded"))
    validate(graph, planned)
    assert planned.extra_macs == 119_202_032 - 91_282_688
    # What the paper leaves out: residuals, the halo of a depthwise convolution, alignment.
    assert f.rest_bytes < planned.arena_bytes < f.rest_bytes + 28 * 28 * 32


def test_the_smallest_patches_of_mobilenet_v2() -> None:
    graph = select(mobilenet_v2(144, 0.35), Target())
    limits = Limits(input_memory="excluded")
    planned = plan_patch(graph, Target(), limits)
    assert planned.activation_bytes < 63 * 1024  # MCUNetV2's own
    bounded = plan_patch(graph, Target(), replace(limits, max_overhead=0.1))
    assert planned.arena_bytes < bounded.arena_bytes < 63 * 1024
    assert bounded.extra_macs <= bounded.macs // 10


# Where a stage may end ------------------------------------------------------------------------


def test_only_one_tensor_may_leave() -> None:
    net = TiledNet()
    a = net.square(net.input(1, 8, 8, 2), 2)  # op 0
    b = net.square(net.square(a, 4), 2)  # op 1, 2
    c = net.add(a, b)  # op 3
    d = net.square(c, 2)  # op 4
    assert ends(net.graph(d)) == {4, 5}
    assert ends(net.graph(d, b)) == set()
    assert ends(net.graph(d, c)) == {4}


def test_operators_that_end_the_stage() -> None:
    def graph(last: str) -> Graph:
        net = TiledNet()
        x = net.square(net.square(net.input(1, 8, 8, 2), 2), 2)
        if last == "view":
            x = net.view(x, 1, 4, 16, 2)
        elif last == "stretch":
            x = net.window(x, 2, Window(1, 1, 0, 2), Window(1, 1, 0, 2), (16, 16))
        elif last == "mean":
            return net.graph(net.mean(x))
        elif last == "whole":
            x = net.whole(x)
        elif last == "heights":
            ys = [net.tensor(1, 8, 8, 1), net.tensor(1, 4, 8, 1)]
            net.op([x], ys, FakeAttrs("rows", (Window(),)), (Variant("v", flat=True),))
            x = ys[0]
        return net.graph(net.square(x, 2))

    assert longest_stage(graph("")) == 3
    for last in ("view", "stretch", "mean", "whole", "heights"):
        assert longest_stage(graph(last)) == 2, last


def test_a_view_of_the_image_may_come_first() -> None:
    net = TiledNet()
    x = net.view(net.input(1, 81), 1, 9, 9, 1)
    graph = net.graph(net.square(net.square(x, 4), 2, 3, 2))
    assert longest_stage(graph) == 3
    planned = search_of(graph, "resident").plan(Patch(3, 2, 3, 0, 0))
    validate(graph, planned)
    inputs = random_inputs(graph)
    assert np.array_equal(run_apart(graph, inputs)[0], run_planned(graph, planned, inputs)[0])


def test_one_operator_is_no_patch_stage() -> None:
    net = TiledNet()
    graph = net.graph(net.whole(net.square(net.input(1, 8, 8, 2), 2)))
    assert ends(graph) == set()
    assert plan_patch(graph, Target(), Limits()) == plan_per_layer(graph, Target(), Limits())


def test_grids() -> None:
    assert tile_sizes(28) == (28, 14, 10, 7, 6, 5, 4)
    assert tile_sizes(3) == (3, 2, 1)
    net = TiledNet()
    graph = net.graph(net.square(net.square(net.input(1, 10, 3, 2), 2), 2))
    found = {(p.tile_rows, p.tile_pixels) for p in search_of(graph).patches()}
    rows, columns = (10, 5, 4, 3, 2), (3, 2, 1)
    assert found == {(r, c) for r in rows for c in columns} - {(10, 3)}


# What a stage needs ---------------------------------------------------------------------------


def test_a_stage_by_hand() -> None:
    """Two 3x3 convolutions of 8x8, in patches of 4x4: a patch needs 5x5 of the first one."""
    net = TiledNet()
    x = net.square(net.square(net.input(1, 8, 8, 1), 4), 2)
    graph = net.graph(x, x)  # two outputs: the tensor stays in the arena
    patch = next(p for p in search_of(graph).patches() if (p.tile_rows, p.tile_pixels) == (4, 4))
    assert patch.stage_bytes == 5 * 5 * 4 + 8 * 8 * 2
    assert patch.extra_macs == (4 * 25 - 64) * 4 * 9
    planned = search_of(graph).plan(patch)
    validate(graph, planned)
    assert planned.arena_bytes == planned.activation_bytes == patch.stage_bytes
    inner, out = (planned.buffers[number_of(planned, n)] for n in ("t1", "t2"))
    assert (inner.ring_rows, inner.row_pixels, inner.first, inner.last) == (5, 5, 0, 2)
    assert (out.first, out.last, out.row_pixels) == (0, 3, 0)


def test_inner_tensors_share_memory_over_time() -> None:
    net = TiledNet()
    x = net.input(1, 16, 16, 1)
    for channels in (8, 1, 8, 1):
        x = net.square(x, channels, 1)
    graph = net.graph(x)
    planned = search_of(graph).plan(Patch(4, 4, 4, 0, 0))
    validate(graph, planned)
    assert planned.arena_bytes == 16 * 8 + 16
    wide = [planned.buffers[number_of(planned, n)].offset_bytes for n in ("t1", "t3")]
    assert wide[0] == wide[1] or abs(wide[0] - wide[1]) == 16


def test_the_output_overwrites_image_rows_that_no_later_patch_needs() -> None:
    net = TiledNet()
    x = net.square(net.square(net.input(1, 16, 16, 4), 2), 4)
    graph = net.graph(net.whole(x))
    planned = search_of(graph, "resident").plan(Patch(2, 4, 4, 0, 0))
    validate(graph, planned)
    # Row r of patches ends at output row 4 r + 4 and needs image rows from 4 r - 2 on.
    row = 16 * 4
    assert planned.arena_bytes == 16 * row + (4 + 2) * row + 6 * 6 * 2
    out, image = (number_of(planned, n) for n in ("t2", "t0"))
    assert planned.buffers[image].offset_bytes - planned.buffers[out].offset_bytes == 6 * row
    late = moved(planned, out, planned.buffers[out].offset_bytes + row)
    with pytest.raises(InternalError, match=r"'op0' reads rows .* of buffer 't0', but .*'t2'"):
        validate(graph, late)


def brute_force(graph: Graph, last: int, tile: Tile) -> list[tuple[int, int]]:
    """Rows and columns of the smallest box of each operator's output that a tile needs."""
    needed = {graph.ops[last - 1].outputs[0]: {
        (y, x) for y in range(tile.y0, tile.y1) for x in range(tile.x0, tile.x1)}}
    boxes = []
    for op in reversed(graph.ops[:last]):
        pixels = needed[op.outputs[0]]
        ys, xs = ([p[axis] for p in pixels] for axis in (0, 1))
        boxes.append((max(ys) - min(ys) + 1, max(xs) - min(xs) + 1))
        node, operator = node_of(graph, op), operator_of(op.kind)
        for number, source in enumerate(node.activations):
            rows, columns = operator.window(node, number), operator.columns(node, number)
            needed.setdefault(op.inputs[number], set()).update(
                (v, u)
                for y in range(min(ys), max(ys) + 1) for x in range(min(xs), max(xs) + 1)
                for v in range(rows.first(y), rows.first(y) + rows.count)
                for u in range(columns.first(x), columns.first(x) + columns.count)
                if 0 <= v < source.rows and 0 <= u < source.pixels)
    return boxes[::-1]


@st.composite
def same_padded(draw: st.DrawFn) -> Graph:
    """Convolutions with SAME padding, and residuals around some of them."""
    net = TiledNet()
    x = net.square(net.input(1, draw(st.integers(5, 12)), draw(st.integers(5, 12)), 1), 1)
    for _ in range(draw(st.integers(1, 4))):
        kernel, stride = draw(st.sampled_from([(1, 1), (3, 1), (3, 2), (5, 1), (1, 2)]))
        y = net.square(x, 1, kernel, stride)
        if stride == 1 and draw(st.booleans()):
            y = net.add(x, y)
        x = y
    return net.graph(x)


@settings(max_examples=40, deadline=None, suppress_health_check=QUIET)
@given(same_padded(), st.data())
def test_receptive_fields_are_exact(graph: Graph, data: st.DataObject) -> None:
    search = search_of(graph)
    patch = data.draw(st.sampled_from(list(search.patches())))
    planned = search.plan(patch)
    group = schedule(graph, planned.segments, planned.variants, planned.flat)[0][0]
    computed = 0
    for y in range(0, group.rows, group.tile_rows):
        for x in range(0, group.pixels, group.tile_pixels):
            last = Tile(y, min(y + group.tile_rows, group.rows),
                        x, min(x + group.tile_pixels, group.pixels), x)
            boxes = brute_force(graph, patch.last, last)
            tiles = spread(group.stages, last)
            assert boxes == [(t.y1 - t.y0, t.x1 - t.x0) for t in tiles]
            computed += sum(h * w * macs_per_pixel(graph, n) for n, (h, w) in enumerate(boxes))
    stage = sum(op.attrs.macs for op in graph.ops[:patch.last])
    assert planned.extra_macs == patch.extra_macs == computed - stage


def macs_per_pixel(graph: Graph, op: int) -> int:
    out = graph.tensors[graph.ops[op].outputs[0]]
    macs: int = graph.ops[op].attrs.macs
    return macs // (out.rows * out.pixels)


# Any graph, any grid --------------------------------------------------------------------------


def patched(graph: Graph, memory: str, data: st.DataObject) -> tuple[Patch, Plan]:
    search = search_of(graph, memory)
    patches = list(search.patches())
    assume(patches)
    patch = data.draw(st.sampled_from(patches))
    return patch, search.plan(patch)


@settings(max_examples=120, deadline=None, suppress_health_check=QUIET)
@given(patch_graphs(), MEMORIES, st.data())
def test_patches_compute_what_the_graph_says(
    graph: Graph, memory: str, data: st.DataObject
) -> None:
    patch, planned = patched(graph, memory, data)
    validate(graph, planned)
    inputs = random_inputs(graph)
    expected, found = run_apart(graph, inputs), run_planned(graph, planned, inputs)
    assert all(np.array_equal(a, b) for a, b in zip(expected, found, strict=True))
    assert planned.extra_macs <= patch.extra_macs
    assert planned.lower_bound_bytes <= planned.arena_bytes


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=QUIET)
@given(patch_graphs(), MEMORIES, st.data())
def test_a_patch_layout_that_the_validator_accepts_is_right(
    graph: Graph, memory: str, data: st.DataObject
) -> None:
    _, planned = patched(graph, memory, data)
    arena = [n for n, b in enumerate(planned.buffers) if b.region == "arena"]
    inputs = random_inputs(graph)
    expected = run_apart(graph, inputs)
    for _ in range(3):
        index = data.draw(st.sampled_from(arena))
        offset = data.draw(st.integers(0, planned.arena_bytes))
        mutant = moved(planned, index, offset)
        try:
            validate(graph, mutant)
        except InternalError:
            continue
        found = run_planned(graph, mutant, inputs)
        assert all(np.array_equal(a, b) for a, b in zip(expected, found, strict=True))


# Which one is chosen --------------------------------------------------------------------------


def choices(graph: Graph, memory: str) -> Iterator[Plan]:
    yield plan_per_layer(graph, Target(), Limits(input_memory=memory))
    search = search_of(graph, memory)
    for patch in search.patches():
        yield search.plan(patch)


@pytest.mark.parametrize("memory", ["resident", "excluded"])
def test_the_best_of_all_is_found(memory: str) -> None:
    net = TiledNet()
    x = net.square(net.input(1, 12, 12, 3), 8, 3, 2)
    for _ in range(2):
        x = net.add(x, net.square(net.square(x, 24, 1), 8))
    graph = net.graph(net.mean(net.square(x, 16, 3, 2)))
    every = list(choices(graph, memory))
    sizes = sorted({p.arena_bytes for p in every})
    smallest = min(every, key=lambda p: (p.arena_bytes, p.extra_macs))
    limits = Limits(input_memory=memory)
    found = plan_patch(graph, Target(), limits)
    assert (found.arena_bytes, found.extra_macs) == (smallest.arena_bytes, smallest.extra_macs)
    assert len(sizes) > 10
    for budget in (sizes[0] - 1, *sizes[::2], sizes[-1]):
        found = plan_patch(graph, Target(), limits, budget)
        fitting = [p for p in every if p.arena_bytes <= budget] or [smallest]
        best = min(fitting, key=lambda p: (p.extra_macs, p.arena_bytes))
        assert (found.arena_bytes, found.extra_macs) == (best.arena_bytes, best.extra_macs)
    for overhead in (0.0, 0.02, 0.2):
        found = plan_patch(graph, Target(), replace(limits, max_overhead=overhead))
        allowed = (p for p in every if p.extra_macs <= overhead * p.macs)
        best = min(allowed, key=lambda p: (p.arena_bytes, p.extra_macs))
        assert (found.arena_bytes, found.extra_macs) == (best.arena_bytes, best.extra_macs)


def test_a_hundred_residuals() -> None:
    """Ways through them are 2 ** 100; what they need of the image is one of a hundred windows."""
    net = TiledNet()
    x = net.square(net.input(1, 32, 32, 1), 1)
    for _ in range(100):
        x = net.add(x, net.square(x, 1, 3))
    patches = list(search_of(net.graph(x)).patches())
    assert {p.last for p in patches} >= {201, 199, 3}
    assert all(p.extra_macs > 0 for p in patches)


def test_kernels_in_the_stage_are_the_fastest_that_cost_no_memory() -> None:
    fast, slow = Variant("fast", scratch_bytes=40, cost=1), Variant("slow", cost=2)
    net = TiledNet()
    window = Window(3, 1, -1)
    a = net.window(net.input(1, 16, 16, 1), 8, window, window, (16, 16), (slow, fast))
    b = net.window(a, 2, window, window, (16, 16), (slow, fast))
    c = net.window(b, 1, window, window, (16, 16), (slow, fast))
    graph = net.graph(c, c)
    planned = search_of(graph).plan(Patch(3, 4, 4, 0, 0))
    validate(graph, planned)
    assert planned.arena_bytes == 8 * 8 * 8 + 6 * 6 * 2 + 16 * 16
    assert [v.name for v in planned.variants] == ["fast", "slow", "fast"]
    assert {(b.first, b.last) for b in planned.buffers if b.op is not None} == {(0, 1), (2, 3)}


def test_strategies() -> None:
    graph = resnet8()
    planned = plan(graph, Target(), Limits(strategy="patch"))
    assert planned.strategy in ("patch", "per-layer")
    assert planned.arena_bytes <= plan(graph, Target(), Limits(strategy="per-layer")).arena_bytes


def test_auto_takes_patches_only_where_streaming_does_not_fit() -> None:
    """Wide operators in a row: what a patch holds shares memory over time, rings do not."""
    net = TiledNet()
    x = net.input(1, 8, 4, 1)
    for channels in (64, 64, 64, 64, 1):
        x = net.square(x, channels, 1)
    graph = net.graph(net.whole(x))
    limits = Limits(input_memory="excluded", strategy="stream")
    stream = plan(graph, Target(), limits)
    patch = plan(graph, Target(), replace(limits, strategy="patch"))
    assert (stream.strategy, patch.strategy) == ("stream", "patch")
    assert patch.arena_bytes < stream.arena_bytes
    outside = stack_bytes(graph, stream) + graph.tensors[graph.outputs[0]].elements
    for sram, strategy in ((stream.arena_bytes, "stream"), (stream.arena_bytes - 1, "patch"),
                           (patch.arena_bytes - 1, "patch")):
        chosen = plan(graph, Target(), replace(limits, strategy="auto", sram_bytes=sram + outside))
        assert chosen.strategy == strategy


def test_a_strategy_asked_for_by_name_is_taken_where_per_layer_fits_too() -> None:
    """As on a board, whose memory is always granted."""
    net = TiledNet()
    x = net.input(1, 16, 16, 4)
    for channels in (8, 8, 2):
        x = net.square(x, channels)
    graph = net.graph(net.whole(x))
    roomy = Limits(input_memory="excluded", sram_bytes=1 << 20)
    whole = plan(graph, Target(), roomy)
    assert whole.strategy == "per-layer"
    stream = plan(graph, Target(), replace(roomy, strategy="stream"))
    smallest = plan(graph, Target(), replace(roomy, strategy="stream", sram_bytes=None))
    assert stream.strategy == "stream"
    assert stream.arena_bytes == smallest.arena_bytes < whole.arena_bytes
    assert stream.extra_macs == 0
    patch = plan(graph, Target(), replace(roomy, strategy="patch"))
    least = plan(graph, Target(), replace(roomy, strategy="patch", sram_bytes=None))
    assert patch.strategy == "patch"
    assert patch.arena_bytes < whole.arena_bytes
    assert patch.extra_macs <= least.extra_macs


# Mutants --------------------------------------------------------------------------------------


def a_plan() -> tuple[Graph, Plan]:
    """Three convolutions in 3x3 patches, the middle one around a residual."""
    net = TiledNet()
    x = net.square(net.input(1, 9, 9, 1), 4)  # t1
    y = net.square(x, 4)  # t2
    z = net.add(x, y, variants=(PLAIN,))  # t3
    graph = net.graph(net.whole(net.square(z, 2)))  # t4
    planned = search_of(graph, "resident").plan(Patch(4, 3, 3, 0, 0))
    validate(graph, planned)
    return graph, planned


def rejected(graph: Graph, mutant: Plan, reason: str) -> None:
    with pytest.raises(InternalError, match=reason):
        validate(graph, mutant)


@pytest.mark.parametrize(("victim", "over"), [
    ("t1", "t2"), ("t2", "t1"), ("t3", "t1"), ("t3", "t2"), ("t4", "t1"), ("t4", "t2"),
    ("t4", "t3"), ("t1", "t0"), ("t3", "t0"),
])
def test_no_tile_may_lie_over_what_is_still_read(victim: str, over: str) -> None:
    graph, planned = a_plan()
    at = planned.buffers[number_of(planned, over)].offset_bytes
    rejected(graph, moved(planned, number_of(planned, victim), at), "validator: .*overlap|reads")


@pytest.mark.parametrize("fields", [
    {"ring_rows": 6, "size_bytes": 6 * 7 * 4}, {"row_pixels": 6, "size_bytes": 7 * 6 * 4},
])
def test_a_tile_one_row_or_column_short(fields: dict[str, int]) -> None:
    graph, planned = a_plan()
    inner = planned.buffers[number_of(planned, "t1")]
    assert (inner.ring_rows, inner.row_pixels, inner.size_bytes) == (7, 7, 196)
    rejected(graph, changed(planned, "t1", **fields), "lie outside its|overlap|'t1'")


@pytest.mark.parametrize(("name", "fields", "steps"), [
    ("t1", {"last": 4}, "0, 3"), ("t1", {"last": 2}, "0, 3"), ("t2", {"first": 0}, "1, 3"),
    ("t4", {"first": 3}, "0, 5"), ("t0", {"last": 1}, "0, 4"),
])
def test_lifetimes_in_a_stage(name: str, fields: dict[str, int], steps: str) -> None:
    graph, planned = a_plan()
    reason = f"'{name}' is used during steps \\[{steps}\\)"
    rejected(graph, changed(planned, name, **fields), reason)


def test_a_stage_is_one_group_that_does_not_slide() -> None:
    graph, planned = a_plan()
    stage, *rest = planned.segments
    (group,) = stage.groups
    for groups in ((replace(group, slides=True),),
                   (replace(group, last=2), replace(group, first=2))):
        wrong = replace(planned, segments=(replace(stage, groups=groups), *rest))
        rejected(graph, wrong, "operators 0 to 3 run patch by patch, which takes one group")


@pytest.mark.parametrize("fields", [{"tile_rows": 4}, {"tile_pixels": 9}])
def test_larger_tiles_than_the_buffers_hold(fields: dict[str, Any]) -> None:
    graph, planned = a_plan()
    stage, *rest = planned.segments
    groups = (replace(stage.groups[0], **fields),)
    wrong = replace(planned, segments=(replace(stage, groups=groups), *rest))
    rejected(graph, wrong, "lie outside its|overlap|holds")


def test_tiles_do_not_leave_the_stage() -> None:
    graph, planned = a_plan()
    wrong = replace(graph, outputs=(*graph.outputs, 1))
    rejected(wrong, planned, "'t1'")


def test_fakes_of_whole_rows_are_the_least_that_a_stage_can_recompute() -> None:
    """Operators whose columns nobody knows read whole rows: cutting columns gains nothing."""
    net = Net()
    graph = net.graph(net.conv(net.conv(net.input(1, 8, 8, 1), 4, 3), 1, 3))
    by_grid = {(p.tile_rows, p.tile_pixels): p for p in search_of(graph).patches()}
    assert by_grid[4, 2].stage_bytes == by_grid[4, 8].stage_bytes
    assert by_grid[4, 2].extra_macs > by_grid[4, 8].extra_macs
