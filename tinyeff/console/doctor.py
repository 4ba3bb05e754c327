# SPDX-License-Identifier: MIT
"""What this machine has of the programs and packages that tinyeff can use, and what is missing."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from tinyeff.errors import MissingProgramError

EXTRAS = (
    ("tensorflow", "keras", "reading .h5, .keras and SavedModel"),
    ("unicorn", "emulator", "sim --cpu cortex-m…"),
    ("capstone", "emulator", "sim --cpu cortex-m…"),
    ("pyelftools", "emulator", "sim --cpu cortex-m…"),
    ("ziglang", "toolchain", "a C compiler for this machine and for Arm"),
    ("pyocd", "flash", "flashing a board"),
)
"""Optional packages: distribution, extra, what needs it."""

PROGRAMS = (
    ("arm-none-eabi-gcc", "building for a Cortex-M",
     "install Arm's GNU toolchain (Debian: apt install gcc-arm-none-eabi), "
     'or pip install "tinyeff[toolchain]"'),
    ("qemu-system-arm", "sim --cpu cortex-m55",
     "install QEMU (Debian: apt install qemu-system-arm)"),
)
"""Outside programs: name, what needs it, how to get it."""


@dataclass(frozen=True)
class Check:
    """One thing that may be there; `version` is None where it is missing, `fix` says what helps."""

    name: str
    needed_for: str
    version: str | None
    fix: str


def checks() -> Iterator[Check]:
    """Everything that tinyeff can make use of, in the order of need."""
    yield Check("python", "everything", ".".join(map(str, sys.version_info[:3])), "")
    for name in ("ai-edge-litert", "ortools"):
        yield Check(name, "everything", _package(name), "pip install tinyeff")
    yield _host_compiler()
    for name, needed_for, fix in PROGRAMS:
        yield Check(name, needed_for, _program(name), fix)
    for name, extra, needed_for in EXTRAS:
        yield Check(name, needed_for, _package(name), f'pip install "tinyeff[{extra}]"')


def _package(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _host_compiler() -> Check:
    from tinyeff.simulator.host import host_compiler

    needed_for = "sim, verify and evaluate on this machine"
    try:
        command = host_compiler()
    except MissingProgramError as error:
        return Check("C compiler", needed_for, None, error.message)
    return Check("C compiler", needed_for, _first_line([*command, "--version"]) or command[0], "")


def _program(name: str) -> str | None:
    path = shutil.which(name)
    return None if path is None else _first_line([path, "--version"]) or path


def _first_line(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace",
                              timeout=60, check=False, env={**os.environ, "LC_ALL": "C"})
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.strip().splitlines()
    return lines[0] if done.returncode == 0 and lines else None
