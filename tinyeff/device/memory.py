# SPDX-License-Identifier: MIT
"""Which memories of a chip an image may use: those that are there after reset, joined."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tinyeff.device.chips import Chip, Memory
from tinyeff.device.families import Family

SRAM_ORIGIN = 0x2000_0000


@dataclass(frozen=True)
class Ram:
    """Bytes [origin, origin + size_bytes) that may be written; `parts` names what they are."""

    name: str
    origin: int
    size_bytes: int
    parts: tuple[str, ...]

    @property
    def end(self) -> int:
        """The address after the last byte."""
        return self.origin + self.size_bytes


def flash_of(chip: Chip) -> Ram:
    """The flash of a chip, its banks joined."""
    banks = [m for m in chip.memories if m.name in ("flash", "flash1", "flash2", "flash_ns")]
    return _joined(banks)[0]


def rams_of(chip: Chip, family: Family | None) -> tuple[Ram, ...]:
    """The blocks of SRAM, the one at 0x2000_0000 first, then by size.

    Left out are what modm-devices names twice (secure aliases), memory for code or for standby,
    and what the family says needs a clock of its own.
    """
    unused = ("itcm", "backup", *(family.unused_memories if family else ()))
    memories = [_placed(m, chip, family) for m in chip.memories
                if "w" in m.access and m.name not in unused and not m.name.endswith("_s")
                and not m.name.startswith(("flash", "bkpsram"))]
    blocks = _joined(memories)
    return tuple(sorted(blocks, key=lambda r: (not r.origin <= SRAM_ORIGIN < r.end,
                                               -r.size_bytes)))


def _placed(memory: Memory, chip: Chip, family: Family | None) -> Memory:
    """`memory` where it continues another one, if it answers there too."""
    alias = family.alias if family else None
    if (alias is None or memory.name != alias["memory"]
            or chip.name.startswith(tuple(alias.get("except", ())) or ("-",))):
        return memory
    before = [m for m in chip.memories if m.name == alias["after"]]
    return replace(memory, origin=before[0].end) if before else memory


def _joined(memories: list[Memory]) -> list[Ram]:
    blocks: list[Ram] = []
    for m in sorted(memories, key=lambda m: m.origin):
        last = blocks[-1] if blocks else None
        if last is not None and last.end == m.origin:
            blocks[-1] = Ram(last.name, last.origin, last.size_bytes + m.size_bytes,
                             (*last.parts, m.name))
        else:
            blocks.append(Ram(m.name, m.origin, m.size_bytes, (m.name,)))
    return blocks
