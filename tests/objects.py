# SPDX-License-Identifier: MIT
"""Compiles each C file once in a run of the tests: most programs consist of the same kernels.

An object is known by all that makes it: the compiler's command, the text of the file and of every
header of the project that it includes. Nothing outlives the run, and what fails is compiled anew
each time.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tinyeff.device import image
from tinyeff.simulator import host, toolchain

MOST_BYTES = 1 << 18
"""Of a source: what is longer is data, which takes more room than time and is used once."""
SANITIZERS = ("-O0", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
"""For generated programs: compiling takes longer than running, and nothing is optimized away before
a sanitizer sees it. What optimizers make of the same code, builds without sanitizers show."""

STORE = "TINYEFF_TEST_OBJECTS"
"""The variable that names the folder of a run's objects; without it everything is compiled."""


@dataclass(frozen=True)
class _Object:
    """The place of one object: in the store, and where the command puts it."""

    stored: Path
    made: Path

    def restore(self) -> bool:
        """True where it had been compiled before: it, and its report of stack, now stand there."""
        if not self.stored.exists():
            return False
        report = self.stored.with_suffix(".su")
        if report.exists():
            shutil.copyfile(report, self.made.with_suffix(".su"))
        shutil.copyfile(self.stored, self.made)
        return True

    def keep(self) -> None:
        """Store what was compiled, the object last and at one stroke: others may be looking."""
        for suffix in (".su", self.made.suffix):
            made = self.made.with_suffix(suffix)
            if made.exists():
                stored = self.stored.with_suffix(".su" if suffix == ".su" else ".o")
                partial = stored.with_name(f"{stored.name}.{os.getpid()}.{id(self)}")
                shutil.copyfile(made, partial)
                partial.replace(stored)


def _object(command: Sequence[str], folder: Path) -> _Object | None:
    """The object that `command`, run in `folder`, makes; None where it cannot be known by its
    text."""
    store = os.environ.get(STORE)
    if store is None or "-c" not in command or "-o" not in command:
        return None
    source, output = (command[command.index(flag) + 1] for flag in ("-c", "-o"))
    texts = _texts(folder, source, [a[2:] for a in command if a.startswith("-I")])
    if texts is None or len(texts[source]) > MOST_BYTES:
        return None
    everything = "".join(texts.values())
    how = [a for a in command if a != output
           and not (re.fullmatch(r"-D\w+", a) and a[2:] not in everything)]
    parts = [*how, *(part for name in sorted(texts) for part in (name, texts[name]))]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return _Object(Path(store, f"{key}.o"), folder / output)


def _texts(folder: Path, source: str, paths: Sequence[str]) -> dict[str, str] | None:
    """{name: text} of a source and of what it includes; None where one of them is not found."""
    texts: dict[str, str] = {}
    waiting = [(source, folder)]
    while waiting:
        name, beside = waiting.pop()
        if name in texts:
            continue
        places = (beside, folder, *(folder / path for path in paths))
        path = next((p / name for p in places if (p / name).is_file()), None)
        if path is None:
            return None
        texts[name] = path.read_text(encoding="utf-8")
        waiting += [(n, path.parent)
                    for n in re.findall(r'^\s*#\s*include\s*"([^"]+)"', texts[name], re.MULTILINE)]
    return texts


def compile_c(command: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a compiler's command in `folder`, unless it would make an object that is there."""
    made = _object(command, folder)
    if made is not None and made.restore():
        return subprocess.CompletedProcess(command, 0, "", "")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if made is not None and done.returncode == 0 and not done.stderr:
        made.keep()
    return done


def build(command: Sequence[str], folder: Path, sources: Sequence[str],
          output: str) -> subprocess.CompletedProcess[str]:
    """Compile `sources` one by one with `command` and link them to `output`.

    Ends with the first step that fails.
    """
    objects = []
    for number, name in enumerate(sources):
        objects.append(f"{number}.o")
        done = compile_c([*command, "-c", name, "-o", objects[-1]], folder)
        if done.returncode != 0:
            return done
    return compile_c([*command, *objects, "-o", output], folder)


def install(patch: pytest.MonkeyPatch) -> None:
    """From now on the builds of the package take objects from the store where they are there."""
    patch.setattr(host.HostProgram, "_call", _for_host(host.HostProgram._call))
    across = _across(toolchain.run_compiler)
    for module in (toolchain, image):
        patch.setattr(module, "run_compiler", across)


def _for_host(call: Callable[..., None]) -> Callable[..., None]:
    def wrapped(program: Any, command: list[str]) -> None:
        made = _object(command, Path(program._folder.name))
        if made is not None and made.restore():
            return
        call(program, command)
        if made is not None:
            made.keep()
    return wrapped


def _across(run: Callable[..., tuple[int, str]]) -> Callable[..., tuple[int, str]]:
    def wrapped(chosen: toolchain.Toolchain, folder: Path,
                arguments: Sequence[str]) -> tuple[int, str]:
        made = _object([*chosen.command, *arguments], folder)
        if made is not None and made.restore():
            return 0, ""
        status, said = run(chosen, folder, arguments)
        if made is not None and status == 0 and not said:
            made.keep()
        return status, said
    return wrapped
