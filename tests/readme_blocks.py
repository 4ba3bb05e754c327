# SPDX-License-Identifier: MIT
"""The fenced blocks of the README and of pages like it, and what their commands print.

A comment before a block says how it is taken:

    <!-- file: main.c -->            the block is the content of that file
    <!-- install: ... -->            it installs; what runs it elsewhere stands after the colon
    (no comment)  ```sh              every line must succeed
    (no comment)  ```console         after "$ command" the output; "..." stands for any lines

`python -m tests.readme_blocks` (or `make golden`) puts the present output below each command whose
output is no longer the one shown.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.golden_files import EXAMPLES
from tests.shared import CHECKOUT, shared_path

README = CHECKOUT / "README.md"
PAGES = (README, CHECKOUT / "docs" / "dynamic-execution.md")
BLOCK = re.compile(r"(?:^<!-- (\w+): ([^\n]*) -->\n+)?^```(\w+)\n(.*?)^```$", re.M | re.S)
CALIBRATION_IMAGES = 32


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the comment before it as key and value."""

    language: str
    text: str
    key: str
    value: str

    @property
    def runs(self) -> bool:
        """True where the block holds commands to run."""
        return self.language in ("sh", "console") and not self.key

    def commands(self) -> Iterator[tuple[str, str | None]]:
        """(command, expected output or None where any will do)."""
        if self.language != "console":
            yield self.text, None
            return
        for part in re.split(r"^\$ ", self.text, flags=re.M)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


@dataclass(frozen=True)
class Outcome:
    """What a command printed, and what the page shows (None where it shows nothing)."""

    command: str
    shown: str | None
    code: int
    printed: str

    @property
    def agrees(self) -> bool:
        """True where it succeeded and printed what is shown."""
        return self.code == 0 and (self.shown is None or matches(self.shown, self.printed))


def blocks(page: Path = README) -> list[Block]:
    """The fenced blocks of a page, in its order."""
    text = page.read_text(encoding="utf-8")
    return [Block(language, body, key, value) for key, value, language, body in BLOCK.findall(text)]


def matches(shown: str, printed: str) -> bool:
    """True where the outputs are equal, "..." on a line of its own being any lines."""
    lines = [line.rstrip() for line in shown.strip("\n").splitlines()]
    pattern = "".join(r"(?:.*\n)*?" if line == "..." else re.escape(line) + "\n" for line in lines)
    text = "".join(line.rstrip() + "\n" for line in printed.strip("\n").splitlines())
    return re.fullmatch(pattern, text) is not None


def prepare(folder: Path) -> None:
    """Put what the page speaks of into `folder`: the example, a Keras model, data for it."""
    shutil.copytree(EXAMPLES, folder / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(shared_path("models", "ic_resnet8.h5"), folder / "model.h5")
    images = np.load(shared_path("data", "cifar10_calibration.npz"))["images"]
    np.savez(folder / "calibration.npz", x=images[:CALIBRATION_IMAGES])
    np.savez(folder / "test.npz", x=images[CALIBRATION_IMAGES:2 * CALIBRATION_IMAGES])


def run_all(folder: Path, page: Path = README) -> Iterator[Outcome]:
    """Write the files and run the commands of the page in `folder`, in order."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "COLUMNS": "100", "NO_COLOR": "1"}
    for block in blocks(page):
        if block.key == "file":
            (folder / block.value).write_text(block.text, encoding="utf-8")
        if block.runs:
            for command, shown in block.commands():
                done = subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=folder,
                                      env=environment, stdout=subprocess.PIPE, text=True,
                                      stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                      check=False)
                yield Outcome(command, shown, done.returncode, done.stdout)


def renewed(outcome: Outcome) -> str:
    """What the page shall show; where lines are left out, those with the same first word."""
    printed = [line.rstrip() for line in outcome.printed.splitlines()]
    shown = (outcome.shown or "").splitlines()
    if "..." in shown:
        by_word = {line.split()[0]: line for line in reversed(printed) if line}
        printed = [line if line == "..." else by_word[line.split()[0]] for line in shown if line]
    return "".join(f"{line}\n" for line in printed)


def renew(page: Path) -> None:
    """Put the present output into a page."""
    text = page.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        for outcome in run_all(Path(folder), page):
            if outcome.code:
                sys.exit(f"$ {outcome.command}\n{outcome.printed}")
            if not outcome.agrees:
                text = text.replace(f"$ {outcome.command}\n{outcome.shown}",
                                    f"$ {outcome.command}\n{renewed(outcome)}")
    page.write_bytes(text.encode("utf-8"))


if __name__ == "__main__":
    for each in PAGES:
        renew(each)
