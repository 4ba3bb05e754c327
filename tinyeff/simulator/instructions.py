# SPDX-License-Identifier: MIT
"""Thumb instructions as a cycle model sees them, decoded by capstone."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from tinyeff.simulator.elf import Program, require

_MULTIPLY_LONG = ("smull", "umull")
_ACCUMULATE_LONG = ("smlal", "umlal", "umaal", "smlalbb", "smlalbt", "smlaltb", "smlaltt", "smlald",
                    "smlaldx", "smlsld", "smlsldx")
_ACCUMULATE = ("mla", "mls", "smlabb", "smlabt", "smlatb", "smlatt", "smlawb", "smlawt", "smlad",
               "smladx", "smlsd", "smlsdx", "smmla", "smmlar", "smmls", "smmlsr", "usada8")
_MULTIPLY = ("mul", "smulbb", "smulbt", "smultb", "smultt", "smulwb", "smulwt", "smuad", "smuadx",
             "smusd", "smusdx", "smmul", "smmulr", "usad8")
_BARRIERS = ("dsb", "dmb", "isb")
_SYSTEM = ("mrs", "msr", "cps", "cpsid", "cpsie")

KINDS = {
    **dict.fromkeys(_MULTIPLY_LONG, "multiply_long"),
    **dict.fromkeys(_ACCUMULATE_LONG, "accumulate_long"),
    **dict.fromkeys(_ACCUMULATE, "multiply_accumulate"),
    **dict.fromkeys(_MULTIPLY, "multiply"),
    **dict.fromkeys(_BARRIERS, "barrier"),
    **dict.fromkeys(_SYSTEM, "system"),
    **dict.fromkeys(("udiv", "sdiv"), "divide"),
    **dict.fromkeys(("b", "bl", "cbz", "cbnz"), "branch"),
    **dict.fromkeys(("bx", "blx"), "branch_register"),
    **dict.fromkeys(("tbb", "tbh"), "table_branch"),
    **dict.fromkeys(("push", "stm", "stmdb", "stmia"), "store_multiple"),
    **dict.fromkeys(("pop", "ldm", "ldmdb", "ldmia"), "load_multiple"),
    "ldrd": "load_double",
    "strd": "store_double",
    "it": "it",
}


@dataclass(frozen=True)
class Instruction:
    """One instruction: `kind` selects its timing, the register sets its dependencies.

    `address_registers` are those a load or store computes its address from, `loads` those that a
    load fills from memory; `memory_registers` counts the words of a multiple load or store;
    `writes_pc` marks what may jump, to `target` where the instruction says where;
    `stack_bytes` is by how much it lowers the stack pointer.
    """

    address: int
    size_bytes: int
    name: str
    kind: str
    reads: frozenset[str]
    writes: frozenset[str]
    address_registers: frozenset[str] = frozenset()
    loads: frozenset[str] = frozenset()
    register_offset: bool = False
    memory_registers: int = 1
    writes_pc: bool = False
    target: int | None = None
    stack_bytes: int = 0


@cache
def _disassembler() -> Any:
    capstone = require("capstone")
    mode = capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS | capstone.CS_MODE_V8
    engine = capstone.Cs(capstone.CS_ARCH_ARM, mode)
    engine.detail = True
    return engine


def decode(code: bytes, address: int) -> Iterator[Instruction]:
    """The instructions of `code`, which lies at `address`; unknown ones count as plain."""
    offset = 0
    while offset + 2 <= len(code):
        decoded = False
        for raw in _disassembler().disasm(code[offset:], address + offset):
            decoded = True
            yield _instruction(raw)
            offset += raw.size
        if not decoded:
            (half,) = struct.unpack_from("<H", code, offset)
            size = 4 if half >> 11 in (0b11101, 0b11110, 0b11111) else 2
            yield Instruction(address + offset, size, "unknown", "plain", frozenset(), frozenset())
            offset += size


def _instruction(raw: Any) -> Instruction:
    reads, writes = ({raw.reg_name(r) for r in group} for group in raw.regs_access())
    name: str = raw.insn_name()
    kind = _kind(name)
    memory = [o.mem for o in raw.operands if o.type == 3]  # ARM_OP_MEM
    bases = {raw.reg_name(m.base) for m in memory if m.base}
    offsets = {raw.reg_name(m.index) for m in memory if m.index}
    return Instruction(
        address=raw.address, size_bytes=raw.size, name=name, kind=kind,
        reads=frozenset(reads), writes=frozenset(writes - {"pc"}),
        address_registers=frozenset(bases | offsets), loads=_loads(kind, raw),
        register_offset=bool(offsets),
        memory_registers=_words(name, kind, raw),
        writes_pc="pc" in writes or kind in ("branch", "branch_register", "table_branch"),
        target=raw.operands[-1].imm if kind == "branch" else None,
        stack_bytes=_lowers_stack(name, writes, raw),
    )


def _kind(name: str) -> str:
    if name in KINDS:
        return KINDS[name]
    if name.startswith("ldr"):
        return "load"
    if name.startswith("str"):
        return "store"
    return "plain"


def _loads(kind: str, raw: Any) -> frozenset[str]:
    registers = [raw.reg_name(o.reg) for o in raw.operands if o.type == 1]  # ARM_OP_REG
    count = {"load": 1, "load_double": 2, "load_multiple": len(registers)}.get(kind, 0)
    return frozenset(registers[:count] if kind != "load_multiple" else registers)


def _lowers_stack(name: str, writes: set[str], raw: Any) -> int:
    if name in ("push", "stmdb") and "sp" in writes:
        return 4 * (len(raw.operands) - (name != "push"))
    # Also a store with write-back (str r4, [sp, #-8]!), which starts some small functions.
    immediate = [o.imm for o in raw.operands if o.type == 2]  # ARM_OP_IMM
    if name in ("sub", "subw") and raw.reg_name(raw.operands[0].reg) == "sp" and immediate:
        return int(immediate[-1])
    if name in ("str", "strd") and "sp" in writes:
        return max(0, -int(next(o.mem.disp for o in raw.operands if o.type == 3)))
    return 0


def _words(name: str, kind: str, raw: Any) -> int:
    if kind in ("load_double", "store_double"):
        return 2
    if kind in ("load_multiple", "store_multiple"):
        return len(raw.operands) - (0 if name in ("push", "pop") else 1)
    return 1


def divisions(program: Program) -> list[tuple[int, int, int, bool]]:
    """Every division of the program: address, registers of dividend and divisor, signed or not."""
    found = []
    for start, end in program.code_ranges:
        code = program.read(start, end - start)
        for at in range(0, len(code) - 2, 2):
            first, second = struct.unpack_from("<HH", code, at)
            # SDIV and UDIV, encoding T1: 11111011 10x1 Rn, 1111 Rd 1111 Rm.
            if first & 0xFFD0 == 0xFB90 and second & 0xF0F0 == 0xF0F0:
                found.append((start + at, first & 15, second & 15, not first & 0x20))
    return found
