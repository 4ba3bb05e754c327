# SPDX-License-Identifier: MIT
"""From choices and offsets to the `Plan`: groups, figures, and who may run flat after all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tinyeff.ir import Buffer, Graph, Group, LayerMemory, Limits, Plan, Region, Segment, Target
from tinyeff.ops import operator_of
from tinyeff.ops.operator import node_of
from tinyeff.planner import sizes
from tinyeff.planner.choices import Choice


def assemble(
    graph: Graph,
    target: Target,
    limits: Limits,
    choices: Sequence[Choice],
    buffers: Sequence[Buffer],
    lower_bound_bytes: int,
    segments: Sequence[Segment],
    extra_macs: int = 0,
) -> Plan:
    """The plan over placed `buffers`; its strategy is that of its segments, "per-layer" aside."""
    arena = [b for b in buffers if b.in_arena]
    activations = [b for b in arena if b.op is None]
    live = [covered_bytes(b for b in activations if b.first <= t < b.last)
            for t in range(max(len(graph.ops), 1))]
    private = [sum(b.size_bytes for b in arena if b.op is not None and b.first <= t < b.last)
               for t in range(len(graph.ops))]
    regions = _regions(arena, [m.name for m in limits.memories])
    arena_bytes = sum(r.arena_bytes for r in regions)
    others = {s.strategy for s in segments} - {"per-layer"}
    return Plan(
        strategy=others.pop() if others else "per-layer",
        target=target,
        input_memory=limits.input_memory,
        segments=tuple(segments),
        variants=tuple(c.variant for c in choices),
        flat=tuple(c.flat for c in choices),
        buffers=_grouped(buffers),
        layers=tuple(LayerMemory(t, live[t], private[t]) for t in range(len(graph.ops))),
        activation_bytes=max(live),
        scratch_bytes=arena_bytes - max(live),
        arena_bytes=arena_bytes,
        arena_align=sizes.ARENA_ALIGN,
        lower_bound_bytes=min(lower_bound_bytes, arena_bytes),
        macs=sum(operator_of(op.kind).macs(node_of(graph, op)) for op in graph.ops),
        regions=regions,
        extra_macs=extra_macs,
    )


def alone(op: int) -> Segment:
    """The segment of an operator that runs layer by layer."""
    return Segment("per-layer", op, op + 1, (Group(op, op + 1),))


def covered_bytes(buffers: Iterable[Buffer]) -> int:
    """Bytes of the arena under `buffers`; where they overlap a byte counts once."""
    total, reached = 0, dict[str, int]()
    for b in sorted(buffers, key=lambda b: b.offset_bytes):
        begin, end = b.offset_bytes, b.offset_bytes + b.size_bytes
        known = reached.get(b.region, 0)
        total += max(end - max(begin, known), 0)
        reached[b.region] = max(known, end)
    return total


def _regions(arena: Sequence[Buffer], names: Sequence[str]) -> tuple[Region, ...]:
    """The memories in which something lies, of those called `names`; one in any case."""
    ends = dict.fromkeys(names or ("arena",), 0)
    for b in arena:
        ends[b.region] = max(ends[b.region], b.offset_bytes + b.size_bytes)
    found = tuple(Region(name, end) for name, end in ends.items() if end)
    return found or (Region(next(iter(ends)), 0),)


def _grouped(buffers: Sequence[Buffer]) -> tuple[Buffer, ...]:
    """The buffers, those that overlap while both live in one group named after the first."""
    group = list(range(len(buffers)))

    def leader(b: int) -> int:
        while group[b] != b:
            b = group[b]
        return b

    active: list[int] = []
    for a in sorted(range(len(buffers)), key=lambda b: buffers[b].first):
        active = [b for b in active if buffers[b].last > buffers[a].first]
        for b in active:
            if _overlap(buffers[a], buffers[b]):
                group[max(leader(a), leader(b))] = min(leader(a), leader(b))
        active.append(a)
    return tuple(replace(b, group=buffers[leader(n)].name) for n, b in enumerate(buffers))


def _overlap(a: Buffer, b: Buffer) -> bool:
    a_end, b_end = a.offset_bytes + a.size_bytes, b.offset_bytes + b.size_bytes
    together = a.in_arena and a.region == b.region
    return together and a.offset_bytes < b_end and b.offset_bytes < a_end
