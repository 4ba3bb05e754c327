# SPDX-License-Identifier: MIT
"""A plan as text: steps from left to right, addresses upwards, one letter per buffer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tinyeff.ir import Buffer, Graph, Plan, Region

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
FREE, SHARED, PRIVATE = ".", "/", "#"
MARGIN = 9
"""Characters left of the picture, for addresses."""


def draw(plan: Plan, graph: Graph, width: int = 100, height: int = 24) -> str:
    """Memory over time in ASCII, at most `width` characters wide and `height` lines high for each
    memory.

    A letter is a tensor (the legend names those at the peak), '#' kernel scratch memory or state,
    '/' bytes where an output lies over the input that it replaces, '.' is free.
    """
    arena = [b for b in plan.buffers if b.in_arena and b.size_bytes]
    steps = max(len(graph.ops), 1)
    if not arena:
        return "the arena is empty: every tensor lies in the caller's memory"
    peak = max(range(len(plan.layers)),
               key=lambda t: (plan.layers[t].live_bytes + plan.layers[t].scratch_bytes, -t),
               default=0)
    legend = _legend(arena, peak, width)
    columns = _columns(steps, max(width - MARGIN, 8), peak)
    lines = max(height - 4 - len(legend), 4)
    picture = [_title(plan, graph, peak, width)]
    for region in reversed(plan.regions):
        if len(plan.regions) > 1:
            picture.append(f"{region.name}: {region.arena_bytes:,} bytes")
        picture += _region(arena, region, columns, lines)
    picture.append(" " * MARGIN + _axis(columns))
    picture.append(" " * MARGIN + "".join("^" if s == peak else " " for s in columns).rstrip()
                   + " peak")
    return "\n".join([*picture, *legend])


def _region(
    arena: Sequence[Buffer], region: Region, columns: Sequence[int], lines: int
) -> Iterator[str]:
    """The addresses of one memory, the highest first, and the line that it stands on."""
    for line in reversed(range(lines)):
        low = region.arena_bytes * line // lines
        high = max(region.arena_bytes * (line + 1) // lines, low + 1)
        label = f"{high:,}" if high < 1_000_000 else f"{high >> 10:,}K"
        cells = "".join(_cell(arena, region.name, step, low, high) for step in columns)
        yield f"{label:>{MARGIN - 2}} |{cells}"
    yield f"{0:>{MARGIN - 2}} +" + "-" * len(columns)


def _columns(steps: int, room: int, peak: int) -> list[int]:
    """The step that each column shows; where steps are left out, the peak is not among them."""
    if steps <= room:
        return [s for s in range(steps) for _ in range(min(room // steps, 8))]
    columns = [c * steps // room for c in range(room)]
    columns[peak * room // steps] = peak
    return columns


def _cell(arena: Sequence[Buffer], region: str, step: int, low: int, high: int) -> str:
    """The character for addresses [low, high) of a memory at one step."""
    shares = []
    for n, b in enumerate(arena):
        if b.region == region and b.first <= step < b.last:
            begin, end = max(low, b.offset_bytes), min(high, b.offset_bytes + b.size_bytes)
            shares.append((max(end - begin, 0), begin, end, n))
    shares = sorted((s for s in shares if s[0]), key=lambda s: (-s[0], s[3]))
    if not shares:
        return FREE
    if len(shares) > 1:
        (_, begin, end, _), (_, other_begin, other_end, _) = shares[:2]
        if 2 * (min(end, other_end) - max(begin, other_begin)) > high - low:
            return SHARED
    return _letter(arena, shares[0][3])


def _letter(arena: Sequence[Buffer], number: int) -> str:
    return PRIVATE if arena[number].op is not None else LETTERS[number % len(LETTERS)]


def _title(plan: Plan, graph: Graph, peak: int, width: int) -> str:
    title = f"arena of {plan.arena_bytes:,} bytes over {len(graph.ops)} steps"
    if graph.ops:
        title += f", peak at step {peak}: {graph.ops[peak].kind} '{graph.ops[peak].name}'"
    return title[:width]


def _axis(columns: Sequence[int]) -> str:
    """Step numbers under the columns, at least 5 columns apart."""
    text = [" "] * len(columns)
    free = 0
    for c, step in enumerate(columns):
        whole = c + len(str(step)) <= len(columns)  # a number that is cut off is another one
        if c >= free and whole and (c == 0 or columns[c - 1] != step):
            text[c:c + len(str(step))] = str(step)
            free = c + 5
    return "".join(text).rstrip()


def _legend(arena: Sequence[Buffer], peak: int, width: int) -> list[str]:
    """The buffers that live at the peak, the largest first, in at most three lines."""
    alive = [n for n, b in enumerate(arena) if b.first <= peak < b.last]
    alive.sort(key=lambda n: (-arena[n].size_bytes, n))
    entries = [f"{_letter(arena, n)} {arena[n].name[-32:]} {arena[n].size_bytes:,}" for n in alive]
    lines = [""]
    for entry in entries:
        if lines[-1] and len(lines[-1]) + 3 + len(entry) > width:
            if len(lines) == 3:
                break
            lines.append("")
        lines[-1] += ("   " if lines[-1] else "") + entry
    return [line[:width] for line in lines]
