# SPDX-License-Identifier: MIT
"""Cycle model: from executed blocks of instructions to processor cycles.

The numbers and their sources are in cycles.toml. Time is counted per block and per edge between
blocks, so that it costs nothing while the program runs. Instructions that a failed condition of an
IT block skips are taken as executed.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tinyeff.simulator.instructions import Instruction

MULTIPLIES = ("multiply", "multiply_accumulate", "multiply_long", "accumulate_long")
SINGLE_MEMORY = ("load", "store")
MULTI_MEMORY = ("load_multiple", "store_multiple", "load_double", "store_double")


@dataclass(frozen=True)
class CycleModel:
    """Timing of one core; see cycles.toml for what each number means."""

    cpu: str
    pipeline: str
    source: str
    error: str
    cycles: dict[str, int]
    refill: dict[str, int]
    refill_unaligned: int = 0
    load_pipelining: bool = False
    it_folding: bool = False
    issue: int = 1
    memory_per_cycle: int = 1
    words_per_cycle: int = 1
    multiplies_per_cycle: int = 1
    mispredict: int = 0
    divide_min: int = 0
    divide_max: int = 0
    divide_bits: int = 4

    def block_cycles(
        self, block: Sequence[Instruction], before: Sequence[Instruction] = ()
    ) -> int:
        """Cycles of `block` when control falls or jumps into it from the block `before`.

        Divisions count as the shortest one, branches as not taken.
        """
        if self.pipeline == "table":
            return self._table(block)
        return self._scoreboard([*before, *block]) - self._scoreboard(before)

    def branch_cycles(self, last: Instruction, target: Instruction | None) -> int:
        """What a taken branch adds, by the instruction that jumps and the one it jumps to."""
        kind = branch_kind(last)
        late = (target is not None and target.size_bytes == 4 and target.address % 4 != 0)
        return self.refill[kind] + (self.refill_unaligned if late else 0)

    def division_cycles(self, quotient_bits: int) -> int:
        """What a division with a quotient of so many bits adds to the shortest division."""
        longest = self.divide_max - self.divide_min
        return min(longest, -(-quotient_bits // self.divide_bits) + (2 if quotient_bits else 0))

    def _cost(self, i: Instruction) -> int:
        if i.kind in MULTI_MEMORY:
            return self.cycles[i.kind] + -(-i.memory_registers // self.words_per_cycle)
        if i.kind == "store" and i.register_offset:
            return self.cycles["store_register_offset"]
        if i.kind == "divide":
            return self.divide_min
        return self.cycles[branch_kind(i) if i.kind == "branch" else i.kind]

    def _table(self, block: Sequence[Instruction]) -> int:
        total = 0
        before: Instruction | None = None
        for i in block:
            cost = self._cost(i)
            if before is not None and self.load_pipelining and _overlaps(before, i):
                cost = max(1, cost - 1)
            if i.kind == "it" and self.it_folding and before is not None and before.size_bytes == 2:
                cost = 0
            total += cost
            before = i
        return total

    def _scoreboard(self, block: Sequence[Instruction]) -> int:
        """Cycles until the last instruction has been issued; each waits for what it reads."""
        now, issued, memory, multiplies = 0, 0, 0, 0
        ready: dict[str, int] = {}
        for i in block:
            start = max([now, *(ready.get(r, 0) for r in i.reads)])
            is_memory = i.kind in (*SINGLE_MEMORY, *MULTI_MEMORY)
            is_multiply = i.kind in MULTIPLIES
            full = (issued == self.issue or (is_memory and memory == self.memory_per_cycle)
                    or (is_multiply and multiplies == self.multiplies_per_cycle))
            if start == now and full:
                start += 1
            if start > now:
                now, issued, memory, multiplies = start, 0, 0, 0
            issued, memory = issued + 1, memory + is_memory
            multiplies += is_multiply
            cost = self._cost(i)
            for register in i.writes:
                ready[register] = now + cost
            if i.kind in MULTI_MEMORY or i.kind in ("divide", "barrier", "system"):
                now, issued, memory, multiplies = now + cost - 1, self.issue, 0, 0
        return now + 1 if block else 0


def branch_kind(i: Instruction) -> str:
    """Which refill a jump of this instruction takes."""
    if i.kind == "branch":
        return "branch_link" if i.name == "bl" else "branch"
    if i.kind in ("branch_register", "table_branch"):
        return i.kind
    return "load_pc" if i.kind in ("load", "load_multiple") else "branch_register"


def _overlaps(before: Instruction, i: Instruction) -> bool:
    """True where the address phase of `i` runs during the data phase of the load `before`."""
    return (before.kind == "load" and i.kind in SINGLE_MEMORY and not i.writes_pc
            and not before.loads & i.address_registers)


@cache
def _tables() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("cycles.toml").read_text(encoding="utf-8"))


def cycle_model(cpu: str) -> CycleModel | None:
    """The model of a core, or None where there is none (Cortex-M55)."""
    table = _tables().get(cpu)
    return None if table is None else CycleModel(cpu, **table)
