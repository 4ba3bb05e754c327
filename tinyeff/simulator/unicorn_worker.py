# SPDX-License-Identifier: MIT
"""Runs one job in Unicorn; a process of its own, since Unicorn is licensed under the GPL.

Started by `unicorn_engine`. Standard input and output carry one message each: the length of a
JSON header (4 bytes, big endian), the header, and the blobs whose lengths the header lists. This
file imports nothing of tinyeff.
"""

from __future__ import annotations

import ctypes
import json
import struct
import sys
from array import array
from collections.abc import Callable
from typing import Any, BinaryIO

PAGE = 4096
OUTSIDE = -2  # key of what runs between two watched functions
START = -1
IT_STATE = 0x0600_FC00  # of XPSR
MODELS = {"cortex-m0plus": "M0", "cortex-m3": "M3", "cortex-m4": "M4", "cortex-m7": "M7",
          "cortex-m33": "M33"}


def send(stream: BinaryIO, header: dict[str, Any], blobs: list[bytes]) -> None:
    """Write one message."""
    text = json.dumps({**header, "blobs": [len(b) for b in blobs]}).encode()
    stream.write(struct.pack(">I", len(text)) + text + b"".join(blobs))
    stream.flush()


def receive(stream: BinaryIO) -> tuple[dict[str, Any], list[bytes]]:
    """Read one message."""
    (length,) = struct.unpack(">I", stream.read(4))
    header: dict[str, Any] = json.loads(stream.read(length))
    return header, [stream.read(n) for n in header["blobs"]]


class FaultError(Exception):
    """The program did what no program may do."""

    def __init__(self, what: str, pc: int, address: int | None, size: int = 0) -> None:
        super().__init__(what)
        self.report = {"what": what, "pc": pc, "address": address, "size": size}


class Machine:
    """A core with flash and SRAM, and the counters."""

    def __init__(self, job: dict[str, Any]) -> None:
        import unicorn
        from unicorn import arm_const

        self.uc_module, self.arm, self.job = unicorn, arm_const, job
        # Not UC_MODE_MCLASS: it overrides the model with a Cortex-M33.
        self.uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
        model = getattr(arm_const, f"UC_CPU_ARM_CORTEX_{MODELS[job['cpu']]}")
        self.uc.ctl_set_cpu_model(model)
        self.uc.ctl_exits_enabled(True)
        flash = unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC
        for name, origin, size in job["regions"]:
            rights = flash if name == "flash" else unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE
            self.uc.mem_map(origin, -(-size // PAGE) * PAGE, rights)
        self.fault: FaultError | None = None
        self.invalid: tuple[int, int, int] | None = None
        self.uc.hook_add(unicorn.UC_HOOK_MEM_INVALID, self._on_invalid)
        self.uc.hook_add(unicorn.UC_HOOK_INTR, self._on_exception)
        self.keep: list[Any] = []
        # {block before << 32 | block: times} of the interval that is being counted
        self.edges: dict[int, int] = {}
        self.sizes: dict[int, int] = {}
        self.divided: dict[tuple[int, int], int] = {}
        self.misses: dict[int, int] = {}
        self.key = OUTSIDE
        self.intervals: dict[int, tuple[dict[int, int], dict[tuple[int, int], int]]] = {}
        self.accesses = {name: [0, 0, 0, 0] for name, _, _ in job["regions"]}
        self.unaligned: dict[int, int] = {}
        self.trace: list[bytes] = []
        self.counting = False
        # Books the branch that left a watched function, to "block" 0.
        self.book_return: Callable[[], None] = lambda: None

    # Faults -----------------------------------------------------------------------------------

    def _on_invalid(self, uc: Any, access: int, address: int, size: int, value: int,
                    data: object) -> bool:
        self.invalid = (access, address, size)
        return False

    def _on_exception(self, uc: Any, number: int, data: object) -> None:
        pc = self.register("PC")
        names = {1: "undefined instruction", 2: "supervisor call", 3: "jump out of Thumb code",
                 4: "unaligned access", 7: "breakpoint"}
        self.fault = FaultError(names.get(number, f"exception {number}"), pc, None)
        uc.emu_stop()

    def _fault_of(self, error: Exception) -> FaultError:
        u, pc = self.uc_module, self.register("PC")
        if self.invalid is None:
            undefined = getattr(error, "errno", None) == u.UC_ERR_INSN_INVALID
            return FaultError("undefined instruction" if undefined else str(error), pc, None)
        access, address, size = self.invalid
        what = {
            u.UC_MEM_READ_UNMAPPED: "read of unmapped memory",
            u.UC_MEM_WRITE_UNMAPPED: "write to unmapped memory",
            u.UC_MEM_FETCH_UNMAPPED: "jump into unmapped memory",
            u.UC_MEM_WRITE_PROT: "write to flash",
            u.UC_MEM_FETCH_PROT: "jump into SRAM",
        }.get(access, "forbidden access")
        return FaultError(what, pc, address, size)

    def register(self, name: str) -> int:
        """The value of a core register."""
        return int(self.uc.reg_read(getattr(self.arm, f"UC_ARM_REG_{name}")))

    def leave_it(self) -> None:
        """Clear the IT state that Unicorn 2.1 leaves behind where an access is watched.

        The next block of code would skip its first instructions; what follows in this one has been
        translated with its conditions.
        """
        state = self.register("XPSR")
        if state & IT_STATE:
            self.uc.reg_write(self.arm.UC_ARM_REG_XPSR, state & ~IT_STATE)

    # Running ----------------------------------------------------------------------------------

    def advance(self, pc: int, stops: list[int]) -> int:
        """Run from `pc` until one of `stops` is about to be executed; which one."""
        self.uc.ctl_set_exits(stops)
        self.uc.ctl_flush_tb()  # code that is translated already knows nothing of new exits
        try:
            self.uc.emu_start(pc | 1, 0)
        except self.uc_module.UcError as error:
            raise self._fault_of(error) from None
        if self.fault is not None:
            raise self.fault
        return self.register("PC") & ~1

    def run(self) -> None:
        """From reset until the program has finished, counting inside watched functions."""
        stack, reset = struct.unpack("<II", bytes(self.uc.mem_read(self.job["vectors"], 8)))
        self.uc.reg_write(self.arm.UC_ARM_REG_SP, stack)
        finished, watched = self.job["finished"], self.job["watched"]
        pc = self.advance(reset & ~1, [*watched, finished])
        if pc != finished:
            self._install_counters()
        key = START
        while pc != finished:
            back = self.register("LR") & ~1
            self.switch(key)
            pc = self.advance(pc, [back])
            self.book_return()
            key = self.key
            self.switch(OUTSIDE)
            pc = self.advance(pc, [*watched, finished])

    # Counting ---------------------------------------------------------------------------------

    def switch(self, key: int) -> None:
        """Book what was counted so far under the current key and go on under `key`."""
        edges, divided = self.intervals.setdefault(self.key, ({}, {}))
        for edge, count in self.edges.items():
            edges[edge] = edges.get(edge, 0) + count
        for division, count in self.divided.items():
            divided[division] = divided.get(division, 0) + count
        self.edges.clear()
        self.divided.clear()
        self.key = key
        self.counting = key != OUTSIDE

    def _install_counters(self) -> None:
        u = self.uc_module
        for address in self.job["layer_functions"]:  # before the hook that counts the block
            self.uc.hook_add(u.UC_HOOK_BLOCK, self._on_layer, begin=address, end=address)
        if self.job["data_cache"]:
            self._hook_flash_reads(*self.job["data_cache"])
        if self.job["trace"] is not None:
            self.uc.hook_add(u.UC_HOOK_CODE, self._on_trace, begin=self.job["trace"],
                             end=self.job["trace"])
        if self.job["count"] == "nothing":
            return
        self._hook_blocks()
        for address, n, m, signed in self.job["divisions"]:
            self.uc.hook_add(u.UC_HOOK_CODE, self._division_counter(n, m, signed),
                             begin=address, end=address)
        if self.job["count"] == "memory":
            self.uc.hook_add(u.UC_HOOK_MEM_READ | u.UC_HOOK_MEM_WRITE, self._on_access)

    def _hook_blocks(self) -> None:
        edges, sizes, last = self.edges, self.sizes, 0

        def on_block(uc: Any, address: int, size: int) -> None:
            nonlocal last
            key = last << 32 | address
            try:
                edges[key] += 1
            except KeyError:
                edges[key] = 1
                sizes[address] = size & 0xFFFF_FFFF  # declared wider than it is
            last = address

        def book_return() -> None:
            if self.counting:
                edges[last << 32] = edges.get(last << 32, 0) + 1

        self.book_return = book_return
        self._hook_fast(self.uc_module.UC_HOOK_BLOCK, on_block)

    def _hook_flash_reads(self, line_bytes: int, lines: int) -> None:
        cache: dict[int, None] = {}  # the line used last stands last
        last = -1

        def on_read(uc: Any, access: int, address: int) -> None:
            nonlocal last
            self.leave_it()
            line = address // line_bytes
            if line == last:
                return
            last = line
            if line in cache:
                del cache[line]
            else:
                self.misses[self.key] = self.misses.get(self.key, 0) + 1
                if len(cache) == lines:
                    del cache[next(iter(cache))]
            cache[line] = None

        for name, origin, size in self.job["regions"]:
            if name == "flash":
                self._hook_fast(self.uc_module.UC_HOOK_MEM_READ, on_read, origin,
                                origin + size - 1)

    def _hook_fast(
        self, kind: int, call: Callable[[Any, int, int], None], begin: int = 1, end: int = 0
    ) -> None:
        """Unicorn's own wrapper around callbacks takes as long as the emulation itself.

        A callback gets the first three arguments: (engine, address, size) for blocks, (engine,
        kind of access, address) for memory.
        """
        library = self._library()
        if library is None:
            self.uc.hook_add(kind, lambda *arguments: call(*arguments[:3]), begin=begin, end=end)
            return
        # Arguments that a callback does not declare are left where the caller put them.
        prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64)
        callback, handle = prototype(call), ctypes.c_size_t()
        self.keep.append(callback)
        status = library.uc_hook_add(
            self.uc._uch, ctypes.byref(handle), kind, ctypes.cast(callback, ctypes.c_void_p),
            ctypes.c_void_p(0), ctypes.c_uint64(begin), ctypes.c_uint64(end),
        )
        if status != 0:
            raise RuntimeError(f"uc_hook_add: {status}")

    def _library(self) -> Any:
        """The C library beneath the package, or None where another version of it hides that."""
        try:
            from unicorn.unicorn_py3.unicorn import uclib
        except ImportError:
            return None
        return uclib if hasattr(self.uc, "_uch") else None

    def _on_layer(self, uc: Any, address: int, size: int, data: object) -> None:
        first_argument = self.register("R0")
        if (self.counting and first_argument != self.key
                and first_argument in self.job["layer_keys"]):
            self.switch(first_argument)

    def _on_trace(self, uc: Any, address: int, size: int, data: object) -> None:
        """Keep what trace(tensor, y, x0, x1, row, pitch) is given."""
        values = [self.register(f"R{n}") for n in range(4)]
        row, pitch = struct.unpack("<II", bytes(uc.mem_read(self.register("SP"), 8)))
        self.trace.append(struct.pack("<5I", *values, pitch))
        length = (values[3] - values[2]) * pitch
        if length > 0:
            self.trace.append(bytes(uc.mem_read(row, length)))

    def _division_counter(self, n: int, m: int, signed: bool) -> Callable[..., None]:
        registers = [getattr(self.arm, f"UC_ARM_REG_R{i}") if i < 13 else
                     getattr(self.arm, f"UC_ARM_REG_{('SP', 'LR')[i - 13]}") for i in (n, m)]

        def on_division(uc: Any, address: int, size: int, data: object) -> None:
            dividend, divisor = (int(uc.reg_read(r)) for r in registers)
            if signed:
                dividend, divisor = (abs(v - (v >> 31 << 32)) for v in (dividend, divisor))
            bits = dividend.bit_length() - divisor.bit_length() + 1 if divisor else 0
            at = (address, max(0, bits))
            self.divided[at] = self.divided.get(at, 0) + 1

        return on_division

    def _on_access(self, uc: Any, access: int, address: int, size: int, value: int,
                   data: object) -> None:
        self.leave_it()
        if not self.counting:
            return
        offset = 2 if access == self.uc_module.UC_MEM_WRITE else 0
        for name, origin, region_size in self.job["regions"]:
            if origin <= address < origin + region_size:
                self.accesses[name][offset] += 1
                self.accesses[name][offset + 1] += size
        if address % size and len(self.unaligned) < 16:
            self.unaligned.setdefault(self.register("PC"), address)


def answer(job: dict[str, Any], blobs: list[bytes]) -> tuple[dict[str, Any], list[bytes]]:
    """Run a job: header and blobs of the reply."""
    machine = Machine(job)
    for (address, _), blob in zip(job["write"], blobs, strict=True):
        if blob:
            machine.uc.mem_write(address, blob)
    try:
        machine.run()
    except FaultError as fault:
        return {"fault": fault.report}, []
    memory = [bytes(machine.uc.mem_read(address, size)) if size else b""
              for address, size in job["read"]]
    intervals, edges = [], []
    for key, (counts, divided) in machine.intervals.items():
        missed = machine.misses.get(key, 0)
        if key == OUTSIDE or not (counts or missed):
            continue
        flat = array("Q")
        for edge, count in counts.items():
            flat.extend((edge >> 32, edge & 0xFFFF_FFFF, count))
        intervals.append({"key": key, "flash_misses": missed,
                          "divisions": [[*at, n] for at, n in divided.items()]})
        edges.append(flat.tobytes())
    header = {
        "intervals": intervals,
        "sizes": list(machine.sizes.items()),
        "accesses": machine.accesses if job["count"] == "memory" else {},
        "unaligned": list(machine.unaligned.items()),
    }
    return header, [*memory, b"".join(machine.trace), *edges]


def main() -> None:
    """Read a job, run it, write the reply."""
    header, blobs = receive(sys.stdin.buffer)
    try:
        reply = answer(header, blobs)
    except ImportError as error:
        reply = {"missing": str(error)}, []
    send(sys.stdout.buffer, *reply)


if __name__ == "__main__":
    main()
