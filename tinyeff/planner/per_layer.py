# SPDX-License-Identifier: MIT
"""The per-layer strategy: one operator after the other, each tensor whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from tinyeff.ir import Buffer, Graph, Limits, Memory, Plan, Target
from tinyeff.planner import sizes
from tinyeff.planner.allocation import TRIES, allocate, extent, fit, search
from tinyeff.planner.assembly import alone, assemble
from tinyeff.planner.budget import fits, in_first, rooms
from tinyeff.planner.choices import Choice, fastest, smallest, ways
from tinyeff.planner.lifetimes import Lifetimes, lifetimes, private_buffers
from tinyeff.planner.overlap import Overlap
from tinyeff.planner.placement import Task


def plan_per_layer(graph: Graph, target: Target, limits: Limits) -> Plan:
    """The plan with the smallest arena; among those, each operator the fastest way."""
    memory = lifetimes(graph, limits.input_memory)
    options = [
        ways(graph, memory, live, step)
        for step, live in enumerate(live_buffers(graph, memory.buffers))
    ]
    choices, buffers, proven = lay_out(graph, memory, options, rooms(graph, limits))
    segments = [alone(op) for op in range(len(graph.ops))]
    return assemble(graph, target, limits, choices, buffers, proven, segments)


def lay_out(
    graph: Graph, memory: Lifetimes, options: Sequence[Sequence[Choice]],
    memories: Sequence[Memory] = (),
) -> tuple[tuple[Choice, ...], tuple[Buffer, ...], int]:
    """Choices, placed buffers, and the proven least size of the arena, from all ways to run each
    operator: the smallest arena, then the fastest way; in `memories`, any that fits will do."""
    least = smallest(options)
    inputs = sum(b.size_bytes for b in memory.buffers if b.region == "arena" and b.first == 0)
    bound = max((c.bound_bytes for c in least), default=inputs)
    choices, buffers, proven = _best(graph, memory, options, least, bound)
    if memories:
        choices, buffers = _in_memories(graph, memory, options, choices, buffers, memories, bound)
    choices, buffers = _upgraded(graph, memory, options, choices, buffers)
    return choices, buffers, proven


def live_buffers(graph: Graph, buffers: Sequence[Buffer]) -> Iterator[tuple[int, ...]]:
    """Per step the buffers of the arena that live then."""
    arena = [n for n, b in enumerate(buffers) if b.region == "arena"]
    for step in range(len(graph.ops)):
        yield tuple(n for n in arena if buffers[n].first <= step < buffers[n].last)


def _best(
    graph: Graph,
    memory: Lifetimes,
    options: Sequence[Sequence[Choice]],
    least: tuple[Choice, ...],
    bound: int,
) -> tuple[tuple[Choice, ...], tuple[Buffer, ...], int]:
    """Choices, placed buffers, and the proven least size of the arena.

    First the fastest way of each operator below the bound. Where that misses the bound, the
    smallest arena follows from the least ways, and the fastest below that size are tried again:
    all, and those that compute row by row, since with several rows at a time outputs drift away
    from their inputs, layer by layer.
    """
    choices = fastest(options, bound)
    task = _task(graph, memory, choices)
    offsets = search(task.problem, bound, TRIES)
    if offsets is not None:
        return choices, task.placed(offsets), bound
    task = _task(graph, memory, least)
    layout = allocate(task.problem, bound)
    by_row = [[c for c in every if c.variant.rows_per_call == 1 or c == least[step]]
              for step, every in enumerate(options)]
    for faster in dict.fromkeys(fastest(some, layout.size_bytes) for some in (options, by_row)):
        faster_task = _task(graph, memory, faster)
        offsets = fit(faster_task.problem, layout.size_bytes) if faster != least else None
        if offsets is not None:
            # Other kernels may lie closer together than the least ones can.
            size = extent(faster_task.problem, offsets)
            proven = bound if size < layout.lower_bound_bytes else layout.lower_bound_bytes
            return faster, faster_task.placed(offsets), proven
    return least, task.placed(layout.offsets), layout.lower_bound_bytes


def _in_memories(
    graph: Graph, memory: Lifetimes, options: Sequence[Sequence[Choice]],
    choices: tuple[Choice, ...], buffers: tuple[Buffer, ...], memories: Sequence[Memory],
    bound: int,
) -> tuple[tuple[Choice, ...], tuple[Buffer, ...]]:
    """Choices, and buffers placed in several memories: in the first one alone where the smallest
    arena, `buffers`, fits there, else spread, the fastest ways with which they fit."""
    alone = in_first(buffers, memories)
    if alone is not None:
        return choices, alone
    total = sum(m.size_bytes for m in memories)
    tries = [fastest(options, total)] if total >= bound else []
    for taken in dict.fromkeys([*tries, choices, smallest(options)]):
        spread = _task(graph, memory, taken).spread(memories, bound)
        if fits(spread, memories):
            break
    return taken, spread


def _task(graph: Graph, memory: Lifetimes, choices: Sequence[Choice]) -> Task:
    """The buffers that a set of choices needs, and the packing task of those in the arena."""
    private = (b for t, c in enumerate(choices) for b in private_buffers(graph, t, c.variant))
    return Task(graph, (*memory.buffers, *private), (o for c in choices for o in c.overlaps))


def _upgraded(
    graph: Graph, memory: Lifetimes, options: Sequence[Sequence[Choice]],
    choices: Sequence[Choice], buffers: Sequence[Buffer],
) -> tuple[tuple[Choice, ...], tuple[Buffer, ...]]:
    """Each operator the fastest way for which there happens to be room where the tensors lie; in
    several memories the same kernel in one call, which needs no other room."""
    single = all(b.region == "arena" for b in buffers if b.in_arena)
    tensors, private = buffers[:len(memory.buffers)], buffers[len(memory.buffers):]
    size = max((b.offset_bytes + b.size_bytes for b in buffers if b.region == "arena"), default=0)
    taken, beside = [], list[Buffer]()
    for step, choice in enumerate(choices):
        mine = tuple(b for b in private if b.op == step)
        for other in options[step]:
            if other == choice:
                break
            placed: tuple[Buffer, ...] | None = None
            if other.variant == choice.variant:
                placed = mine
            elif single:
                wanted = private_buffers(graph, step, other.variant)
                placed = _in_gaps(wanted, tensors, step, size)
            if placed is not None and all(_holds(rule, tensors) for rule in other.overlaps):
                choice, mine = other, placed
                break
        taken.append(choice)
        beside += mine
    return tuple(taken), (*tensors, *beside)


def _in_gaps(
    private: Sequence[Buffer], tensors: Sequence[Buffer], step: int, size_bytes: int
) -> tuple[Buffer, ...] | None:
    """What an operator needs for itself, placed beside the tensors that live then in an arena of
    `size_bytes`; None where there is no room."""
    taken = sorted((b.offset_bytes, b.offset_bytes + b.size_bytes) for b in tensors
                   if b.region == "arena" and b.first <= step < b.last)
    placed, at = list[Buffer](), 0
    for begin, end in [*taken, (size_bytes, size_bytes)]:
        while len(placed) < len(private) and at + private[len(placed)].size_bytes <= begin:
            placed.append(replace(private[len(placed)], offset_bytes=at))
            at += -(-placed[-1].size_bytes // sizes.WORD_BYTES) * sizes.WORD_BYTES
        at = max(at, -(-end // sizes.WORD_BYTES) * sizes.WORD_BYTES)
    return tuple(placed) if len(placed) == len(private) else None


def _holds(rule: Overlap, buffers: Sequence[Buffer]) -> bool:
    written, read = buffers[rule.written].offset_bytes, buffers[rule.read].offset_bytes
    if buffers[rule.written].region != buffers[rule.read].region:
        return True
    return written + rule.below <= read or written >= read + rule.above
