# SPDX-License-Identifier: MIT
"""Costs of layers against what is worked out by hand, and against the literature."""

from __future__ import annotations

import json
import math

import pytest

from tests.golden_files import EXAMPLES
from tinyeff import zoo
from tinyeff.analysis import Layer, access_bound, analyze, hints, patch_size, roofline
from tinyeff.cli import main
from tinyeff.pipeline import prepare
from tinyeff.zoo.architectures import Architecture
from tinyeff.zoo.blocks import Conv, Pool


def chain(*rows: Conv) -> Architecture:
    return Architecture("chain", "chain", "", (*rows, Pool()), (64, 64, 3), activation="none")


def layer_of_shape(name: str | Architecture, shape: tuple[int, ...]) -> Layer:
    """The first layer with this output."""
    return next(x for x in analyze(zoo.graph(name)) if x.output_shape == shape)


def test_a_convolution_by_hand() -> None:
    first = analyze(zoo.graph(chain(Conv(8, 3, 2))))[0]
    assert first.parameters == 3 * 3 * 3 * 8 + 8
    assert first.macs == 32 * 32 * 3 * 3 * 3 * 8
    assert first.live_bytes == 64 * 64 * 3 + 32 * 32 * 8
    assert first.access_bytes == first.live_bytes + 3 * 3 * 3 * 8 + 4 * 8
    assert first.intensity == first.macs / first.access_bytes


def test_counts_are_those_of_the_zoo() -> None:
    for name in ("mcunet_vww", "mobilenet_v3_small", "shufflenet_v2_0.5", "mlperf_ad"):
        layers, network = analyze(zoo.graph(name)), zoo.network(name, deployed=True)
        assert sum(x.parameters for x in layers) == network.parameters
        assert sum(x.macs for x in layers) == network.macs


def test_small_kernels_see_as_far_as_one_large_kernel() -> None:
    two, three = (analyze(zoo.graph(chain(*[Conv(4, 3)] * n)))[n - 1] for n in (2, 3))
    assert (two.field, three.field) == ((5, 5), (7, 7))


def test_mcunetv2s_patches_of_mobilenet_v2() -> None:
    """7 x 7 values of the map of 28 x 28 x 32 need 75 x 75 of the image; redistributed, 63 x 63."""
    for name, pixels in (("mobilenet_v2", 75), ("mcunetv2_mbv2_rd", 63)):
        assert patch_size(layer_of_shape(name, (1, 28, 28, 32)), 7) == (pixels, pixels)


def test_redistribution_finds_the_published_patch_and_keeps_the_work() -> None:
    base = zoo.architecture("mobilenet_v2")
    moved = zoo.redistribute(base, 3)
    assert patch_size(layer_of_shape(moved, (1, 28, 28, 32)), 7) == (63, 63)
    before, after = base.network().macs, moved.network().macs
    assert 0.95 * before < after <= before
    assert moved.network().layers[-1] == base.network().layers[-1] or (
        moved.network().layers[-1].shape == base.network().layers[-1].shape)


def test_a_global_mean_sees_the_whole_image() -> None:
    assert analyze(zoo.graph(chain(Conv(4, 3))))[-1].field == (64, 64)


def test_equal_channels_reach_the_bound() -> None:
    area, channels = 28 * 28, 64
    moved = area * 2 * channels + channels * channels
    assert math.isclose(access_bound(28, 28, area * channels * channels), moved)


def test_the_roofline_takes_the_slower_of_the_two() -> None:
    roof = roofline("dsp", 100e6)
    assert (roof.macs_per_second, roof.bytes_per_second, roof.ridge) == (200e6, 400e6, 0.5)
    work, traffic = (Layer("", "", (), 0, macs, 0, moved, (1, 1), (1, 1))
                     for macs, moved in ((2_000_000, 100), (100, 4_000_000)))
    assert roof.seconds(work) == pytest.approx(0.01)
    assert roof.seconds(traffic) == pytest.approx(0.01)


@pytest.mark.parametrize(("name", "guideline"), [
    ("mcunet_vww", "G1"), ("shufflenet_v1_0.5_g3", "G2"), ("squeezenet_1_1", "G3"),
    ("mobilenet_v3_small", "G4")])
def test_the_guidelines_speak_where_they_apply(name: str, guideline: str) -> None:
    assert any(hint.startswith(guideline) for hint in hints(zoo.graph(name)))


def test_a_balanced_chain_has_no_hints() -> None:
    assert not list(hints(zoo.graph(chain(Conv(8, 3), Conv(8), Conv(8)))))


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    model = str(EXAMPLES / "shapes_int8.tflite")
    assert main(["analyze", model, "--json", "--board", "nucleo-f746zg"]) == 0
    found = json.loads(capsys.readouterr().out)
    graph = prepare(model)
    assert (found["cpu"], found["clock_hz"]) == ("cortex-m7", 216e6)
    assert [x["kind"] for x in found["layers"]] == [op.kind for op in graph.ops]
    assert found["macs"] == sum(x["macs"] for x in found["layers"]) == 176_288
    assert found["seconds"] == pytest.approx(sum(x["seconds"] for x in found["layers"]))
    assert main(["analyze", model]) == 0
    shown = capsys.readouterr().out
    assert "DEPTHWISE_CONV_2D" in shown and "peak" in shown


def test_a_clock_without_sense_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", "mcunet_vww", "--clock", "0"]) == 2
    assert "--clock" in capsys.readouterr().err
