# SPDX-License-Identifier: MIT
"""Boards and chips as `tinyeff boards` shows them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from tinyeff.console.report import SCHEMA_VERSION, kib
from tinyeff.device.boards import Board, Device, board_named, board_names, device_named
from tinyeff.device.chips import chip_names
from tinyeff.errors import UnsupportedError

MOST_CHIPS = 40
"""So many chips are described; of more, only their number is told."""


@dataclass(frozen=True)
class Found:
    """What a search found: boards, chips, and how many chips there are in all."""

    search: str
    boards: tuple[Board, ...]
    chips: tuple[Device, ...]
    chip_count: int


def find(search: str | None) -> Found:
    """All boards, or the boards and chips whose names contain `search`."""
    text = (search or "").strip().lower()
    boards = tuple(b for b in map(board_named, board_names())
                   if text in b.name or text in b.title.lower() or text in b.chip.name)
    if not text:
        return Found("", boards, (), len(chip_names()))
    names = chip_names(text)
    return Found(text, boards, tuple(_devices(names[:MOST_CHIPS])), len(names))


def _devices(names: tuple[str, ...]) -> Iterator[Device]:
    for name in names:
        try:
            yield device_named(name)
        except UnsupportedError:
            continue


def found_object(found: Found) -> dict[str, Any]:
    """The JSON object of `tinyeff boards`."""
    return {
        "schema_version": SCHEMA_VERSION, "search": found.search, "chip_count": found.chip_count,
        "boards": [{"board": b.name, **_object(b), "probe": b.probe,
                    "console": {"uart": b.console.uart.name, "tx": b.console.tx,
                                "rx": b.console.rx, "baud": b.console.baud}}
                   for b in found.boards],
        "chips": [_object(c) for c in found.chips],
    }


def _object(device: Device) -> dict[str, Any]:
    return {
        "title": device.title, "chip": device.chip.name, "cpu": device.cpu,
        "fpu": device.chip.fpu, "core_hz": device.core_hz,
        "flash_bytes": device.flash_bytes, "sram_bytes": device.sram_bytes,
        "rams": [{"name": r.name, "origin": r.origin, "size_bytes": r.size_bytes}
                 for r in device.rams],
        "wait_states": device.timing.wait_states if device.timing else None,
    }


def found_lines(found: Found) -> Iterator[str | Table]:
    """The same for people."""
    if found.boards:
        yield _table("--board", [(b.name, b) for b in found.boards])
    if found.chips:
        yield ""
        yield _table("--device", [(c.chip.name[:11], c) for c in found.chips])
    if not found.boards and not found.chips:
        yield f"no board and no STM32 has '{found.search}' in its name"
    elif not found.search:
        yield ""
        yield (f"any of {found.chip_count:,} STM32 chips can be planned for with --device; "
               "tinyeff boards SEARCH looks them up, e.g. tinyeff boards f746")
    elif found.chip_count > len(found.chips):
        yield f"... of {found.chip_count:,} chips; say more of the name"


def _table(option: str, rows: list[tuple[str, Device]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in (option, "chip", "core", "clock", "flash", "SRAM"):
        table.add_column(title, justify="right" if title in ("clock", "flash", "SRAM") else "left")
    for name, d in rows:
        table.add_row(name, d.chip.name, d.cpu, f"{d.core_hz / 1e6:g} MHz", kib(d.flash_bytes),
                      " + ".join(kib(r.size_bytes) for r in
                                 sorted(d.rams, key=lambda r: -r.size_bytes)))
    return table
