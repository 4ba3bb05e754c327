# SPDX-License-Identifier: MIT
"""Preprocessing that generated code knows: of data files, and of raw values in the user's program.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.golden_files import EXAMPLES
from tests.shared import needs
from tests.test_cli import Capture, run_json
from tinyeff.cli import main
from tinyeff.emitter import MANIFEST, read_manifest
from tinyeff.errors import UsageError
from tinyeff.ir import Preprocess
from tinyeff.ops.quantize import quantized

MODEL = str(EXAMPLES / "shapes_int8.tflite")
SCALING = "scale=1/3,offset=-20.25"


def _generated(folder: Path, *options: str) -> str:
    assert main(["codegen", MODEL, "-o", str(folder), "--name", "m", "-q", *options]) == 0
    return str(folder)


def test_sim_of_a_folder_takes_the_preprocessing_that_was_recorded(
    tmp_path: Path, capsys: Capture
) -> None:
    needs("gcc")
    data = tmp_path / "raw.npy"
    np.save(data, np.load(EXAMPLES / "triangle.npy").astype(np.float64))
    plain, recorded = (_generated(tmp_path / name, *options) for name, options in
                       (("plain", ()), ("recorded", ("--preprocess", SCALING))))
    capsys.readouterr()
    commands = ([recorded], [plain, "--preprocess", SCALING], [plain],
                [recorded, "--preprocess", "scale=1"])
    found = [run_json(capsys, "sim", *command, "--input", str(data))[1]["output_sha256"]
             for command in commands]
    assert found[0] == found[1] != found[2] == found[3]
    assert run_json(capsys, "sim", recorded)[0] == 0  # random input needs none


def test_the_helper_in_c_rounds_as_data_files_are_rounded(tmp_path: Path) -> None:
    needs("gcc")
    folder = _generated(tmp_path / "m", "--preprocess", SCALING)
    manifest = read_manifest((Path(folder) / MANIFEST).read_text(), MANIFEST)
    assert manifest.preprocess == Preprocess(1 / 3, -20.25)
    (tmp_path / "main.c").write_text("""
        #include <stdio.h>
        #include "m.h"
        int main(void) {
            for (int i = -400; i < 1200; i++) printf("%d\\n", m_quantize_raw_input((float)i / 2));
            return 0;
        }""")
    done = subprocess.run(["gcc", "-std=c11", "-Wall", "-Werror", f"-I{folder}", "main.c", "-o",
                           "main"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = subprocess.run([str(tmp_path / "main")], capture_output=True, text=True, check=True)
    raw = np.arange(-400, 1200) / 2
    [tensor] = manifest.inputs
    assert tensor.quant is not None
    expected = quantized((raw / 3 - 20.25).astype(np.float32), tensor.quant)
    assert [int(n) for n in said.stdout.split()] == expected.tolist()


def test_without_preprocessing_nothing_is_said_of_it(tmp_path: Path) -> None:
    folder = Path(_generated(tmp_path / "m"))
    manifest = json.loads((folder / MANIFEST).read_text())
    assert "preprocess" not in manifest["inputs"][0]
    assert "quantize_raw" not in (folder / "m.h").read_text()


def test_preprocessing_that_makes_no_sense_is_refused(tmp_path: Path, capsys: Capture) -> None:
    target = str(tmp_path / "m")
    assert main(["codegen", MODEL, "-o", target, "--preprocess", "scale=x"]) == 2
    assert "scale=NUMBER" in capsys.readouterr().err
    folder = Path(_generated(tmp_path / "n", "--preprocess", "scale=2"))
    text = (folder / MANIFEST).read_text().replace('"scale": 2.0', '"scale": "much"')
    with pytest.raises(UsageError, match="not a manifest of tinyeff: could not convert"):
        read_manifest(text, MANIFEST)
