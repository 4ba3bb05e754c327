# SPDX-License-Identifier: MIT
"""The engine for Cortex-M55 with MVE, and a second opinion on M4 and M7: qemu-system-arm.

QEMU runs as a program. Inputs are loaded with its `loader` device; the program itself writes what
is asked for into a file by semihosting. Under `-icount` an instruction takes exactly 2**SHIFT ns of
virtual time, so that a timer of the machine counts instructions to the digit.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyeff.errors import InternalError, MissingProgramError, UnsupportedError, UsageError
from tinyeff.simulator.engine import Engine, Job, LayerTime, Run
from tinyeff.simulator.memory_map import KIB, MIB, MemoryMap, Region, memory_map

PROGRAM = "qemu-system-arm"
HOW_TO_GET = ("install QEMU 7 or later (Debian: apt install qemu-system-arm, macOS: brew install "
              "qemu, Windows: https://www.qemu.org/download) and put it on PATH")

SHIFT = 7
"""128 ns per instruction: more than 3 ticks of every timer below, so that rounding is exact."""

COARSE_SHIFT = 2
"""4 ns per instruction: the 32 bits of a timer last for 30 times as long."""

EMPTY_INSTRUCTIONS = 2
"""What the empty functions of emulator_main.c.j2 execute."""


@dataclass(frozen=True)
class Machine:
    """One of QEMU's boards: its memory, and a timer of `timer_hz` for the start-up code."""

    name: str
    memory: MemoryMap
    defines: tuple[str, ...]
    timer_hz: int


# MPS2 and MPS3 are Arm's own boards; the program starts from the SRAM at address 0.
_MPS2 = memory_map("an MPS2 board", 4 * MIB, 4 * MIB, flash_origin=0)
MACHINES: dict[str, Machine] = {
    "cortex-m4": Machine("mps2-an386", _MPS2, ("TE_EMULATOR_CMSDK_TIMER=0x40000000u",), 25_000_000),
    "cortex-m7": Machine("mps2-an500", _MPS2, ("TE_EMULATOR_CMSDK_TIMER=0x40000000u",), 25_000_000),
    # Its memory at address 0 is small; the rest lies in the board's DRAM.
    "cortex-m55": Machine(
        "mps3-an547",
        MemoryMap("an MPS3 board", Region("flash", 0x6000_0000, 64 * MIB),
                  Region("sram", 0x7000_0000, 64 * MIB), boot=Region("boot", 0, 512 * KIB)),
        ("TE_EMULATOR_SSE_COUNTER=0x58100000u",), 32_000_000,
    ),
}


def machine_for(cpu: str) -> Machine:
    """QEMU's machine with that core; UnsupportedError names the cores that have one."""
    if cpu not in MACHINES:
        raise UnsupportedError(f"engine qemu has no machine with {cpu}; it has "
                               f"{', '.join(MACHINES)}")
    return MACHINES[cpu]


class QemuEngine(Engine):
    """Runs jobs in qemu-system-arm; counts instructions in total, not by block."""

    name = "qemu"
    can_trace = False

    def run(self, job: Job) -> Run:
        """Run the job; InternalError where the program faults, with function and line."""
        if job.count == "memory":
            raise UsageError("engine qemu cannot profile memory; use --engine unicorn "
                             "with a core that it knows")
        program = shutil.which(PROGRAM)
        if program is None:
            raise MissingProgramError(f"{job.cpu} is emulated by {PROGRAM}, which was not found: "
                                      f"{HOW_TO_GET}")
        machine = machine_for(job.cpu)
        record = job.program.symbol("te_emulator_result")
        reads = [*job.read, (record.address, record.size_bytes)]
        if job.program.has("te_emulator_layers"):
            layers = job.program.symbol("te_emulator_layers")
            reads.append((layers.address, layers.size_bytes))
        with tempfile.TemporaryDirectory(prefix="tinyeff-qemu-") as name:
            folder = Path(name)
            _execute([program, *_arguments(job, machine, folder, reads)], folder, job)
            dump = (folder / "dump.bin").read_bytes()
        blocks = _split(dump, [size for _, size in reads])
        return _run_of(job, machine, blocks)


def _shift(job: Job) -> int:
    return COARSE_SHIFT if job.count == "nothing" else SHIFT


def _run_of(job: Job, machine: Machine, blocks: Sequence[bytes]) -> Run:
    per_tick = 1_000_000_000 / (machine.timer_hz << _shift(job))
    words = struct.unpack("<8I", blocks[len(job.read)])
    if words[4]:
        raise InternalError(_fault(job, *words[5:]))
    empty, full = (round(ticks * per_tick) for ticks in words[2:4])
    layers = [LayerTime(params, ticks * per_tick, calls)
              for table in blocks[len(job.read) + 1 :]
              for params, calls, ticks in struct.iter_unpack("<IIQ", table) if calls]
    return Run(
        tuple(blocks[: len(job.read)]), layers=tuple(layers), wrap=round(per_tick * (1 << 32)),
        instructions=full - empty + EMPTY_INSTRUCTIONS * job.watched_calls,
    )


def _arguments(
    job: Job, machine: Machine, folder: Path, reads: Sequence[tuple[int, int]]
) -> list[str]:
    dump = job.program.symbol("te_emulator_dump")
    table = b"".join(struct.pack("<II", address, size) for address, size in reads)
    code = {s.address: s.data for s in job.program.segments}
    # What lies at address 0 goes in as the kernel, the rest beside it. As an ELF file, memory that
    # is not to be initialized would collide with what fills it.
    (folder / "kernel.bin").write_bytes(code.pop(0))
    fill = [*code.items(), *job.fill, (dump.address, table.ljust(dump.size_bytes, b"\0"))]
    devices = []
    for number, (address, data) in enumerate(fill):
        if data:
            (folder / f"fill{number}.bin").write_bytes(data)
            devices += ["-device", f"loader,file=fill{number}.bin,addr=0x{address:x},force-raw=on"]
    return ["-machine", machine.name, "-display", "none", "-serial", "none", "-monitor", "none",
            "-icount", f"shift={_shift(job)},align=off,sleep=off",
            "-semihosting-config", "enable=on,target=native",
            "-kernel", "kernel.bin", *devices]


def _execute(command: Sequence[str], folder: Path, job: Job) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True,
                              errors="replace", check=False, timeout=job.timeout_seconds,
                              stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise InternalError(f"the emulated program was still running after "
                            f"{job.timeout_seconds:.0f} seconds; it may never end") from None
    if done.returncode != 0 or not (folder / "dump.bin").exists():
        raise InternalError(f"{PROGRAM} ended with {done.returncode} before the program had "
                            f"finished:\n{(done.stdout + done.stderr).strip()[-4000:]}")


def _split(data: bytes, sizes: Sequence[int]) -> list[bytes]:
    parts, at = [], 0
    for size in sizes:
        parts.append(data[at : at + size])
        at += size
    if at != len(data):
        raise InternalError(f"{PROGRAM} wrote {len(data)} bytes of memory instead of {at}")
    return parts


def _fault(job: Job, pc: int, status: int, address: int) -> str:
    kinds = {0x8200: "access to unmapped memory", 0x0100_0000: "unaligned access",
             0x0200_0000: "division by zero", 0x0001_0000: "undefined instruction",
             0x0008_0000: "no coprocessor", 0x0002_0000: "jump out of Thumb code"}
    what = next((text for bits, text in kinds.items() if status & bits == bits),
                f"fault with CFSR 0x{status:08x}")
    where = f" at 0x{address:08x}" if status & 0x8000 else ""
    return (f"the emulated program stopped in {job.program.place(pc)}: {what}{where}. "
            "Generated code must never do this: please report it with the model")
