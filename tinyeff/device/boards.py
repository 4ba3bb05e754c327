# SPDX-License-Identifier: MIT
"""Boards: one file each in firmware/boards/, and any chip without a board.

What a board says is what nobody can know from the chip: the clock that arrives from outside, the
pins of the console, the probe. All the rest follows from the data of the chip and its family.
"""

from __future__ import annotations

import functools
import re
import tomllib
from dataclasses import dataclass
from typing import Any

from tinyeff import resources
from tinyeff.device.chips import Chip, chip_named
from tinyeff.device.clocks import Clocks, clocks_for
from tinyeff.device.families import Family, Uart, family_of
from tinyeff.device.memory import Ram, flash_of, rams_of
from tinyeff.errors import InternalError, UnsupportedError, UsageError
from tinyeff.simulator.flash import FlashTiming
from tinyeff.simulator.memory_map import MemoryMap, Region, memory_map
from tinyeff.targets import CPUS

CPU_OF_CORE = {"cortex-m0": "cortex-m0plus"}
"""Cores without a name of their own for `--cpu`: the one that executes the same instructions."""

BAUD = 115_200


@dataclass(frozen=True)
class Console:
    """The UART that leads to the host, its pins as "PA2", and the speed in bits per second."""

    uart: Uart
    tx: str
    rx: str
    baud: int = BAUD


@dataclass(frozen=True)
class Device:
    """A chip, of a board or alone: what planning and emulation must know.

    `rams` are the memories that may be written, the first holds stack and data. `sram_bytes` is
    the largest of them, the most that an arena can have.
    """

    name: str
    title: str
    chip: Chip
    cpu: str
    flash_origin: int
    flash_bytes: int
    rams: tuple[Ram, ...]
    core_hz: int
    timing: FlashTiming | None

    @property
    def sram_bytes(self) -> int:
        """The size of the largest block of SRAM."""
        return max(ram.size_bytes for ram in self.rams)

    @property
    def memory(self) -> MemoryMap:
        """The map for emulation: flash, and the largest block of SRAM unless all are needed."""
        ram = max(self.rams, key=lambda r: r.size_bytes)
        return memory_map(self.title, self.flash_bytes, ram.size_bytes, self.flash_origin,
                          ram.origin, rams=tuple(Region(r.name, r.origin, r.size_bytes)
                                                 for r in self.rams))


@dataclass(frozen=True)
class Board(Device):
    """A board. `probe` is "st-link" or "none", `external` "crystal", "bypass" or "none".

    `qemu` is the machine of qemu-system-arm that is this board.
    """

    family: Family
    clocks: Clocks
    console: Console
    external: str
    supply: str
    probe: str
    qemu: str | None = None


def board_names() -> tuple[str, ...]:
    """The names of all boards, sorted."""
    return tuple(sorted(p.stem for p in (resources.folder("firmware") / "boards").glob("*.toml")))


@functools.cache
def board_named(name: str) -> Board:
    """The board called `name`, as in firmware/boards/; UsageError lists what there is."""
    plain = name.strip().lower().replace("_", "-").replace(" ", "-")
    if plain not in board_names():
        near = [n for n in board_names() if re.sub(r"\W", "", plain) in re.sub(r"\W", "", n)]
        hint = f"did you mean {' or '.join(near)}?" if near and plain else \
            f"there are {', '.join(board_names())}."
        raise UsageError(f"--board {name} is not known; {hint} For any other chip say --device, "
                         "e.g. --device stm32f746ng")
    path = resources.folder("firmware") / "boards" / f"{plain}.toml"
    try:
        return _board(plain, tomllib.loads(path.read_text(encoding="utf-8")))
    except (KeyError, TypeError, ValueError) as error:
        raise InternalError(f"{path} does not describe a board: {error!r}") from error


def _board(name: str, raw: dict[str, Any]) -> Board:
    chip = chip_named(raw["chip"])
    family = family_of(chip)
    clock, console = raw["clock"], raw["console"]
    clocks = clocks_for(chip, family, clock.get("external_hz"))
    flash = flash_of(chip)
    title = str(raw["title"])
    return Board(
        name=name, title=title, chip=chip, cpu=_cpu(chip),
        flash_origin=flash.origin, flash_bytes=flash.size_bytes, rams=rams_of(chip, family),
        core_hz=clocks.core_hz, timing=_timing(f"{title} at {clocks.core_hz / 1e6:g} MHz", family,
                                               clocks),
        family=family, clocks=clocks, console=_console(chip, family, console),
        external=str(clock["external"]), supply=str(raw.get("power", {}).get("supply", "ldo")),
        probe=str(raw["probe"]), qemu=raw.get("qemu"),
    )


def _console(chip: Chip, family: Family, raw: dict[str, Any]) -> Console:
    uart, tx, rx = str(raw["uart"]), str(raw["tx"]), str(raw["rx"])
    for pin, signal in ((tx, "tx"), (rx, "rx")):
        if (pin, uart, signal) not in chip.signals:
            raise ValueError(f"{pin} is no {signal} of {uart} on {chip.name}")
    return Console(family.uarts[uart], tx, rx, int(raw.get("baud", BAUD)))


def _cpu(chip: Chip) -> str:
    cpu = CPU_OF_CORE.get(chip.cpu, chip.cpu)
    if cpu not in CPUS:
        raise UnsupportedError(f"{chip.name} has a {chip.core}, which code cannot be generated for")
    return cpu


def _timing(name: str, family: Family, clocks: Clocks) -> FlashTiming:
    t = family.timing
    return FlashTiming(name, clocks.wait_states * family.clock.ahb_divider, t["line_bytes"],
                       t["instruction_lines"], t["data_lines"], t["prefetch"])


@functools.cache
def device_named(name: str) -> Device:
    """Any STM32 without a board; wait states are known where its family is."""
    chip = chip_named(name)
    flash, title = flash_of(chip), chip.name.upper()
    family, core_hz, timing = None, chip.max_hz, None
    try:
        family = family_of(chip)
        clocks = clocks_for(chip, family, None)
        core_hz = clocks.core_hz
        timing = _timing(f"{title} at {core_hz / 1e6:g} MHz", family, clocks)
    except (UnsupportedError, UsageError):
        pass  # its clocks are not known: planning needs only the memories
    return Device(chip.name, title, chip, _cpu(chip), flash.origin, flash.size_bytes,
                  rams_of(chip, family), core_hz, timing)
