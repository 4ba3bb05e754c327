# SPDX-License-Identifier: MIT
"""A board in Unicorn: core, memory, and a small model of clock and console registers.

A process of its own, since Unicorn is licensed under the GPL; this file imports nothing of tinyeff.
Standard input carries one message: the length of a JSON header (4 bytes, big endian), the header,
and the bytes of the segments it lists. The console is a TCP connection to the port in the header;
when the other side closes it, the process ends.

What is modelled: registers keep what is written to them; a `ready` bit follows its `enable` bit; a
field may be a copy of another; some bits always read as ones. The counter of cycles advances by one
per two bytes of code executed, roughly what a Cortex-M4 takes; SysTick interrupts. Accesses that no
memory and no register answers end in the program's own fault handler, as on the chip.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import select
import socket
import struct
import sys
from collections import deque
from collections.abc import Callable
from typing import Any

PAGE = 4096
MODELS = {"cortex-m0plus": "M0", "cortex-m3": "M3", "cortex-m4": "M4", "cortex-m7": "M7",
          "cortex-m33": "M33"}
SYSTEM = 0xE000_0000
SYSTEM_BYTES = 0x10_0000
SYST_CSR, SYST_RVR, SYST_CVR = 0xE000_E010, 0xE000_E014, 0xE000_E018
DWT_CTRL, DWT_CYCCNT = 0xE000_1000, 0xE000_1004
CFSR, HFSR, BFAR = 0xE000_ED28, 0xE000_ED2C, 0xE000_ED38
RETURN_PAGE = 0xF000_0000
"""Where a handler returns to: never executed."""

RECEIVED, SENT, COMPLETE = 1 << 5, 1 << 7, 1 << 6
STACK_LIMIT = 19
"""Unicorn's number of the exception that a stack limit register raises."""

IDLE_POLLS = 20_000
"""So many polls without a byte, and the program is taken to have nothing else to do."""

LOOK_EVERY = 20_000_000
"""So often a program that never asks for input is checked for whether anybody still listens."""


class Registers:
    """The peripherals' registers, and the console among them."""

    def __init__(self, job: dict[str, Any], console: socket.socket, now: Callable[[], int]) -> None:
        self.job, self.console, self.now = job, console, now
        self.values: dict[int, int] = dict(job["initial"])
        self.ones: dict[int, int] = dict(job["ones"])
        self.uart: int = job["uart"]
        self.first_kind = job["uart_kind"] == 1
        self.waiting: deque[int] = deque()
        self.polls = 0
        self.closed = False
        self.systick_start = 0

    def known(self, address: int) -> bool:
        """Whether a register answers there."""
        return (address >= SYSTEM or self.uart <= address < self.uart + 0x400
                or any(start <= address < start + size for start, size in self.job["registers"]))

    def read(self, address: int) -> int:
        """The word at an aligned address."""
        if self.uart <= address < self.uart + 0x400:
            return self._read_console(address - self.uart)
        if address == DWT_CYCCNT:
            enabled = self.values.get(DWT_CTRL, 0) & 1 and self.job["has_dwt"]
            return self.now() & 0xFFFF_FFFF if enabled else 0
        if address == SYST_CVR:
            return self._systick()
        if address in self.job["silent"]:
            return 0
        return self.values.get(address, 0) | self.ones.get(address, 0)

    def write(self, address: int, value: int) -> None:
        """Write a word."""
        if address == self.uart + (0x04 if self.first_kind else 0x28):
            with contextlib.suppress(OSError):
                self.console.sendall(bytes([value & 0xFF]))
            return
        if address in (SYST_CSR, SYST_CVR):
            self.systick_start = self.now()
        self.values[address] = value
        for rule in self.job["ready"]:
            if rule["at"] == address and rule.get("oscillator") not in self.job["dead"]:
                self._set(rule.get("status", address), 1 << rule["ready"],
                          value >> rule["enable"] & 1)
        for rule in self.job["copies"]:
            if rule["at"] == address:
                mask = (1 << rule["bits"]) - 1
                status = rule.get("status", address)
                old = self.values.get(status, 0) & ~(mask << rule["to"])
                self.values[status] = old | (value >> rule["from"] & mask) << rule["to"]

    def _set(self, address: int, mask: int, on: int) -> None:
        old = self.values.get(address, 0)
        self.values[address] = old | mask if on else old & ~mask

    def _systick(self) -> int:
        if not self.values.get(SYST_CSR, 0) & 1:
            return 0
        period = self.values.get(SYST_RVR, 0) + 1
        return period - 1 - (self.now() - self.systick_start) % period

    # Console ----------------------------------------------------------------------------------

    def _read_console(self, offset: int) -> int:
        if offset == (0x00 if self.first_kind else 0x1C):
            return SENT | COMPLETE | (RECEIVED if self._byte_is_there() else 0)
        if offset == (0x04 if self.first_kind else 0x24):
            self.polls = 0
            return self.waiting.popleft() if self.waiting else 0
        return self.values.get(self.uart + offset, 0)

    def _byte_is_there(self) -> bool:
        if self.waiting:
            return True
        self.polls += 1
        timeout = 0.05 if self.polls > IDLE_POLLS else 0
        if self.polls % 16 and not timeout:
            return False
        self.look(timeout)
        return bool(self.waiting)

    def look(self, timeout: float = 0) -> None:
        """Take what has arrived on the console, or see that nobody is there any more."""
        if select.select([self.console], [], [], timeout)[0]:
            try:
                data = self.console.recv(65536)
            except OSError:
                data = b""
            self.closed = not data
            self.waiting.extend(data)


class Board:
    """A core with memories and registers."""

    def __init__(self, job: dict[str, Any], blobs: list[bytes], console: socket.socket) -> None:
        import unicorn
        from unicorn import arm_const

        self.unicorn, self.arm, self.job = unicorn, arm_const, job
        self.uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
        self.uc.ctl_set_cpu_model(getattr(arm_const, f"UC_CPU_ARM_CORTEX_{MODELS[job['cpu']]}"))
        self.uc.ctl_exits_enabled(True)
        self.uc.ctl_set_exits([RETURN_PAGE])
        self.executed = 0
        self.next_interrupt = 1 << 62
        self.next_look = self.next_stop = LOOK_EVERY
        self.invalid: tuple[int, int] | None = None
        self.exception = 0
        self.registers = Registers(job, console, lambda: self.executed)
        self._map(job)
        for (address, _), data in zip(job["write"], blobs, strict=True):
            self.uc.mem_write(address, data)
        self.uc.hook_add(unicorn.UC_HOOK_MEM_INVALID, self._on_invalid)
        self.uc.hook_add(unicorn.UC_HOOK_INTR, self._on_exception)
        self._count_blocks()

    def _map(self, job: dict[str, Any]) -> None:
        u = self.unicorn
        origin, size = job["flash"]
        self.uc.mem_map(origin, -(-size // PAGE) * PAGE, u.UC_PROT_READ | u.UC_PROT_EXEC)
        for origin, size in job["rams"]:
            self.uc.mem_map(origin, -(-size // PAGE) * PAGE, u.UC_PROT_READ | u.UC_PROT_WRITE)
        self.uc.mem_map(RETURN_PAGE, PAGE, u.UC_PROT_READ | u.UC_PROT_EXEC)
        pages = {SYSTEM // PAGE + n for n in range(SYSTEM_BYTES // PAGE)}
        for start, size in [*job["registers"], [job["uart"], 0x400]]:
            pages |= set(range(start // PAGE, (start + size - 1) // PAGE + 1))
        for page in sorted(pages):
            base = page * PAGE
            self.uc.mmio_map(base, PAGE, self._read, base, self._write, base)

    def _read(self, uc: Any, offset: int, size: int, base: int) -> int:
        address = base + offset
        if not self.registers.known(address):
            self._stop(address)
            return 0
        word = self.registers.read(address & ~3)
        if self.registers.closed:
            self.uc.emu_stop()
        return word >> 8 * (address & 3) & ((1 << 8 * size) - 1)

    def _write(self, uc: Any, offset: int, size: int, value: int, base: int) -> None:
        address = base + offset
        if not self.registers.known(address):
            self._stop(address)
            return
        self.registers.write(address & ~3, value)
        if address in (SYST_CSR, SYST_RVR):
            self._plan_interrupt()

    def _stop(self, address: int) -> None:
        self.invalid = (address, 0x8200)
        self.uc.emu_stop()

    def _on_invalid(self, uc: Any, access: int, address: int, size: int, value: int,
                    data: object) -> bool:
        fetch = access in (self.unicorn.UC_MEM_FETCH_UNMAPPED, self.unicorn.UC_MEM_FETCH_PROT)
        self.invalid = (address, 0x0100 if fetch else 0x8200)
        return False

    def _on_exception(self, uc: Any, number: int, data: object) -> None:
        # Below the stack limit; else an undefined instruction, or what this core cannot do.
        self.invalid = (self._register("SP"), 1 << 20 if number == STACK_LIMIT else 1 << 16)
        uc.emu_stop()

    # Counting and interrupts ------------------------------------------------------------------

    def _count_blocks(self) -> None:
        def on_block(uc: Any, address: int, size: int) -> None:
            self.executed += (size & 0xFFFF_FFFF) >> 1
            if self.executed >= self.next_stop:
                self.uc.emu_stop()

        try:
            from unicorn.unicorn_py3.unicorn import uclib
        except ImportError:
            uclib = None
        if uclib is None or not hasattr(self.uc, "_uch"):
            self.uc.hook_add(self.unicorn.UC_HOOK_BLOCK, lambda *given: on_block(*given[:3]))
            return
        # The package's own wrapper around callbacks takes as long as the emulation itself.
        prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64)
        self.callback, handle = prototype(on_block), ctypes.c_size_t()
        uclib.uc_hook_add(
            self.uc._uch, ctypes.byref(handle), self.unicorn.UC_HOOK_BLOCK,
            ctypes.cast(self.callback, ctypes.c_void_p), ctypes.c_void_p(0), ctypes.c_uint64(1),
            ctypes.c_uint64(0))

    def _plan_interrupt(self) -> None:
        values = self.registers.values
        self.next_interrupt = 1 << 62
        if values.get(SYST_CSR, 0) & 3 == 3:
            self.next_interrupt = self.executed + values.get(SYST_RVR, 0) + 1
        self.next_stop = min(self.next_interrupt, self.next_look)

    def _vector(self, number: int) -> int:
        table = self.job["flash"][0] + 4 * number
        return int(struct.unpack("<I", bytes(self.uc.mem_read(table, 4)))[0])

    def _interrupt(self) -> None:
        """Run the handler of SysTick as the core would between two instructions."""
        self.next_interrupt += self.registers.values.get(SYST_RVR, 0) + 1
        self.next_stop = min(self.next_interrupt, self.next_look)
        context = self.uc.context_save()
        self._set_register("LR", RETURN_PAGE | 1)
        self.uc.emu_start(self._vector(15) | 1, 0)
        self.uc.context_restore(context)

    # Running ----------------------------------------------------------------------------------

    def _register(self, name: str) -> int:
        return int(self.uc.reg_read(getattr(self.arm, f"UC_ARM_REG_{name}")))

    def _set_register(self, name: str, value: int) -> None:
        self.uc.reg_write(getattr(self.arm, f"UC_ARM_REG_{name}"), value)

    def run(self) -> None:
        """From reset until the console is closed, or a fault inside the fault handler."""
        self._set_register("SP", self._vector(0))
        pc, faults = self._vector(1), 0
        while not self.registers.closed:
            try:
                self.uc.emu_start(pc | 1, 0)
            except self.unicorn.UcError as error:
                if self.invalid is None:
                    print(f"the emulated board stopped at 0x{self._register('PC'):08x}: {error}",
                          file=sys.stderr)
                    return
            pc = self._register("PC")
            if self.invalid is not None:
                faults += 1
                if faults > 1:
                    print(f"the emulated board locked up at 0x{pc:08x}", file=sys.stderr)
                    return
                pc = self._fault(pc)
            elif self.executed >= self.next_interrupt:
                self._interrupt()
            elif self.executed >= self.next_look:
                self.registers.look()
                self.next_look = self.executed + LOOK_EVERY
                self.next_stop = min(self.next_interrupt, self.next_look)

    def _fault(self, pc: int) -> int:
        """What the core does on a fault: a frame on the stack, and on to the handler."""
        assert self.invalid is not None
        address, status = self.invalid
        self.invalid = None
        print(f"the emulated board faulted at 0x{pc:08x}, address 0x{address:08x}",
              file=sys.stderr)
        frame = [self._register(n) for n in ("R0", "R1", "R2", "R3", "R12", "LR")]
        stack = self._register("SP") - 32
        with contextlib.suppress(self.unicorn.UcError):  # a stack that is no memory stays as it is
            self.uc.mem_write(stack, struct.pack("<8I", *frame, pc, self._register("XPSR")))
        self._set_register("SP", stack)
        number = 3 if self.job["cpu"] == "cortex-m0plus" else 6 if status >> 16 else 5
        self.registers.values.update({CFSR: status, BFAR: address})
        self._set_register("XPSR", number | 1 << 24)
        return self._vector(number)


def main() -> None:
    """Read the job, connect, run."""
    stream = sys.stdin.buffer
    (length,) = struct.unpack(">I", stream.read(4))
    job = json.loads(stream.read(length))
    blobs = [stream.read(n) for _, n in job["write"]]
    console = socket.create_connection(("127.0.0.1", job["port"]))
    console.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        Board(job, blobs, console).run()
    finally:
        console.close()


if __name__ == "__main__":
    main()
