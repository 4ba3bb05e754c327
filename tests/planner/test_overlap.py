# SPDX-License-Identifier: MIT
"""The overlap rule against a search over all distances with byte sets."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.planner.fakes import FLAT, PIXELS, PLAIN, FakeAttrs, Net
from tests.planner.random_graphs import SMALL, windows
from tinyeff.ir import Tensor, Variant, Window
from tinyeff.planner.overlap import Overlap, overlaps


def _only(net: Net, variant: Variant = PLAIN, flat: bool = False) -> Overlap:
    graph = net.graph()
    (rule,) = overlaps(graph, graph.ops[-1], variant, flat)
    return rule


def _allowed(rule: Overlap, distance: int) -> bool:
    """Whether the output may start `distance` bytes after the input."""
    return distance <= -rule.below or distance >= rule.above


def _is_safe(source: Tensor, result: Tensor, window: Window, per_call: int, distance: int) -> bool:
    """Rows as sets of addresses: nothing may be written that this or a later call reads."""
    needed: set[int] = set()
    for y in reversed(range(0, result.rows, per_call)):
        end = min(y + per_call, result.rows)
        first, last = max(window.first(y), 0), window.first(end - 1) + window.count
        needed |= set(range(first * source.row_bytes, min(last, source.rows) * source.row_bytes))
        written = range(distance + y * result.row_bytes, distance + end * result.row_bytes)
        if needed & set(written):
            return False
    return True


@settings(max_examples=300, deadline=None)
@given(st.data(), SMALL, SMALL, SMALL, SMALL, st.integers(1, 3))
def test_rows_allow_exactly_the_safe_distances(
    data: st.DataObject, in_rows: int, in_pixels: int, rows: int, pixels: int, per_call: int
) -> None:
    net = Net()
    x, y = net.input(1, in_rows, in_pixels, 2), net.tensor(1, rows, pixels, 3)
    window = data.draw(windows(in_rows, rows))
    net.op([x], [y], FakeAttrs("rows", (window,)))
    rule = _only(net, Variant("v", rows_per_call=per_call))
    source, result = net.tensors[x], net.tensors[y]
    for distance in range(-result.size_bytes - 2, source.size_bytes + 3):
        # The rule treats the rows between the first and the last that are needed as needed; a
        # window that skips rows could allow more, a contiguous one cannot.
        safe = _is_safe(source, result, window, per_call, distance)
        assert safe or not _allowed(rule, distance)
        if window.step <= window.count:
            assert safe == _allowed(rule, distance)


def test_same_convolution_keeps_one_row_and_its_halo_ahead() -> None:
    net = Net()
    net.conv(net.input(1, 8, 4, 2), 2, kernel=3)
    # Row 7 ends at 64 and reads from row 6 on, which starts at 48.
    assert _only(net) == Overlap(1, 0, below=16, above=64)


def test_strided_convolution_falls_behind() -> None:
    net = Net()
    net.conv(net.input(1, 8, 4, 2), 2, kernel=2, stride=2)
    # Row 0 (4 bytes) must end where the input starts; later rows have ever more room.
    assert _only(net).below == 4


def test_flat_needs_all_of_the_output_elsewhere() -> None:
    net = Net()
    net.conv(net.input(1, 8, 4, 2), 3)
    assert _only(net, FLAT, flat=True) == Overlap(1, 0, below=96, above=64)
    assert _only(net, FLAT).below == 96 - 7 * 8


def test_pixelwise_kernels_work_in_place_even_when_flat() -> None:
    for flat in (False, True):
        net = Net()
        x = net.input(1, 8, 4, 2)
        net.add(x, net.input(1, 8, 4, 2))
        graph = net.graph()
        for rule in overlaps(graph, graph.ops[0], PIXELS, flat):
            assert (rule.below, rule.above) == (0, 64)


def test_pixelwise_kernels_that_shrink_or_grow() -> None:
    for channels, below in ((1, -1), (3, 32)):
        net = Net()
        net.conv(net.input(1, 8, 4, 2), channels)
        assert _only(net, PIXELS).below == below


def test_a_promise_on_pixels_does_not_cover_neighbouring_pixels() -> None:
    net = Net()
    x, y = net.input(1, 8, 4, 2), net.tensor(1, 8, 4, 2)
    net.op([x], [y], FakeAttrs("rows", (Window(),), columns=(Window(3, 1, -1),)))
    assert _only(net, PIXELS).below == 8  # a whole row


def test_accumulating_operators_write_last() -> None:
    net = Net()
    net.mean(net.input(1, 8, 4, 2))
    rule = _only(net)
    assert all(_allowed(rule, d) for d in range(-10, 80))


def test_whole_operators_keep_apart() -> None:
    net = Net()
    net.whole(net.input(1, 8, 4, 2))
    assert _only(net) == Overlap(1, 0, below=64, above=64)


def test_outputs_of_different_heights_keep_apart() -> None:
    net = Net()
    x = net.input(1, 8, 4, 2)
    net.op([x], [net.tensor(1, 8, 4, 1), net.tensor(1, 4, 4, 1)], FakeAttrs())
    graph = net.graph()
    assert [r.below for r in overlaps(graph, graph.ops[0], PLAIN, False)] == [32, 16]


def test_float_counts_as_int8() -> None:
    net = Net()
    net.conv(net.input(1, 8, 4, 2, dtype="float32"), 2, kernel=3)
    assert _only(net) == Overlap(1, 0, below=16, above=64)
