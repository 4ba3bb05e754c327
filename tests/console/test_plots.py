# SPDX-License-Identifier: MIT
"""Pictures of a plan: what they show, and that the same plan gives the same file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.golden_files import EXAMPLES
from tests.shared import CHECKOUT, needs
from tinyeff.cli import main
from tinyeff.console import plots
from tinyeff.errors import UsageError

MODEL = str(EXAMPLES / "shapes_int8.tflite")


@pytest.mark.slow
def test_both_pictures_of_one_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    needs("matplotlib")
    files = [tmp_path / name for name in ("front.svg", "memory.svg", "memory-again.svg")]
    options = [part for file in files for part in ("--plot", str(file))]
    assert main(["plan", MODEL, "--input-memory", "excluded", "-q", *options]) == 0
    front, memory, again = (file.read_text("utf-8") for file in files)
    assert memory == again
    assert front != memory
    assert "this plan" in front
    assert "peak: operators" in memory
    assert "conv_2d" in memory
    capsys.readouterr()


@pytest.mark.parametrize("file", ["plan.svg", "front.jpg", "front", "x/memo.png"])
def test_a_name_that_says_nothing_is_refused(file: str) -> None:
    with pytest.raises(UsageError, match="begins with front or memory"):
        plots.picture_of(file)


def test_matplotlib_is_loaded_for_pictures_only() -> None:
    code = ("import sys, tinyeff.console.plots, tinyeff.cli; "
            "sys.exit('matplotlib' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, check=False).returncode == 0
