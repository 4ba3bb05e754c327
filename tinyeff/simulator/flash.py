# SPDX-License-Identifier: MIT
"""What flash wait states cost behind a small cache, such as ST's ART accelerator.

Reads of data (weights, tables) go through a simulated cache, read by read, while the program runs.
Instruction fetches are estimated afterwards: a block of code stays cached where it fits the cache
together with all code that runs at least half as often, else every execution fetches it anew; a
prefetcher loads the next line while the present one executes. A function that fits the cache
fetches no line twice between being entered and left, however often another takes its turn.
"""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tinyeff.simulator.engine import Interval
from tinyeff.simulator.instructions import Instruction


@dataclass(frozen=True)
class FlashTiming:
    """Flash of a board at its clock: a read of `line_bytes` that misses waits `wait_states` cycles.

    `instruction_lines` and `data_lines` are the sizes of the caches, in lines.
    """

    name: str
    wait_states: int
    line_bytes: int
    instruction_lines: int
    data_lines: int
    prefetch: bool

    @property
    def error(self) -> str:
        """How well wait states are known, as a part of a sentence."""
        return f"wait states of {self.name} add an error of up to 10 % that no board has confirmed"


def fetch_stalls(
    timing: FlashTiming,
    interval: Interval,
    blocks: Mapping[int, Sequence[Instruction]],
    cycles: Mapping[int, int],
    function_of: Callable[[int], int],
) -> dict[int, int]:
    """Cycles that fetching instructions costs in each block, by its address.

    `cycles` is what one execution of each block takes without wait states; `function_of` says
    where the function starts that a block belongs to.
    """
    times: dict[int, int] = defaultdict(int)
    jumped: dict[int, int] = defaultdict(int)
    for (before, address), count in interval.edges.items():
        if address == 0:
            continue
        times[address] += count
        last = blocks[before][-1] if before in blocks else None
        if last is None or last.address + last.size_bytes != address:
            jumped[address] += count
    order = sorted(times, key=lambda a: -times[a])
    sizes, together = [], set[int]()
    for address in order:
        together |= _lines(timing, blocks[address])
        sizes.append(len(together))
    descending = [-times[a] for a in order]
    stalls = {}
    for address in order:
        rivals = bisect.bisect_right(descending, -times[address] / 2)
        if sizes[rivals - 1] > timing.instruction_lines:
            lines = len(_lines(timing, blocks[address]))
            waits = (lines - 1) * timing.wait_states
            if timing.prefetch:  # reading takes wait_states + 1 cycles, beside what executes
                busy = cycles[address] * (lines - 1) // lines
                waits = max(0, (lines - 1) * (timing.wait_states + 1) - busy)
            stalls[address] = jumped[address] * timing.wait_states + times[address] * waits
    for function, most in _most_stalls(timing, interval, blocks, function_of).items():
        inside = [a for a in stalls if function_of(a) == function]
        total = sum(stalls[a] for a in inside)
        if total > most:
            stalls.update({a: stalls[a] * most // total for a in inside})
    return stalls


def _most_stalls(
    timing: FlashTiming,
    interval: Interval,
    blocks: Mapping[int, Sequence[Instruction]],
    function_of: Callable[[int], int],
) -> dict[int, int]:
    """Of each function that fits the cache: its lines, fetched once each time it is entered."""
    entries: dict[int, int] = defaultdict(int)
    lines: dict[int, set[int]] = defaultdict(set)
    for (before, address), count in interval.edges.items():
        if address == 0:
            continue
        function = function_of(address)
        lines[function] |= _lines(timing, blocks[address])
        if before not in blocks or function_of(before) != function:
            entries[function] += count
    return {f: entries[f] * len(lines[f]) * timing.wait_states
            for f in lines if len(lines[f]) <= timing.instruction_lines}


def _lines(timing: FlashTiming, block: Sequence[Instruction]) -> set[int]:
    first = block[0].address // timing.line_bytes
    end = (block[-1].address + block[-1].size_bytes - 1) // timing.line_bytes + 1
    return set(range(first, end))
