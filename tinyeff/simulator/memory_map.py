# SPDX-License-Identifier: MIT
"""Where flash and SRAM lie: of a chip, of a generic microcontroller, of a machine of QEMU."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True)
class Region:
    """Bytes [origin, origin + size_bytes) of the address space."""

    name: str
    origin: int
    size_bytes: int

    @property
    def end(self) -> int:
        """The address after the last byte."""
        return self.origin + self.size_bytes

    def __contains__(self, address: int) -> bool:
        return self.origin <= address < self.end


@dataclass(frozen=True)
class MemoryMap:
    """The memory that a program may use; every other address faults.

    `stack_bytes` lie at the bottom of SRAM, so that a stack that grows too far leaves SRAM and
    faults instead of overwriting data. `boot` holds the vectors where they are not in flash. `rams`
    are all memories of the chip by name, for an arena that lies in several.
    """

    name: str
    flash: Region
    sram: Region
    stack_bytes: int = 8 * KIB
    boot: Region | None = None
    rams: tuple[Region, ...] = ()

    def holding(self, parts: Collection[str], margin_bytes: int) -> MemoryMap:
        """The map for an arena in several parts: each in the chip's memory of its name.

        That memory is `margin_bytes` longer, for the guards. All else of the program lies outside
        the chip. Where the chip is not known, all parts lie in SRAM.
        """
        if len(parts) < 2 or not set(parts) <= {r.name for r in self.rams}:
            return replace(self, rams=())
        rams = tuple(replace(r, size_bytes=r.size_bytes + margin_bytes)
                     for r in self.rams if r.name in parts)
        return replace(self, sram=OUTSIDE, rams=rams)

    @property
    def writable(self) -> tuple[Region, ...]:
        """All memories but flash."""
        return (self.sram, *self.rams)


OUTSIDE = Region("sram", 0x6000_0000, 32 * MIB)
"""Where chips address memory outside: all that is not the arena, where that is in several parts."""


def memory_map(
    name: str,
    flash_bytes: int,
    sram_bytes: int,
    flash_origin: int = 0x0800_0000,
    sram_origin: int = 0x2000_0000,
    stack_bytes: int = 8 * KIB,
    rams: tuple[Region, ...] = (),
) -> MemoryMap:
    """A map of one flash and one SRAM, by default where STM32 chips have them."""
    return MemoryMap(name, Region("flash", flash_origin, flash_bytes),
                     Region("sram", sram_origin, sram_bytes), stack_bytes, rams=rams)


GENERIC = memory_map("generic", 32 * MIB, 32 * MIB)
"""Large enough for any model, for questions about speed rather than about a chip."""
