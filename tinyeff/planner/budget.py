# SPDX-License-Identifier: MIT
"""What is left of the SRAM granted for the arena."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tinyeff.ir import Buffer, Graph, Limits, Memory
from tinyeff.planner import sizes


def output_bytes(graph: Graph) -> int:
    """Memory of the caller that the outputs are written to."""
    return sum(sizes.size_bytes(graph.tensors[i]) for i in graph.outputs)


def arena_budget(graph: Graph, limits: Limits) -> int | None:
    """Bytes that the arena may take, None where no SRAM is named."""
    if limits.sram_bytes is None:
        return None
    return max(limits.sram_bytes - limits.stack_bytes - output_bytes(graph), 0)


def rooms(graph: Graph, limits: Limits) -> tuple[Memory, ...]:
    """What each of several memories has left for the arena: the first holds stack and outputs."""
    taken = limits.stack_bytes + output_bytes(graph)
    return tuple(replace(m, size_bytes=max(m.size_bytes - (0 if n else taken), 0))
                 for n, m in enumerate(limits.memories))


def fits(buffers: Iterable[Buffer], memories: Sequence[Memory]) -> bool:
    """True where each buffer of an arena ends within the memory that holds it."""
    ends = {m.name: m.size_bytes for m in memories}
    return all(b.offset_bytes + b.size_bytes <= ends[b.region] for b in buffers if b.in_arena)


def in_first(buffers: Iterable[Buffer], memories: Sequence[Memory]) -> tuple[Buffer, ...] | None:
    """The buffers of a single arena, all in the first memory; None where it is too small."""
    moved = tuple(replace(b, region=memories[0].name) if b.in_arena else b for b in buffers)
    return moved if fits(moved, memories) else None


def mac_budget(macs: int, overhead: float) -> int:
    """Extra MACs within `overhead`, a fraction of `macs` that may be off by a rounding."""
    return int(overhead * macs + 1e-3)
