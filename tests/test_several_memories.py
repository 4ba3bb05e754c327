# SPDX-License-Identifier: MIT
"""A model in several memories, from the command line to an emulated board."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.golden_files import EXAMPLES
from tests.shared import needs, shared_path
from tests.test_cli import Capture, run_json
from tinyeff import pipeline
from tinyeff.cli import main
from tinyeff.console.options import PlanOptions
from tinyeff.device.boards import device_named
from tinyeff.emitter import EmitOptions, emit
from tinyeff.simulator.elf import Program
from tinyeff.simulator.emulator import emulate
from tinyeff.simulator.host import WARNINGS

MODEL = str(EXAMPLES / "shapes_int8.tflite")
PARTS = ["--memory", "dtcm=4k", "--memory", "axi=3k"]
"""Room for an arena that fits neither of the two."""


def test_plan_shows_what_lies_where(capsys: Capture) -> None:
    code, value = run_json(capsys, "plan", MODEL, *PARTS)
    assert (code, value["fits"]) == (0, True)
    dtcm, axi = value["regions"]
    assert (dtcm["name"], axi["name"]) == ("dtcm", "axi")
    beside = value["stack_bytes"] + value["output_bytes"]
    assert value["arena_bytes"] == dtcm["arena_bytes"] + axi["arena_bytes"] > 4096 - beside
    assert dtcm["needed_bytes"] == dtcm["arena_bytes"] + beside <= dtcm["granted_bytes"] == 4096
    assert axi["needed_bytes"] == axi["arena_bytes"] <= axi["granted_bytes"] == 3072
    assert dtcm["traffic"] > axi["traffic"] > 0
    assert dtcm["traffic"] + axi["traffic"] == pytest.approx(1)
    assert "image" in dtcm["buffers"] + axi["buffers"]
    assert main(["plan", MODEL, *PARTS]) == 0
    out = capsys.readouterr().out
    assert out.startswith("fits 4 KiB of dtcm and 3 KiB of axi: ")
    assert "\naxi: " in out
    assert "of the traffic" in out


def test_what_does_not_fit_names_every_memory(capsys: Capture) -> None:
    assert main(["plan", MODEL, "--memory", "dtcm=2k", "--memory", "axi=1k", "-q"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("does not fit 2 KiB of dtcm and 1 KiB of axi: needs ")


@pytest.mark.parametrize("where", [
    "streamed", *(pytest.param(w, marks=pytest.mark.slow) for w in ("resident", "excluded"))])
def test_generated_code_takes_an_arena_for_each_memory(
    where: str, tmp_path: Path, capsys: Capture
) -> None:
    needs("gcc")
    folder = tmp_path / "out"
    parts = ["--memory", "fast=2300", "--memory", "slow=3k"]
    assert main(["codegen", MODEL, "-o", str(folder), "--name", "shapes", "--strategy", "stream",
                 "--input-memory", where, "-q", *parts]) == 0
    header = (folder / "shapes.h").read_text()
    assert "SHAPES_ARENA_FAST_BYTES" in header
    assert "SHAPES_ARENA_SLOW_BYTES" in header
    assert "void *arena_fast, void *arena_slow" in header
    sources = [p.name for p in folder.glob("*.c")]
    done = subprocess.run(["gcc", "-std=c11", *WARNINGS, "-fsyntax-only", *sources], cwd=folder,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    capsys.readouterr()
    code, value = run_json(capsys, "sim", str(folder))
    assert code == 0
    assert value["output_sha256"] == run_json(capsys, "sim", MODEL)[1]["output_sha256"]


def test_one_memory_that_is_enough_changes_nothing(tmp_path: Path, capsys: Capture) -> None:
    options = {"one": ["--sram", "64k"], "first": ["--memory", "a=64k", "--memory", "b=64k"]}
    texts = []
    for name, limits in options.items():
        command = ["codegen", MODEL, "-o", str(tmp_path / name), "--name", "m", "-q"]
        assert main([*command, "--strategy", "per-layer", *limits]) == 0
        texts.append((tmp_path / name / "m.h").read_text())
    assert texts[0] == texts[1]
    capsys.readouterr()


@pytest.mark.slow
def test_every_tensor_is_exact(capsys: Capture) -> None:
    for options in (["--strategy", "per-layer"], ["--strategy", "patch"], []):
        parts = ["--memory", "dtcm=5350", "--memory", "axi=3k"]
        code, value = run_json(capsys, "verify", MODEL, *parts, *options)
        assert (code, value.get("exact")) == (0, True)


@pytest.mark.slow
@pytest.mark.parametrize(("model", "dtcm", "axi"), [
    (MODEL, "4k", "3k"), ("models/vww_96_int8.tflite", "23k", "44k"),
])
def test_emulated_each_part_lies_in_its_memory(model: str, dtcm: str, axi: str) -> None:
    needs("arm-none-eabi-gcc", "unicorn")
    path = model if model == MODEL else str(shared_path(model))
    options = PlanOptions(device="stm32h743zi", memory=[f"dtcm={dtcm}", f"d1_sram={axi}"])
    done = pipeline.compile_graph(pipeline.prepare(path), options.target(), options.limits())
    sources = emit(done.program, EmitOptions("m"))
    [tensor] = [done.graph.tensors[i] for i in done.graph.inputs]
    data = np.random.default_rng(0).integers(-128, 128, (1, *tensor.shape), dtype=np.int8)
    result = emulate(sources, [data[0]], "cortex-m7", memory=options.chip_memory())
    planned = {r.name: (r.arena_bytes, r.arena_bytes) for r in done.plan.regions}
    assert list(planned) == ["dtcm", "d1_sram"]
    assert result.regions == planned  # linked, and touched to the last byte
    expected = pipeline.simulate(done.program, (data,))
    assert result.outputs == tuple(x.tobytes() for x in expected)
    rams = {r.name: r for r in device_named("stm32h743zi").rams}
    for s in result.symbols:
        if s.name in ("te_emulator_arena_dtcm", "te_emulator_arena_d1_sram"):
            ram = rams[s.name.removeprefix("te_emulator_arena_")]
            assert ram.origin <= s.address < s.address + s.size_bytes <= ram.end + 512


@pytest.mark.slow
def test_the_program_of_a_board_has_the_parts_where_they_belong(
    tmp_path: Path, capsys: Capture
) -> None:
    needs("arm-none-eabi-gcc", "unicorn")
    folder = str(tmp_path / "board")
    parts = ["--memory", "dtcm=4k", "--memory", "d1_sram=3k"]
    assert main(["codegen", MODEL, "--board", "nucleo-h743zi2", *parts, "-o", folder, "-q"]) == 0
    capsys.readouterr()
    code, value = run_json(capsys, "verify", folder, "--emulate")
    assert (code, value["exact"]) == (0, True)
    rams = {r.name: r for r in device_named("stm32h743zi").rams}
    symbols = _addresses(Path(folder))
    for name, ram in (("dtcm", rams["dtcm"]), ("d1_sram", rams["d1_sram"])):
        assert ram.origin <= symbols[f"te_arena_{name}"] < ram.end


def _addresses(folder: Path) -> dict[str, Any]:
    from tinyeff.console.folder import read_folder
    from tinyeff.device.image import build_image

    _, sources = read_folder(folder)
    return {s.name: s.address for s in Program(build_image(sources).elf).symbols}
