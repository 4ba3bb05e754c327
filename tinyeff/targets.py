# SPDX-License-Identifier: MIT
"""The CPUs that code is generated for: instruction set, kernel path, and both compilers' flags."""

from __future__ import annotations

from dataclasses import dataclass

from tinyeff.errors import UsageError
from tinyeff.ir import Optimize, Target

_GCC = ("-mthumb", "-mfloat-abi=soft")
_ZIG = ("-target", "thumb-freestanding-eabi")


@dataclass(frozen=True)
class Cpu:
    """One core: which of the optional instruction sets it has, and how compilers are told.

    `path` names the kernel family it gets (portable, dsp, mve). `gcc_flags` are for
    arm-none-eabi-gcc, `zig_flags` for `zig cc`; both are empty for the host.
    """

    name: str
    architecture: str
    dsp: bool
    mve: bool
    path: str
    gcc_flags: tuple[str, ...] = ()
    zig_flags: tuple[str, ...] = ()

    @property
    def is_arm(self) -> bool:
        """False for the host, which compiles with the machine's own compiler."""
        return bool(self.gcc_flags)

    def flags(self, compiler: str) -> tuple[str, ...]:
        """The flags of `compiler`, "gcc" or "zig"."""
        return {"gcc": self.gcc_flags, "zig": self.zig_flags}[compiler]


CPUS: dict[str, Cpu] = {
    cpu.name: cpu
    for cpu in (
        # The host runs, natively, the code that a Cortex-M4 gets.
        Cpu("host", "native", dsp=True, mve=False, path="dsp"),
        Cpu("cortex-m0plus", "Armv6-M", False, False, "portable",
            ("-mcpu=cortex-m0plus", *_GCC), (*_ZIG, "-mcpu=cortex_m0plus")),
        Cpu("cortex-m3", "Armv7-M", False, False, "portable",
            ("-mcpu=cortex-m3", *_GCC), (*_ZIG, "-mcpu=cortex_m3")),
        Cpu("cortex-m4", "Armv7E-M", True, False, "dsp",
            ("-mcpu=cortex-m4", *_GCC), (*_ZIG, "-mcpu=cortex_m4")),
        Cpu("cortex-m7", "Armv7E-M", True, False, "dsp",
            ("-mcpu=cortex-m7", *_GCC), (*_ZIG, "-mcpu=cortex_m7")),
        # zig's cortex_m33 leaves the DSP extension out; every STM32 with a Cortex-M33 has it.
        Cpu("cortex-m33", "Armv8-M.main", True, False, "dsp",
            ("-mcpu=cortex-m33", *_GCC), (*_ZIG, "-mcpu=cortex_m33+dsp")),
        # Both compilers give MVE only where vectors may be passed in registers.
        Cpu("cortex-m55", "Armv8.1-M.main", True, True, "mve",
            ("-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard"),
            ("-target", "thumb-freestanding-eabihf", "-mcpu=cortex_m55+mve")),
    )
}


COMPILER_LEVELS: dict[Optimize, str] = {"speed": "-O2", "balanced": "-O2", "size": "-Os"}
"""The compilers' own option for each --optimize."""


def cpu_named(name: str) -> Cpu:
    """The CPU called `name`; UsageError names the known ones."""
    if name not in CPUS:
        raise UsageError(f"--cpu {name} is not known; use one of {', '.join(CPUS)}")
    return CPUS[name]


def target_for(name: str, optimize: Optimize = "balanced") -> Target:
    """The target of code generation for the CPU called `name`."""
    return Target(name, cpu_named(name).path, optimize)
