# SPDX-License-Identifier: MIT
"""What is known of every STM32: core, FPU, memories, flash latencies, UARTs, interrupts, pins.

The data is that of the package modm-devices, which takes it from ST's own databases. Names are
searched in the text of its files, and only the file of one chip is parsed.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinyeff.errors import MissingProgramError, UsageError

HOW_TO_GET = "pip install modm-devices"
MANY = 12
"""So many names of chips are listed in a message."""


@dataclass(frozen=True)
class Memory:
    """Bytes [origin, origin + size_bytes) of a chip, `access` as in "rwx"."""

    name: str
    access: str
    origin: int
    size_bytes: int

    @property
    def end(self) -> int:
        """The address after the last byte."""
        return self.origin + self.size_bytes


@dataclass(frozen=True)
class Latency:
    """Flash at a core voltage or supply of at least `min_mv`.

    With `steps[n]` = (wait states, Hz), the bus may run at that many Hz.
    """

    min_mv: int
    steps: tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class Chip:
    """One chip. `interrupts` maps the number of an interrupt to its name.

    `signals` maps (pin, peripheral, signal), as in ("PA2", "usart2", "tx"), to the number of the
    alternate function.
    """

    name: str
    family: str
    core: str
    fpu: str | None
    max_hz: int
    memories: tuple[Memory, ...]
    latencies: tuple[Latency, ...]
    uarts: tuple[str, ...]
    interrupts: Mapping[int, str] = field(repr=False)
    signals: Mapping[tuple[str, str, str], int] = field(repr=False)

    @property
    def cpu(self) -> str:
        """The core as `--cpu` names it."""
        return self.core.removesuffix("f")


@functools.cache
def _files() -> dict[str, Path]:
    """{chip: the file that describes it}."""
    try:
        import modm_devices
    except ImportError as error:
        raise MissingProgramError(f"the data of chips comes from the package modm-devices, which "
                                  f"is not installed: {HOW_TO_GET}") from error
    folder = Path(modm_devices.__file__).parent / "resources" / "devices" / "stm32"
    return {name: path for path in sorted(folder.glob("*.xml"))
            for name in re.findall(r"<valid-device>([a-z0-9]+)<",
                                   path.read_text(encoding="utf-8"))}


def chip_names(search: str = "") -> tuple[str, ...]:
    """The names of all chips that contain `search`, sorted."""
    text = search.strip().lower()
    return tuple(sorted(name for name in _files() if text in name))


@functools.cache
def chip_named(name: str) -> Chip:
    """The chip called `name`; package and temperature range may be left out (stm32f746ng).

    Raises UsageError where no chip, or chips that differ in memory, are called so.
    """
    text = name.strip().lower()
    if text in _files():
        return _parsed(text)
    found = [n for n in chip_names() if text and n.startswith(text)]
    if not found:
        near = chip_names(text[:9]) or chip_names(text[:7])
        hint = f"; near it: {_listed(near)}" if near and len(text) >= 7 else ""
        raise UsageError(f"no STM32 is called {name}{hint}; tinyeff boards SEARCH looks them up")
    chips = [_parsed(n) for n in found if n[:11] == found[0][:11]]
    if any(n[:11] != found[0][:11] for n in found) or len({c.memories for c in chips}) > 1:
        raise UsageError(f"{name} is not one chip: name its pins and flash too, e.g. "
                         f"{found[0][:11]}; there are {_listed(tuple(found))}")
    return chips[0]


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - MANY} more" if len(names) > MANY else ""
    return ", ".join(names[:MANY]) + more


@functools.cache
def _parsed(name: str) -> Chip:
    from modm_devices.parser import DeviceParser

    file = DeviceParser().parse(str(_files()[name]))
    device = next(d for d in file.get_devices() if d.partname == name)
    drivers: list[dict[str, Any]] = device.properties["driver"]
    core = next(d for d in drivers if d["name"] == "core")
    flash: dict[str, Any] = next((d for d in drivers if d["name"] == "flash"), {"latency": []})
    clock = next(d for d in drivers if d["name"] == "rcc")
    return Chip(
        name=name, family=device.identifier["family"], core=core["type"], fpu=core.get("fpu"),
        max_hz=max((int(f) for f in clock["max-frequency"]), default=0),
        memories=tuple(Memory(m["name"], m["access"], int(m["start"], 16), int(m["size"]))
                       for m in core["memory"]),
        latencies=tuple(Latency(int(entry["vcore-min"]), tuple(
            (int(step["ws"]), int(step["hclk-max"])) for step in entry["wait-state"]))
            for entry in flash["latency"]),
        uarts=tuple(f"{d['name']}{n}" for d in drivers if d["name"] in ("usart", "uart", "lpuart")
                    for n in d["instance"]),
        interrupts={int(v["position"]): v["name"] for v in core["vector"]},
        signals=_signals(drivers),
    )


def _signals(drivers: list[dict[str, Any]]) -> dict[tuple[str, str, str], int]:
    gpio = next(d for d in drivers if d["name"] == "gpio")
    return {
        (f"P{pin['port'].upper()}{pin['pin']}", f"{s['driver']}{s.get('instance', '')}",
         s["name"]): int(s["af"])
        for pin in gpio["gpio"] for s in pin.get("signal", ()) if "af" in s and "driver" in s
    }
