# SPDX-License-Identifier: MIT
"""The example that goes from an architecture to a microcontroller, shortened."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.golden_files import EXAMPLES
from tests.shared import CHECKOUT, has, missing, needs, shared_path


@pytest.mark.slow
def test_the_whole_way_on_a_few_images() -> None:
    needs("tensorflow", "unicorn", "capstone", "elftools")
    if not (has("arm-none-eabi-gcc") or has("ziglang")):
        missing("neither arm-none-eabi-gcc nor ziglang is installed")
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "train_mobileone.py"),
         "--train", str(shared_path("data", "cifar10_calibration.npz")),
         "--test", str(shared_path("data", "cifar10_eval.npz")),
         "--teacher", str(shared_path("models", "ic_resnet8.h5")),
         "--images", "96", "--copies", "1", "--epochs", "1"],
        cwd=CHECKOUT, env={**os.environ, "PYTHONPATH": str(CHECKOUT)}, capture_output=True,
        text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    arenas = {(form, strategy): int(size.replace(",", "")) for form, strategy, size in re.findall(
        r"^(student|plain), +([a-z-]+): +([\d,]+) bytes of SRAM", done.stdout, re.M)}
    assert arenas["plain", "per-layer"] < arenas["student", "per-layer"]
    assert arenas["plain", "stream"] <= arenas["student", "stream"]
    # The teacher is MLPerf Tiny's own: it was trained before, and is right nine times of ten.
    right = re.search(r"^teacher: +(\d+) of 96 right", done.stdout, re.M)
    assert right and int(right[1]) > 80
    assert re.search(r"^int8: +\d+ of 96 right", done.stdout, re.M)
    assert "output as on this machine" in done.stdout
