# SPDX-License-Identifier: MIT
"""Replays a plan byte by byte; knows the records and the schedule, and nothing of the solver.

Every byte of every memory carries a tag: which byte of which tensor it holds. All calls are gone
through in execution order (see tinyeff/schedule.py); a row that is written tags its bytes, a row
that is read must find its own tags. Kernel scratch, states and row counters tag bytes too, so what
they destroy is seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tinyeff.errors import InternalError
from tinyeff.exits import first_exits
from tinyeff.ir import Buffer, Graph, Op, Plan, Segment, Window
from tinyeff.planner import sizes
from tinyeff.planner.validator_records import check_records, check_touched, describe
from tinyeff.schedule import (
    ALONE,
    PUSHED,
    Call,
    Operand,
    Stage,
    StageGroup,
    Tile,
    calls_of,
    schedule,
)

GARBAGE = -1
"""Tag of bytes that hold nothing anyone may rely on."""


def validate(graph: Graph, plan: Plan) -> None:
    """Raise InternalError naming operator and buffer where running `plan` would go wrong."""
    check_records(graph, plan)
    replay = _Replay(graph, plan)
    replay.run()
    check_touched(graph, plan, replay.touched)


@dataclass(frozen=True)
class _Span:
    """Bytes that one call touches: `begin` and `end` are addresses, `tag` is that of the first.

    `what` says which rows of which buffer these are.
    """

    buffer: int
    begin: int
    end: int
    tag: int
    pixel_bytes: int
    what: str

    def meets(self, other: _Span) -> bool:
        return self.begin < other.end and other.begin < self.end


class _Replay:
    def __init__(self, graph: Graph, plan: Plan) -> None:
        self.graph = graph
        self.plan = plan
        self.home = {t: b for b, buffer in enumerate(plan.buffers) for t in buffer.tensors}
        self.touched: dict[int, list[int]] = {}
        self.steps = (0, 1)
        self.slid: dict[int, Tile] = {}
        self.private: dict[tuple[int, str], list[_Span]] = {}
        # A tensor's bytes are tagged base, base + 1, ...; tensors that share a buffer share tags.
        full = [max((sizes.size_bytes(graph.tensors[t]) for t in b.tensors), default=b.size_bytes)
                for b in plan.buffers]
        self.base = np.cumsum([0, *full]).tolist()
        dtype = np.int32 if self.base[-1] < 2**31 else np.int64
        self.ramp = np.arange(max(full, default=0), dtype=dtype)
        arenas = {r.name: np.full(r.arena_bytes, GARBAGE, dtype) for r in plan.regions}
        self.memory = [
            arenas[b.region] if b.in_arena else np.full(b.size_bytes, GARBAGE, dtype)
            for b in plan.buffers
        ]

    def run(self) -> None:
        """Fill the inputs, run all segments, look at the outputs."""
        pushed = {t for segment in self.plan.segments for t in segment.pushed}
        inputs = [i for i in self.graph.inputs
                  if not self.graph.tensors[i].is_constant and i not in pushed]
        for i in inputs:
            self._write_all(self._rows(i), "the caller")
        for i in inputs:
            self._read_all(self._rows(i), "the caller")
        groups = schedule(self.graph, self.plan.segments, self.plan.variants, self.plan.flat)
        for number, segment in enumerate(self.plan.segments):
            self._look_at_exits(segment.first)
            self._run_segment(number, segment, groups[number])
        self.steps = (len(self.graph.ops), len(self.graph.ops) + 1)
        for i in self.graph.outputs:
            self._read_all(self._rows(i), "the end")

    def _look_at_exits(self, after: int) -> None:
        """An exit behind `after` operators reads its scores, and hands over what is computed."""
        for number, record in enumerate(self.graph.exits, 1):
            if record.after == after:
                self.steps = (after - 1, after)
                self._read_all(self._rows(self.graph.outputs[record.output]), f"exit {number}")
                for output, first in zip(self.graph.outputs, first_exits(self.graph), strict=True):
                    if first <= number:
                        self._read_all(self._rows(output), f"exit {number}")

    def _run_segment(self, number: int, segment: Segment, groups: tuple[StageGroup, ...]) -> None:
        self.steps = (segment.first, segment.last)
        counters = self._private(segment.first, "progress")
        self._write_all(counters, "the row counters")
        self.slid.clear()
        self._touch_all(segment, groups)
        for call in calls_of(number, groups):
            if segment.strategy == "patch":
                self.steps = (call.stage.op, call.stage.op + 1)
            self._run_call(call)
        self._read_all(counters, "the row counters")

    def _touch_all(self, segment: Segment, groups: tuple[StageGroup, ...]) -> None:
        """Patch by patch, inner tensors are used at the steps of their operators; else, and all
        others, throughout the segment."""
        whole = (segment.first, segment.last)
        for stage in (s for group in groups for s in group.stages):
            own = (stage.op, stage.op + 1) if segment.strategy == "patch" else whole
            self.steps = own
            for span in (*self._private(stage.op, "scratch"), *self._private(stage.op, "state")):
                self._touch(span.buffer)
            for operand in stage.operands:
                self.steps = whole if operand.producer == ALONE else own
                self._touch(self.home[operand.tensor])
            for tensor in stage.outputs:
                self.steps = own if stage.inner else whole
                self._touch(self.home[tensor])
        self.steps = whole

    # Calls ------------------------------------------------------------------------------------

    def _run_call(self, call: Call) -> None:
        stage, tile = call.stage, call.tile
        if stage.form == PUSHED:
            row = self._area(stage.outputs[0], tile.y0, tile.y1, tile.x0, tile.x1, None)
            self._write_all(row, "the caller")
        elif stage.form == "accumulate":
            self._accumulate(call)
        elif stage.form == "whole" or stage.flat:
            pairs = [(o, self._rows(o.tensor)) for o in stage.operands]
            writes = [s for t in stage.outputs for s in self._rows(t)]
            self._compute(stage, pairs, writes)
        elif not tile.is_empty:
            self._slide(stage, tile)
            for y in range(tile.y0, tile.y1, stage.rows_per_call):
                self._compute_rows(call, y, min(y + stage.rows_per_call, tile.y1))

    def _compute_rows(self, call: Call, y0: int, y1: int) -> None:
        """One kernel call for output rows [y0, y1) of the tile."""
        stage, tile = call.stage, call.tile
        x0 = max(tile.x0, tile.held)
        if x0 >= tile.x1:
            return
        heights = {self.graph.tensors[t].rows for t in stage.outputs}
        if len(heights) > 1:
            raise InternalError(f"validator: {describe(self.graph.ops[stage.op])} has outputs of "
                                "different heights and cannot run row by row")
        pairs = []
        for operand in stage.operands:
            (top, bottom), (left, right) = operand.rows_of(y0, y1), operand.columns_of(x0, tile.x1)
            origin = call.read_origin(operand)
            pairs.append((operand, self._area(operand.tensor, top, bottom, left, right, origin)))
        mine = call.written_origin
        writes = [s for t in stage.outputs for s in self._area(t, y0, y1, x0, tile.x1, mine)]
        self._compute(stage, pairs, writes)

    def _compute(
        self, stage: Stage, reads: list[tuple[Operand, list[_Span]]], writes: list[_Span]
    ) -> None:
        """A kernel reads, then writes; what its variant promises about pixels is relied upon."""
        op = self.graph.ops[stage.op]
        for span in self._private(stage.op, "scratch"):
            self._apart(op, span, [s for _, spans in reads for s in spans] + writes)
            self._destroy(span)
        for operand, spans in reads:
            in_order = self._is_ordered(stage, operand)
            for read in spans:
                self._read(read, describe(op))
                if not in_order:
                    self._apart(op, read, writes)
                    continue
                for write in writes:
                    self._check_order(op, read, write)
        for n, write in enumerate(writes):
            self._apart(op, write, writes[n + 1:])
            self._write(write, describe(op))

    def _is_ordered(self, stage: Stage, operand: Operand) -> bool:
        result = self.graph.tensors[stage.outputs[0]]
        pixels = operand.rows * operand.pixels == result.rows * result.pixels
        same_rows = stage.flat or (operand.rows, operand.pixels) == (result.rows, result.pixels)
        plain = operand.window == Window() and operand.columns == Window()
        return (self.plan.variants[stage.op].consumes > 0 and stage.form == "rows" and pixels
                and same_rows and plain)

    def _accumulate(self, call: Call) -> None:
        """`begin` clears the state, `add_rows` reads a tile, `finish` writes the outputs."""
        stage, tile, op = call.stage, call.tile, self.graph.ops[call.stage.op]
        operand, state = stage.operands[0], self._private(stage.op, "state")
        if tile.y0 == 0 and tile.x0 == 0:
            self._write_all(state, describe(op))
        origin = call.read_origin(operand)
        for span in self._area(operand.tensor, tile.y0, tile.y1, tile.x0, tile.x1, origin):
            self._read(span, describe(op))
            self._apart(op, span, state)
        self._read_all(state, describe(op))
        if tile.y1 == operand.rows and tile.x1 == operand.pixels:
            writes = [s for t in stage.outputs for s in self._rows(t)]
            for n, write in enumerate(writes):
                self._apart(op, write, (*state, *writes[n + 1:]))
                self._write(write, describe(op))

    def _slide(self, stage: Stage, tile: Tile) -> None:
        """Columns that the tile before left are moved to the front, from left to right."""
        before = self.slid.get(stage.op)
        if stage.inner:
            self.slid[stage.op] = tile
        if tile.held == tile.x0 or before is None or before.x0 == tile.x0:
            return
        op = self.graph.ops[stage.op]
        for tensor in stage.outputs:
            for y in range(tile.y0, tile.y1):
                for old in self._area(tensor, y, y + 1, tile.x0, tile.held, before.x0):
                    self._read(old, describe(op))
                for new in self._area(tensor, y, y + 1, tile.x0, tile.held, tile.x0):
                    self._write(new, describe(op))

    # Memory -----------------------------------------------------------------------------------

    def _rows(self, tensor: int) -> list[_Span]:
        """All of a tensor."""
        record = self.graph.tensors[tensor]
        return self._area(tensor, 0, record.rows, 0, record.pixels, None)

    def _area(
        self, tensor: int, y0: int, y1: int, x0: int, x1: int, origin: int | None
    ) -> list[_Span]:
        """Rows [y0, y1) of columns [x0, x1).

        `origin` is the column that the buffer begins with where it holds a tile or stripe only.
        """
        index, record = self.home[tensor], self.graph.tensors[tensor]
        buffer = self.plan.buffers[index]
        if y0 >= y1 or x0 >= x1:
            return []
        pixel, full_row = sizes.pixel_bytes(record), sizes.row_bytes(record)
        what = f"rows {y0} to {y1 - 1} of buffer '{buffer.name}'"
        ring = min(buffer.ring_rows, record.rows)
        if origin is None and ring >= record.rows and x1 - x0 == record.pixels:
            begin = buffer.offset_bytes + y0 * full_row
            return [_Span(index, begin, begin + (y1 - y0) * full_row,
                          self.base[index] + y0 * full_row, pixel, what)]
        held_row = buffer.row_pixels * pixel if origin is not None else full_row
        left = x0 - (origin or 0)
        spans = []
        for y in range(y0, y1):
            begin = buffer.offset_bytes + (y % ring) * held_row + left * pixel
            tag = self.base[index] + y * full_row + x0 * pixel
            self._check_inside(buffer, begin, begin + (x1 - x0) * pixel, what)
            spans.append(_Span(index, begin, begin + (x1 - x0) * pixel, tag, pixel, what))
        return spans

    def _check_inside(self, buffer: Buffer, begin: int, end: int, what: str) -> None:
        if begin < buffer.offset_bytes or end > buffer.offset_bytes + buffer.size_bytes:
            raise InternalError(f"validator: {what} lie outside its {buffer.size_bytes} bytes")

    def _private(self, op: int, what: str) -> list[_Span]:
        """Scratch memory, state or row counters that operator `op` uses."""
        if (op, what) not in self.private:
            self.private[op, what] = self._find_private(op, what)
        return self.private[op, what]

    def _find_private(self, op: int, what: str) -> list[_Span]:
        spans = []
        for n, b in enumerate(self.plan.buffers):
            mine = b.op == op or (what == "scratch" and b.op is not None)
            if mine and b.name.startswith(what) and b.first <= op < b.last:
                size = b.size_bytes
                if what == "scratch":
                    size = self.plan.variants[op].scratch_bytes
                spans.append(_Span(n, b.offset_bytes, b.offset_bytes + size, self.base[n], 1,
                                   f"'{b.name}'"))
        return [s for s in spans if s.begin < s.end]

    def _tags(self, span: _Span) -> npt.NDArray[Any]:
        skip = span.tag - self.base[span.buffer]
        tags: npt.NDArray[Any] = self.ramp[skip:skip + span.end - span.begin]
        tags = tags + self.base[span.buffer]
        return tags

    def _touch(self, buffer: int) -> None:
        first, last = self.touched.setdefault(buffer, [self.steps[0], self.steps[1] - 1])
        self.touched[buffer] = [min(first, self.steps[0]), max(last, self.steps[1] - 1)]

    def _write_all(self, spans: Iterable[_Span], who: str) -> None:
        for span in spans:
            self._write(span, who)

    def _read_all(self, spans: Iterable[_Span], who: str) -> None:
        for span in spans:
            self._read(span, who)

    def _write(self, span: _Span, who: str) -> None:
        buffer = self.plan.buffers[span.buffer]
        if buffer.region == "input" and who != "the caller":
            raise InternalError(f"validator: {who} writes {span.what}, which is the caller's")
        self._touch(span.buffer)
        self.memory[span.buffer][span.begin:span.end] = self._tags(span)

    def _destroy(self, span: _Span) -> None:
        self._touch(span.buffer)
        self.memory[span.buffer][span.begin:span.end] = GARBAGE

    def _read(self, span: _Span, who: str) -> None:
        self._touch(span.buffer)
        found = self.memory[span.buffer][span.begin:span.end]
        wrong = found != self._tags(span)
        if wrong.any():
            at = int(wrong.argmax())
            raise InternalError(
                f"validator: {who} reads {span.what}, but the byte at {span.begin + at} of "
                f"'{self.plan.buffers[span.buffer].region}' holds {self._owner(int(found[at]))}"
            )

    def _owner(self, tag: int) -> str:
        if tag == GARBAGE:
            return "nothing that was written, or kernel scratch"
        index = int(np.searchsorted(self.base, tag, side="right")) - 1
        return f"byte {tag - self.base[index]} of buffer '{self.plan.buffers[index].name}'"

    def _same_memory(self, a: _Span, b: _Span) -> bool:
        return self.memory[a.buffer] is self.memory[b.buffer]

    def _apart(self, op: Op, span: _Span, others: Iterable[_Span]) -> None:
        for other in others:
            if self._same_memory(span, other) and span.meets(other):
                raise InternalError(f"validator: in one call of {describe(op)}, {span.what} and "
                                    f"{other.what} overlap")

    def _check_order(self, op: Op, read: _Span, write: _Span) -> None:
        """Each byte that is both read and written must be read first."""
        if not self._same_memory(read, write) or not read.meets(write):
            return
        address = np.arange(max(read.begin, write.begin), min(read.end, write.end))
        read_pixel = (address - read.begin) // read.pixel_bytes
        write_pixel = (address - write.begin) // write.pixel_bytes
        if (write_pixel < read_pixel).any():
            raise InternalError(f"validator: {describe(op)} overwrites {read.what} with "
                                f"{write.what} before it has read them")
