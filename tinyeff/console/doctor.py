# SPDX-License-Identifier: MIT
"""What this machine has of the programs and packages that tinyeff can use, and what is missing."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyeff.device.flash import seen_probes
from tinyeff.device.link.stream import in_group, port_group, serial_group
from tinyeff.device.ports import list_ports
from tinyeff.device.programmers import PROGRAMMERS
from tinyeff.errors import BoardError, MissingProgramError

EXTRAS = (
    ("tensorflow", "keras", "reading .h5, .keras and SavedModel"),
    ("unicorn", "emulator", "sim --cpu cortex-m…"),
    ("capstone", "emulator", "sim --cpu cortex-m…"),
    ("pyelftools", "emulator", "sim --cpu cortex-m…"),
    ("ziglang", "toolchain", "a C compiler for this machine and for Arm"),
    ("matplotlib", "plot", "plan --plot"),
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


UDEV_FOLDERS = tuple(Path(p) for p in ("/etc/udev/rules.d", "/run/udev/rules.d",
                                        "/usr/lib/udev/rules.d", "/lib/udev/rules.d"))


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
    yield from board_checks()


def board_checks() -> Iterator[Check]:
    """What flashing and running a board takes: programs, probes, ports, permissions."""
    needed_for = "flash; one of these programs is enough"
    for programmer in PROGRAMMERS.values():
        path = programmer.path
        version = None if path is None else _first_line([path, "--version"]) or path
        yield Check(programmer.name, needed_for, version, programmer.how_to_get)
    yield _probes()
    ports = [p for p in list_ports() if p.is_candidate]
    yield Check("serial ports", "run --port", "; ".join(map(str, ports)) or None,
                "none of a board is there: plug one in, or try run --emulate")
    if sys.platform.startswith("linux"):
        yield _port_permission(tuple(p.device for p in ports))
        yield udev_rule(UDEV_FOLDERS)


def _probes() -> Check:
    """The debug probes that the first program that can list them sees."""
    fix = "none is plugged in, or none that you may use: see udev rule below"
    for programmer in PROGRAMMERS.values():
        if programmer.path is None:
            continue
        try:
            probes = seen_probes(programmer)
        except (BoardError, MissingProgramError) as error:
            fix = error.message
            continue
        if probes:
            seen = ", ".join(p.serial_number for p in probes)
            return Check("debug probes", "flash", f"{seen} (seen by {programmer.name})", "")
    return Check("debug probes", "flash", None, fix)


def _port_permission(ports: tuple[str, ...]) -> Check:
    """Whether this user may open serial ports: those that are there, else those of the group."""
    name, needed_for = "permission for ports", "run --port, flash with stm32loader"
    if ports:
        closed = [p for p in ports if not os.access(p, os.R_OK | os.W_OK)]
        group = port_group((closed or list(ports))[0])
        found = None if closed else f"{', '.join(ports)} can be opened"
    else:
        group = serial_group()
        found = f"member of the group {group}" if in_group(group) else None
    return Check(name, needed_for, found,
                 f"sudo usermod -aG {group} $USER, then log out and in again")


def udev_rule(folders: Sequence[Path]) -> Check:
    """Whether Linux has a rule that lets users have ST-LINK probes."""
    for folder in folders:
        for file in sorted(folder.glob("*.rules")) if folder.is_dir() else ():
            try:
                text = file.read_text(errors="replace")
            except OSError:
                continue
            if re.search(r'^[^#\n]*idVendor}=="0483"', text, re.MULTILINE):
                return Check("udev rule", "flash", str(file), "")
    return Check(
        "udev rule", "flash with an ST-LINK without being root", None,
        "echo 'SUBSYSTEM==\"usb\", ATTR{idVendor}==\"0483\", MODE=\"0660\", TAG+=\"uaccess\"' "
        "| sudo tee /etc/udev/rules.d/70-st-link.rules && sudo udevadm control --reload && "
        "sudo udevadm trigger")


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
