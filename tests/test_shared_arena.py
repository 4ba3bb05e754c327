# SPDX-License-Identifier: MIT
"""Several models in one arena: what they need together, and that their code links and runs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.golden_files import EXAMPLES
from tests.networks.batch import Job, run_on_arm
from tests.shared import needs, shared_path
from tests.test_cli import Capture, run_json
from tinyeff import pipeline
from tinyeff.cli import main
from tinyeff.footprint import RUNNER_BYTES
from tinyeff.ir import Limits, Optimize
from tinyeff.targets import target_for

SHAPES = str(EXAMPLES / "shapes_int8.tflite")


def test_models_share_the_largest_arena_and_their_kernels(capsys: Capture) -> None:
    code, value = run_json(capsys, "plan", "--shared", SHAPES, SHAPES, "--sram", "16k",
                           "--strategy", "per-layer")
    assert (code, value["fits"]) == (0, True)
    alone = value["models"]
    arenas = [m["arena_bytes"] for m in alone]
    assert value["arena_bytes"] == max(arenas) < value["separate_arena_bytes"] == sum(arenas)
    outputs = sum(m["output_bytes"] for m in alone)
    assert value["sram_bytes"] == max(arenas) + value["stack_bytes"] + outputs
    # The same model twice: all kernels are there once, all else twice.
    saved = value["separate_flash_bytes"] - value["flash_bytes"]
    assert saved == alone[0]["code_bytes"] - RUNNER_BYTES


def test_what_is_missing_is_what_all_need_together(capsys: Capture) -> None:
    _, value = run_json(capsys, "plan", "--shared", SHAPES, SHAPES, "--strategy", "per-layer")
    for option, need in (("--sram", "sram_bytes"), ("--flash", "flash_bytes")):
        for granted, fits in ((value[need], 0), (value[need] - 1, 1)):
            command = ["plan", "--shared", SHAPES, SHAPES, "--strategy", "per-layer", "-q"]
            assert main([*command, option, str(granted)]) == fits
            said = capsys.readouterr().out
            assert said.startswith("fits " if fits == 0 else "does not fit ")
            assert ("1 byte of " in said) == bool(fits)


def test_several_models_need_the_option(capsys: Capture) -> None:
    assert main(["plan", SHAPES, SHAPES]) == 2
    assert "--shared" in capsys.readouterr().err
    for option in (["--plot", "memory.svg"], ["--memory", "a=8k"], ["--early-exit", "0=0.5"]):
        assert main(["plan", "--shared", SHAPES, SHAPES, *option]) == 2
        assert "is for one model" in capsys.readouterr().err


MAIN = """
#include <stdio.h>
#include <string.h>
#include "one.h"
#include "two.h"
static _Alignas(ONE_ARENA_ALIGN) union {
    uint8_t one[ONE_ARENA_BYTES];
    uint8_t two[TWO_ARENA_BYTES];
} arena;
int main(void)
{
    int8_t first[ONE_OUTPUT_BYTES], second[TWO_OUTPUT_BYTES];
    for (int i = 0; i < 3; i++) {
        memset(one_input(&arena), 7, ONE_INPUT_BYTES);
        if (one_run(&arena, first) != ONE_OK) return 1;
        memset(two_input(&arena), 7, TWO_INPUT_BYTES);
        if (two_run(&arena, second) != TWO_OK) return 2;
    }
    return memcmp(first, second, sizeof first);
}
"""


@pytest.mark.slow
def test_two_folders_link_into_one_program(tmp_path: Path) -> None:
    """As docs/memory.md says: the library of each, in one arena; kernels may be built otherwise."""
    needs("gcc", "make")
    for name, optimize, strategy in (("one", "speed", "per-layer"), ("two", "size", "stream")):
        assert main(["codegen", SHAPES, "-o", str(tmp_path / name), "--name", name, "-q",
                     "--optimize", optimize, "--strategy", strategy]) == 0
        subprocess.run(["make", "-s", "-C", str(tmp_path / name), "lib"], check=True,
                       capture_output=True)
    (tmp_path / "main.c").write_text(MAIN)
    command = ["gcc", "-std=c11", "-Wall", "-Werror", "-Ione", "-Itwo", "main.c", "one/libone.a",
               "two/libtwo.a", "-o", "both"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert subprocess.run([str(tmp_path / "both")], check=False).returncode == 0


@pytest.mark.slow
def test_two_models_share_an_arena_on_a_cortex_m4() -> None:
    needs("arm-none-eabi-gcc", "unicorn")
    jobs = []
    models: tuple[tuple[str, Optimize], ...] = (
        (SHAPES, "speed"), (str(shared_path("models/kws_dscnn_int8.tflite")), "size"))
    for path, optimize in models:
        done = pipeline.compile_graph(pipeline.prepare(path), target_for("cortex-m4", optimize),
                                      Limits())
        rng = np.random.default_rng(0)
        inputs = tuple(rng.integers(-128, 128, done.graph.tensors[i].shape, dtype=np.int8)
                       for i in done.graph.inputs)
        jobs.append(Job(done.program, inputs))
    found = run_on_arm(jobs, "cortex-m4")
    for job, outputs in zip(jobs, found, strict=True):
        expected = pipeline.simulate(job.program, tuple(x[None] for x in job.inputs))
        assert all((a[0] == b).all() for a, b in zip(expected, outputs, strict=True))
