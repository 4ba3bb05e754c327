# SPDX-License-Identifier: MIT
"""Well-formed files that lie: refused with a sentence, or read and computed as LiteRT does."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.reader.mutants import mutant
from tests.shared import CHECKOUT


@pytest.mark.parametrize(("first", "count"), [
    pytest.param(0, 250, marks=pytest.mark.slow),
    *(pytest.param(n, 1000, marks=pytest.mark.all) for n in range(1000, 11000, 1000))])
def test_files_that_lie(first: int, count: int) -> None:
    done = subprocess.run([sys.executable, "-m", "tests.reader.mutants", str(first), str(count)],
                          cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.returncode}: {done.stderr[-2000:]}"
    *wrong, seen = done.stdout.splitlines()
    assert wrong == []
    assert all(name in seen for name in ("read", "ModelFileError", "UnsupportedError"))


def test_mutants_differ() -> None:
    assert mutant(1) == mutant(1)
    assert len({mutant(n) for n in range(20)}) == 20
