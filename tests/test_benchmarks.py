# SPDX-License-Identifier: MIT
"""The commands of `make bench` measure the example."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.golden_files import EXAMPLES
from tests.shared import CHECKOUT, needs
from tinyeff.pipeline import compile_model

pytestmark = pytest.mark.slow

MODEL = EXAMPLES / "shapes_int8.tflite"


def cells(module: str) -> dict[str, str]:
    """{column: value} of the only model."""
    done = subprocess.run([sys.executable, "-m", module, str(MODEL)], cwd=CHECKOUT, check=True,
                          capture_output=True, text=True)
    head, line = done.stdout.splitlines()[:2]
    names = head.replace("per MAC", "per_MAC").replace("plan s", "plan_s").split()
    return dict(zip(names, line.split(), strict=False))


def test_memory_is_that_of_the_plan() -> None:
    needs("arm-none-eabi-gcc")
    plan, found = compile_model(MODEL).plan, cells("benchmarks")
    assert found["arena"] == f"{plan.arena_bytes:,}"
    assert found["MACs"] == f"{plan.macs:,}"
    # Constants are at least the weights; code is some KiB.
    weights = sum(v.const_bytes for v in plan.variants)
    assert int(found["const"].replace(",", "")) > weights
    assert 1000 < int(found["code"].replace(",", "")) < 20_000


def test_instructions_are_counted() -> None:
    needs("arm-none-eabi-gcc", "unicorn")
    found = cells("benchmarks.emulation")
    instructions, macs = (int(found[n].replace(",", "")) for n in ("instructions", "MACs"))
    assert macs < instructions < 100 * macs


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The file and the tables of `benchmarks.work` for the example."""
    needs("arm-none-eabi-gcc", "unicorn")
    path = tmp_path_factory.mktemp("bench") / "work.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.work", "--cpu", "cortex-m4", "--json", str(path),
         str(MODEL)], cwd=CHECKOUT, check=True, capture_output=True, text=True)
    return path, done.stdout


def compared(old: Path, new: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "benchmarks", "compare", str(old), str(new)],
                          cwd=CHECKOUT, check=False, capture_output=True, text=True)


def test_work_is_written_and_shown(figures: tuple[Path, str]) -> None:
    path, text = figures
    runs = {(r["strategy"], r["optimize"]): r for r in json.loads(path.read_text())["runs"]}
    layered = runs["per-layer", "balanced"]
    assert sum(x["instructions"] for x in layered["layers"]) == layered["instructions"]
    assert sum(x["macs"] for x in layered["layers"]) == compile_model(MODEL).plan.macs
    assert f"{layered['instructions']:,}" in text
    assert runs["per-layer", "size"]["code_bytes"] < layered["code_bytes"]
    assert runs["stream", "balanced"]["activation_bytes"] < layered["activation_bytes"]
    assert "depthwise 3x3" in text


def test_two_runs_are_compared(figures: tuple[Path, str], tmp_path: Path) -> None:
    path, _ = figures
    same = compared(path, path)
    assert same.returncode == 0, same.stderr
    assert "4 runs compared, 0 changed" in same.stdout
    value = json.loads(path.read_text())
    value["runs"][0]["instructions"] += 1000
    (tmp_path / "slower.json").write_text(json.dumps(value))
    worse = compared(path, tmp_path / "slower.json")
    assert worse.returncode == 1
    assert "1 changed, 1 worse" in worse.stdout
    assert compared(tmp_path / "slower.json", path).returncode == 0
    broken = compared(path, CHECKOUT / "README.md")
    assert broken.returncode == 2
    assert "benchmarks.work" in broken.stderr


def zoo_table(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "benchmarks.zoo", *arguments], cwd=CHECKOUT,
                          check=False, capture_output=True, text=True)


def test_the_zoo_is_planned_by_every_strategy(tmp_path: Path) -> None:
    path = tmp_path / "zoo.json"
    done = zoo_table("mlperf_ic", "alexnet", "--resolution", "16", "--json", str(path))
    assert done.returncode == 0, done.stderr
    assert "not at 16: alexnet: nothing is left of an image" in done.stdout
    planned, refused = json.loads(path.read_text(encoding="utf-8"))["rows"]
    peaks = {strategy: peak["activations"] for strategy, peak in planned["peaks"].items()}
    assert peaks["stream"] < peaks["per-layer"] and peaks["patch"] < peaks["per-layer"]
    assert refused["peaks"] == {} and "larger resolution" in refused["refused"]
    assert [file.name for file in tmp_path.iterdir()] == ["zoo.json"]


def test_what_takes_too_long_is_said_to() -> None:
    done = zoo_table("mlperf_ic", "--resolution", "32", "--seconds", "0")
    assert done.returncode == 0, done.stderr
    assert "not within 0 s: mlperf_ic at 32, per-layer, patch, stream" in done.stdout
