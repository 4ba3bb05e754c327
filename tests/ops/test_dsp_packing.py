# SPDX-License-Identifier: MIT
"""What the DSP kernels are given: rounding that equals the reference, and packed weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.ops.test_cases import cases
from tinyeff import fixed_point
from tinyeff.ir import Array, Tensor
from tinyeff.ops import dsp_grouped, dsp_packing, dsp_product, dsp_rounding, dsp_rows, operator_of
from tinyeff.ops.dsp_product import Product
from tinyeff.ops.dsp_rounding import Rounding
from tinyeff.targets import target_for

zero_points = st.integers(-128, 127)
seeds = st.integers(0, 2**32 - 1)


def clamps(zero_point: int) -> st.SearchStrategy[tuple[int, int]]:
    """All of int8, a fused RELU, and anything else."""
    free = st.tuples(st.integers(-128, 127), st.integers(-128, 127)).map(
        lambda pair: (min(pair), max(pair)))
    return st.one_of(st.just((-128, 127)), st.just((zero_point, 127)), free)


def sample(low: int, high: int, rng: np.random.Generator) -> Array:
    """Accumulators of [low, high]: its ends, around zero, and at random."""
    near = np.arange(-300, 300)
    points = np.concatenate([rng.integers(low, high, 2000, endpoint=True), near, [low, high]])
    return np.unique(np.clip(points, low, high)).astype(np.int64)


def rounded(acc: Array, rounding: Rounding, channel: int, clamp: tuple[int, int]) -> Array:
    """What the kernel computes for one channel."""
    if not rounding.computed[channel]:
        return np.full(acc.shape, rounding.constants[channel])
    rows = rounding.rows[channel:channel + 1]
    found = dsp_rounding.outputs(acc[None], rounding.how, rows, int(rounding.places[channel]))
    result: Array = np.clip(found[0], *clamp)
    return result


@settings(max_examples=300)
@given(st.data(), zero_points, seeds)
def test_convolutions_round_as_gemmlowp(data: st.DataObject, zero_point: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    clamp = data.draw(clamps(zero_point))
    scales = [10.0 ** e for e in data.draw(st.lists(st.floats(-9, 1.5), min_size=1, max_size=4))]
    pairs = np.array([fixed_point.quantize_multiplier(s) for s in scales], np.int64)
    reach = 10 ** rng.uniform(1, 6.9, (2, len(scales)))
    low, high = -reach[0].astype(np.int64), reach[1].astype(np.int64)
    rounding = dsp_rounding.conv_rounding(pairs[:, 0], pairs[:, 1], (low, high), zero_point, clamp)
    assume(rounding is not None)
    assert rounding is not None
    for channel, (multiplier, shift) in enumerate(pairs.tolist()):
        acc = sample(int(low[channel]), int(high[channel]), rng)
        wanted = np.clip(zero_point + fixed_point.multiply_by_quantized_multiplier(
            acc, multiplier, shift), *clamp)
        np.testing.assert_array_equal(rounded(acc, rounding, channel, clamp), wanted)


@settings(max_examples=150)
@given(st.data(), zero_points, seeds)
def test_fully_connected_rounds_as_doubles(
    data: st.DataObject, zero_point: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    clamp = data.draw(clamps(zero_point))
    scale = st.one_of(st.floats(-7, 1).map(lambda e: float(10.0 ** e)),
                      st.integers(-20, 3).map(lambda e: 2.0 ** e))
    scales = np.array(data.draw(st.lists(scale, min_size=1, max_size=4)))
    reach = 10 ** rng.uniform(1, 6.9, (2, len(scales)))
    low, high = -reach[0].astype(np.int64), reach[1].astype(np.int64)
    rounding = dsp_rounding.product_rounding(scales, (low, high), zero_point, clamp)
    assume(rounding is not None)
    assert rounding is not None
    for channel, value in enumerate(scales.tolist()):
        acc = sample(int(low[channel]), int(high[channel]), rng)
        wanted = np.clip(zero_point + fixed_point.rounded_double_product(acc, value), *clamp)
        np.testing.assert_array_equal(rounded(acc, rounding, channel, clamp), wanted)


def rounding_for(multiplier: float, reach: int, clamp: tuple[int, int] = (-128, 127)) -> bool:
    """True where one channel of such a convolution is rounded by the DSP kernels."""
    m, shift = fixed_point.quantize_multiplier(multiplier)
    ends = (np.array([-reach]), np.array([reach]))
    return dsp_rounding.conv_rounding(
        np.array([m]), np.array([shift]), ends, 0, clamp) is not None


def test_what_is_rounded_and_what_not() -> None:
    assert rounding_for(0.001, 1 << 20)
    assert rounding_for(0.4, 1 << 10)
    assert rounding_for(40.0, 100), "left shifts have no second rounding"
    assert not rounding_for(1e-5, 1 << 23), "the accumulator leaves 23 bits"
    assert not rounding_for(200.0, 100), "the left shift is too far"
    assert rounding_for(1e-12, 1 << 40), "always the zero point: nothing to compute"


def test_mixed_shifts_need_a_clamp_at_the_zero_point() -> None:
    pairs = np.array([fixed_point.quantize_multiplier(m) for m in (0.7, 0.001)], np.int64)
    ends = (np.full(2, -4000), np.full(2, 4000))
    assert dsp_rounding.conv_rounding(pairs[:, 0], pairs[:, 1], ends, 0, (-128, 127)) is None
    rounding = dsp_rounding.conv_rounding(pairs[:, 0], pairs[:, 1], ends, 0, (0, 127))
    assert rounding is not None
    assert rounding.how == dsp_rounding.HALF_UP


def unpacked(table: Array, runs: int, values: int) -> tuple[Array, Array]:
    """First and second channels out of a stream (pairs, words), as the lanes of each word."""
    groups = dsp_packing.group_count(runs, values)
    words = table[:, 2:2 + 4 * groups].astype(np.int64)
    lanes = np.stack([words << 48 >> 48, words >> 16], axis=2)
    first = (lanes + 128) % 256 - 128
    return first, (lanes - first) >> 8


@settings(max_examples=100)
@given(st.integers(1, 7), st.integers(1, 3), st.integers(1, 21), seeds, st.sampled_from([0, 0.05]))
def test_packed_weights_can_be_told_apart(
    channels: int, runs: int, values: int, seed: int, share: float
) -> None:
    rng = np.random.default_rng(seed)
    filters = rng.integers(-127, 128, (channels, runs, values), dtype=np.int8)
    filters[rng.random(filters.shape) < share] = -128
    rows = np.stack([rng.integers(1 << 30, 1 << 31, channels),
                     rng.integers(-99, 99, channels), rng.integers(1, 22, channels)], axis=1)
    computed = rng.random(channels) < 0.8
    rounding = Rounding(0, rows, computed, np.zeros(channels, np.int64),
                        np.full(channels, 8))
    pairs = dsp_packing.pairing(filters, rounding)
    assert sorted(pairs[pairs >= 0].tolist()) == np.flatnonzero(computed).tolist()
    bias = rng.integers(-1000, 1000, channels)
    stream = dsp_packing.pack(filters, bias, rounding, pairs)
    if len(pairs) == 0:
        assert len(stream) == 1
        return
    groups = dsp_packing.group_count(runs, values)
    assert stream.nbytes == dsp_packing.stream_bytes(len(pairs), groups)
    table, lanes = stream.reshape(len(pairs), -1), dsp_packing.lanes(filters)
    firsts, seconds = unpacked(table, runs, values)
    for (a, b), row, first, second in zip(pairs, table, firsts, seconds, strict=True):
        np.testing.assert_array_equal(first, lanes[a])
        np.testing.assert_array_equal(second, lanes[b] if b >= 0 else 0)
        assert row[0] == bias[a]
        assert row[1] == bias[a] + (256 * bias[b] if b >= 0 else 0)
        assert (row[-1] >> 8, row[-1] & 0xFF) == (a, rows[a, 2])
        assert row[-4] >> 8 == (b if b >= 0 else a)


def test_channels_with_minus_128_come_first() -> None:
    filters = np.full((4, 1, 4), -5, np.int8)
    filters[1, 0, 2] = filters[3, 0, 0] = -128
    every = Rounding(0, np.ones((4, 3), np.int64), np.ones(4, bool), np.zeros(4, np.int64),
                     np.full(4, 8))
    assert dsp_packing.pairing(filters, every).tolist() == [[1, 0], [3, 2]]
    filters[2] = -128
    assert dsp_packing.pairing(filters, every).tolist() == [[1, 0], [2, -1], [3, -1]]
    filters[0, 0, 0] = 5
    natural = dsp_packing.pairing(np.abs(filters // 2), every)
    assert natural.tolist() == [[0, 1], [2, 3]]


def block_diagonal(filters: Array, count: int) -> Array:
    """Filters (channels, taps, inputs of a group) of `count` groups, as those of one group."""
    channels, taps, depth = filters.shape
    whole = np.zeros((channels, taps, count * depth), filters.dtype)
    for channel, weights in enumerate(filters):
        first = channel // (channels // count) * depth
        whole[channel, :, first:first + depth] = weights
    return whole


@pytest.mark.parametrize(("groups", "depth", "outputs", "size", "computed"), [
    (4, 8, 8, 3, 4), (8, 1, 1, 3, 2), (6, 1, 2, 3, 2), (8, 2, 2, 3, 4), (5, 3, 3, 1, 1),
    (6, 2, 3, 1, 2), (8, 12, 12, 1, 8),
])
def test_small_groups_are_joined(
    groups: int, depth: int, outputs: int, size: int, computed: int
) -> None:
    x, out = (Tensor(name, (1, 8, 8, groups * n), "int8")
              for name, n in (("x", depth), ("out", outputs)))
    filters = np.random.default_rng(groups).integers(
        1, 128, (groups * outputs, size, size, depth), dtype=np.int8)
    product = Product(x, out, filters)
    found = dsp_grouped.grouped(product)
    assert found.count == computed
    taps = filters.reshape(len(filters), -1, depth)
    np.testing.assert_array_equal(block_diagonal(found.filters, found.count),
                                  block_diagonal(taps, groups))


@pytest.mark.parametrize("kind", ["CONV_2D", "FULLY_CONNECTED"])
def test_cases_reach_every_dsp_kernel(kind: str) -> None:
    operator, names, pixels = operator_of(kind), set(), set()
    for _, node, _ in cases(kind):
        for variant in operator.variants(node, target_for("cortex-m4")):
            names.add(variant.name)
            pixels.add(variant.tile_pixels)
            assert variant.scratch_bytes <= 4096
        assert {v.name for v in operator.variants(node, target_for("cortex-m3"))} <= {
            "portable", "zero_point"}
    assert {"dsp_1x1", "dsp_kxk", "dsp_long", "portable"} <= names
    assert ("dsp_grouped" in names) == (kind == "CONV_2D")
    assert {1, 3} <= pixels


def test_cases_reach_every_depthwise_kernel() -> None:
    operator, seen = operator_of("DEPTHWISE_CONV_2D"), set()
    for _, node, _ in cases("DEPTHWISE_CONV_2D"):
        for variant in operator.variants(node, target_for("cortex-m4")):
            assert variant.scratch_bytes <= 4096
            blocks = -(-node.output.pixels // max(variant.tile_pixels, 1))
            seen.add((variant.name, node.attrs.stride[1], blocks > 1))
    assert {("dsp", 1, False), ("dsp", 2, False), ("dsp_3x3", 1, False), ("dsp_3x3", 2, False),
            ("dsp_3x3", 1, True), ("dsp_3x3_rows", 1, False), ("dsp_3x3_rows", 1, True),
            ("portable", 1, True)} <= seen


def test_narrow_maps_in_one_row_and_in_several() -> None:
    seen = set()
    for graph, node, _ in cases("CONV_2D"):
        for variant in operator_of("CONV_2D").variants(node, target_for("cortex-m4")):
            if variant.name == dsp_rows.NAME:
                assert variant.rows_per_call <= node.output.rows, graph.source.name
                shares = variant.tile_pixels >= 3 * dsp_product.LEAST_BLOCKS
                seen.add((variant.rows_per_call > 1, shares))
    assert seen == {(False, False), (True, True)}


@settings(max_examples=100)
@given(st.integers(3, 29), seeds)
def test_larger_accumulators_gain_fewer_places(bits: int, seed: int) -> None:
    """All of 29 bits are rounded as gemmlowp does where halves go up."""
    rng = np.random.default_rng(seed)
    middle = int(rng.integers(1 << bits - 1, 1 << bits))
    pair = np.array(fixed_point.quantize_multiplier(rng.uniform(1, 100) / middle), np.int64)
    low, high = np.array([max(middle - (middle >> 4) - 9, -middle)]), np.array([middle])
    rounding = dsp_rounding.conv_rounding(pair[:1], pair[1:], (low, high), -128, (-128, 127), None)
    assume(rounding is not None)
    assert rounding is not None
    assume(bool(rounding.computed[0]))
    assert rounding.places[0] == min(8, 31 - bits)
    acc = sample(int(low[0]), int(high[0]), rng)
    wanted = np.clip(-128 + fixed_point.multiply_by_quantized_multiplier(
        acc, int(pair[0]), int(pair[1])), -128, 127)
    np.testing.assert_array_equal(rounded(acc, rounding, 0, (-128, 127)), wanted)
