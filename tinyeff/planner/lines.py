# SPDX-License-Identifier: MIT
"""A network as maps that depend on each other, and as one line of pixels across all of its maps.

A map is what one operator writes; a link says which rows and columns of one map a pixel of another
reads. A line takes one column out of every map (or one row), such that each of its pixels reads the
pixels that it would read in the network, as far as they are on the line:

    columns of a wide map     0 1 2 3 4 5 6 7        line 5 takes column 5 here,
    columns of a narrow one    0   1   2   3         column 2 here, which three more lines share:
                                                     a pixel counts for each with its part of bytes

Whatever set of pixels a schedule has computed, its lines are closed as the set is, and the bytes of
all lines add up to no more than what is alive. So minima over lines, added up, bound those of the
network. Links that a line leaves out only lower its minimum.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tinyeff.ir import Graph, Window
from tinyeff.ops import form_of, operator_of
from tinyeff.ops.operator import node_of
from tinyeff.planner import sizes
from tinyeff.planner.lifetimes import Lifetimes, activation_inputs

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

PART = 1 << 20
"""Parts of a byte that lines count in."""
MOST_KINDS = 8
"""Kinds of lines that are told apart; all others count as one, with the links that they share."""


@dataclass(frozen=True, eq=False)
class Link:
    """Pixel (y, x) of map `reader` reads rows [first(y), ...) and columns of map `source`.

    `holds` is False where the reader adds up what it reads, and keeps none of it.
    """

    source: int
    reader: int
    rows: Window
    columns: Window
    holds: bool


@dataclass(frozen=True, eq=False)
class Map:
    """What an operator or the caller writes; `pixel_bytes` is 0 in the caller's memory.

    `given` is there from the start, `kept` to the end. `needed` are rows and columns of which every
    pixel is known to be computed.
    """

    name: str
    rows: int
    columns: int
    pixel_bytes: int
    given: bool
    kept: bool
    needed: tuple[Flags, Flags]

    @property
    def complete(self) -> bool:
        """True where all pixels are known to be computed."""
        return bool(self.needed[0].all() and self.needed[1].all())


@dataclass(frozen=True, eq=False)
class Net:
    """Maps in the order in which the graph writes them, and their links in the readers' order."""

    maps: tuple[Map, ...]
    links: tuple[Link, ...]

    def turned(self) -> Net:
        """The same with rows for columns."""
        return Net(
            tuple(replace(m, rows=m.columns, columns=m.rows, needed=m.needed[::-1])
                  for m in self.maps),
            tuple(replace(k, rows=k.columns, columns=k.rows) for k in self.links))


def net_of(graph: Graph, memory: Lifetimes, input_memory: str) -> Net:
    """The maps and links of a graph; maps are `memory.buffers`, in their order."""
    links = [link for n in range(len(graph.ops)) for link in _links(graph, memory, n)]
    kept = {memory.home[t] for t in graph.outputs}
    given = set() if input_memory == "streamed" else {
        memory.home[t] for t in graph.inputs if t in memory.home}
    maps: list[Map] = []
    for n, buffer in enumerate(memory.buffers):
        root = graph.tensors[buffer.tensors[0]]
        in_arena = buffer.region == "arena"
        nothing = np.zeros(root.rows, bool), np.zeros(root.pixels, bool)
        maps.append(Map(buffer.name, root.rows, root.pixels,
                        sizes.pixel_bytes(root) if in_arena else 0, n in given, n in kept, nothing))
    for n in reversed(range(len(maps))):
        maps[n] = replace(maps[n], needed=_needed(maps, links, n))
    return Net(tuple(maps), tuple(links))


def _links(graph: Graph, memory: Lifetimes, index: int) -> Iterator[Link]:
    """What the outputs of an operator read, as far as windows say it."""
    op = graph.ops[index]
    form, node, operator = form_of(graph, op), node_of(graph, op), operator_of(op.kind)
    if form == "view":
        return
    for number, tensor in enumerate(activation_inputs(graph, op)):
        source, record = memory.home[tensor], graph.tensors[tensor]
        root = graph.tensors[memory.buffers[source].tensors[0]]
        everything = Window(root.rows, 0), Window(root.pixels, 0)
        rows, columns = everything
        if form == "rows":
            rows, columns = operator.window(node, number), operator.columns(node, number)
            if (record.rows, record.pixels) != (root.rows, root.pixels):
                if not (_is_all(rows, record.rows) and _is_all(columns, record.pixels)):
                    continue  # a view has moved the pixels: some are read, who knows which
                rows, columns = everything
        for output in op.outputs:
            yield Link(source, memory.home[output], rows, columns, form != "accumulate")


def _is_all(window: Window, size: int) -> bool:
    return window.step == 0 and window.first(0) <= 0 and window.first(0) + window.count >= size


def _needed(maps: Sequence[Map], links: Sequence[Link], number: int) -> tuple[Flags, Flags]:
    """Rows and columns of a map that an output needs, each with each; of several readers the one
    that needs most decides."""
    own = maps[number]
    found = [(np.full(own.rows, own.kept), np.full(own.columns, own.kept))]
    for link in links:
        if link.source == number:
            rows, columns = maps[link.reader].needed
            found.append((_read(link.rows, rows, own.rows),
                          _read(link.columns, columns, own.columns)))
    return max(found, key=lambda f: int(f[0].sum()) * int(f[1].sum()))


def _read(window: Window, readers: Flags, size: int) -> Flags:
    """The rows, of `size`, that any of the rows `readers` reads."""
    begin, end = spans(window, len(readers), size)
    steps = np.zeros(size + 1, np.int64)
    used = readers & (begin < end)
    np.add.at(steps, begin[used], 1)
    np.add.at(steps, end[used], -1)
    return np.cumsum(steps[:-1]) > 0


def spans(window: Window, readers: int, size: int) -> tuple[Ints, Ints]:
    """[begin, end) of the rows, of `size`, that each of the rows [0, readers) reads."""
    first = (np.arange(readers, dtype=np.int64) * window.step + window.offset) // window.divisor
    return np.clip(first, 0, size), np.clip(first + window.count, 0, size)


@dataclass(frozen=True, eq=False)
class Lines:
    """Lines across the rows of a net that are alike: the links they have, what a pixel of each map
    weighs in parts of a byte, and for each map the column that each line takes, in order."""

    links: Flags
    weights: Ints
    columns: tuple[Ints, ...]


def lines_of(net: Net) -> list[Lines]:
    """Lines that between them hold every pixel once, by kind, the most frequent first."""
    total = max((m.columns for m in net.maps), default=0)
    if not total:
        return []
    places = [np.arange(total, dtype=np.int64) * m.columns // total for m in net.maps]
    shares = [np.bincount(p, minlength=m.columns)[p]
              for p, m in zip(places, net.maps, strict=True)]
    has = np.array([_on_line(net, link, places) for link in net.links],
                   bool).reshape(len(net.links), total)
    kinds: dict[bytes, list[int]] = {}
    for line in range(total):
        kinds.setdefault(has[:, line].tobytes(), []).append(line)
    by_size = sorted(kinds.values(), key=lambda lines: (-len(lines), lines[0]))
    rest = sorted(line for lines in by_size[MOST_KINDS - 1:] for line in lines)
    chosen = [*by_size[:MOST_KINDS - 1], *filter(None, [rest])]
    return [
        Lines(np.all(has[:, lines], axis=1),
              np.array([m.pixel_bytes * PART // int(s[lines].max())
                        for m, s in zip(net.maps, shares, strict=True)], np.int64),
              tuple(p[lines] for p in places))
        for lines in chosen
    ]


def _on_line(net: Net, link: Link, places: Sequence[Ints]) -> Flags:
    """For each line, True where its column of the reader is needed and reads that of the source."""
    source, reader = net.maps[link.source], net.maps[link.reader]
    if not source.columns or not reader.columns:
        return np.zeros(len(places[0]), bool)
    begin, end = spans(link.columns, reader.columns, source.columns)
    at, wanted = places[link.source], places[link.reader]
    return (begin[wanted] <= at) & (at < end[wanted]) & reader.needed[1][wanted]
