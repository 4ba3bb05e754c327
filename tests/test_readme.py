# SPDX-License-Identifier: MIT
"""The README is true: its commands run, and print what it says they print."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.readme_blocks import PAGES, Outcome, blocks, matches, prepare, renewed, run_all
from tests.shared import CHECKOUT, needs

INSTALLS = re.compile(r"make |pip install |python3 -m venv |source \.venv")


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_print_what_is_shown(tmp_path: Path, page: Path) -> None:
    needs("bash", "cc", "make", "cmake", "arm-none-eabi-gcc", "tensorflow", "unicorn")
    prepare(tmp_path)
    for outcome in run_all(tmp_path, page):
        assert outcome.agrees, (
            f"$ {outcome.command}\nends with {outcome.code} and prints\n{outcome.printed}\n"
            f"{page.name} shows\n{outcome.shown}\nmake golden puts the present output there")


def test_blocks_that_do_not_run_only_install() -> None:
    found = blocks()
    assert sum(b.runs for b in found) >= 8
    for block in found:
        assert block.key in ("", "file", "install"), block.key
        if block.key == "install":
            for line in filter(None, block.text.splitlines()):
                assert INSTALLS.match(line), line


def test_demo_shows_the_commands_of_the_page() -> None:
    """`make demo` and the README run the same commands."""
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    demo = re.findall(r"^\t\$\(BIN\)/(tinyeff .*)$", makefile, re.M)
    shown = {c for b in blocks() if b.language == "console" for c, _ in b.commands()}
    assert len(demo) >= 4
    for command in demo:
        assert command.replace("$(EXAMPLE)", "examples/shapes_int8.tflite") in shown


def test_matching_notices_a_difference() -> None:
    assert matches("a\n...\nd\n", "a\nb\nc\nd\n")
    assert matches("a\n", "a  \n")
    assert not matches("a\n...\nd\n", "a\nb\n")
    assert not matches("5 bytes\n", "6 bytes\n")


def test_renewing_keeps_what_is_left_out() -> None:
    printed = "ran in 7 bytes\na 1\nb 2\narena 9\nc 3\n"
    outcome = Outcome("x", "ran in 6 bytes\n...\narena 8\n...\n", 0, printed)
    assert not outcome.agrees
    assert renewed(outcome) == "ran in 7 bytes\n...\narena 9\n...\n"
    assert Outcome("x", renewed(outcome), 0, printed).agrees
