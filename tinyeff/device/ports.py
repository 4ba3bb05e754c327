# SPDX-License-Identifier: MIT
"""Serial ports, and which of them lead to a board: by the USB ids of what they hang on."""

from __future__ import annotations

from dataclasses import dataclass

from tinyeff.errors import UsageError

PROBES: dict[tuple[int, int], str] = {
    (0x0483, 0x374A): "ST-LINK/V2-1", (0x0483, 0x374B): "ST-LINK/V2-1",
    (0x0483, 0x3752): "ST-LINK/V2-1", (0x0483, 0x374D): "ST-LINK/V3",
    (0x0483, 0x374E): "ST-LINK/V3", (0x0483, 0x374F): "ST-LINK/V3",
    (0x0483, 0x3753): "ST-LINK/V3", (0x0483, 0x3754): "ST-LINK/V3",
    (0x0483, 0x3757): "ST-LINK/V3", (0x0D28, 0x0204): "CMSIS-DAP",
    (0x1366, 0x0105): "J-Link", (0x1366, 0x1015): "J-Link", (0x2E8A, 0x000C): "Debugprobe",
}
"""(vendor, product) of debug probes with a serial port of their own."""

ADAPTERS: dict[tuple[int, int], str] = {
    (0x0403, 0x6001): "FTDI FT232R", (0x0403, 0x6010): "FTDI FT2232H",
    (0x0403, 0x6011): "FTDI FT4232H", (0x0403, 0x6014): "FTDI FT232H",
    (0x0403, 0x6015): "FTDI FT231X", (0x10C4, 0xEA60): "Silicon Labs CP210x",
    (0x1A86, 0x7523): "WCH CH340", (0x1A86, 0x55D4): "WCH CH9102", (0x1A86, 0x55D3): "WCH CH343",
    (0x067B, 0x2303): "Prolific PL2303", (0x067B, 0x23A3): "Prolific PL2303",
}
"""(vendor, product) of adapters from USB to a serial line."""


@dataclass(frozen=True)
class Port:
    """A serial port: its path, what it hangs on, and that one's USB ids and serial number."""

    device: str
    what: str
    usb_ids: tuple[int, int] | None
    serial_number: str | None

    @property
    def is_probe(self) -> bool:
        """True for the port of a debug probe."""
        return self.usb_ids in PROBES

    @property
    def is_candidate(self) -> bool:
        """True where a board may be behind it."""
        return self.is_probe or self.usb_ids in ADAPTERS

    def __str__(self) -> str:
        number = f", serial number {self.serial_number}" if self.serial_number else ""
        return f"{self.device} ({self.what}{number})"


def list_ports() -> tuple[Port, ...]:
    """Every serial port of this machine, those of probes first."""
    from serial.tools import list_ports as tool

    found = []
    for info in tool.comports():
        ids = None if info.vid is None else (int(info.vid), int(info.pid))
        known = None if ids is None else PROBES.get(ids) or ADAPTERS.get(ids)
        what = known or info.product or info.description or "serial port"
        found.append(Port(info.device, what, ids, info.serial_number))
    return tuple(sorted(found, key=lambda p: (not p.is_probe, not p.is_candidate, p.device)))


def find_port(serial_number: str | None = None) -> Port:
    """The one port that a board is behind, for --port auto.

    Probes go before adapters; with `serial_number` only what has that number counts. Raises
    UsageError where there is none, or more than one.
    """
    ports = [p for p in list_ports() if p.is_candidate]
    if serial_number is not None:
        ports = [p for p in ports if p.serial_number == serial_number]
    ports = [p for p in ports if p.is_probe] or ports
    if len(ports) == 1:
        return ports[0]
    if not ports:
        with_number = f" with serial number {serial_number}" if serial_number else ""
        raise UsageError(
            f"no serial port of a board was found{with_number} (looked for ST-LINK, CMSIS-DAP, "
            "J-Link and USB serial adapters): plug the board in, name the port with --port PATH, "
            "or run without a board: --emulate")
    raise UsageError(f"several boards are plugged in: {'; '.join(map(str, ports))}. Name one with "
                     f"--port, e.g. --port {ports[0].device}")
