# SPDX-License-Identifier: MIT
"""Masks of patches: plans for them, what leaving a patch out means, and C against LiteRT."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from tests.device.rig import Board, HostFirmware
from tests.device.test_link import link_to
from tests.golden_files import EXAMPLES
from tests.objects import SANITIZERS
from tests.planner.patch_graphs import real_graphs
from tests.shared import needs, shared_path
from tinyeff.cli import main
from tinyeff.data import load_mask, random_inputs
from tinyeff.device.link.machine import BoardProgram
from tinyeff.emitter import EmitOptions, emit
from tinyeff.errors import UsageError
from tinyeff.exits import parse_exits, with_exits
from tinyeff.interpreter import evaluate
from tinyeff.ir import Array, Graph, Limits, PatchStage
from tinyeff.ops import operator_of
from tinyeff.ops.operator import node_of
from tinyeff.patch_mask import left_out, patch_count, patch_stage, random_masks
from tinyeff.pipeline import Compiled, compile_graph, infer, lower, prepare, verify
from tinyeff.planner import validate
from tinyeff.planner.patches import PatchSearch
from tinyeff.selection import select
from tinyeff.simulator.emulator import emulate
from tinyeff.simulator.host import WARNINGS, HostProgram
from tinyeff.simulator.masked import MaskedOracle
from tinyeff.simulator.verify import compare, reference_outputs
from tinyeff.targets import target_for
from tinyeff.work import segment_macs

MODEL = EXAMPLES / "shapes_int8.tflite"
MODELS = ["kws_dscnn_int8", "vww_96_int8", "ic_resnet8_int8", "mcunet_vww_int8"]
CORTEX_M4 = target_for("cortex-m4")
QUIET = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)


@cache
def shapes(rows: int = 4, columns: int = 4, memory: str = "resident") -> Compiled:
    limits = Limits(patch_grid=(rows, columns), input_memory=memory)
    return compile_graph(prepare(MODEL), CORTEX_M4, limits)


def stage_of(compiled: Compiled) -> PatchStage:
    stage = compiled.program.patches
    assert stage is not None
    return stage


# Plans -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("grid", [(4, 4), (2, 3), (1, 8), (8, 1)])
def test_the_grid_is_the_one_asked_for(grid: tuple[int, int]) -> None:
    compiled = shapes(*grid)
    stage = stage_of(compiled)
    assert (stage.rows, stage.columns) == grid
    assert len(stage.areas) == len(stage.macs) == len(stage.outputs) == grid[0] * grid[1]
    assert patch_count(compiled.graph, compiled.plan) == grid[0] * grid[1]
    assert stage.other_macs + sum(stage.macs) == compiled.plan.macs + compiled.plan.extra_macs
    assert sum(segment_macs(compiled.graph, compiled.plan)) == stage.other_macs + sum(stage.macs)
    written = np.zeros(compiled.graph.tensors[stage.tensors[0]].shape[1:3], int)
    seen = np.zeros((32, 32), int)
    for (y0, y1, x0, x1), (top, bottom, left, right) in zip(stage.outputs, stage.areas,
                                                            strict=True):
        written[y0:y1, x0:x1] += 1
        seen[top:bottom, left:right] += 1
    assert (written == 1).all()
    assert seen.min() == 1  # all of the image is looked at, halos more than once


def test_half_of_the_patches_cost_less_than_with_other_stages() -> None:
    stage, graph = stage_of(shapes()), select(prepare(MODEL), CORTEX_M4)
    search = PatchSearch(graph, CORTEX_M4, Limits())
    macs = search.stage_macs()
    halves = [sum(macs[p.last:]) + (sum(macs[:p.last]) + p.extra_macs) / 2
              for p in search.patches() if search.grid(p) == (4, 4)]
    assert len(halves) > 2
    assert min(halves) == stage.other_macs + sum(stage.macs) / 2


def test_a_budget_comes_first() -> None:
    graph = prepare(MODEL)
    small = Limits(patch_grid=(2, 2), sram_bytes=6200)
    assert compile_graph(graph, CORTEX_M4, small).plan.arena_bytes <= 6200 - 2048 - 6
    with pytest.raises(UsageError, match="within the extra MACs allowed"):
        compile_graph(graph, CORTEX_M4, Limits(patch_grid=(8, 8), max_overhead=0.01))


@pytest.mark.parametrize(("limits", "says"), [
    (Limits(patch_grid=(4, 4), strategy="stream"), "only the patch strategy"),
    (Limits(patch_grid=(4, 4), input_memory="streamed"), "of an image that is there"),
    (Limits(patch_grid=(9, 1)), "none of their outputs can be cut into 9 x 1"),
])
def test_what_cannot_be_masked_is_refused(limits: Limits, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        compile_graph(prepare(MODEL), CORTEX_M4, limits)


def test_plans_without_a_mask_have_no_patches_to_leave_out() -> None:
    compiled = compile_graph(prepare(MODEL), CORTEX_M4, Limits(strategy="patch"))
    assert compiled.plan.strategy == "patch"
    assert patch_stage(compiled.graph, compiled.plan) is None
    assert "run_masked" not in "".join(emit(compiled.program, EmitOptions("m")).values())


# What a mask means -----------------------------------------------------------------------------


def masked_values(
    graph: Graph, stage: PatchStage, inputs: tuple[Array, ...], mask: Array
) -> dict[int, Array]:
    """All activations by the integer references in numpy: the rule, in a few lines."""
    values = evaluate(graph, inputs)
    values |= {t: left_out(graph, stage, values[t], t, mask) for t in stage.tensors}
    for op in graph.ops[stage.last:]:
        read = tuple(values[i] for i in op.inputs if i in values)
        results = operator_of(op.kind).evaluate(node_of(graph, op), read)
        values.update(zip(op.outputs, results, strict=True))
    return values


def test_litert_cut_in_two_agrees_with_the_rule() -> None:
    compiled = shapes()
    stage, graph = stage_of(compiled), compiled.graph
    inputs = random_inputs(graph, 3, 4)
    oracle = MaskedOracle(graph, stage)
    written = tuple(i for op in graph.ops for i in op.outputs
                    if graph.tensors[i].source is not None)
    for n, mask in enumerate(random_masks(stage, 1, 4)):
        sample = tuple(x[n] for x in inputs)
        expected = masked_values(graph, stage, sample, mask)
        for index, values in oracle.run((*sample, mask), written).items():
            np.testing.assert_array_equal(values, expected[index])
    changed = expected[graph.outputs[0]]
    assert np.array_equal(changed, evaluate(graph, sample)[graph.outputs[0]])  # the last: all


def test_random_masks_leave_some_out() -> None:
    masks = random_masks(stage_of(shapes()), 0, 12)
    assert masks.shape == (12, 4, 4)
    assert masks[-1].all()
    assert len({int(m.sum()) for m in masks}) > 4
    assert stage_of(shapes()).macs_of(masks[-1]) == shapes().plan.macs + shapes().plan.extra_macs


# Code ------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("grid", "memory"), [((4, 4), "resident"), ((1, 3), "excluded")])
def test_code_computes_what_the_mask_says(grid: tuple[int, int], memory: str) -> None:
    compiled = shapes(*grid, memory)
    result = verify(compiled.program, random_inputs(compiled.graph, 0, 6),
                    flags=(*WARNINGS, *SANITIZERS))
    assert result.exact, str(result.difference)


@pytest.mark.slow
def test_without_a_mask_all_is_computed() -> None:
    compiled = shapes()
    inputs = random_inputs(compiled.graph, 0, 2)
    found = infer(compiled.program, inputs)
    assert np.array_equal(found.outputs[0], reference_outputs(compiled.graph, inputs)[0])


@pytest.mark.slow
def test_emulated_cores_save_what_the_plan_says() -> None:
    needs("unicorn", "capstone", "elftools", "arm-none-eabi-gcc")
    compiled = shapes()
    stage, inputs = stage_of(compiled), random_inputs(compiled.graph, 0)
    sources, spent = emit(compiled.program, EmitOptions("m")), {}
    for name, mask in (("all", np.ones(16, np.uint8)), ("half", np.arange(16) % 2)):
        run = emulate(sources, [inputs[0][0], mask.astype(np.uint8)], "cortex-m4")
        wanted = infer(sources, (inputs[0], mask.reshape(1, 4, 4).astype(np.uint8)))
        assert run.outputs[0] == wanted.outputs[0].tobytes()
        spent[name] = run.instructions
    share = stage.macs_of(np.arange(16) % 2) / stage.macs_of(np.ones(16))
    assert spent["half"] / spent["all"] == pytest.approx(share, abs=0.1)


def a_random_one(graph: Graph, data: st.DataObject) -> None:
    graph = select(graph, CORTEX_M4)
    assume(not any(list(operator_of(op.kind).limits(node_of(graph, op))) for op in graph.ops))
    search = PatchSearch(graph, CORTEX_M4, Limits(
        input_memory=data.draw(st.sampled_from(["resident", "excluded"]))))
    patches = list(search.patches())
    assume(patches)
    plan = search.plan(data.draw(st.sampled_from(patches)), masked=True)
    validate(graph, plan)
    program = lower(graph, plan)
    assert program.patches is not None
    masks = random_masks(program.patches, data.draw(st.integers(0, 99)), 4)
    inputs = random_inputs(graph, 5, 4)
    with HostProgram(program, flags=(*WARNINGS, *SANITIZERS)) as host:
        outputs = host.infer((*inputs, masks)).outputs
    for n, mask in enumerate(masks):
        expected = masked_values(graph, program.patches, tuple(x[n] for x in inputs), mask)
        for index, found in zip(graph.outputs, outputs, strict=True):
            np.testing.assert_array_equal(found[n], expected[index])


@pytest.mark.slow
@settings(max_examples=4, deadline=None, suppress_health_check=QUIET, phases=[Phase.generate])
@given(real_graphs(), st.data())
def test_random_graphs(graph: Graph, data: st.DataObject) -> None:
    a_random_one(graph, data)


@pytest.mark.all
@settings(max_examples=150, deadline=None, suppress_health_check=QUIET)
@given(real_graphs(), st.data())
def test_many_random_graphs(graph: Graph, data: st.DataObject) -> None:
    a_random_one(graph, data)


@pytest.mark.all
@pytest.mark.parametrize("cpu", ["host", "cortex-m4"])
@pytest.mark.parametrize("name", MODELS)
def test_models(name: str, cpu: str) -> None:
    if cpu != "host":
        needs("unicorn", "capstone", "elftools", "arm-none-eabi-gcc")
    graph = prepare(shared_path("models", f"{name}.tflite"))
    compiled = compile_graph(graph, CORTEX_M4, Limits(patch_grid=(3, 2)))
    result = verify(compiled.program, random_inputs(graph, 0, 3), cpu=cpu)
    assert result.exact, str(result.difference)


@pytest.mark.slow
def test_a_mask_and_an_early_exit_together() -> None:
    graph = with_exits(prepare(EXAMPLES / "shapes_exits_int8.tflite"), parse_exits("output_0=0.6"))
    compiled = compile_graph(graph, CORTEX_M4, Limits(patch_grid=(2, 2)))
    assert stage_of(compiled).last <= graph.exits[0].after
    inputs = (np.load(EXAMPLES / "shapes_eval.npz")["x"][:24].astype(np.int16) - 128
              ).astype(np.int8)[:, None]
    with HostProgram(compiled.program) as host:
        stage = stage_of(compiled)
        masks = random_masks(stage, 3, len(inputs))
        result = compare(compiled.graph, (inputs, masks), host, None,
                         oracle=MaskedOracle(compiled.graph, stage))
    assert result.exact, str(result.difference)
    assert min(result.exits) > 0


@pytest.mark.slow
def test_a_board_computes_all_patches() -> None:
    compiled = shapes()
    firmware = HostFirmware(compiled.program)
    with Board(firmware.binary) as board, link_to(board) as link:
        machine = BoardProgram(link, firmware.manifest)
        result = compare(compiled.graph, random_inputs(compiled.graph, 0, 2), machine, machine)
    firmware.close()
    assert result.exact


@pytest.mark.slow
def test_a_wrong_fill_is_found() -> None:
    """The comparison looks at what was left out."""
    compiled = shapes()
    stage = stage_of(compiled)
    other = replace(stage, outputs=(stage.outputs[1], stage.outputs[0], *stage.outputs[2:]))
    inputs = random_inputs(compiled.graph, 0)
    mask = np.array([[[0, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]]], np.uint8)
    with HostProgram(compiled.program, trace=True) as host:
        good, bad = (compare(compiled.graph, (*inputs, mask), host, host,
                             oracle=MaskedOracle(compiled.graph, s)) for s in (stage, other))
    assert good.exact
    assert bad.difference is not None


# The command line ------------------------------------------------------------------------------


def test_masks_are_read_from_text_and_files(tmp_path: Path) -> None:
    expected = np.array([[0, 1], [1, 1]], np.uint8)
    np.save(tmp_path / "mask.npy", expected.astype(bool))
    for text in ("0111", "01,11", " 0 1 1 1", str(tmp_path / "mask.npy")):
        assert np.array_equal(load_mask(text, 2, 2), expected)
    for text in ("", "01", "01112", "0121", "yes", "01111"):
        with pytest.raises(UsageError, match="expected are 2 x 2 values"):
            load_mask(text, 2, 2)


def test_plan_reports_what_patches_cost(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(MODEL), "--patch-mask", "4x4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    patches, stage = found["patches"], stage_of(shapes())
    assert patches["macs"] == list(stage.macs)
    assert patches["areas"] == [list(a) for a in stage.areas]
    mean, most = sum(stage.macs) / 16, patches["break_even"]
    assert stage.other_macs + most * mean <= found["macs"] < stage.other_macs + (most + 1) * mean
    for wrong in ("4", "0x4", "4x4x4", "x"):
        assert main(["plan", str(MODEL), "--patch-mask", wrong]) == 2


@pytest.mark.slow
def test_sim_takes_a_mask(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, mask = str(tmp_path / "code"), "1100,1100,0000,0000"
    assert main(["codegen", str(MODEL), "-o", folder, "--patch-mask", "4x4"]) == 0
    capsys.readouterr()
    assert main(["sim", folder, "--mask", mask, "--json"]) == 0
    run = json.loads(capsys.readouterr().out)
    assert run["macs"] == stage_of(shapes()).macs_of(load_mask(mask, 4, 4))
    assert main(["sim", folder, "--mask", mask]) == 0
    assert "patches: 4 of 16, " in capsys.readouterr().out
    assert main(["sim", folder, "--mask", "11"]) == 2
    assert main(["sim", str(MODEL), "--mask", mask]) == 2
