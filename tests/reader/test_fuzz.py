# SPDX-License-Identifier: MIT
"""Ten minutes of the coverage-guided search for files on which the reader fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.reader import fuzz
from tests.reader.test_damaged import outcome
from tests.shared import CHECKOUT, needs


def test_the_search_starts_from_sound_files() -> None:
    assert [outcome(data) for data in fuzz.seeds()] == ["read"] * len(fuzz.seeds())


@pytest.mark.all
def test_ten_minutes_of_search_find_nothing(tmp_path: Path) -> None:
    needs("atheris")
    done = subprocess.run(
        [sys.executable, "-m", "tests.reader.fuzz", "-max_total_time=600",
         f"-artifact_prefix={tmp_path}/"],
        cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=1200)
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-3000:]
    assert "Done" in done.stderr
