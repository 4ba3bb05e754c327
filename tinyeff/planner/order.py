# SPDX-License-Identifier: MIT
"""The order of operators: which branch of an irregular graph is computed first.

A file's order is one of many. Layer by layer, the best one is a shortest path over the sets of
operators that may be done, from none to all, where a step costs what lives while an operator runs:

    {} ---> {a} ---> {a, b} ---> {a, b, c} ---> all
              \\---> {a, c} ----^

The most of a path's steps counts. Of the sets with equally many operators the best `MOST_SETS` are
kept: all of them in most networks, whose branches are few.
Source: Ahn et al., Ordering chaos: memory-aware scheduling of irregularly wired neural networks for
edge devices, MLSys 2020.

What stands before an early exit stays before it.

Streamed, what branches share needs fewer rows where one branch follows the other: going back from
the outputs, each branch whole, gives two more orders.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tinyeff.ir import Graph
from tinyeff.ops import form_of
from tinyeff.planner.choices import rules_between, shared_bytes, variants_of
from tinyeff.planner.lifetimes import activation_inputs, lifetimes, private_buffers

MOST_SETS = 64
"""Sets of operators that are kept of each size."""


def with_order(graph: Graph, order: tuple[int, ...]) -> Graph:
    """The graph with its operators in another order, each after those that it reads from."""
    return replace(graph, ops=tuple(graph.ops[n] for n in order))


def branch_by_branch(graph: Graph) -> Iterator[tuple[int, ...]]:
    """Orders in which each branch that joins others is computed whole before the next one: that of
    the first operand first, and that of the last."""
    made = graph.writers
    for step in (1, -1):
        order: list[int] = []
        seen: set[int] = set()
        pending = [made[t] for t in reversed(graph.outputs) if t in made]
        pending = [*reversed(range(len(graph.ops))), *pending]  # what no output needs comes last
        while pending:
            op = pending[-1]
            before = [made[t] for t in activation_inputs(graph, graph.ops[op])[::step]
                      if t in made and made[t] not in seen]
            if op in seen or not before:
                pending.pop()
                order += [op] if op not in seen else []
                seen.add(op)
            else:
                pending += reversed(before)
        yield tuple(sorted(order, key=lambda op: _exits_before(graph, op)))


@dataclass(frozen=True, eq=False)
class Done:
    """Operators that are done, as bits, and those that could be next; the most that lived
    meanwhile, and what lives now; the last operators done, and what was done before them."""

    bits: int
    ready: tuple[int, ...]
    most_bytes: int
    live_bytes: int
    last: tuple[int, ...] = ()
    before: Done | None = None


@dataclass(frozen=True, eq=False)
class Step:
    """The buffers that an operator writes and reads, and how many bytes more than these it needs,
    by those that die with it: for memory of its own, less what may lie on top of each other."""

    written: tuple[int, ...]
    read: tuple[int, ...]
    more_bytes: dict[tuple[int, ...], int]


class OrderSearch:
    """The search for the order that needs the least memory layer by layer."""

    def __init__(self, graph: Graph, input_memory: str) -> None:
        self._graph, self._memory = graph, lifetimes(graph, input_memory)
        made, count = graph.writers, len(graph.ops)
        self._before = [sum(1 << m for m in {made[t] for t in activation_inputs(graph, op)
                                             if t in made}) for op in graph.ops]
        for op in range(count):
            self._before[op] |= max(
                ((1 << e.after) - 1 for e in graph.exits if e.after <= op), default=0)
        self._after: list[list[int]] = [[] for _ in graph.ops]
        for op, bits in enumerate(self._before):
            for before in range(op):
                if bits >> before & 1:
                    self._after[before].append(op)
        buffers = self._memory.buffers
        self._sizes = [b.size_bytes if b.region == "arena" else 0 for b in buffers]
        self._steps = [self._step(op) for op in range(count)]
        # A bit beyond all operators stands for the end, which is never done.
        self._readers = [1 << count if b.last > count else 0 for b in buffers]
        for op, step in enumerate(self._steps):
            for buffer in step.read if step else ():
                self._readers[buffer] |= 1 << op
        written = {b for step in self._steps if step for b in step.written}
        # Inputs that nobody reads are gone at once.
        live = sum(s for b, s in enumerate(self._sizes) if b not in written and self._readers[b])
        ready = tuple(op for op in range(count) if not self._before[op])
        self._start = self._renamed(Done(0, ready, live, live))

    def best(self) -> tuple[int, ...] | None:
        """The best order found; None where the graph's own is as good."""
        state = self._start
        while state.bits != (1 << len(self._graph.ops)) - 1:
            state = self._run(state, min(state.ready))
        ceiling, states = state.most_bytes, [self._start]
        while states and states[0].ready:
            following: dict[int, Done] = {}
            for state in states:
                for op in state.ready:
                    found = self._run(state, op)
                    known = following.get(found.bits)
                    if found.most_bytes < ceiling and (
                            known is None or found.most_bytes < known.most_bytes):
                        following[found.bits] = found
            states = sorted(following.values(), key=lambda s: (s.most_bytes, s.live_bytes)
                            )[:MOST_SETS]
        return _order(states[0]) if states else None

    def _run(self, state: Done, op: int) -> Done:
        """One more operator done."""
        step = self._steps[op]
        assert step is not None
        bits = state.bits | 1 << op
        dying = tuple(b for b in step.read if not self._readers[b] & ~bits)
        if dying not in step.more_bytes:
            step.more_bytes[dying] = self._more_bytes(op, dying)
        made = sum(self._sizes[b] for b in step.written)
        gone = sum(self._sizes[b] for b in (*dying, *step.written) if not self._readers[b] & ~bits)
        now, live = state.live_bytes + made + step.more_bytes[dying], state.live_bytes + made - gone
        return self._renamed(Done(bits, self._ready(state.ready, op, bits),
                                  max(state.most_bytes, now), live, (op,), state))

    def _renamed(self, state: Done) -> Done:
        """The same, and all operators done that only rename."""
        while views := [op for op in state.ready if self._steps[op] is None]:
            bits = state.bits | 1 << views[0]
            state = replace(state, bits=bits, ready=self._ready(state.ready, views[0], bits),
                            last=(*state.last, views[0]))
        return state

    def _ready(self, ready: tuple[int, ...], op: int, bits: int) -> tuple[int, ...]:
        new = (n for n in self._after[op] if not self._before[n] & ~bits)
        return (*(n for n in ready if n != op), *new)

    def _step(self, index: int) -> Step | None:
        op = self._graph.ops[index]
        if form_of(self._graph, op) == "view":
            return None
        return Step(self._memory.written_by(op), self._memory.read_by(self._graph, op), {})

    def _more_bytes(self, op: int, dying: tuple[int, ...]) -> int:
        graph, memory = self._graph, self._memory
        return min(
            sum(b.size_bytes for b in private_buffers(graph, op, variant))
            - shared_bytes(memory.buffers, rules_between(graph, memory, op, variant, flat, dying))
            for variant, flat in variants_of(graph, op))


def _order(state: Done) -> tuple[int, ...]:
    parts: list[tuple[int, ...]] = []
    found: Done | None = state
    while found is not None:
        parts.append(found.last)
        found = found.before
    return tuple(op for part in reversed(parts) for op in part)


def _exits_before(graph: Graph, op: int) -> int:
    """How many early exits stand before an operator."""
    return sum(e.after <= op for e in graph.exits)
