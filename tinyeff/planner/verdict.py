# SPDX-License-Identifier: MIT
"""Does a plan fit what the user grants, and if not, by how much and because of which operator?"""

from __future__ import annotations

from dataclasses import dataclass

from tinyeff.ir import Limits, Memory, Plan


@dataclass(frozen=True)
class Verdict:
    """What the model needs against what is granted, in bytes; `missing_…` is 0 where it fits.

    `memories` are what it needs in each of several memories, with the stack in the first.
    `peak_op` is the operator (index into `Graph.ops`) that needs the most memory, `peak_bytes` the
    activations, scratch memory and state that live while it runs; None and 0 for an empty graph.
    """

    fits: bool
    sram_bytes: int
    flash_bytes: int
    missing_sram_bytes: int
    missing_flash_bytes: int
    peak_op: int | None
    peak_bytes: int
    memories: tuple[Memory, ...] = ()


def judge(plan: Plan, limits: Limits, stack_bytes: int, flash_bytes: int) -> Verdict:
    """Arena and stack against `limits.sram_bytes` or `limits.memories`, `flash_bytes` against
    `limits.flash_bytes`."""
    sram = plan.arena_bytes + stack_bytes
    memories = _needed(plan, limits, stack_bytes)
    granted = {m.name: m.size_bytes for m in limits.memories}
    missing_sram = sum(max(m.size_bytes - granted[m.name], 0) for m in memories)
    if not memories and limits.sram_bytes is not None:
        missing_sram = max(sram - limits.sram_bytes, 0)
    missing_flash = 0 if limits.flash_bytes is None else max(flash_bytes - limits.flash_bytes, 0)
    peak = max(plan.layers, key=lambda m: m.live_bytes + m.scratch_bytes, default=None)
    return Verdict(
        fits=not missing_sram and not missing_flash,
        sram_bytes=sram,
        flash_bytes=flash_bytes,
        missing_sram_bytes=missing_sram,
        missing_flash_bytes=missing_flash,
        peak_op=None if peak is None else peak.op,
        peak_bytes=0 if peak is None else peak.live_bytes + peak.scratch_bytes,
        memories=memories,
    )


def _needed(plan: Plan, limits: Limits, stack_bytes: int) -> tuple[Memory, ...]:
    """What a plan in several memories needs in each; nothing for a plan in a single arena."""
    parts = {r.name: r.arena_bytes for r in plan.regions}
    if any(name not in {m.name for m in limits.memories} for name in parts):
        return ()
    return tuple(Memory(m.name, parts.get(m.name, 0) + (0 if n else stack_bytes))
                 for n, m in enumerate(limits.memories))
