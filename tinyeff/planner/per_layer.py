# SPDX-License-Identifier: MIT
"""The per-layer strategy: one operator after the other, each tensor whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from tinyeff.ir import Buffer, Graph, Limits, Plan, Target
from tinyeff.planner import sizes
from tinyeff.planner.allocation import Layout, allocate, problem_of
from tinyeff.planner.assembly import assemble
from tinyeff.planner.choices import Choice, fastest, smallest, ways
from tinyeff.planner.lifetimes import Lifetimes, lifetimes, private_buffers
from tinyeff.planner.overlap import Overlap


def plan_per_layer(graph: Graph, target: Target, limits: Limits) -> Plan:
    """The plan with the smallest arena; among those, each operator the fastest way."""
    memory = lifetimes(graph, limits.input_memory)
    options = [
        ways(graph, memory, live, step) for step, live in enumerate(_live(graph, memory.buffers))
    ]
    inputs = sum(b.size_bytes for b in memory.buffers if b.region == "arena" and b.first == 0)
    least = smallest(options)
    bound = max([inputs if not options else 0, *(c.bound_bytes for c in least)])
    choices, buffers, layout = _best_layout(graph, memory, options, least, bound)
    choices = tuple(_upgraded(options[t], c, buffers) for t, c in enumerate(choices))
    return assemble(graph, target, limits, choices, buffers, layout.lower_bound_bytes)


def _live(graph: Graph, buffers: Sequence[Buffer]) -> Iterator[tuple[int, ...]]:
    """Per step the buffers of the arena that live then."""
    arena = [n for n, b in enumerate(buffers) if b.region == "arena"]
    for step in range(len(graph.ops)):
        yield tuple(n for n in arena if buffers[n].first <= step < buffers[n].last)


def _best_layout(
    graph: Graph,
    memory: Lifetimes,
    options: Sequence[Sequence[Choice]],
    least: tuple[Choice, ...],
    bound: int,
) -> tuple[tuple[Choice, ...], tuple[Buffer, ...], Layout]:
    """Try the fastest way of each operator below the bound; where its layout misses the bound,
    also the least way, which is free to overlap wherever the rules allow."""
    choices = fastest(options, bound)
    buffers, layout = _placed(graph, memory, choices, bound)
    if layout.size_bytes > bound and least != choices:
        other_buffers, other = _placed(graph, memory, least, bound)
        proven = min(layout.lower_bound_bytes, other.lower_bound_bytes)
        if other.size_bytes < layout.size_bytes:
            return least, other_buffers, replace(other, lower_bound_bytes=proven)
        layout = replace(layout, lower_bound_bytes=proven)
    return choices, buffers, layout


def _placed(
    graph: Graph, memory: Lifetimes, choices: Sequence[Choice], bound: int
) -> tuple[tuple[Buffer, ...], Layout]:
    """All buffers with their offsets."""
    private = [b for t, c in enumerate(choices) for b in private_buffers(graph, t, c.variant)]
    buffers = [*memory.buffers, *private]
    arena = [n for n, b in enumerate(buffers) if b.region == "arena"]
    number = {n: k for k, n in enumerate(arena)}
    overlaps = [
        Overlap(number[o.written], number[o.read], o.below, o.above)
        for c in choices
        for o in c.overlaps
    ]
    aligns = [
        max((sizes.alignment(graph.tensors[i]) for i in buffers[n].tensors),
            default=sizes.WORD_BYTES)
        for n in arena
    ]
    layout = allocate(problem_of([buffers[n] for n in arena], aligns, overlaps), bound)
    for n, offset in zip(arena, layout.offsets, strict=True):
        buffers[n] = replace(buffers[n], offset_bytes=offset)
    return tuple(buffers), layout


def _upgraded(options: Sequence[Choice], choice: Choice, buffers: Sequence[Buffer]) -> Choice:
    """The same kernel in one call, where the buffers happen to lie so that it may."""
    for other in options:
        same_kernel = other.variant == choice.variant and other.flat and not choice.flat
        if same_kernel and all(_holds(rule, buffers) for rule in other.overlaps):
            return other
    return choice


def _holds(rule: Overlap, buffers: Sequence[Buffer]) -> bool:
    written, read = buffers[rule.written].offset_bytes, buffers[rule.read].offset_bytes
    return written + rule.below <= read or written >= read + rule.above
