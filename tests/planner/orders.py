# SPDX-License-Identifier: MIT
"""The least live bytes of any order of pixels, by trying all of them."""

from __future__ import annotations

import heapq
from functools import cache

from tinyeff.ir import Graph
from tinyeff.planner.lifetimes import lifetimes
from tinyeff.planner.lines import Net, net_of

State = tuple[int, ...]
"""How many pixels of each map are computed, row by row from the top."""


def least_of_all_orders(graph: Graph, input_memory: str) -> int:
    """The most bytes alive at any moment of the best order: a path from nothing to everything."""
    net = net_of(graph, lifetimes(graph, input_memory), input_memory)
    sizes = tuple(m.rows * m.columns for m in net.maps)
    start = tuple(s if m.given else 0 for s, m in zip(sizes, net.maps, strict=True))
    reads = _reads(net)
    readers: dict[tuple[int, int], set[tuple[int, int]]] = {}
    for pixel, sources in reads.items():
        for source, holds in sources:
            if holds:
                readers.setdefault(source, set()).add(pixel)

    @cache
    def alive(state: State) -> int:
        return sum(net.maps[n].pixel_bytes for n, done in enumerate(state) for k in range(done)
                   if net.maps[n].kept or any(k2 >= state[m]
                                              for m, k2 in readers.get((n, k), ())))

    given = sum(s * m.pixel_bytes for s, m in zip(start, net.maps, strict=True))
    heap, seen = [(given, start)], {start}
    while heap:
        most, state = heapq.heappop(heap)
        if state == sizes:
            return most
        for n, done in enumerate(state):
            if done < sizes[n] and all(state[m] > k for (m, k), _ in reads[n, done]):
                after = (*state[:n], done + 1, *state[n + 1:])
                if after not in seen:
                    seen.add(after)
                    heapq.heappush(heap, (max(most, alive(after)), after))
    raise AssertionError("the last pixel is never reached")


def _reads(net: Net) -> dict[tuple[int, int], list[tuple[tuple[int, int], bool]]]:
    """(map, pixel) -> pixels that it reads, and whether it holds them meanwhile."""
    found: dict[tuple[int, int], list[tuple[tuple[int, int], bool]]] = {
        (n, k): [] for n, m in enumerate(net.maps) for k in range(m.rows * m.columns)}
    for link in net.links:
        source, reader = net.maps[link.source], net.maps[link.reader]
        for k in range(reader.rows * reader.columns):
            y, x = divmod(k, reader.columns)
            top, left = link.rows.first(y), link.columns.first(x)
            found[link.reader, k] += [
                ((link.source, v * source.columns + u), link.holds)
                for v in range(max(top, 0), min(top + link.rows.count, source.rows))
                for u in range(max(left, 0), min(left + link.columns.count, source.columns))]
    return found
