# SPDX-License-Identifier: MIT
"""Streams of bytes to a board: a serial port, a TCP socket, or what looks like pyserial."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable
from typing import Any, Protocol

from tinyeff.errors import TinyeffError, UsageError

BAUD = 115_200
SLICE_SECONDS = 0.005
"""A serial port is asked for bytes so long at a time: to change its time-out costs more."""


class Stream(Protocol):
    """Bytes to and from a board. OSError where the connection is lost."""

    def read_some(self, seconds: float) -> bytes:
        """What has arrived, at least a byte; nothing where none arrives in `seconds`."""

    def write(self, data: bytes) -> None:
        """Send all of `data`."""

    def close(self) -> None:
        """Close; without complaint where the connection is lost already."""


OpenStream = Callable[[], Stream]


class SerialStream:
    """A stream over an object like pyserial's Serial: read, write, close, timeout, in_waiting."""

    def __init__(self, port: Any, counts_waiting: bool = True) -> None:
        self._port, self._counts = port, counts_waiting
        if counts_waiting:
            port.timeout = SLICE_SECONDS

    def read_some(self, seconds: float) -> bytes:
        """What has arrived, at least a byte; nothing where none arrives in `seconds`."""
        if not self._counts:  # a socket: it has no count of what is waiting
            self._port.timeout = seconds
            first: bytes = self._port.read(1)
            if not first:
                return b""
            self._port.timeout = 0
            return first + bytes(self._port.read(4096))
        end = time.monotonic() + seconds
        while True:
            data = bytes(self._port.read(max(1, self._port.in_waiting)))
            if data or time.monotonic() >= end:
                return data

    def write(self, data: bytes) -> None:
        """Send all of `data`."""
        self._port.write(data)

    def close(self) -> None:
        """Close; without complaint where the connection is lost already."""
        with contextlib.suppress(OSError):
            self._port.close()


def open_serial(port: str, baud: int = BAUD) -> Stream:
    """The serial port called `port`, or what a URL of pyserial names (socket://host:port).

    Raises UsageError with what to do where it cannot be opened.
    """
    try:
        return SerialStream(serial_port(port, baud), "://" not in port)
    except ValueError as error:
        raise UsageError(f"--port {port}: {error}") from error
    except OSError as error:
        raise UsageError(f"--port {port} cannot be opened: {_advice(port, error)}") from error


def reconnecting(open_stream: OpenStream) -> OpenStream:
    """`open_stream`, with its UsageError as an OSError once it has worked: the port comes back."""
    opened = False

    def again() -> Stream:
        nonlocal opened
        try:
            stream = open_stream()
        except TinyeffError as error:
            if opened:
                raise OSError(error.message) from error
            raise
        opened = True
        return stream

    return again


def serial_port(port: str, baud: int) -> Any:
    """pyserial's object; its time-out is the caller's to set."""
    import serial

    options: dict[str, Any] = {"baudrate": baud, "timeout": 1, "write_timeout": 5}
    if "://" not in port and os.name == "posix":
        options["exclusive"] = True  # two programs on one port would steal each other's answers
    return serial.serial_for_url(port, **options)


def _advice(port: str, error: OSError) -> str:
    code = error.errno
    if code in (errno.EACCES, errno.EPERM):
        return (f"permission denied; on Linux, allow yourself serial ports with: sudo usermod -aG "
                f"{port_group(port)} $USER (then log in again), or see tinyeff doctor")
    if code == errno.ENOENT:
        return "there is no such port; --port auto looks for one, tinyeff doctor lists them"
    if code in (errno.EBUSY, errno.EAGAIN):
        return "another program has it open; close that program first"
    return str(error)


def port_group(port: str) -> str:
    """The group that may use a serial port; the usual one where it cannot be told."""
    try:
        import grp

        name = grp.getgrgid(os.stat(port).st_gid).gr_name
        return name if name not in ("root", "tty") else serial_group()
    except (ImportError, OSError, KeyError):
        return serial_group()


def serial_group() -> str:
    """The group that this Linux gives serial ports to: dialout, or uucp on Arch and its kin."""
    try:
        import grp

        names = {g.gr_name for g in grp.getgrall()}
    except ImportError:
        return "dialout"
    return "uucp" if "uucp" in names and "dialout" not in names else "dialout"


def in_group(name: str) -> bool:
    """True where this process may use what belongs to the group, as a member or as root."""
    try:
        import grp

        return os.geteuid() == 0 or grp.getgrnam(name).gr_gid in os.getgroups()
    except (ImportError, AttributeError, KeyError):
        return False
