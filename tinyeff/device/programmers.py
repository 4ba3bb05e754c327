# SPDX-License-Identifier: MIT
"""The programs that write an image into a chip: their commands, and the probes that they see.

All verify what they have written, and start the chip afterwards.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Command = tuple[str, ...]
BOOTLOADER_BAUD = 115_200
STM32LOADER_FAMILIES = ("F0", "F1", "F3", "F4", "F7", "H7", "L4", "L0", "G0")


@dataclass(frozen=True)
class Job:
    """What is to be programmed into which chip, and through which probe or port."""

    chip: str
    openocd: str
    origin: int
    elf: Path
    binary: Path
    probe: str | None = None
    port: str | None = None


@dataclass(frozen=True)
class Probe:
    """A debug probe that a program sees; `selector` is what that program calls it."""

    serial_number: str
    selector: str


@dataclass(frozen=True)
class Programmer:
    """A program: the commands that do a job, the command that lists probes, how to read its answer.

    Without `list_command` the program goes through a serial port, or cannot tell which probes
    there are.
    """

    name: str
    how_to_get: str
    commands: Callable[[Job], tuple[Command, ...]]
    list_command: Command | None = None
    probes: Callable[[str], tuple[Probe, ...]] = lambda text: ()
    uses_port: bool = False

    @property
    def path(self) -> str | None:
        """Where the program is; None where it is not installed."""
        return find_program(self.name)


def find_program(name: str) -> str | None:
    """The program on the path, or beside this Python, where pip puts programs."""
    return shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))


def probe_rs_chip(chip: str) -> str:
    """A chip as probe-rs calls it: stm32f746zgt6 -> STM32F746ZGTx, stm32u575zit6q -> ...ITxQ."""
    name = chip.upper()
    return name if len(name) < 13 else f"{name[:12]}x{name[13:]}"


def _chosen(option: str, probe: str | None) -> Command:
    return () if probe is None else (option, probe)


def _probe_rs(job: Job) -> tuple[Command, ...]:
    target = ("--chip", probe_rs_chip(job.chip), *_chosen("--probe", job.probe),
              "--non-interactive")
    return (("probe-rs", "download", *target, "--verify", str(job.elf)),
            ("probe-rs", "reset", *target))


def _pyocd(job: Job) -> tuple[Command, ...]:
    target = ("--no-wait", "--target", probe_rs_chip(job.chip).lower(),
              *_chosen("--uid", job.probe))
    compare = f"compare {job.origin:#010x} \"{job.binary.as_posix()}\""
    return (("pyocd", "load", *target, "--no-reset", str(job.elf)),
            ("pyocd", "commander", *target, "--halt", "-c", compare, "-c", "reset"))


def _st_flash(job: Job) -> tuple[Command, ...]:
    return (("st-flash", *_chosen("--serial", job.probe), "--reset", "write", str(job.binary),
             f"{job.origin:#010x}"),)


def _openocd(job: Job) -> tuple[Command, ...]:
    select = () if job.probe is None else ("-c", f"adapter serial {job.probe}")
    program = f"program {{{job.elf.as_posix()}}} verify reset exit"
    return (("openocd", "-f", "interface/stlink.cfg", *select, "-f", job.openocd, "-c", program),)


def _stm32loader(job: Job) -> tuple[Command, ...]:
    family = job.chip[5:7].upper()
    known = ("--family", family) if family in STM32LOADER_FAMILIES else ()
    return (("stm32loader", "--port", job.port or "PORT", "--baud", str(BOOTLOADER_BAUD), *known,
             "--erase", "--write", "--verify", "--no-progress", "--address", f"{job.origin:#010x}",
             "--go-address", f"{job.origin:#010x}", str(job.binary)),)


def _probe_rs_probes(text: str) -> tuple[Probe, ...]:
    found = re.findall(r"\b([0-9a-f]{4}:[0-9a-f]{4}(?:-\d+)?:([^\s()]+))", text, re.IGNORECASE)
    return tuple(Probe(number, selector) for selector, number in found)


def _pyocd_probes(text: str) -> tuple[Probe, ...]:
    try:
        boards = json.loads(text)["boards"]
        return tuple(Probe(str(b["unique_id"]), str(b["unique_id"])) for b in boards)
    except (ValueError, KeyError, TypeError):
        return ()


def _st_info_probes(text: str) -> tuple[Probe, ...]:
    return tuple(Probe(n, n) for n in re.findall(r"serial:\s*([0-9A-Za-z]+)", text))


PROGRAMMERS = {p.name: p for p in (
    Programmer("probe-rs", "https://probe.rs/docs/getting-started/installation", _probe_rs,
               ("probe-rs", "list"), _probe_rs_probes),
    Programmer("pyocd", 'pip install "tinyeff[flash]"', _pyocd,
               ("pyocd", "json", "--probes"), _pyocd_probes),
    Programmer("st-flash", "Debian: sudo apt install stlink-tools; macOS: brew install stlink",
               _st_flash, ("st-info", "--probe"), _st_info_probes),
    Programmer("openocd", "Debian: sudo apt install openocd; macOS: brew install open-ocd",
               _openocd),
    Programmer("stm32loader", "pip install stm32loader", _stm32loader, uses_port=True),
)}
"""In the order in which they are tried."""
