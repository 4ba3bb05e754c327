# SPDX-License-Identifier: MIT
"""Every way to stream operators [first, last), for one `last` and all `first`, backwards.

Going backwards, four things grow, none of which depends on where the segment begins:

    rows      how many rows of each layer are finished when row y of the segment's output is written
    columns   which columns of each layer a stripe of the output needs, for 1 to 8 stripes
    bytes     of the rings and tiles inside, for each number of stripes
    labels    what is gained and paid for each set of recomputed operators: a knapsack

Cost is one number, extra MACs first and kernel calls second, so that costs add up and compare.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinyeff.ir import Window
from tinyeff.planner.rings import NOBODY
from tinyeff.planner.segment_ways import MAC, MOST_RECOMPUTED, Ways
from tinyeff.planner.streams import IMPOSSIBLE, PROGRESS_BYTES, Config, Layer, Rows, Space
from tinyeff.planner.tiles import MOST_TILES, tile_sizes

MOST_LABELS = 64
"""Sets of recomputed operators that are kept for one number of stripes; of more than these the
cheapest in each of so many steps of bytes."""


class Ending:
    """All segments that end with operator `last`, from the shortest to longer ones.

    What needs more than `ceiling_bytes`, or more than `most_macs` extra MACs, is dropped.
    """

    def __init__(
        self, space: Space, last: int, tile_pixels: int, ceiling_bytes: int, most_macs: int,
    ) -> None:
        self._space, self._last, self._config = space, last, Config(tile_pixels)
        self._ceiling, self._most_cost = ceiling_bytes, (most_macs + 1) * MAC - 1
        self._done: dict[int, Rows] = {}
        self._total: dict[int, int] = {}
        self._columns: dict[int, tuple[Rows, Rows]] = {}
        real = [n for n in space.layers[:last] if n.result >= 0]
        self._end = real[-1] if real else None
        self._rows = np.arange(self._end.rows, dtype=np.int64) if self._end else np.zeros(0, int)
        self._set_stripes()
        count = len(self._stripes)
        self._inner, self._cost = np.zeros(count, np.int64), np.zeros(count, np.int64)
        self._scratch = self._states = self._groups = 0
        self._labels = np.zeros((3, count), np.int64)  # bytes, cost, mask
        self._label_stripe = np.arange(count)
        self._pending: list[tuple[int, int, Rows]] = []  # (layer that feeds it, bit, bytes)
        self._expands = 0

    def _set_stripes(self) -> None:
        """The columns of the last map in each stripe, for every number of stripes in a row."""
        pixels = self._end.pixels if self._end else 1
        by_rows = self._end is not None and self._space.steps_by_rows(self._end.op)
        most = MOST_TILES if by_rows else 1
        self._stripes = tile_sizes(pixels, most)
        starts = [np.arange(0, pixels, width, dtype=np.int64) for width in self._stripes]
        self._cuts = np.cumsum([0, *(len(s) for s in starts)])[:-1]
        self._counts = np.array([len(s) for s in starts])
        self._begin = np.concatenate(starts)
        self._until = np.minimum(self._begin + np.repeat(self._stripes, self._counts), pixels)
        self._widths = np.array([0, *self._stripes[1:]])

    # Growing ------------------------------------------------------------------------------------

    def extend(self, layer: Layer) -> None:
        """Take one more layer in at the front."""
        if layer.result < 0:
            return
        space = self._space
        assert self._end is not None
        joined = layer.op < self._end.op and space.joins(layer, self._last, self._config)
        if layer.op == self._end.op:
            self._done[layer.op] = self._rows
            self._columns[layer.op] = self._begin, self._until
            self._total[layer.op] = layer.rows
        else:
            self._done[layer.op] = (self._done[space.after(layer.op)] if joined
                                    else self._required(layer))
            self._total[layer.op] = (self._total[space.after(layer.op)] if joined
                                     else self._all_required(layer))
            self._columns[layer.op] = self._needed_columns(layer)
        self._pending = []
        self._groups += not joined
        self._scratch = max(self._scratch, layer.scratch_bytes)
        self._states += layer.state_bytes
        widths, totals = self._spans(layer)
        if not self._leaves(layer.result):
            self._inner = self._inner + self._ring_bytes(layer, widths, joined)
        self._cost = self._cost + self._cost_of(layer, self._rows_done(layer), totals,
                                                self._is_tiled(layer))
        if layer.expands and space.after(layer.op) < self._last:
            if self._config.tile_pixels and self._expands < MOST_RECOMPUTED:
                self._branch(layer, widths, totals)
            self._expands += 1

    @property
    def inner_bytes(self) -> int:
        """The least bytes of the rings and tiles inside; it only grows."""
        return int((self._inner[self._label_stripe] + self._labels[0]).min())

    def _leaves(self, buffer: int) -> bool:
        return self._space.buffers[buffer].last > self._last

    def _required(self, layer: Layer) -> Rows:
        result = np.zeros(len(self._rows), np.int64)
        written = self._space.graph.tensors[self._space.graph.ops[layer.op].outputs[0]]
        by_rows = self._space.steps_by_rows(layer.op) and layer.rows == written.rows
        for op, window in self._space.readers[layer.result]:
            if op in self._done:
                done = self._done[op]
                in_progress = done + 1 if self._with_end(op) else done
                rows = (((in_progress - 1) * window.step + window.offset) // window.divisor
                        + window.count)
                rows = np.minimum(rows, layer.rows) if by_rows else np.full_like(done, layer.rows)
                rows = np.where(in_progress > 0, rows, 0)
                result = np.maximum(result, rows)
        return result

    def _with_end(self, op: int) -> bool:
        """True where the layer shares the last group, so that its row is still being computed."""
        return self._done[op] is self._rows

    def _all_required(self, layer: Layer) -> int:
        """Rows of the layer that are computed, all in all: what leaves the segment besides its
        output may have to be completed when the output is."""
        inside = [(self._total[op], window) for op, window in self._space.readers[layer.result]
                  if op in self._total]
        if self._leaves(layer.result) or not inside or not self._space.steps_by_rows(layer.op):
            return layer.rows
        ends = (w.first(rows - 1) + w.count for rows, w in inside if rows > 0)
        return min(layer.rows, max([0, *ends]))

    def _rows_done(self, layer: Layer) -> int:
        """Rows of the layer that are computed, all in all."""
        return self._total[layer.op]

    def _needed_columns(self, layer: Layer) -> tuple[Rows, Rows]:
        """[begin, end) of the layer's columns that each stripe computes."""
        begin, end = np.full(len(self._begin), NOBODY), np.zeros(len(self._begin), np.int64)
        by_rows = self._space.steps_by_rows(layer.op)
        for op, pixels, columns in self._space.takers[layer.result]:
            if op in self._columns:
                first, last = self._columns[op]
                if pixels != layer.pixels or not by_rows:
                    begin[:], end[:] = 0, layer.pixels
                    break
                low = (first * columns.step + columns.offset) // columns.divisor
                high = ((last - 1) * columns.step + columns.offset) // columns.divisor
                begin = np.minimum(begin, np.maximum(low, 0))
                end = np.maximum(end, np.minimum(high + columns.count, pixels))
        begin[0], end[0] = 0, layer.pixels  # in one stripe all columns are computed
        if self._leaves(layer.result) or not end.any():
            begin[:], end[:] = 0, layer.pixels
        return begin, end

    def _spans(self, layer: Layer) -> tuple[Rows, Rows]:
        """(columns of the widest stripe, columns of all stripes) for each number of stripes."""
        begin, end = self._columns[layer.op]
        width = np.maximum(end - begin, 0)
        return np.maximum.reduceat(width, self._cuts), np.add.reduceat(width, self._cuts)

    # Bytes and costs ----------------------------------------------------------------------------

    def _ring_bytes(self, layer: Layer, widths: Rows, joined: bool) -> Rows:
        """Bytes of what the layer writes, for each number of stripes."""
        space, tile = self._space, self._config.tile_pixels
        buffer = space.buffers[layer.result]
        if joined:
            return np.minimum(widths, tile) * layer.pixel_bytes
        rows = min(space.rings[layer.result], buffer.ring_rows)
        whole = rows * (buffer.size_bytes // max(buffer.ring_rows, 1))
        if not space.steps_by_rows(layer.op):
            return np.full(len(widths), whole)
        result: Rows = min(rows, layer.rows) * widths * layer.pixel_bytes
        result[0] = whole
        return result

    def _is_tiled(self, layer: Layer) -> bool:
        return self._space.shares_group(layer, self._last, self._config)

    def _cost_of(self, layer: Layer, rows: int, columns: Rows, tiled: bool) -> Rows:
        """MACs beyond those of the graph, and calls, for each number of stripes."""
        tile = self._config.tile_pixels if tiled else layer.pixels
        # A streamed row costs a look at all groups on top of the call.
        calls = rows * (-(-columns // max(tile, 1)) + self._counts)
        cost: Rows = self._extra_macs(layer, rows, columns) * MAC + calls
        return cost

    def _extra_macs(self, layer: Layer, rows: int, columns: Rows) -> Rows:
        pixels = layer.rows * layer.pixels
        if not self._space.steps_by_rows(layer.op) or not pixels:
            return np.zeros(len(columns), np.int64)
        extra: Rows = layer.macs * rows * columns // pixels - layer.macs
        return extra

    def _branch(self, layer: Layer, widths: Rows, totals: Rows) -> None:
        """Every label once more, with the layer recomputed."""
        space, tile = self._space, self._config.tile_pixels
        after = space.layers[space.after(layer.op)]
        window = next(w for b, w in after.reads if b == layer.result)
        columns = space.columns_into(after, layer)
        wide, _ = self._spans(after)
        held = np.minimum((np.minimum(wide, tile) - 1) * columns.step + columns.count, widths)
        saved = self._ring_bytes(layer, widths, False) + PROGRESS_BYTES
        now = min(window.count, layer.rows) * held * layer.pixel_bytes
        rows = recomputed_rows(window, self._rows_done(after), layer.rows)
        calls = rows * (-(-totals // tile) + self._counts) - self._rows_done(layer) * (
            1 + self._counts)
        cost = calls + MAC * (self._extra_macs(layer, rows, totals)
                              - self._extra_macs(layer, self._rows_done(layer), totals))
        self._pending = list(self._widenings(layer))
        wider = sum((w for _, _, w in self._pending), np.zeros(len(widths), np.int64))
        delta = np.stack([now - saved + wider, cost])
        both = np.concatenate([self._labels, self._labels], axis=1)
        both[:2, self._labels.shape[1]:] += delta[:, self._label_stripe]
        both[2, self._labels.shape[1]:] |= 1 << self._expands
        self._labels = both
        self._label_stripe = np.concatenate([self._label_stripe, self._label_stripe])
        self._prune()

    def _widenings(self, layer: Layer) -> Iterator[tuple[int, int, Rows]]:
        """What recomputing the layer adds to the layers that it reads, if they are inside."""
        space = self._space
        for buffer, rows in space.widened.get(layer.op, {}).items():
            source = space.written[buffer]
            if source < 0 or self._leaves(buffer):
                continue
            writer = space.layers[source]
            self._columns[source] = self._needed_columns(writer)
            widths, _ = self._spans(writer)
            del self._columns[source]
            joined = space.joins(writer, self._last, self._config)
            before = self._ring_bytes(writer, widths, joined) - PROGRESS_BYTES * joined
            rows = min(max(rows, space.rings[buffer]), writer.rows)
            yield source, self._expands, rows * widths * writer.pixel_bytes - before

    def _prune(self) -> None:
        """Drop labels that need too much, or that others beat in bytes and cost."""
        stripe, (size, cost, _) = self._label_stripe, self._labels
        fits = (self._inner[stripe] + size <= self._ceiling) & (
            self._cost[stripe] + cost <= self._most_cost)
        fits |= np.arange(len(stripe)) < len(self._stripes)  # those that recompute nothing
        stripe, labels = stripe[fits], self._labels[:, fits]
        order = np.lexsort((labels[1], labels[0], stripe))
        stripe, labels = stripe[order], labels[:, order]
        # One running minimum of the costs for all stripes: each starts far below the one before.
        shifted = labels[1] - stripe * (1 << 59)
        kept = np.ones(len(stripe), bool)
        kept[1:] = shifted[1:] < np.minimum.accumulate(shifted)[:-1]
        kept |= labels[2] == 0
        self._label_stripe, self._labels = stripe[kept], labels[:, kept]
        if kept.sum() > MOST_LABELS * len(self._stripes):
            self._thin()
        first = np.flatnonzero(self._labels[2] == 0)
        rest = np.flatnonzero(self._labels[2] != 0)
        order = np.concatenate([first, rest])
        self._label_stripe, self._labels = self._label_stripe[order], self._labels[:, order]

    def _thin(self) -> None:
        """Keep the cheapest label in each step of bytes."""
        step = max(self._ceiling // MOST_LABELS, 1)
        group = self._label_stripe * (1 << 40) + (1 << 39) + self._labels[0] // step
        order = np.lexsort((self._labels[1], group))
        kept = np.ones(len(order), bool)
        kept[1:] = group[order][1:] != group[order][:-1]
        kept |= self._labels[2][order] == 0
        self._label_stripe = self._label_stripe[order][kept]
        self._labels = self._labels[:, order][:, kept]

    # Whole segments -----------------------------------------------------------------------------

    def ways(self, first: int) -> Ways | None:
        """The ways to run [first, last) that stay within the ceiling, `first` taken in last."""
        apart = self._apart_bytes(first)
        if apart >= IMPOSSIBLE:
            return None
        stripe, (size, cost, mask) = self._label_stripe, self._labels
        pushed = first == 0 and bool(self._space.pushed)
        groups = self._groups + (len(self._space.pushed) if pushed else 0)
        live = self._inner[stripe] + size + apart + self._states + self._scratch
        live = live + (PROGRESS_BYTES * groups if groups > 1 else 0)
        for source, bit, wider in self._pending:
            if source < first:
                live = live - np.where(mask >> bit & 1, wider[stripe], 0)
        total = self._cost[stripe] + cost
        dying = self._dying(first)
        if not ((live - self._most_shared(dying) <= self._ceiling)
                & (total <= self._most_cost)).any():
            return None  # most segments; what is shared takes long to find
        live = live - self._shared_of(first, dying, stripe, mask)
        usable = (live <= self._ceiling) & (total <= self._most_cost)
        if pushed:
            usable &= stripe == 0
        if not usable.any():
            return None
        return Ways(live[usable], total[usable], self._widths[stripe[usable]], mask[usable],
                    self._config.tile_pixels)

    def _apart_bytes(self, first: int) -> int:
        """Bytes of what passes by, enters and leaves."""
        space, last = self._space, self._last
        total = 0
        for number in space.crossing[first]:
            buffer = space.buffers[number]
            if number in space.inputs_pushed:
                if first > 0 or buffer.last > last:
                    return IMPOSSIBLE
                total += space.rings[number] * (buffer.size_bytes // buffer.ring_rows)
            else:
                total += buffer.size_bytes
        return total + sum(space.buffers[b].size_bytes for b in space.crossing[last]
                           if space.written[b] >= first)

    def _dying(self, first: int) -> list[int]:
        """Buffers that enter the segment and end in it, the largest first."""
        space = self._space
        found = [n for n in space.crossing[first]
                 if space.buffers[n].last <= self._last and n not in space.inputs_pushed]
        return sorted(found, key=lambda n: -space.buffers[n].size_bytes)

    def _most_shared(self, dying: list[int]) -> int:
        """No order of rows lets the segment's output share more than this."""
        assert self._end is not None
        sizes = self._space.buffers
        return min(sizes[dying[0]].size_bytes, sizes[self._end.result].size_bytes) if dying else 0

    def _shared_of(self, first: int, dying: list[int], stripe: Rows, mask: Rows) -> Rows:
        """The most that the segment's output can share with one of its inputs, for each label.

        In several stripes nothing: the next one reads all rows anew.
        """
        plain = self._shared(first, dying, None)
        shared = np.where(stripe == 0, plain, 0)
        layer = self._space.layers[first]
        if plain and layer.expands and self._expands <= MOST_RECOMPUTED:
            again = self._shared(first, dying, first)
            bit = self._expands - 1
            shared = np.where((stripe == 0) & (mask >> bit & 1 != 0), again, shared)
        return shared

    def _shared(self, first: int, dying: list[int], recomputed: int | None) -> int:
        space = self._space
        assert self._end is not None
        output = space.buffers[self._end.result]
        if output.region != "arena" or output.last <= self._last:
            return 0
        row = output.size_bytes // output.ring_rows
        if not space.steps_by_rows(self._end.op):
            return 0
        best = 0
        for number in dying:
            source = space.buffers[number]
            if min(source.size_bytes, output.size_bytes) <= best:
                break  # nor can those after it, which are smaller
            apart = max(self._below(first, number, row, recomputed), 0)
            extent = max(apart + source.size_bytes, output.size_bytes)
            best = max(best, source.size_bytes + output.size_bytes - extent)
        return best

    def _below(self, first: int, number: int, out_row_bytes: int, recomputed: int | None) -> int:
        space, source = self._space, self._space.buffers[number]
        assert self._end is not None
        low = np.full(len(self._rows), source.ring_rows, np.int64)
        for op, window in space.readers[number]:
            if first <= op < self._last:
                reader = op
                if op == recomputed:  # its rows are those that its reader's window spans
                    reader = space.after(op)
                    result = space.layers[op].result
                    window = next(w for b, w in space.layers[reader].reads if b == result)
                done = self._done[reader]
                needed = (done * window.step + window.offset) // window.divisor
                needed = needed + (reader == self._end.op and number in space.layers[op].overwrites)
                rows = space.layers[reader].rows
                needed = np.where(done < rows, np.maximum(needed, 0), NOBODY)
                low = np.minimum(low, needed)
        row = source.size_bytes // source.ring_rows
        return int(((self._rows + 1) * out_row_bytes - low * row).max())


def recomputed_rows(window: Window, rows: int, height: int) -> int:
    """Rows of a map of `height` that are computed where `rows` output rows each compute theirs."""
    first = (np.arange(rows) * window.step + window.offset) // window.divisor
    return int(np.maximum(np.minimum(first + window.count, height) - np.maximum(first, 0),
                          0).sum())
