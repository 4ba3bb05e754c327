# SPDX-License-Identifier: MIT
"""What the registers of a family of chips are: firmware/families/<family>/family.toml.

modm-devices knows neither addresses of registers nor clock trees. A table of `variants` overrides
the family's values for chips whose names begin as it says; the first that fits counts.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tinyeff import resources
from tinyeff.device.chips import Chip
from tinyeff.errors import UnsupportedError


@dataclass(frozen=True)
class Uart:
    """A UART: where its registers are, the register and bit of its clock, and its bus."""

    name: str
    address: int
    enable_address: int
    enable_bit: int
    bus: str


@dataclass(frozen=True)
class ClockTree:
    """Limits of the PLL, in Hz and as (least, most); the core runs at vco / one of `output`.

    The core starts at reset_hz. The buses run at core / ahb_divider, and the peripherals' at that
    / apb1_divider or apb2_divider.
    """

    internal_hz: int
    reset_hz: int
    pll_input_hz: tuple[int, int]
    vco_hz: tuple[int, int]
    m: tuple[int, int]
    n: tuple[int, int]
    output: tuple[int, ...]
    ahb_divider: int
    apb1_divider: int
    apb2_divider: int


@dataclass(frozen=True)
class Family:
    """A family as it stands for one chip.

    `clock_code` is the family whose C starts its clocks, its own or one with the same registers;
    `emulation` says how they answer.
    """

    name: str
    title: str
    openocd: str
    uart_kind: int
    clock_code: str
    addresses: Mapping[str, int]
    rcc: Mapping[str, int]
    reset: Mapping[str, int]
    clock: ClockTree
    timing: Mapping[str, Any]
    uarts: Mapping[str, Uart]
    emulation: Mapping[str, Any] = field(repr=False)
    defines: Mapping[str, int] = field(default_factory=dict)
    unused_memories: tuple[str, ...] = ()
    alias: Mapping[str, Any] | None = None
    max_hz: int | None = None
    latency: tuple[tuple[int, int], ...] = ()


def family_names() -> tuple[str, ...]:
    """The families that images can be built for."""
    folder = resources.folder("firmware") / "families"
    return tuple(sorted(path.parent.name for path in folder.glob("*/family.toml")))


@functools.cache
def family_of(chip: Chip) -> Family:
    """The family of a chip; UnsupportedError lists those that are known."""
    if chip.family not in family_names():
        known = ", ".join(f"STM32{n.upper()}" for n in family_names())
        raise UnsupportedError(f"{chip.name}: no start-up code is there for the family "
                               f"STM32{chip.family.upper()}; there is for {known}")
    path = resources.folder("firmware") / "families" / chip.family / "family.toml"
    raw = tomllib.loads(path.read_text(encoding="utf-8"))
    variants = raw.pop("variants", ())
    found: dict[str, Any] = next((v for v in variants
                                 if chip.name.startswith(tuple(v["chips"]))), {})
    return _family(chip.family, _merged(raw, found), found)


def _merged(raw: dict[str, Any], variant: dict[str, Any]) -> dict[str, Any]:
    merged = dict(raw)
    for key, value in variant.items():
        old = merged.get(key)
        merged[key] = {**old, **value} if isinstance(old, dict) else value
    return merged


def _family(name: str, raw: dict[str, Any], variant: dict[str, Any]) -> Family:
    clock, rcc = raw["clock"], raw["addresses"]["rcc"]
    offset = variant.get("enable_offset", 0)
    emulation = dict(raw["emulation"])
    emulation["initial"] = [*emulation["initial"], *variant.get("initial", ())]
    return Family(
        name=name, title=raw["title"], openocd=raw["openocd"], uart_kind=raw["uart_kind"],
        clock_code=raw.get("clock_code", name),
        addresses=raw["addresses"], rcc=raw["rcc"], reset=raw["reset"],
        clock=ClockTree(
            clock["internal_hz"], clock.get("reset_hz", clock["internal_hz"]),
            _pair(clock["pll_input_hz"]), _pair(clock["vco_hz"]),
            _pair(clock["m"]), _pair(clock["n"]), tuple(clock["output"]), clock["ahb_divider"],
            clock["apb1_divider"], clock["apb2_divider"]),
        timing=raw["timing"],
        uarts={key: Uart(key, u["address"], rcc + u["enable"][0] + offset, u["enable"][1], u["bus"])
               for key, u in raw["uarts"].items()},
        emulation=emulation, defines=raw.get("defines", {}),
        unused_memories=tuple(raw.get("unused_memories", ())), alias=raw.get("alias"),
        max_hz=raw.get("max_hz"),
        latency=tuple((states, mhz * 1_000_000) for states, mhz in raw.get("latency", ())),
    )


def _pair(values: list[int]) -> tuple[int, int]:
    return values[0], values[1]
