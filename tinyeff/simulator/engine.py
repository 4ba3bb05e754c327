# SPDX-License-Identifier: MIT
"""What an engine is: it runs a program on an emulated core and tells what was executed.

An engine knows nothing of models. It loads segments, fills memory, runs from reset until
`te_emulator_finished`, and counts while one of the watched functions runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from tinyeff.simulator.elf import Program
from tinyeff.simulator.memory_map import MemoryMap

START = -1
"""`Interval.key` before the first layer is entered."""


@dataclass(frozen=True)
class Job:
    """One run. `count` is "nothing", "blocks" (instructions) or "memory" (also loads and stores).

    `fill` is written before the program starts, `read` afterwards: pairs of address and bytes or
    size. `watched` are the functions whose execution counts, called `watched_calls` times. While
    counting, whenever one of `layer_functions` is entered with its first argument among
    `layer_keys`, a new interval begins. With `data_cache` = (bytes of a line, lines), reads of
    flash that would miss such a cache (LRU) are counted as well. `trace` is the function that a
    trace build shows its rows to; what it is given is kept.
    """

    program: Program
    cpu: str
    memory: MemoryMap
    fill: tuple[tuple[int, bytes], ...]
    read: tuple[tuple[int, int], ...]
    watched: tuple[int, ...]
    watched_calls: int = 1
    count: str = "blocks"
    layer_functions: tuple[int, ...] = ()
    layer_keys: tuple[int, ...] = ()
    data_cache: tuple[int, int] | None = None
    trace: int | None = None
    timeout_seconds: float = 1800.0


@dataclass(frozen=True)
class Interval:
    """What ran under one layer: how often control passed from block to block.

    `edges` maps (address of the block before, address of the block) to a count; the block before
    the first is 0, and so is the block after the last. `divisions` maps (address, bits of the
    quotient) to a count.
    """

    key: int
    edges: dict[tuple[int, int], int] = field(repr=False)
    divisions: dict[tuple[int, int], int] = field(repr=False, default_factory=dict)
    flash_misses: int = 0


@dataclass(frozen=True)
class Accesses:
    """Loads and stores of one region: how many, and how many bytes."""

    loads: int = 0
    load_bytes: int = 0
    stores: int = 0
    store_bytes: int = 0


@dataclass(frozen=True)
class LayerTime:
    """Instructions of one layer, those that counting itself took included, and kernels entered."""

    key: int
    instructions: float
    calls: int


@dataclass(frozen=True)
class Run:
    """What a run left: the memory asked for, and the counts asked for.

    `block_bytes` maps the address of a block to its size. An engine that does not see blocks gives
    `instructions` instead: modulo `wrap` when it was asked to count them, else roughly but in
    full; and `layers` where the program itself books them.
    """

    memory: tuple[bytes, ...] = field(repr=False)
    intervals: tuple[Interval, ...] = ()
    block_bytes: dict[int, int] = field(repr=False, default_factory=dict)
    instructions: int | None = None
    wrap: int = 1
    layers: tuple[LayerTime, ...] = ()
    accesses: dict[str, Accesses] = field(default_factory=dict)
    unaligned: tuple[tuple[int, int], ...] = ()
    """(instruction, address) of the first accesses that were not aligned to their own size."""
    trace: bytes = field(repr=False, default=b"")
    """Rows that a trace build showed: (tensor, y, x0, x1, pitch) as int32, then the bytes."""


class Engine(Protocol):
    """Runs jobs. A program that faults raises InternalError naming the place."""

    name: str
    can_trace: bool

    def run(self, job: Job) -> Run:
        """Run the job to its end."""
