# SPDX-License-Identifier: MIT
"""From what an engine counted to instructions and cycles per layer and per function."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyeff.simulator.cycles import CycleModel
from tinyeff.simulator.elf import Program
from tinyeff.simulator.engine import Interval, LayerTime, Run
from tinyeff.simulator.flash import FlashTiming, fetch_stalls
from tinyeff.simulator.harness import ModelInterface
from tinyeff.simulator.instructions import Instruction, decode

UNKNOWN = "?"
FLASH_READS = "(waiting for data in flash)"
"""Stands among the functions where cycles are counted with wait states."""


@dataclass(frozen=True)
class FunctionCount:
    """What one function executed, without the functions it called; `flash_bytes` is its code.

    Functions of several sources that have the same name are called `source.c:name`.
    `cycles` is None for a core without a cycle model.
    """

    name: str
    instructions: int
    cycles: int | None
    flash_bytes: int


@dataclass(frozen=True)
class LayerCount:
    """What ran for one layer, down to the functions it used."""

    name: str
    kind: str
    macs: int
    instructions: int
    cycles: int | None
    functions: tuple[FunctionCount, ...] = ()

    @property
    def instructions_per_mac(self) -> float | None:
        """None for layers that multiply nothing."""
        return self.instructions / self.macs if self.macs else None


class Accountant:
    """Adds up intervals of one run; decodes every block once."""

    def __init__(
        self, program: Program, run: Run, model: CycleModel | None,
        flash: FlashTiming | None = None,
    ) -> None:
        self._program, self._model, self._flash = program, model, flash
        self._blocks = {
            address: tuple(decode(program.read(address, size), address))
            for address, size in run.block_bytes.items()
        }
        self._costs: dict[tuple[int, int], int] = {}
        names = Counter(f.name for f in program.functions)
        self._names = {f.address: f"{f.source}:{f.name}" if names[f.name] > 1 and f.source
                       else f.name for f in program.functions}

    def functions(self, intervals: Iterable[Interval]) -> tuple[FunctionCount, ...]:
        """What each function executed during `intervals`, the most expensive first."""
        instructions: dict[str, int] = defaultdict(int)
        cycles: dict[str, int] = defaultdict(int)
        for interval in intervals:
            self._count_blocks(interval, instructions, cycles)
            if self._model is not None:
                self._count_branches(self._model, interval, cycles)
                for (address, bits), times in interval.divisions.items():
                    cycles[self._name(address)] += times * self._model.division_cycles(bits)
                if self._flash is not None:
                    self._count_stalls(self._model, self._flash, interval, cycles)
        sizes = {self._names[f.address]: f.size_bytes for f in self._program.functions}
        counts = [
            FunctionCount(name, count, cycles[name] if self._model else None, sizes.get(name, 0))
            for name, count in instructions.items()
        ]
        if FLASH_READS in cycles:
            counts.append(FunctionCount(FLASH_READS, 0, cycles[FLASH_READS], 0))
        return _by_cost(counts)

    def _function(self, address: int) -> int:
        function = self._program.function_at(address)
        return function.address if function else address

    def _name(self, address: int) -> str:
        function = self._program.function_at(address)
        return self._names[function.address] if function else UNKNOWN

    def _count_blocks(
        self, interval: Interval, instructions: dict[str, int], cycles: dict[str, int]
    ) -> None:
        for (before, address), times in interval.edges.items():
            if address == 0:
                continue
            name = self._name(address)
            instructions[name] += times * len(self._blocks[address])
            if self._model is not None:
                cycles[name] += times * self._block_cost(self._model, before, address)

    def _block_cost(self, model: CycleModel, before: int, address: int) -> int:
        edge = (before, address)
        if edge not in self._costs:
            self._costs[edge] = model.block_cycles(self._blocks[address],
                                                   self._blocks.get(before, ()))
        return self._costs[edge]

    def _count_branches(
        self, model: CycleModel, interval: Interval, cycles: dict[str, int]
    ) -> None:
        """Refills of taken branches; the rarer outcome of each branch as mispredicted."""
        outcomes: dict[int, list[int]] = defaultdict(lambda: [0, 0])
        for (before, address), times in interval.edges.items():
            if before == 0 or before not in self._blocks:
                continue
            last = self._blocks[before][-1]
            taken = last.writes_pc and address != last.address + last.size_bytes
            outcomes[before][taken] += times
            if taken:
                target: tuple[Instruction, ...] = self._blocks.get(address, ())
                cycles[self._name(before)] += times * model.branch_cycles(
                    last, target[0] if target else None)
        for before, (passed, taken_times) in outcomes.items():
            cycles[self._name(before)] += min(passed, taken_times) * model.mispredict


    def _count_stalls(
        self, model: CycleModel, flash: FlashTiming, interval: Interval, cycles: dict[str, int]
    ) -> None:
        costs = {address: self._block_cost(model, before, address)
                 for before, address in interval.edges if address}
        for address, stalls in fetch_stalls(
                flash, interval, self._blocks, costs, self._function).items():
            cycles[self._name(address)] += stalls
        if interval.flash_misses:
            cycles[FLASH_READS] += interval.flash_misses * flash.wait_states


def _by_cost(counts: Iterable[FunctionCount]) -> tuple[FunctionCount, ...]:
    return tuple(sorted(counts, key=lambda c: (-(c.cycles or c.instructions), c.name)))


def total(counts: Iterable[FunctionCount]) -> tuple[int, int | None]:
    """Instructions and cycles of all functions together."""
    counts = tuple(counts)
    cycles = [c.cycles for c in counts if c.cycles is not None]
    return sum(c.instructions for c in counts), sum(cycles) if len(cycles) == len(counts) else None


def layer_counts(
    accountant: Accountant,
    intervals: tuple[Interval, ...],
    names: Mapping[int, tuple[str, ...]],
    interface: ModelInterface,
) -> tuple[LayerCount, ...]:
    """One record per step of the model; their sum is the whole run.

    `names` maps interval keys to the layers that share them: layers with identical parameters do
    identical work, and get equal shares. What runs before the first layer belongs to the first.
    """
    shares: dict[str, list[tuple[Interval, int, int]]] = {name: [] for name, _ in interface.steps}
    for interval in intervals:
        group = names.get(interval.key, (interface.steps[0][0],))
        for number, name in enumerate(group):
            shares[name].append((interval, number, len(group)))
    return tuple(
        _layer(accountant, name, kind, interface.macs.get(name, 0), shares[name])
        for name, kind in interface.steps
    )


def timed_layers(
    times: Sequence[LayerTime],
    instructions: int,
    names: Mapping[int, tuple[str, ...]],
    interface: ModelInterface,
) -> tuple[LayerCount, ...]:
    """As `layer_counts`, from a program that booked time itself; no cycles, no functions.

    Each entry of a kernel took the same time to book: what all layers have too much against
    `instructions`, the count of the program that books nothing.
    """
    calls = sum(t.calls for t in times)
    excess = (sum(t.instructions for t in times) - instructions) / max(1, calls)
    found: dict[str, float] = {}
    for t in times:
        group = names.get(t.key, (interface.steps[0][0],))
        for name in group:
            share = (t.instructions - excess * t.calls) / len(group)
            found[name] = found.get(name, 0.0) + share
    # Rounded so that the sum stays exact.
    counts, exact, given = [], 0.0, 0
    for name, kind in interface.steps:
        exact += found.get(name, 0.0)
        count = round(exact) - given
        given += count
        counts.append(LayerCount(name, kind, interface.macs.get(name, 0), count, None))
    return tuple(counts)


def _layer(
    accountant: Accountant, name: str, kind: str, macs: int,
    shares: list[tuple[Interval, int, int]],
) -> LayerCount:
    functions: dict[str, FunctionCount] = {}
    for interval, number, of in shares:
        for c in accountant.functions([interval]):
            part = FunctionCount(c.name, _share(c.instructions, number, of),
                                 None if c.cycles is None else _share(c.cycles, number, of),
                                 c.flash_bytes)
            functions[c.name] = _add(functions[c.name], part) if c.name in functions else part
    counts = _by_cost(functions.values())
    instructions, cycles = total(counts)
    return LayerCount(name, kind, macs, instructions, cycles, counts)


def _share(whole: int, number: int, of: int) -> int:
    return whole * (number + 1) // of - whole * number // of


def _add(a: FunctionCount, b: FunctionCount) -> FunctionCount:
    cycles = None if a.cycles is None or b.cycles is None else a.cycles + b.cycles
    return FunctionCount(a.name, a.instructions + b.instructions, cycles, a.flash_bytes)


def folded_stacks(model: str, layers: Iterable[LayerCount]) -> str:
    """The profile as folded stacks (`model;layer;function count` a line), in cycles where known.

    Speedscope and flamegraph.pl read this format.
    """
    lines = [
        f"{model};{layer.name};{f.name} {f.instructions if f.cycles is None else f.cycles}"
        for layer in layers for f in layer.functions
    ]
    return "\n".join(lines) + "\n"


def write_flame(path: Path, model: str, layers: Iterable[LayerCount]) -> None:
    """Write the folded stacks to a file (`--flame`)."""
    path.write_text(folded_stacks(model, layers), encoding="utf-8", newline="\n")
