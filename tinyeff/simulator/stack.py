# SPDX-License-Identifier: MIT
"""The most stack that a linked program can use: the compiler's frames along the deepest calls."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping

from tinyeff.simulator.elf import Program, Symbol
from tinyeff.simulator.instructions import Instruction, decode


def stack_bound(program: Program, frames: Mapping[str, int], entries: Iterable[str]) -> int | None:
    """Bytes of stack below the caller of `entries`, or None where it cannot be known.

    `frames` are the compiler's. A call through a pointer may reach every function whose address
    lies in the program's data. Functions of libraries and assembly, for which the compiler reports
    nothing, count with all that their instructions push. Recursion has no bound.
    """
    graph = _Calls(program, frames)
    depths = [graph.depth(program.symbol(name), ()) for name in entries]
    known = [d for d in depths if d is not None]
    return max(known, default=0) if len(known) == len(depths) else None


class _Calls:
    """Who calls whom, read from the instructions."""

    def __init__(self, program: Program, frames: Mapping[str, int]) -> None:
        self._program, self._frames = program, frames
        self._depths: dict[int, int | None] = {}
        self._pointed = self._address_taken()

    def depth(self, function: Symbol, above: tuple[int, ...]) -> int | None:
        """Bytes from the entry of `function` down to the deepest point it reaches."""
        if function.address in above:
            return None
        if function.address not in self._depths:
            own = self._own(function)
            deepest: int | None = own
            for callee, is_tail in self._callees(function):
                below = self.depth(callee, (*above, function.address))
                if below is None or deepest is None:
                    deepest = None
                else:  # a tail call has given its frame back
                    deepest = max(deepest, below if is_tail else own + below)
            self._depths[function.address] = deepest
        return self._depths[function.address]

    def _own(self, function: Symbol) -> int:
        # Of functions written in assembly the compiler knows nothing, or says 0.
        return self._frames.get(function.name, 0) or sum(
            i.stack_bytes for i in self._instructions(function))

    def _callees(self, function: Symbol) -> list[tuple[Symbol, bool]]:
        return [t for i in self._instructions(function) for t in self._targets(function, i)]

    def _instructions(self, function: Symbol) -> Iterator[Instruction]:
        for start, end in self._program.code_ranges:
            first, last = max(start, function.address), min(end, function.end)
            if first < last:
                yield from decode(self._program.read(first, last - first), first)

    def _targets(self, function: Symbol, i: Instruction) -> list[tuple[Symbol, bool]]:
        if i.kind == "branch" and i.target is not None:
            called = self._program.function_at(i.target)
            # Within a large function, clang uses BL as a jump on cores without wide branches.
            inside = called == function and (i.name != "bl" or i.target != function.address)
            if called is not None and not inside:
                return [(called, i.name != "bl")]
        # Libraries jump within themselves by BX; their calls are direct.
        if (i.kind == "branch_register" and "lr" not in i.reads
                and (i.name == "blx" or function.name in self._frames)):
            return [(f, i.name == "bx") for f in self._pointed if f.address != function.address]
        return []

    def _address_taken(self) -> list[Symbol]:
        """Functions whose address (with the Thumb bit) stands in the program's constants."""
        by_address = {f.address | 1: f for f in self._program.functions
                      if not f.name.startswith("te_emulator")}
        found: dict[int, Symbol] = {}
        for s in self._program.symbols:
            # The generated tables only: literals between instructions are reached by BX too.
            if s.is_function or s.name.startswith("te_emulator") or s.size_bytes < 4 or s.writable:
                continue
            words = self._program.read(s.address, s.size_bytes & ~3)
            for (word,) in struct.iter_unpack("<I", words):
                if word in by_address:
                    found[word] = by_address[word]
        return list(found.values())
