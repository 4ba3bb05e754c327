# SPDX-License-Identifier: MIT
"""The ROM bootloader of an STM32 on a pseudo-terminal, as ST's AN3155 describes its protocol."""

from __future__ import annotations

import contextlib
import os
import threading
import tty
from functools import reduce
from operator import xor

ACK, NACK = b"\x79", b"\x1f"
GET, GET_VERSION, GET_ID, READ, GO, WRITE, EXTENDED_ERASE = 0x00, 0x01, 0x02, 0x11, 0x21, 0x31, 0x44
VERSION, CHIP_ID = 0x31, 0x0431  # an STM32F411
FLASH_START = 0x0800_0000


class RomBootloader:
    """A chip in its bootloader; use it as a context manager, and `port` as the serial port.

    `broken` is the address of a byte of flash that keeps its lowest bit whatever is written;
    a `silent` chip is not in its bootloader.
    """

    def __init__(self, flash_bytes: int, broken: int | None = None, silent: bool = False) -> None:
        self.flash = bytearray(b"\0" * flash_bytes)  # something else was there before
        self.erased = 0
        self.started: int | None = None
        self._broken, self._silent = broken, silent
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self.port, self._slave = os.ttyname(slave), slave
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> RomBootloader:
        return self

    def __exit__(self, *details: object) -> None:
        os.close(self._slave)
        with contextlib.suppress(OSError):
            os.close(self._master)

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            data += os.read(self._master, count - len(data))
        return data

    def _send(self, data: bytes) -> None:
        os.write(self._master, data)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while self._silent:
                self._read(1)
            while self._read(1) != b"\x7f":
                pass
            self._send(ACK)
            while True:
                command, complement = self._read(2)
                if command ^ complement != 0xFF:
                    self._send(NACK)
                    continue
                self._command(command)

    def _command(self, command: int) -> None:
        known = (GET, GET_VERSION, GET_ID, READ, GO, WRITE, EXTENDED_ERASE)
        if command not in known:
            self._send(NACK)
            return
        self._send(ACK)
        if command == GET:
            self._send(bytes([len(known), VERSION, *known]) + ACK)
        elif command == GET_VERSION:
            self._send(bytes([VERSION, 0, 0]) + ACK)
        elif command == GET_ID:
            self._send(b"\x01" + CHIP_ID.to_bytes(2, "big") + ACK)
        elif command == EXTENDED_ERASE:
            assert self._read(3) == b"\xff\xff\x00"
            self.flash[:] = b"\xff" * len(self.flash)
            self.erased += 1
            self._send(ACK)
        else:
            self._at_address(command)

    def _at_address(self, command: int) -> None:
        raw = self._read(5)
        address = int.from_bytes(raw[:4], "big")
        if reduce(xor, raw) != 0:
            self._send(NACK)
            return
        self._send(ACK)
        start = address - FLASH_START
        if command == GO:
            self.started = address
        elif command == READ:
            count, complement = self._read(2)
            assert count ^ complement == 0xFF
            inside = 0 <= start < len(self.flash)
            data = self.flash[start:start + count + 1] if inside else bytes(count + 1)
            self._send(ACK + bytes(data))
        else:
            count = self._read(1)[0] + 1
            data, checksum = self._read(count), self._read(1)[0]
            if reduce(xor, data, count - 1) != checksum or start < 0:
                self._send(NACK)
                return
            for n, byte in enumerate(data):  # programming only clears bits
                self.flash[start + n] &= byte
                if self._broken == address + n:
                    self.flash[start + n] ^= 1
            self._send(ACK)
