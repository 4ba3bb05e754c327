# SPDX-License-Identifier: MIT
"""The firmware's parser under a hail of bytes.

`python -m tests.device.test_link_parser SECONDS` fuzzes it with libFuzzer; a test takes inputs
that are made anew, and the same, each time.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.shared import CHECKOUT, needs
from tinyeff.simulator.host import WARNINGS, host_compiler

LINK = CHECKOUT / "firmware" / "link"
SANITIZE = "-fsanitize=address,undefined"


def build(command: list[str], binary: Path) -> None:
    """Compile the fuzz target."""
    files = [str(CHECKOUT / "tests" / "device" / "fuzz_link.c"), str(LINK / "te_link.c")]
    done = subprocess.run(
        [*command, "-std=c11", "-g", "-O1", "-fno-sanitize-recover=all", f"-I{LINK}", *files,
         "-o", str(binary)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_no_byte_sequence_breaks_the_parser(tmp_path: Path) -> None:
    build([*host_compiler(), *WARNINGS, "-DTE_FUZZ_MAIN", SANITIZE], tmp_path / "fuzz")
    done = subprocess.run([str(tmp_path / "fuzz"), "1", "4000"], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr
    runs = int(done.stdout.split()[-2])
    assert runs > 1000, "hardly any request made sense"


@pytest.mark.all
def test_libfuzzer_finds_nothing_in_a_minute(tmp_path: Path) -> None:
    needs("clang")
    assert fuzz(60, tmp_path) == 0


def fuzz(seconds: int, folder: Path) -> int:
    """Let libFuzzer search for `seconds`; its exit code."""
    build(["clang", f"{SANITIZE},fuzzer"], folder / "fuzz")
    corpus = folder / "corpus"
    corpus.mkdir()
    return subprocess.run([str(folder / "fuzz"), f"-max_total_time={seconds}", "-max_len=4096",
                           "-print_final_stats=1", str(corpus)], cwd=folder, check=False).returncode


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        sys.exit(fuzz(int(sys.argv[1]), Path(name)))
