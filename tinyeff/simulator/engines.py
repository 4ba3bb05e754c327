# SPDX-License-Identifier: MIT
"""Which engine runs which core, and on which memory map."""

from __future__ import annotations

from dataclasses import dataclass

from tinyeff.errors import UsageError
from tinyeff.simulator import qemu_engine, unicorn_engine
from tinyeff.simulator.engine import Engine
from tinyeff.simulator.memory_map import GENERIC, MemoryMap
from tinyeff.targets import Cpu

ENGINES = ("unicorn", "qemu")


@dataclass(frozen=True)
class Choice:
    """An engine, the memory to link for, and what the start-up code must know of the machine."""

    engine: Engine
    memory: MemoryMap
    defines: tuple[str, ...] = ()


def choose_engine(cpu: Cpu, name: str | None, memory: MemoryMap | None) -> Choice:
    """The engine called `name`, or the one that knows the core, preferring Unicorn.

    QEMU's machines have their own memory maps: a chip's map is for Unicorn only.
    """
    if name not in (None, *ENGINES):
        raise UsageError(f"engine {name} is not known; use one of {', '.join(ENGINES)}")
    if not cpu.is_arm:
        raise UsageError(f"{cpu.name} is not an emulated core; use one of "
                         f"{', '.join((*unicorn_engine.CORES, *qemu_engine.MACHINES))}")
    if name == "unicorn" or (name is None and cpu.name in unicorn_engine.CORES):
        return Choice(unicorn_engine.UnicornEngine(), memory or GENERIC)
    machine = qemu_engine.machine_for(cpu.name)
    return Choice(qemu_engine.QemuEngine(), machine.memory, machine.defines)
