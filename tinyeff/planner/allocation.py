# SPDX-License-Identifier: MIT
"""Offsets for the buffers of the arena: a quick search first, the exact solver if it falls short.

The task is two-dimensional packing with fixed times: buffers that live at the same step must lie
apart, except that an output may lie over an input as its operator's rule allows. The liveness bound
(the most bytes alive at any step) is the least an arena can have; a layout that reaches it is
optimal, and no solver need be asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tinyeff.ir import Buffer
from tinyeff.planner.overlap import Overlap

NODES_PER_TRY = 2000
TRIES = 12

FAR = 1 << 40
"""An offset beyond any memory."""


@dataclass(frozen=True)
class Rule:
    """What buffer `other` asks: own offset <= its - below, or >= its + above."""

    other: int
    below: int
    above: int


@dataclass(frozen=True)
class Problem:
    """Buffers by index: sizes and alignments in bytes, and for each the rules with the others.

    `spans` are the steps [first, last). An input that an output may lie over is apart from all
    other buffers up to step `tails`, where the first such output begins; from there on each pair
    follows its rule. A pair without a rule is free. `barred` has for each buffer the open intervals
    of offsets that it may not take whatever the others do; none where it is empty.
    """

    sizes: tuple[int, ...]
    aligns: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]
    rules: tuple[tuple[Rule, ...], ...]
    tails: tuple[int, ...]
    barred: tuple[tuple[tuple[int, int], ...], ...] = ()


@dataclass(frozen=True)
class Layout:
    """Offsets in bytes, the size they need, and the proven least size of any layout."""

    offsets: tuple[int, ...]
    size_bytes: int
    lower_bound_bytes: int


def problem_of(
    buffers: Sequence[Buffer], aligns: Sequence[int], overlaps: Iterable[Overlap]
) -> Problem:
    """The packing task of `buffers`; `overlaps` holds pairs of indices into them."""
    special = {(o.written, o.read): (o.below, o.above) for o in overlaps}
    tails = [b.last for b in buffers]
    for written, read in special:
        begin = max(buffers[written].first, buffers[read].first)
        tails[read] = min(tails[read], begin)
    special |= {(r, w): (above, below) for (w, r), (below, above) in special.items()}
    order = sorted(range(len(buffers)), key=lambda b: buffers[b].first)
    rules: list[list[Rule]] = [[] for _ in buffers]
    active: list[int] = []
    for a in order:
        active = [b for b in active if buffers[b].last > buffers[a].first]
        for b in active:
            plain = (buffers[a].size_bytes, buffers[b].size_bytes)
            below, above = special.get((a, b), plain)
            if below > -above:
                rules[a].append(Rule(b, below, above))
                rules[b].append(Rule(a, above, below))
        active.append(a)
    return Problem(
        tuple(b.size_bytes for b in buffers),
        tuple(aligns),
        tuple((b.first, b.last) for b in buffers),
        tuple(tuple(r) for r in rules),
        tuple(tails),
    )


def allocate(problem: Problem, bound_bytes: int) -> Layout:
    """The smallest layout found; optimal where its size equals its lower bound.

    `bound_bytes` is the liveness bound.
    """
    offsets = search(problem, bound_bytes, TRIES)
    if offsets is not None:
        return Layout(offsets, extent(problem, offsets), bound_bytes)
    layouts = [_first_fit(problem, order) for order in _orders(problem)]
    best = min(layouts, key=lambda offsets: extent(problem, offsets))
    for shift in (7, 6, 5, 4, 3):  # within 0.8 to 12.5 % of the bound
        ceiling = bound_bytes + (bound_bytes >> shift)
        if ceiling >= extent(problem, best):
            break
        offsets = search(problem, ceiling, 2)
        if offsets is not None:
            best = offsets
            break
    from tinyeff.planner.exact import solve  # here: loading the solver takes longer than a plan

    return solve(problem, Layout(best, extent(problem, best), bound_bytes))


def fit(problem: Problem, ceiling_bytes: int) -> tuple[int, ...] | None:
    """Offsets of a layout of at most `ceiling_bytes`, or None where none was found."""
    offsets = search(problem, ceiling_bytes, TRIES)
    if offsets is not None:
        return offsets
    from tinyeff.planner.exact import fit as fit_exactly

    return fit_exactly(problem, ceiling_bytes)


def search(problem: Problem, ceiling_bytes: int, tries: int) -> tuple[int, ...] | None:
    """Quick search below a ceiling; each try starts with the buffer that failed most before."""
    order = _by_demand(problem)
    for _ in range(tries):
        attempt = _Search(problem, order, ceiling_bytes)
        offsets = attempt.run()
        if offsets is not None:
            return offsets
        order.insert(0, order.pop(order.index(attempt.hardest())))
    return None


def extent(problem: Problem, offsets: Sequence[int]) -> int:
    """Bytes from address 0 to the end of the highest buffer."""
    return max((x + s for x, s in zip(offsets, problem.sizes, strict=True)), default=0)


def _by_demand(problem: Problem) -> list[int]:
    """Buffers by the most bytes alive beside them, so that the peak is laid out first."""
    steps = max((last for _, last in problem.spans), default=0)
    alive = [0] * steps
    for size, (first, last) in zip(problem.sizes, problem.spans, strict=True):
        for step in range(first, last):
            alive[step] += size
    demand = [max(alive[first:last], default=0) for first, last in problem.spans]
    return sorted(range(len(demand)), key=lambda b: (-demand[b], -problem.sizes[b], b))


def _orders(problem: Problem) -> list[list[int]]:
    """The usual orders for first fit: by demand, size, area in time and bytes, and by time."""
    count = range(len(problem.sizes))
    length = [last - first for first, last in problem.spans]
    return [
        _by_demand(problem),
        sorted(count, key=lambda b: (-problem.sizes[b], b)),
        sorted(count, key=lambda b: (-problem.sizes[b] * length[b], b)),
        sorted(count, key=lambda b: (problem.spans[b][0], -problem.sizes[b], b)),
        sorted(count, key=lambda b: (-length[b], -problem.sizes[b], b)),
    ]


def _first_fit(problem: Problem, order: Sequence[int]) -> tuple[int, ...]:
    """Every buffer at the lowest address that the ones placed before leave free."""
    offsets: dict[int, int] = {}
    for b in order:
        offsets[b] = _lowest(_blocked(problem, offsets, b), problem.aligns[b])
    return tuple(offsets[b] for b in range(len(order)))


def _blocked(problem: Problem, offsets: dict[int, int], b: int) -> list[tuple[int, int]]:
    """Open intervals of offsets that buffer `b` may not take, sorted."""
    barred = problem.barred[b] if problem.barred else ()
    return sorted([*barred, *(
        (offsets[r.other] - r.below, offsets[r.other] + r.above)
        for r in problem.rules[b]
        if r.other in offsets
    )])


def _lowest(blocked: Sequence[tuple[int, int]], align: int) -> int:
    """The lowest allowed offset of at least 0."""
    x = 0
    for low, high in blocked:
        if low < x < high:
            x = -(-high // align) * align
    return x


def _highest(blocked: Sequence[tuple[int, int]], align: int, limit: int) -> int:
    """The highest allowed offset of at most `limit`; may be negative."""
    x = limit // align * align
    for low, high in sorted(blocked, key=lambda interval: -interval[1]):
        if low < x < high:
            x = low // align * align
    return x


class _Search:
    """Depth-first search below a ceiling: each buffer goes to the lowest or the highest free place.

    After a dead end it returns to the latest buffer that is to blame (graph-based backjumping).
    """

    def __init__(self, problem: Problem, order: Sequence[int], ceiling_bytes: int) -> None:
        self.problem = problem
        self.order = order
        self.ceiling_bytes = ceiling_bytes
        self.position = {b: k for k, b in enumerate(order)}
        self.failures = [0] * len(order)

    def hardest(self) -> int:
        """The buffer that found no place most often."""
        return max(range(len(self.failures)), key=lambda b: (self.failures[b], -b))

    def run(self) -> tuple[int, ...] | None:
        """Offsets of all buffers, or None where NODES_PER_TRY placements were not enough."""
        offsets: dict[int, int] = {}
        places: list[list[int]] = []
        culprits: list[set[int]] = []
        nodes = 0
        while len(offsets) < len(self.order):
            level = len(offsets)
            if len(places) == level:
                places.append(self._places(offsets, self.order[level]))
                culprits.append(set())
            if places[level]:
                offsets[self.order[level]] = places[level].pop(0)
                nodes += 1
                continue
            back = self._blame(level, culprits)
            if back is None or nodes > NODES_PER_TRY:
                return None
            for k in range(back, level):
                del offsets[self.order[k]]
            del places[back + 1:], culprits[back + 1:]
        return tuple(offsets[b] for b in range(len(self.order)))

    def _blame(self, level: int, culprits: list[set[int]]) -> int | None:
        """The level to return to from a dead end at `level`, which inherits the other suspects."""
        b = self.order[level]
        self.failures[b] += 1
        earlier = (self.position[r.other] for r in self.problem.rules[b])
        suspects = culprits[level] | {k for k in earlier if k < level}
        if not suspects:
            return None
        back = max(suspects)
        culprits[back] |= suspects - {back}
        return back

    def _places(self, offsets: dict[int, int], b: int) -> list[int]:
        blocked, align = _blocked(self.problem, offsets, b), self.problem.aligns[b]
        room = self.ceiling_bytes - self.problem.sizes[b]
        low, high = _lowest(blocked, align), _highest(blocked, align, room)
        return [x for x in dict.fromkeys((low, high)) if 0 <= x <= room]
