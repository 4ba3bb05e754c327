# SPDX-License-Identifier: MIT
"""Boards without a board: the very image that would be flashed, booted in an emulator.

QEMU has one of our boards (netduinoplus2); for all others Unicorn runs the core, and a small model
of clock and console registers, described in the family's file, stands for the chip. Both give a
stream of bytes: the board's console.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from tinyeff.device import board_worker
from tinyeff.device.boards import Board
from tinyeff.device.image import HOW_TO_GET, Image, build_image
from tinyeff.errors import InternalError, MissingProgramError, UsageError
from tinyeff.simulator.qemu_engine import HOW_TO_GET as QEMU_HOW_TO_GET
from tinyeff.simulator.qemu_engine import PROGRAM

START_SECONDS = 30.0
ENGINES = ("qemu", "unicorn")


class EmulatedBoard:
    """The console of a running emulated board; also a context manager.

    A stream of bytes with the methods of pyserial's ports that a link needs.
    """

    def __init__(self, board: Board, engine: str, process: subprocess.Popen[bytes],
                 console: socket.socket, folder: tempfile.TemporaryDirectory[str]) -> None:
        self.board, self.engine = board, engine
        self.timeout: float = START_SECONDS
        self._process, self._console, self._folder = process, console, folder

    def read(self, size: int = 1, timeout: float | None = None) -> bytes:
        """Up to `size` bytes, as soon as there are any; none after `timeout` seconds.

        Without a `timeout` that of the port counts. Raises InternalError where the emulator has
        ended.
        """
        self._console.settimeout(self.timeout if timeout is None else timeout)
        try:
            data = self._console.recv(size)
        except (TimeoutError, BlockingIOError):
            return b""
        except OSError:
            data = b""
        if not data:
            raise InternalError(f"the emulated {self.board.title} has ended: {self.said()}")
        return data

    def write(self, data: bytes) -> None:
        """Send bytes to the board; InternalError where the emulator has ended."""
        self._console.settimeout(START_SECONDS)
        try:
            self._console.sendall(data)
        except OSError as error:
            raise InternalError(f"the emulated {self.board.title} takes no more bytes ({error}): "
                                f"{self.said()}") from error

    def said(self) -> str:
        """What the emulator has reported so far: faults, with their addresses."""
        text = (Path(self._folder.name) / "said.txt").read_text(errors="replace").strip()
        return text or "it reports nothing"

    def close(self) -> None:
        """End the emulator."""
        self._console.close()
        try:
            self._process.wait(timeout=1.0 if self.engine == "unicorn" else 0.05)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with suppress(OSError):
            self._folder.cleanup()

    def __enter__(self) -> EmulatedBoard:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


def open_emulated(folder: Path | str, compiler: str | None = None) -> EmulatedBoard:
    """Build the project that codegen wrote to `folder` for a board, and boot it.

    Raises UsageError where the folder is for no board or was changed, DoesNotFitError where the
    image is too large, MissingProgramError where compiler or emulator are missing.
    """
    from tinyeff.console.folder import read_folder

    _, sources = read_folder(Path(folder))
    return boot(build_image(sources, str(folder), compiler))


def boot(image: Image, engine: str | None = None, dead: Sequence[str] = ()) -> EmulatedBoard:
    """Boot an image; `engine` is "qemu" or "unicorn", by default whichever has the board.

    `dead` (Unicorn only) names what of the chip does not answer: "external" (the crystal), "pll",
    "internal", or "all" (every register of clock, power and flash reads as zero).
    """
    if engine not in (None, *ENGINES):
        raise UsageError(f"engine {engine} is not known; use one of {', '.join(ENGINES)}")
    board = image.board
    if engine is None:
        engine = "qemu" if board.qemu and shutil.which(PROGRAM) else "unicorn"
    if engine == "qemu" and board.qemu is None:
        raise UsageError(f"QEMU has no {board.title}; leave out the engine, or say unicorn")
    folder = tempfile.TemporaryDirectory(prefix="tinyeff-board-", ignore_cleanup_errors=True)
    listener = socket.create_server(("127.0.0.1", 0))
    try:
        with listener, (Path(folder.name) / "said.txt").open("wb") as said:
            port = listener.getsockname()[1]
            process = (_start_qemu(image, port, Path(folder.name), said) if engine == "qemu"
                       else _start_unicorn(image, port, dead, said))
            console = _accept(listener, process, Path(folder.name))
    except BaseException:
        folder.cleanup()
        raise
    return EmulatedBoard(board, engine, process, console, folder)


def _accept(listener: socket.socket, process: subprocess.Popen[bytes],
            folder: Path) -> socket.socket:
    listener.settimeout(0.1)
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        with suppress(TimeoutError):
            console, _ = listener.accept()
            console.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return console
    process.kill()
    process.wait()
    said = (folder / "said.txt").read_text(errors="replace").strip()
    raise InternalError(f"the emulator did not start: {said[-2000:] or 'it reports nothing'}")


def _start_qemu(image: Image, port: int, folder: Path, said: Any) -> subprocess.Popen[bytes]:
    program = shutil.which(PROGRAM)
    if program is None:
        raise MissingProgramError(f"{image.board.title} is emulated by {PROGRAM}, which was not "
                                  f"found: {QEMU_HOW_TO_GET}")
    (folder / "firmware.elf").write_bytes(image.elf)
    command = [program, "-machine", str(image.board.qemu), "-display", "none", "-monitor", "none",
               "-kernel", str(folder / "firmware.elf"),
               "-chardev", f"socket,id=console,host=127.0.0.1,port={port},nodelay=on",
               "-serial", "chardev:console"]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)


def _start_unicorn(
    image: Image, port: int, dead: Sequence[str], said: Any
) -> subprocess.Popen[bytes]:
    if importlib.util.find_spec("unicorn") is None:
        raise MissingProgramError(f"{image.board.title} is emulated by the Python package unicorn, "
                                  f"which is not installed: {HOW_TO_GET}")
    job = json.dumps(_job(image, port, dead)).encode()
    # -P: the worker's folder holds modules that may be called like some of Python's own.
    command = [sys.executable, "-P", str(Path(board_worker.__file__))]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=said, stderr=said)
    assert process.stdin is not None
    with process.stdin as question:
        question.write(struct.pack(">I", len(job)) + job + image.flash)
    return process


def _job(image: Image, port: int, dead: Sequence[str]) -> dict[str, Any]:
    board, model = image.board, image.board.family.emulation
    silent = [start + at for start, size in model["registers"] for at in range(0, size, 4)
              if start != board.family.addresses["gpio"]] if "all" in dead else []
    rules: Mapping[str, Any] = {key: model[key] for key in
                                ("registers", "ready", "copies", "ones", "initial")}
    return {
        **rules, "cpu": board.cpu, "port": port, "dead": list(dead), "silent": silent,
        "flash": [board.flash_origin, board.flash_bytes],
        "rams": [[ram.origin, ram.size_bytes] for ram in board.rams],
        "uart": board.console.uart.address, "uart_kind": board.family.uart_kind,
        "has_dwt": board.cpu != "cortex-m0plus" and "all" not in dead,
        "write": [[image.origin, len(image.flash)]],
    }
