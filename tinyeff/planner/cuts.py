# SPDX-License-Identifier: MIT
"""The least bytes alive on a line, over all sets of its pixels that may be what is computed.

A set is closed: with a pixel it has all that the pixel reads, and the pixels above. A pixel of the
set is alive until all pixels that read it are in the set. The set of least weight is a minimum cut:

    u -> dead(u)    costs the weight of u: in the set, and somebody still reads it
    v -> u          infinite where v reads u, or is the row after u: the set is closed
    dead(u) -> v    infinite where v reads u: nobody is left who needs it

Source: Picard, Maximal closure of a graph, Management Science 1976.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinyeff.planner.lines import PART, Ints, Lines, Net, spans

Arcs = tuple[Ints, Ints, Ints]
"""(tails, heads, capacities); a capacity below 0 stands for one that no cut goes through."""


class LineCuts:
    """Minimum cuts of the lines of one kind; `arcs` says how much work each is."""

    def __init__(self, net: Net, lines: Lines) -> None:
        from ortools.graph.python.max_flow import SimpleMaxFlow  # here: it takes long to load

        self.net, self.lines = net, lines
        self._first = np.cumsum([0, *(m.rows for m in net.maps)]).astype(np.int64)
        self._pixels = int(self._first[-1])
        self._source = 2 * (self._pixels + len(net.links))
        tails, heads, costs = (np.concatenate(part) for part in zip(*self._arcs(), strict=True))
        self._never = int(costs[costs > 0].sum()) + 1
        self._flow = SimpleMaxFlow()
        self._flow.add_arcs_with_capacity(tails, heads, np.where(costs < 0, self._never, costs))
        every = np.arange(self._pixels)
        ends = np.full(self._pixels, self._source)
        self._in = self._flow.add_arcs_with_capacity(ends, every, np.zeros_like(every))
        self._out = self._flow.add_arcs_with_capacity(every, ends + 1, np.zeros_like(every))
        self.arcs = self._flow.num_arcs()

    def pixels(self, number: int, begin: int, end: int) -> Ints:
        """Rows [begin, end) of a map as pixels of the line."""
        found: Ints = np.arange(begin, end, dtype=np.int64) + self._first[number]
        return found

    def least_bytes(self, inside: Ints, outside: Ints) -> float:
        """The least bytes on one line, with these pixels computed and those not."""
        ends = np.concatenate([self._in[inside], self._out[outside]])
        self._flow.set_arcs_capacity(ends, np.full(len(ends), self._never))
        status = self._flow.solve(self._source, self._source + 1)
        assert status == self._flow.OPTIMAL, f"the minimum cut of a line failed: {status}"
        cut = int(self._flow.optimal_flow())
        self._flow.set_arcs_capacity(ends, np.zeros_like(ends))
        return cut / PART

    def _arcs(self) -> Iterator[Arcs]:
        for number, own in enumerate(self.net.maps):
            pixels, weight = self.pixels(number, 0, own.rows), int(self.lines.weights[number])
            if own.given:
                yield np.full(own.rows, self._source), pixels, np.full(own.rows, -1)
            if own.kept and weight:
                yield pixels, np.full(own.rows, self._source + 1), np.full(own.rows, weight)
            elif weight:
                read = pixels[self._is_read(number)]
                yield read, read + self._pixels, np.full(len(read), weight)
            if own.complete:  # row by row from the top
                yield pixels[1:], pixels[:-1], np.full(max(own.rows - 1, 0), -1)
        for number in np.flatnonzero(self.lines.links).tolist():
            yield from self._link_arcs(number)

    def _is_read(self, number: int) -> Ints:
        """Which rows of a map somebody reads who keeps them and is sure to be computed."""
        found = np.zeros(self.net.maps[number].rows, np.int64)
        for n in np.flatnonzero(self.lines.links).tolist():
            link = self.net.links[n]
            if link.source == number and link.holds:
                begin, end = self._spans(n)
                wanted = self.net.maps[link.reader].needed[0]
                for y0, y1 in {*zip(begin[wanted].tolist(), end[wanted].tolist(), strict=True)}:
                    found[y0:y1] = 1
        return np.flatnonzero(found)

    def _spans(self, number: int) -> tuple[Ints, Ints]:
        link = self.net.links[number]
        return spans(link.rows, self.net.maps[link.reader].rows, self.net.maps[link.source].rows)

    def _link_arcs(self, number: int) -> Iterator[Arcs]:
        """Arcs between the pixels of a link; where all readers read the same, through a node."""
        link, (begin, end) = self.net.links[number], self._spans(number)
        readers = self.pixels(link.reader, 0, len(begin))
        wanted = self.net.maps[link.reader].needed[0]
        if link.rows.step == 0:
            hub = 2 * (self._pixels + number)
            read = self.pixels(link.source, int(begin[0]), int(end[0]))
            pairs = [(readers, hub), (hub, read)]
            if link.holds:
                pairs += [(read + self._pixels, hub + 1), (hub + 1, readers[wanted])]
            for tails, heads in pairs:
                both = np.broadcast_arrays(np.asarray(tails), np.asarray(heads))
                yield both[0], both[1], np.full(len(both[0]), -1)
            return
        counts = np.maximum(end - begin, 0)
        into = np.repeat(readers, counts)
        starts = np.cumsum(counts) - counts
        read = self._first[link.source] + np.repeat(begin - starts, counts) + np.arange(len(into))
        yield into, read, np.full(len(into), -1)
        if link.holds:
            kept = np.repeat(wanted, counts)
            yield read[kept] + self._pixels, into[kept], np.full(int(kept.sum()), -1)
