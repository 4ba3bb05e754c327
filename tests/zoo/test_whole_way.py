# SPDX-License-Identifier: MIT
"""Every family at a small size: built, deployed, quantized, planned, and bit for bit in C."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.shared import needs
from tinyeff import pipeline, zoo
from tinyeff.cli import main
from tinyeff.emitter import EmitOptions, emit
from tinyeff.ir import Array, Graph, Limits
from tinyeff.reader.flatbuffer import parse
from tinyeff.reader.keras import arrange
from tinyeff.selection import select
from tinyeff.simulator.emulator import emulate
from tinyeff.simulator.host import HostProgram
from tinyeff.targets import target_for
from tinyeff.worker import run_job
from tinyeff.zoo.catalog import CATALOG

Case = tuple[str, dict[str, Any]]
SMALL: dict[str, Any] = {"width": 0.25, "resolution": 48, "classes": 4}
"""Large enough for maps of 2 x 2 at the end: of 1 x 1 the converter makes something else."""
SAMPLE: tuple[Case, ...] = (
    ("mobileone_s0", {**SMALL, "width": 0.125}),
    ("mobilenet_v3_small", SMALL),
    ("shufflenet_v2_0.5", SMALL),
    ("adder_resnet_8", {"width": 0.25, "resolution": 8}),
    ("adscnet_small", {"width": 0.5, "resolution": 16}),
    ("efficientformer_l1", {**SMALL, "width": 0.125, "resolution": 64}),
)
"""What `make test` takes the whole way: small networks that have most kinds of layers together."""

REST: tuple[Case, ...] = (
    ("mobilenet_v1", SMALL),
    ("mobilenet_v1_quant_friendly", SMALL),
    ("mobilenet_v2", {**SMALL, "channels": 1}),
    ("mobilenet_v4_conv_small", SMALL),
    ("mobilenet_v4_conv_medium", {**SMALL, "width": 0.1}),
    ("mobilenext", SMALL),
    ("mobilenext_identity_1_3", SMALL),
    ("mcunet_in0", {"classes": 4}),
    ("mcunet_vww", {"width": 0.5, "resolution": 48}),
    ("mcunetv2_large", SMALL),
    ("mcunetv2_mbv2_rd", SMALL),
    ("proxylessnas_mobile", SMALL),
    ("mnasnet_a1", SMALL),
    ("fbnet_b", SMALL),
    ("efficientnet_b0", SMALL),
    ("squeezenet_1_0", {**SMALL, "resolution": 47}),
    ("squeezenet_1_1", {**SMALL, "resolution": 48}),
    ("shufflenet_v1_0.5_g3", {**SMALL, "width": 0.5}),
    ("shufflenet_v1_0.5_g8", {**SMALL, "width": 0.5}),
    ("ghostnet", SMALL),
    ("mixnet_s", {**SMALL, "width": 0.5}),
    ("cifar_resnet_20", {"width": 0.5}),
    ("repvgg_a0", SMALL),
    ("repvgg_b1g4", {**SMALL, "width": 0.125}),
    ("mobileone_s4", {**SMALL, "width": 0.125}),
    ("mlperf_vww", {"resolution": 48}),
    ("mlperf_ic", {}),
    ("mlperf_kws", {}),
    ("mlperf_ad", {}),
)
TINY: dict[str, Any] = {**SMALL, "width": 0.125}
SECOND: tuple[Case, ...] = (
    ("alexnet", {**SMALL, "resolution": 99}),
    ("vgg16_cifar", TINY),
    ("nin_cifar", TINY),
    ("conv_mobilenet", TINY),
    ("googlenet", TINY),
    ("inception_v3", {**TINY, "resolution": 107}),
    ("inception_resnet_v2", {"width": 0.05, "resolution": 107, "classes": 4}),
    ("resnet_18", TINY),
    ("resnet_50", TINY),
    ("resnet_50_v2", TINY),
    ("se_resnet_50", TINY),
    ("resnext_50_8x14d", SMALL),
    ("cifar_resnet_v2_164", {"width": 0.5, "resolution": 8}),
    ("cifar_resnet_shortcut_gated", {"width": 0.5, "resolution": 8}),
    ("regnetx_3_2gf", TINY),
    ("densenet_121", TINY),
    ("xception", {**TINY, "resolution": 71}),
    ("nasnet_mobile", TINY),
    ("cspresnet_50", TINY),
    ("cspdarknet53", TINY),
    ("ghost_vgg16_cifar", TINY),
    ("ghost_resnet_56", {"width": 0.5, "resolution": 8}),
    ("igcv3_d_1.0", SMALL),
    ("condensenet_g4", {"resolution": 64, "classes": 4}),
    ("multihardware_max_1.0", SMALL),
    ("mobilenet_v2_twice_depthwise", SMALL),
    ("mobilenet_v4_conv_large", TINY),
    ("mobilenet_v4_hybrid_medium", {**TINY, "resolution": 64}),
    ("shiftnet_20", {"resolution": 16}),
    ("active_shiftnet_20", {"resolution": 16}),
    ("octave_resnet_small", {"resolution": 16}),
    ("shift_add_small", {"width": 0.25, "resolution": 8}),
    ("convnext_tiny", {**TINY, "resolution": 64}),
    ("repoptvgg_b1", TINY),
    ("repoptvgg_b1_search", TINY),
    ("efficientformer_v2_s0", {**SMALL, "resolution": 64}),
    ("big_little_small", {"resolution": 16}),
    ("acnet_mobilenet_v1", SMALL),
    ("acnet_resnet_18", TINY),
    ("dbb_mobilenet_v1", SMALL),
    ("dbb_resnet_18", TINY),
    ("expandnet_mobilenet_v1", SMALL),
    ("unet", {"width": 0.125, "resolution": 188}),
    ("unet_same", {"width": 0.125, "resolution": 32}),
    ("pspnet_repvgg_a0", {"width": 0.125, "resolution": 48, "classes": 4}),
    ("fpn_resnet_18", {**TINY, "resolution": 64}),
    ("ssdlite_mobilenet_v2", SMALL),
    ("yolo_mobilenet_v2", {**SMALL, "resolution": 64}),
    ("branchy_resnet_8", {"resolution": 16}),
    ("msdnet_small", {"resolution": 16}),
    ("resnet_50_v2_keras", TINY),
    ("xception_41", {**TINY, "resolution": 71}),
    ("pnasnet_5_large", {"width": 0.05, "resolution": 71, "classes": 4}),
    ("efficientnet_v2_b0", SMALL),
    ("fbnet_v3_b", SMALL),
    ("tinynet_e", {**SMALL, "resolution": 64}),
    ("fastvit_t8", {**SMALL, "resolution": 64}),
    ("fastvit_sa12", {**SMALL, "width": 0.5, "resolution": 64}),
    ("efficientvit_b0", {**SMALL, "resolution": 64}),
    ("nextvit_small", {**SMALL, "resolution": 64}),
)
"""The networks of the second half: classic ones, dense prediction, overparameterized ones."""

REDUNDANT = ("mcunetv2_large", "mcunetv2_mbv2_rd", "yolo_mobilenet_v2")
"""A linear 1x1 is not narrower than its input: deployment joins it with the one behind it."""

COMPARABLE: dict[str, tuple[str, ...]] = {
    "mixnet_s": ("per-layer",), "branchy_resnet_8": ("per-layer",), "msdnet_small": (),
    "efficientformer_v2_s0": (), "octave_resnet_small": (), "big_little_small": (),
    "fpn_resnet_18": (), "xception": ("stream",), "cspresnet_50": ("stream",), "nasnet_mobile": (),
    "resnet_50_v2_keras": (), "xception_41": (), "pnasnet_5_large": (), "shiftnet_20": (),
    "active_shiftnet_20": ("per-layer",)}
"""Where the converter puts parallel branches into another order: plans that do not depend on it."""

FLOAT_ONLY = ("efficientvit_b0",)
"""Networks with a step whose range no int8 holds: sums that come near zero are divided by."""

STRATEGIES = ("per-layer", "patch", "stream")
MANY = 130
"""Networks of so many operators and more are planned with `make bench` only."""
TOLERANCE = 1e-4
"""Of the largest output: what deployment may change in float."""


class Networks:
    """Networks that one process builds; the int8 graph of each is made when it is asked for."""

    def __init__(self, cases: tuple[Case, ...], folder: Path) -> None:
        needs("tensorflow")
        self.folder = folder
        self.reports = run_job("tests.zoo.jobs", folder, {
            "networks": {name: {"name": name, **scale} for name, scale in cases}}, "networks")
        self.int8: Callable[[str], Graph] = cache(self._int8)

    def report(self, name: str) -> dict[str, Any]:
        """What was seen while the network was built."""
        report: dict[str, Any] = self.reports[name]
        assert "error" not in report, report["error"]
        return report

    def float(self, name: str) -> Graph:
        """The network as the reader has it, before simplification."""
        report = self.report(name)
        flatbuffer = (self.folder / name / "model.tflite").read_bytes()
        return parse(arrange(flatbuffer, report["inputs"], report["outputs"], name), name)

    def _int8(self, name: str) -> Graph:
        graph = pipeline.simplify(self.float(name))
        shape = graph.tensors[graph.inputs[0]].shape
        samples = np.random.default_rng(2).normal(0, 1, (8, *shape[1:])).astype(np.float32)
        # Of random samples nothing is learned that a better search would find.
        return pipeline.simplify(pipeline.quantize(graph, (samples[:, None],), effort="fast"))


def asked_for(request: pytest.FixtureRequest, cases: tuple[Case, ...]) -> tuple[Case, ...]:
    """The cases that a selected test names: with -k the others need not be built."""
    here = [item for item in request.session.items
            if isinstance(item, pytest.Function) and item.module is request.module]
    given = [value for item in here if hasattr(item, "callspec")
             for value in item.callspec.params.values()]
    wanted = {value[0] if isinstance(value, tuple) else value for value in given}
    return tuple(case for case in cases if case[0] in wanted)


@pytest.fixture(scope="module")
def sample(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Networks:
    return Networks(asked_for(request, SAMPLE), tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="module")
def rest(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Networks:
    return Networks(asked_for(request, REST), tmp_path_factory.mktemp("rest"))


@pytest.fixture(scope="module")
def second(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Networks:
    return Networks(asked_for(request, SECOND), tmp_path_factory.mktemp("second"))


def names(cases: tuple[Case, ...]) -> list[str]:
    return [name for name, _ in cases]


def test_every_family_goes_the_whole_way() -> None:
    gone = {CATALOG[name].family for name in (*names(SAMPLE), *names(REST), *names(SECOND))}
    assert gone == {a.family for a in CATALOG.values()}


@pytest.mark.parametrize(("most", "families"), [
    pytest.param(90, 36, marks=pytest.mark.slow), pytest.param(MANY, 44, marks=pytest.mark.all)])
def test_no_family_streams_into_more_memory_than_it_takes_layer_by_layer(
    most: int, families: int
) -> None:
    """A network of each family that has one of fewer than `most` operators; no TensorFlow."""
    target, seen = target_for("cortex-m4"), set[str]()
    for name, scale in (*SAMPLE, *REST, *SECOND):
        graph = select(zoo.graph(name, **scale), target)
        if CATALOG[name].family not in seen and len(graph.ops) < most:
            layers, stream = (pipeline.plan(graph, target, Limits(strategy=strategy))
                              for strategy in ("per-layer", "stream"))
            assert stream.activation_bytes <= layers.activation_bytes, name
            assert stream.macs == layers.macs > 0
            seen.add(CATALOG[name].family)
    assert len(seen) >= families


def check_keras(networks: Networks, case: Case) -> None:
    """Keras' own counts, and that deployment changes nothing but the form."""
    name, scale = case
    report = networks.report(name)
    assert report["parameters"] == zoo.network(name, **scale).parameters
    deployed = zoo.network(name, **scale, deployed=True).parameters
    if name in REDUNDANT:
        assert report["parameters_deploy"] < deployed
    else:
        assert report["parameters_deploy"] == deployed
    assert report["difference"] <= TOLERANCE * max(1.0, report["largest"])


def check_graph_without_tensorflow(networks: Networks, case: Case) -> None:
    """What `tinyeff models --memory` plans is what the converter makes of the Keras model."""
    name, scale = case
    target = target_for("cortex-m4")
    converted, ours = (select(g, target) for g in (
        pipeline.simplify(networks.float(name)), zoo.graph(name, **scale)))
    if name in REDUNDANT:
        assert len(ours.ops) > len(converted.ops)
        return
    assert sorted(op.kind for op in ours.ops) == sorted(op.kind for op in converted.ops)
    comparable = COMPARABLE.get(name, ("per-layer", "stream"))
    for strategy in {"per-layer", *comparable}:
        plans = [pipeline.plan(g, target, Limits(strategy=strategy)) for g in (ours, converted)]
        assert plans[0].macs == plans[1].macs
        if strategy in comparable:
            assert plans[0].activation_bytes == plans[1].activation_bytes


def check_code(networks: Networks, name: str, strategy: str) -> None:
    """Generated C equals LiteRT at every tensor."""
    graph = networks.int8(name)
    program = pipeline.compile_graph(graph, target_for("host"), Limits(strategy=strategy)).program
    shape = graph.tensors[graph.inputs[0]].shape
    inputs = np.random.default_rng(3).integers(-128, 128, (1, *shape), dtype=np.int8)
    result = pipeline.verify(program, (inputs,))
    assert result.exact, result.difference


@pytest.mark.slow
@pytest.mark.parametrize("case", SAMPLE, ids=names(SAMPLE))
def test_keras_counts_and_deployment(sample: Networks, case: Case) -> None:
    check_keras(sample, case)


@pytest.mark.all
@pytest.mark.parametrize("case", REST, ids=names(REST))
def test_keras_counts_and_deployment_of_the_rest(rest: Networks, case: Case) -> None:
    check_keras(rest, case)


@pytest.mark.all
@pytest.mark.parametrize("case", SECOND, ids=names(SECOND))
def test_keras_counts_and_deployment_of_the_second_half(second: Networks, case: Case) -> None:
    check_keras(second, case)


@pytest.mark.slow
@pytest.mark.parametrize("case", SAMPLE, ids=names(SAMPLE))
def test_plans_without_tensorflow(sample: Networks, case: Case) -> None:
    check_graph_without_tensorflow(sample, case)


@pytest.mark.all
@pytest.mark.parametrize("case", REST, ids=names(REST))
def test_plans_without_tensorflow_of_the_rest(rest: Networks, case: Case) -> None:
    check_graph_without_tensorflow(rest, case)


@pytest.mark.all
@pytest.mark.parametrize("case", SECOND, ids=names(SECOND))
def test_plans_without_tensorflow_of_the_second_half(second: Networks, case: Case) -> None:
    check_graph_without_tensorflow(second, case)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "strategy"), [
    ("mobileone_s0", "stream"), ("mobilenet_v3_small", "patch"), ("shufflenet_v2_0.5", "per-layer"),
    ("adder_resnet_8", "per-layer"), ("adscnet_small", "patch"), ("efficientformer_l1", "stream"),
])
def test_code_is_exact(sample: Networks, name: str, strategy: str) -> None:
    check_code(sample, name, strategy)


@pytest.mark.all
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", names(REST))
def test_code_of_the_rest_is_exact(rest: Networks, name: str, strategy: str) -> None:
    check_code(rest, name, strategy)


@pytest.mark.all
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", [n for n in names(SECOND) if n not in FLOAT_ONLY])
def test_code_of_the_second_half_is_exact(second: Networks, name: str, strategy: str) -> None:
    check_code(second, name, strategy)


@pytest.mark.all
@pytest.mark.parametrize("name", ["ssdlite_mobilenet_v2", "yolo_mobilenet_v2", "unet_same"])
def test_the_command_line_takes_dense_prediction(
    second: Networks, name: str, tmp_path: Path
) -> None:
    shape = second.float(name).tensors[second.float(name).inputs[0]].shape
    samples, model = tmp_path / "x.npz", tmp_path / "int8.tflite"
    np.savez(samples, x=np.random.default_rng(4).normal(0, 1, (4, *shape[1:])).astype(np.float32))
    keras_file = second.folder / name / "plain.keras"
    for command in (
        ["quantize", keras_file, "--data", samples, "-o", model, "--effort", "fast"],
        ["plan", model], ["codegen", model, "-o", tmp_path / "c"], ["sim", tmp_path / "c"],
        ["verify", model, "--data", samples], ["evaluate", model, "--data", samples],
    ):
        assert main([str(word) for word in command]) == 0, command


@pytest.mark.all
@pytest.mark.parametrize("name", ["mcunet_in0", "mcunet_vww", "mlperf_kws", "repvgg_a0"])
def test_emulated_cortex_m4(rest: Networks, name: str) -> None:
    needs("unicorn", "capstone", "elftools")
    graph = rest.int8(name)
    compiled = pipeline.compile_graph(graph, target_for("cortex-m4"), Limits())
    shape = graph.tensors[graph.inputs[0]].shape
    inputs: Array = np.random.default_rng(3).integers(-128, 128, shape, dtype=np.int8)
    with HostProgram(compiled.program) as host:
        expected = host.run((inputs[None],))
    result = emulate(emit(compiled.program, EmitOptions("m")), [inputs], "cortex-m4")
    assert result.outputs == tuple(x.tobytes() for x in expected)
    assert result.arena_bytes == compiled.plan.arena_bytes
