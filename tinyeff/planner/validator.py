# SPDX-License-Identifier: MIT
"""Replays a plan byte by byte; knows the records and `Operator.window`, and nothing of the solver.

Every byte of every memory carries a tag: which byte of which tensor it holds. All calls of all
steps are gone through in execution order; a row that is written tags its bytes, a row that is read
must find its own tags. Kernel scratch and states tag bytes too, so what they destroy is seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tinyeff.errors import InternalError
from tinyeff.ir import Graph, Op, Plan, Tensor, Variant, Window
from tinyeff.ops import operator_of
from tinyeff.ops.operator import Node, node_of
from tinyeff.planner import sizes
from tinyeff.planner.validator_records import check_records, check_touched, describe

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


@dataclass(frozen=True)
class _Call:
    """What one kernel call reads, and then writes.

    The reads in `in_order` go pixel by pixel: pixel p is read before output pixel p is written.
    """

    reads: tuple[_Span, ...]
    writes: tuple[_Span, ...]
    in_order: tuple[bool, ...]


@dataclass(frozen=True)
class _Source:
    """An activation that an operator reads; `in_order` as in `_Call`."""

    index: int
    tensor: Tensor
    window: Window
    in_order: bool


class _Replay:
    def __init__(self, graph: Graph, plan: Plan) -> None:
        self.graph = graph
        self.plan = plan
        self.home = {t: b for b, buffer in enumerate(plan.buffers) for t in buffer.tensors}
        self.touched: dict[int, list[int]] = {}
        self.step = 0
        total = sum(b.size_bytes for b in plan.buffers)
        dtype = np.int32 if total < 2**31 else np.int64
        self.ramp = np.arange(max((b.size_bytes for b in plan.buffers), default=0), dtype=dtype)
        # A buffer's bytes are tagged base, base + 1, ...; tensors that share it share its bytes.
        self.base = np.cumsum([0] + [b.size_bytes for b in plan.buffers]).tolist()
        arena = np.full(plan.arena_bytes, GARBAGE, dtype)
        self.memory = [
            arena if b.region == "arena" else np.full(b.size_bytes, GARBAGE, dtype)
            for b in plan.buffers
        ]

    def run(self) -> None:
        """Fill the inputs, run all steps, look at the outputs."""
        inputs = [i for i in self.graph.inputs if not self.graph.tensors[i].is_constant]
        for i in inputs:
            self._write(self._rows(i), "the caller")
        for i in inputs:
            self._read(self._rows(i), "the caller")
        for step, op in enumerate(self.graph.ops):
            self.step = step
            node, operator = node_of(self.graph, op), operator_of(op.kind)
            form = operator.form_of(node)
            if form != "view":
                self._touch_operands(op)
            if form == "accumulate":
                self._accumulate(op, node)
            elif form != "view":
                flat = form == "whole" or self.plan.flat[self.step]
                self._calls(op, self._one_call(op, node) if flat else self._row_calls(op, node))
        self.step = len(self.graph.ops)
        for i in self.graph.outputs:
            self._read(self._rows(i), "the end")

    # Calls ------------------------------------------------------------------------------------

    def _row_calls(self, op: Op, node: Node[Any]) -> Iterator[_Call]:
        """One call per `rows_per_call` output rows, from top to bottom."""
        rows, per_call = node.output.rows, self._variant().rows_per_call
        sources = self._sources(op, node)
        if any(t.rows != rows for t in node.outputs):
            raise InternalError(f"validator: {describe(op)} has outputs of different heights and "
                                "cannot run row by row")
        for y in range(0, rows, per_call):
            end = min(y + per_call, rows)
            reads, in_order = [], []
            for source in sources:
                first = max(source.window.first(y), 0)
                last = source.window.first(end - 1) + source.window.count
                last = min(last, source.tensor.rows)
                if first < last:
                    reads.append(self._rows(source.index, first, last))
                    in_order.append(source.in_order)
            writes = tuple(self._rows(index, y, end) for index in op.outputs)
            yield _Call(tuple(reads), writes, tuple(in_order))

    def _one_call(self, op: Op, node: Node[Any]) -> Iterator[_Call]:
        """All of every input, all of every output."""
        sources = self._sources(op, node)
        yield _Call(
            tuple(self._rows(source.index) for source in sources),
            tuple(self._rows(index) for index in op.outputs),
            tuple(source.in_order for source in sources),
        )

    def _sources(self, op: Op, node: Node[Any]) -> list[_Source]:
        """The activations that the operator reads; all of them where it is not of form "rows"."""
        operator, found = operator_of(op.kind), []
        tensors = [i for i in op.inputs if i >= 0 and not self.graph.tensors[i].is_constant]
        for number, index in enumerate(tensors):
            tensor = self.graph.tensors[index]
            if operator.form_of(node) == "rows":
                window, columns = operator.window(node, number), operator.columns(node, number)
            else:
                window, columns = Window(tensor.rows, 0), Window(tensor.pixels, 0)
            same_map = (tensor.rows, tensor.pixels) == (node.output.rows, node.output.pixels)
            in_order = same_map and window == columns == Window() and self._variant().consumes > 0
            found.append(_Source(index, tensor, window, in_order))
        return found

    def _variant(self) -> Variant:
        return self.plan.variants[self.step]

    # Execution --------------------------------------------------------------------------------

    def _calls(self, op: Op, calls: Iterable[_Call]) -> None:
        private = self._private()
        for call in calls:
            for span in private:
                self._apart(op, span, (*call.reads, *call.writes))
                self._destroy(span)
            for read, in_order in zip(call.reads, call.in_order, strict=True):
                self._read(read, describe(op))
                for write in call.writes:
                    if in_order:
                        self._check_order(op, read, write)
                    else:
                        self._apart(op, read, (write,))
            for n, write in enumerate(call.writes):
                self._apart(op, write, call.writes[n + 1:])
                self._write(write, describe(op))

    def _accumulate(self, op: Op, node: Node[Any]) -> None:
        """`begin` clears the state, `add_rows` reads all rows, `finish` writes the outputs."""
        private = self._private()
        sources = [source.index for source in self._sources(op, node)]
        for span in private:
            self._write(span, describe(op))
        for i in sources:
            for y in range(self.graph.tensors[i].rows):
                row = self._rows(i, y, y + 1)
                self._read(row, describe(op))
                self._apart(op, row, private)
        for span in private:
            self._read(span, describe(op))
        writes = tuple(self._rows(i) for i in op.outputs)
        for n, write in enumerate(writes):
            self._apart(op, write, (*private, *writes[n + 1:]))
            self._write(write, describe(op))

    # Memory -----------------------------------------------------------------------------------

    def _rows(self, tensor: int, first: int = 0, last: int | None = None) -> _Span:
        """Rows [first, last) of a tensor; all of it by default."""
        index = self.home[tensor]
        buffer, record = self.plan.buffers[index], self.graph.tensors[tensor]
        row, last = sizes.row_bytes(record), record.rows if last is None else last
        return _Span(
            index,
            buffer.offset_bytes + first * row,
            buffer.offset_bytes + last * row,
            self.base[index] + first * row,
            sizes.pixel_bytes(record),
            f"rows {first} to {last - 1} of buffer '{buffer.name}'",
        )

    def _private(self) -> tuple[_Span, ...]:
        """Scratch memory and state of the current step."""
        return tuple(
            _Span(n, b.offset_bytes, b.offset_bytes + b.size_bytes, self.base[n], 1, f"'{b.name}'")
            for n, b in enumerate(self.plan.buffers)
            if b.op == self.step
        )

    def _tags(self, span: _Span) -> npt.NDArray[Any]:
        skip = span.tag - self.base[span.buffer]
        tags: npt.NDArray[Any] = self.ramp[skip:skip + span.end - span.begin]
        tags = tags + self.base[span.buffer]
        return tags

    def _touch(self, buffer: int) -> None:
        steps = self.touched.setdefault(buffer, [self.step, self.step])
        steps[1] = self.step

    def _touch_operands(self, op: Op) -> None:
        """An operator counts as using its operands even where its windows miss all their rows."""
        for i in (*op.inputs, *op.outputs):
            if i in self.home:
                self._touch(self.home[i])

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
