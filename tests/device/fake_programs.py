# SPDX-License-Identifier: MIT
"""Stand-ins for the programs that flash boards: they record their arguments, and fail or hang."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest

SCRIPT = """#!{python}
import json, sys, time
with open({log!r}, "a") as log:
    log.write(json.dumps([{name!r}, *sys.argv[1:]]) + "\\n")
for words, said, code, seconds in {answers!r}:
    if all(word in sys.argv for word in words):
        sys.stdout.write(said)
        sys.stdout.flush()
        time.sleep(seconds)
        sys.exit(code)
"""


class Programs:
    """A folder of programs that is all that the path has, beside the compiler's."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, keep: str) -> None:
        self._folder, self._log = folder, folder / "log"
        monkeypatch.setenv("PATH", f"{folder}:{keep}")
        # Programs that pip has put beside this Python are not those that a test has in mind.
        monkeypatch.setattr(sys, "executable", str(folder / "python"))

    def add(
        self, name: str, *answers: tuple[tuple[str, ...], str, int, float],
    ) -> None:
        """A program; each answer is (words among its arguments, what it says, code, seconds)."""
        interpreter = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
        path = self._folder / name
        path.write_text(SCRIPT.format(python=interpreter, log=str(self._log), name=name,
                                      answers=list(answers)))
        path.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        """What was run, as one would type it."""
        if not self._log.exists():
            return []
        return [shlex.join(json.loads(line)) for line in self._log.read_text().splitlines()]
