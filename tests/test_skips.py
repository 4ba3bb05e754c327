# SPDX-License-Identifier: MIT
"""Skipped tests are counted, and fail the run where TINYEFF_NO_SKIP=1 forbids them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.shared import CHECKOUT

pytestmark = pytest.mark.slow
SKIPS = {
    "by the helper": "from tests.shared import missing\ndef test_it() -> None:\n    missing('x')\n",
    "by pytest": "import pytest\ndef test_it() -> None:\n    pytest.skip('x')\n",
}


def run(folder: Path, text: str, no_skip: str) -> tuple[int, str]:
    """Exit code and output of pytest on a file of `text`, under this project's conftest."""
    shutil.copy(CHECKOUT / "tests" / "conftest.py", folder)
    (folder / "test_it.py").write_text(text, encoding="utf-8")
    environment = {**os.environ, "TINYEFF_NO_SKIP": no_skip, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", folder],
                          cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


@pytest.mark.parametrize("text", SKIPS.values(), ids=list(SKIPS))
def test_skip_is_counted(text: str, tmp_path: Path) -> None:
    code, output = run(tmp_path, text, no_skip="0")
    assert code == 0
    assert "skipped tests: 1" in output


@pytest.mark.parametrize("text", SKIPS.values(), ids=list(SKIPS))
def test_forbidden_skip_fails_the_run(text: str, tmp_path: Path) -> None:
    code, _ = run(tmp_path, text, no_skip="1")
    assert code == 1


def test_run_without_skips_says_so(tmp_path: Path) -> None:
    code, output = run(tmp_path, "def test_it() -> None:\n    assert 1\n", no_skip="1")
    assert code == 0
    assert "skipped tests: 0" in output
