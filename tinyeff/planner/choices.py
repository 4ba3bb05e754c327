# SPDX-License-Identifier: MIT
"""How each operator runs: the fastest way that does not raise the memory that the graph needs.

An operator in one call ("flat") saves the loop over rows, but its output can no longer overlap its
input row by row; a faster kernel may want more scratch memory. Both cost bytes only while the
operator runs, so whoever is not at the peak is free to choose. Under `--optimize speed` all are
tried first, and kept where what they need fits.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace

from tinyeff.ir import Buffer, Graph, Variant
from tinyeff.ops import form_of
from tinyeff.planner.lifetimes import Lifetimes, private_buffers
from tinyeff.planner.overlap import Overlap, overlaps

VIEW = Variant("view")
"""Stands for an operator that runs no code."""


@dataclass(frozen=True)
class Choice:
    """One way to run one operator; `bound_bytes` is the least memory in use while it runs.

    `overlaps` are those between buffers (indices into `Lifetimes.buffers`) that both lie in the
    arena, where the input dies at this step.
    """

    variant: Variant
    flat: bool
    overlaps: tuple[Overlap, ...]
    bound_bytes: int


def ways(graph: Graph, memory: Lifetimes, live: Sequence[int], step: int) -> tuple[Choice, ...]:
    """Every way to run operator `step`, the fastest first; `live` are the arena's buffers then."""
    op = graph.ops[step]
    dying = {b for b in memory.read_by(graph, op) if memory.buffers[b].last == step + 1}
    found = []
    for variant, flat in variants_of(graph, step):
        rules = rules_between(graph, memory, step, variant, flat, dying)
        bound = bound_bytes(graph, memory.buffers, live, step, variant, rules)
        found.append(Choice(variant, flat, rules, bound))
    return tuple(sorted(found, key=lambda c: (c.variant.cost, not c.flat, c.bound_bytes)))


def with_fastest(graph: Graph) -> Graph:
    """The graph with the fastest variant of each operator alone, whatever memory it needs."""
    ops = tuple(replace(op, variants=tuple(sorted(op.variants, key=lambda v: v.cost)[:1]))
                for op in graph.ops)
    return replace(graph, ops=ops)


def fastest(options: Sequence[Sequence[Choice]], ceiling_bytes: int) -> tuple[Choice, ...]:
    """Per operator the fastest way that alone needs at most `ceiling_bytes`."""
    return tuple(next(c for c in ways if c.bound_bytes <= ceiling_bytes) for ways in options)


def smallest(options: Sequence[Sequence[Choice]]) -> tuple[Choice, ...]:
    """Per operator the way that needs the least memory, row by row where there is a choice."""
    return tuple(min(ways, key=lambda c: (c.bound_bytes, c.flat)) for ways in options)


def variants_of(graph: Graph, step: int) -> list[tuple[Variant, bool]]:
    """The kernels that can run operator `step`, and whether in one call."""
    op = graph.ops[step]
    form = form_of(graph, op)
    pairs = [(v, False) for v in op.variants] if form != "view" else [(VIEW, False)]
    return pairs + [(v, True) for v in op.variants if v.flat and form == "rows"]


def rules_between(
    graph: Graph, memory: Lifetimes, step: int, variant: Variant, flat: bool, dying: Container[int],
) -> tuple[Overlap, ...]:
    """The rules between buffers that operator `step` writes and those of `dying` that it reads,
    merged where several tensors share a buffer."""
    merged: dict[tuple[int, int], Overlap] = {}
    for rule in overlaps(graph, graph.ops[step], variant, flat):
        written, read = memory.home[rule.written], memory.home[rule.read]
        both = memory.buffers[written], memory.buffers[read]
        if written == read or any(b.region != "arena" for b in both) or read not in dying:
            continue
        old = merged.get((written, read), rule)
        below, above = max(old.below, rule.below), max(old.above, rule.above)
        merged[written, read] = Overlap(written, read, below, above)
    return tuple(merged.values())


def bound_bytes(
    graph: Graph,
    buffers: Sequence[Buffer],
    live: Sequence[int],
    step: int,
    variant: Variant,
    rules: tuple[Overlap, ...],
) -> int:
    """Bytes that operator `step` needs at least: all that lives, less what may lie on top."""
    total = sum(buffers[b].size_bytes for b in live)
    total += sum(b.size_bytes for b in private_buffers(graph, step, variant))
    return total - shared_bytes(buffers, rules)


def shared_bytes(buffers: Sequence[Buffer], rules: Iterable[Overlap]) -> int:
    """The most bytes that `rules` let buffers share.

    A pair can share no more than a + b - span bytes, span being the least distance from the start
    of one to the end of the other; no buffer can share more than its size.
    """
    on_top: dict[int, int] = {}
    beneath: dict[int, int] = {}
    for rule in rules:
        out, source = buffers[rule.written].size_bytes, buffers[rule.read].size_bytes
        span = max(out, source, min(max(rule.below, 0) + source, rule.above + out))
        shared = max(out + source - span, 0)
        on_top[rule.written] = on_top.get(rule.written, 0) + shared
        beneath[rule.read] = beneath.get(rule.read, 0) + shared
    return min(
        sum(min(buffers[b].size_bytes, shared) for b, shared in side.items())
        for side in (on_top, beneath)
    )
