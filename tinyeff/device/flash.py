# SPDX-License-Identifier: MIT
"""Writing an image into a board: which program, through which probe, and what went wrong."""

from __future__ import annotations

import logging
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tinyeff.device.boards import Board
from tinyeff.device.ports import find_port, list_ports
from tinyeff.device.programmers import (
    PROGRAMMERS,
    Command,
    Job,
    Probe,
    Programmer,
    find_program,
)
from tinyeff.errors import BoardError, MissingProgramError, UsageError

LOG = logging.getLogger("tinyeff")
LIST_SECONDS = 20.0
TIMEOUT_SECONDS = 180.0
TAIL_LINES = 12
ELF, BINARY = "firmware.elf", "firmware.bin"
"""What an image is called in its folder, as in the generated Makefile."""


@dataclass(frozen=True)
class Wish:
    """What the user says: the program's name, the probe's serial number, the serial port."""

    programmer: str | None = None
    probe: str | None = None
    port: str | None = None


def programmers_for(board: Board) -> tuple[Programmer, ...]:
    """The programs that can reach a board, the default first.

    A board without a probe is reached through the ROM bootloader on its serial port, or a probe
    that the user has wired to it.
    """
    serial = tuple(p for p in PROGRAMMERS.values() if p.uses_port)
    probing = tuple(p for p in PROGRAMMERS.values() if not p.uses_port)
    return (*serial, *probing) if board.probe == "none" else (*probing, *serial)


def plan_flash(board: Board, folder: Path, origin: int, wish: Wish) -> tuple[Command, ...]:
    """The commands of the board's default program, or the one wished for, without running any."""
    programmer = _named(wish.programmer) if wish.programmer else programmers_for(board)[0]
    port = wish.port
    if programmer.uses_port and port in (None, "auto"):
        candidates = [p for p in list_ports() if p.is_candidate]
        port = candidates[0].device if len(candidates) == 1 else None
    return programmer.commands(_job(board, folder, origin, wish.probe, port))


def choose_flash(board: Board, folder: Path, origin: int, wish: Wish) -> tuple[Command, ...]:
    """The commands that program `board` with what is installed and plugged in.

    Raises MissingProgramError where no program is installed, UsageError where it is not clear
    which probe or port is meant, BoardError where there is none.
    """
    programmer = _installed(board, wish)
    if programmer.uses_port:
        if wish.probe is not None:
            raise UsageError(f"--probe is the serial number of a debug probe; {programmer.name} "
                             "goes through a serial port: name it with --port")
        port = wish.port if wish.port not in (None, "auto") else find_port().device
        return programmer.commands(_job(board, folder, origin, None, port))
    if wish.port is not None:
        raise UsageError(f"--port is for the ROM bootloader and stm32loader; {programmer.name} "
                         "goes through a debug probe: choose one with --probe")
    probe = _probe(programmer, wish.probe)
    return programmer.commands(_job(board, folder, origin, probe, None))


def _job(board: Board, folder: Path, origin: int, probe: str | None, port: str | None) -> Job:
    return Job(board.chip.name, board.family.openocd, origin, folder / ELF, folder / BINARY, probe,
               port)


def _named(name: str) -> Programmer:
    if name not in PROGRAMMERS:
        raise UsageError(f"--programmer {name} is not known; use one of {', '.join(PROGRAMMERS)}")
    return PROGRAMMERS[name]


def _installed(board: Board, wish: Wish) -> Programmer:
    """The first program of the board's that is installed and suits what the user says."""
    if wish.programmer is not None:
        programmer = _named(wish.programmer)
        if programmer.path is None:
            raise MissingProgramError(f"{programmer.name} is not installed: "
                                      f"{programmer.how_to_get}")
        return programmer
    suited = [p for p in programmers_for(board) if (not p.uses_port or wish.probe is None)
              and (p.uses_port or wish.port is None)]
    there = [p for p in suited if p.path is not None]
    if not there:
        ways = "\n".join(f"  {p.name}: {p.how_to_get}" for p in suited)
        raise MissingProgramError(f"no program that can flash {board.title} is installed. Install "
                                  f"one of these:\n{ways}")
    with_port = wish.port is not None or any(p.is_candidate for p in list_ports())
    return next((p for p in there if not p.uses_port or with_port), there[0])


def _probe(programmer: Programmer, serial_number: str | None) -> str | None:
    """How `programmer` is told which probe to use; None where it sees a single one."""
    probes = seen_probes(programmer)
    if probes is None:  # it cannot tell
        return serial_number
    listed = ", ".join(p.serial_number for p in probes)
    if serial_number is not None:
        for probe in probes:
            if probe.serial_number.lower() == serial_number.lower():
                return probe.selector
        raise UsageError(f"--probe {serial_number}: {programmer.name} sees no probe with this "
                         f"serial number; it sees {listed or 'none'}")
    if not probes:
        raise BoardError(f"{programmer.name} sees no debug probe: plug the board in with a cable "
                         "that carries data; on Linux, tinyeff doctor checks if you may use it")
    if len(probes) > 1:
        raise UsageError(f"several debug probes are plugged in: {listed}. Name one with --probe, "
                         f"e.g. --probe {probes[0].serial_number}")
    return None


def seen_probes(programmer: Programmer) -> tuple[Probe, ...] | None:
    """The probes that a program sees; None where it cannot list them.

    Raises BoardError where it does not answer.
    """
    if programmer.list_command is None or find_program(programmer.list_command[0]) is None:
        return None
    done = _run(programmer.list_command, LIST_SECONDS)
    return programmer.probes(done.stdout)


def flash(commands: tuple[Command, ...], timeout: float = TIMEOUT_SECONDS) -> None:
    """Run the commands one after another; BoardError with what a program said where it fails."""
    for command in commands:
        done = _run(command, timeout)
        if done.returncode != 0 or _mismatch(done.stdout):
            tail = "\n  ".join(done.stdout.strip().splitlines()[-TAIL_LINES:])
            why = (f"ended with code {done.returncode}" if done.returncode
                   else "found other bytes in flash than were written")
            raise BoardError(f"{command[0]} {why}: {_hint(done.stdout)}\n"
                             f"  {tail or 'it said nothing'}")


def _mismatch(said: str) -> bool:
    """True where pyocd's `compare` found a difference, which its exit code does not tell."""
    return "Mismatched byte" in said


def _hint(said: str) -> str:
    """What usually helps against what a program said."""
    text = said.lower()
    if "permission" in text or "access denied" in text or "libusb_error_access" in text:
        return "you may not use the probe or port; tinyeff doctor shows the command that allows it"
    if "unknown target" in text or "not recognized" in text or "pack install" in text:
        return "it does not know this chip; pyocd learns it with: pyocd pack install CHIP"
    if "can't init into bootloader" in text or "bad reply from bootloader" in text:
        return "the chip is not in its ROM bootloader: set BOOT0 high, reset the board, try again"
    return "check the cable, the power, and that no other program uses the probe or port"


def _run(command: Command, timeout: float) -> subprocess.CompletedProcess[str]:
    path = find_program(command[0])
    if path is None:
        raise MissingProgramError(f"{command[0]} is not installed")
    LOG.debug("running: %s", " ".join(command))
    try:
        done = subprocess.run([path, *command[1:]], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", timeout=timeout, check=False)
    except subprocess.TimeoutExpired as error:
        raise BoardError(f"{command[0]} had not finished after {timeout:g} seconds and was ended; "
                         "unplug the board, plug it in again, and hold its reset button while the "
                         "program connects; --timeout allows more time") from error
    except OSError as error:
        raise MissingProgramError(f"{path} cannot be run: {error.strerror}") from error
    LOG.debug("%s", done.stdout)
    return done
