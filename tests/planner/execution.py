# SPDX-License-Identifier: MIT
"""Runs a planned graph of fakes on a real arena, with the rudest kernels that the rules allow.

Every output pixel is a checksum of all that its operator may read for it. A kernel that promises
nothing spoils its output rows before it reads its inputs; scratch memory is spoilt before and after
each call, and all that a segment leaves behind which no later one needs is spoilt too. The outputs
must equal those of a run in which nothing shares memory.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tinyeff.ir import Graph, Op, Plan, Tensor, Window
from tinyeff.ops import operator_of
from tinyeff.ops.operator import node_of
from tinyeff.planner import sizes
from tinyeff.schedule import PUSHED, Call, Tile, calls_of, schedule

Bytes = npt.NDArray[np.uint8]
Area = tuple[int, int, int, int]
"""Rows [y0, y1) of columns [x0, x1)."""
Read = Callable[[int, Area], Bytes]
"""(number of the activation, area) -> its bytes, row after row."""


def inputs_of(graph: Graph) -> list[Bytes]:
    """Random bytes for each input, always the same."""
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, sizes.size_bytes(graph.tensors[i]), dtype=np.uint8)
            for i in graph.inputs]


def run_apart(graph: Graph, inputs: list[Bytes]) -> list[Bytes]:
    """The outputs where every tensor has memory of its own."""
    memory = [np.zeros(sizes.size_bytes(t), np.uint8) for t in graph.tensors]
    for tensor, data in zip(graph.inputs, inputs, strict=True):
        memory[tensor][:] = data
    for op in graph.ops:
        if op.attrs.form == "view":
            memory[op.outputs[0]] = memory[op.inputs[0]]
            continue

        def read(number: int, area: Area, op: Op = op) -> Bytes:
            index = op.inputs[number]
            y0, y1, x0, x1 = area
            rows = memory[index].reshape(-1, sizes.row_bytes(graph.tensors[index]))
            pixel = sizes.pixel_bytes(graph.tensors[index])
            return rows[y0:y1, x0 * pixel:x1 * pixel].reshape(-1)

        for n, i in enumerate(op.outputs):
            out = graph.tensors[i]
            if op.attrs.form == "rows":
                pixels = [_pixel(graph, op, n, y, x, read)
                          for y in range(out.rows) for x in range(out.pixels)]
                memory[i][:] = np.concatenate(pixels)
            else:
                memory[i][:] = _all_of(graph, op, n, read)
    return [memory[i].copy() for i in graph.outputs]


def run_planned(graph: Graph, plan: Plan, inputs: list[Bytes]) -> list[Bytes]:
    """The outputs on the memory that `plan` lays out."""
    machine = _Machine(graph, plan)
    pushed = {t for segment in plan.segments for t in segment.pushed}
    values = dict(zip(graph.inputs, inputs, strict=True))
    for tensor, data in values.items():
        if tensor not in pushed:
            machine.whole(tensor)[:] = data
    machine.pushed = {t: values[t] for t in pushed}
    groups = schedule(graph, plan.segments, plan.variants, plan.flat)
    for number, segment in enumerate(plan.segments):
        for call in calls_of(number, groups[number]):
            machine.run(call)
        machine.spoil_dead(segment.last)
    return [machine.whole(i).copy() for i in graph.outputs]


class _Machine:
    """An arena, the caller's memories, and kernels that work in them."""

    def __init__(self, graph: Graph, plan: Plan) -> None:
        self.graph, self.plan = graph, plan
        self.pushed: dict[int, Bytes] = {}
        self.slid: dict[int, Tile] = {}
        arenas = {r.name: np.full(r.arena_bytes, 0xAA, np.uint8) for r in plan.regions}
        self.memory = [
            arenas[b.region][b.offset_bytes:b.offset_bytes + b.size_bytes] if b.in_arena
            else np.full(b.size_bytes, 0xAA, np.uint8) for b in plan.buffers
        ]
        self.home = {t: n for n, b in enumerate(plan.buffers) for t in b.tensors}

    def whole(self, tensor: int) -> Bytes:
        """The bytes of a tensor that is not a ring."""
        return self.memory[self.home[tensor]]

    def spoil_dead(self, step: int) -> None:
        """Make what no step from `step` on needs unreadable."""
        arena = [b for b in self.plan.buffers if b.in_arena]
        alive = {r.name: np.zeros(r.arena_bytes, bool) for r in self.plan.regions}
        for b in arena:
            if b.first < step < b.last:
                alive[b.region][b.offset_bytes:b.offset_bytes + b.size_bytes] = True
        for b, memory in zip(self.plan.buffers, self.memory, strict=True):
            if b.in_arena and b.last <= step:
                kept = alive[b.region][b.offset_bytes:b.offset_bytes + b.size_bytes]
                memory[~kept] = 0x33

    def run(self, call: Call) -> None:
        """One call of a stage, in as many kernel calls as it takes."""
        stage, tile = call.stage, call.tile
        if stage.form == PUSHED:
            (tensor,) = stage.outputs
            row = sizes.row_bytes(self.graph.tensors[tensor])
            for y in range(tile.y0, tile.y1):
                self._row(tensor, y, None)[:] = self.pushed[tensor][y * row:(y + 1) * row]
            return
        private = self._private(stage.op)
        if stage.form == "accumulate":
            self._accumulate(call, private["state"])
        elif stage.form == "whole":
            self._whole(call, private["scratch"])
        else:
            self._rows(call, private["scratch"])

    def _private(self, step: int) -> dict[str, Bytes]:
        found = {"scratch": np.zeros(0, np.uint8), "state": np.zeros(4, np.uint8)}
        for b, memory in zip(self.plan.buffers, self.memory, strict=True):
            mine = b.op == step or (b.op is not None and b.name.startswith("scratch"))
            if mine and b.first <= step < b.last and b.name.split()[0] in found:
                found[b.name.split()[0]] = memory
        return found

    # Where rows lie ---------------------------------------------------------------------------

    def _row(self, tensor: int, y: int, origin: int | None) -> Bytes:
        """Row y of a tensor as far as it is there: all of it, or from column `origin` on."""
        record, buffer = self.graph.tensors[tensor], self.plan.buffers[self.home[tensor]]
        width = record.pixels if origin is None else buffer.row_pixels
        row = width * sizes.pixel_bytes(record)
        place = (y % min(buffer.ring_rows, record.rows)) * row
        return self.whole(tensor)[place:place + row]

    def _reader(self, call: Call) -> Read:
        def read(number: int, area: Area) -> Bytes:
            operand = call.stage.operands[number]
            origin = call.read_origin(operand)
            y0, y1, x0, x1 = area
            parts = [self._part(operand.tensor, y, x0, x1, origin) for y in range(y0, y1)]
            return np.concatenate(parts) if parts else np.zeros(0, np.uint8)
        return read

    # Kernels ----------------------------------------------------------------------------------

    def _rows(self, call: Call, scratch: Bytes) -> None:
        stage, tile, graph = call.stage, call.tile, self.graph
        op, out = graph.ops[stage.op], graph.tensors[stage.outputs[0]]
        if stage.flat:
            tile = Tile(0, out.rows, 0, out.pixels, 0)
        self._slide(call)
        at_once = out.rows if stage.flat else stage.rows_per_call
        for y0 in range(tile.y0, tile.y1, at_once):
            self._spoil([scratch])
            y1 = min(y0 + at_once, tile.y1)
            x0 = max(tile.x0, tile.held)
            if x0 >= tile.x1:
                continue
            held = call.written_origin
            if not self._reads_in_order(op, stage.op):
                self._spoil([self._part(t, y, x0, tile.x1, held)
                             for t in stage.outputs for y in range(y0, y1)])
            for y in range(y0, y1):
                for x in range(x0, tile.x1):
                    values = [_pixel(graph, op, n, y, x, self._reader(call))
                              for n in range(len(stage.outputs))]
                    for t, value in zip(stage.outputs, values, strict=True):
                        if x < graph.tensors[t].pixels:
                            self._part(t, y, x, x + 1, held)[:] = value
            self._spoil([scratch])

    def _part(self, tensor: int, y: int, x0: int, x1: int, origin: int | None) -> Bytes:
        pixel = sizes.pixel_bytes(self.graph.tensors[tensor])
        left = origin or 0
        return self._row(tensor, y, origin)[(x0 - left) * pixel:(x1 - left) * pixel]

    def _reads_in_order(self, op: Op, step: int) -> bool:
        if not self.plan.variants[step].consumes:
            return False
        node = node_of(self.graph, op)
        return any(_is_pixel(node.activations[n], self.graph.tensors[op.outputs[0]], op, n)
                   for n in range(len(node.activations)))

    def _slide(self, call: Call) -> None:
        stage, tile = call.stage, call.tile
        before = self.slid.get(stage.op)
        self.slid[stage.op] = tile
        if before is None or tile.held == tile.x0 or before.x0 == tile.x0 or not stage.inner:
            return
        for t in stage.outputs:
            for y in range(tile.y0, tile.y1):
                kept = self._part(t, y, tile.x0, tile.held, before.x0).copy()
                self._part(t, y, tile.x0, tile.held, tile.x0)[:] = kept

    def _accumulate(self, call: Call, state: Bytes) -> None:
        """Keeps a running checksum in the state, as far as there is one."""
        stage, tile = call.stage, call.tile
        op, operand = self.graph.ops[stage.op], call.stage.operands[0]
        read = self._reader(call)
        if (tile.y0, tile.x0) == (0, 0):
            state[:4] = 0
        for y in range(tile.y0, tile.y1):
            for x in range(tile.x0, tile.x1):
                seen = read(0, (y, y + 1, x, x + 1)).tobytes()
                value = _added(int.from_bytes(state[:4].tobytes(), "little"), seen, y, x)
                state[:4] = np.frombuffer(value.to_bytes(4, "little"), np.uint8)
        if tile.y1 == operand.rows and tile.x1 == operand.pixels:
            found = state[:4].tobytes()
            self._spoil([self.whole(i) for i in op.outputs])
            for n, i in enumerate(op.outputs):
                self.whole(i)[:] = _checksum(op, n, 0, found, len(self.whole(i)))

    def _whole(self, call: Call, scratch: Bytes) -> None:
        op = self.graph.ops[call.stage.op]
        self._spoil([scratch, *(self.whole(i) for i in op.outputs)])
        for n, i in enumerate(op.outputs):
            self.whole(i)[:] = _all_of(self.graph, op, n, self._reader(call))
        self._spoil([scratch])

    def _spoil(self, memories: list[Bytes]) -> None:
        for memory in memories:
            memory[:] = 0x55


def _is_pixel(source: Tensor, out: Tensor, op: Op, number: int) -> bool:
    same = (source.rows, source.pixels) == (out.rows, out.pixels)
    return same and op.attrs.windows[number] == Window()


def _pixel(graph: Graph, op: Op, output: int, y: int, x: int, read: Read) -> Bytes:
    """Pixel (y, x) of an output of a "rows" operator: a checksum of the window that it sees."""
    node, operator = node_of(graph, op), operator_of(op.kind)
    seen = b""
    for number, source in enumerate(node.activations):
        rows, columns = operator.window(node, number), operator.columns(node, number)
        y0, x0 = max(rows.first(y), 0), max(columns.first(x), 0)
        y1 = max(min(rows.first(y) + rows.count, source.rows), y0)
        x1 = max(min(columns.first(x) + columns.count, source.pixels), x0)
        seen += read(number, (y0, y1, x0, x1)).tobytes()
    tensor = graph.tensors[op.outputs[output]]
    place = y * node.output.pixels + x
    return _checksum(op, output, place, seen, sizes.pixel_bytes(tensor))


def _all_of(graph: Graph, op: Op, output: int, read: Read) -> Bytes:
    """An output of an operator that sees all of its inputs."""
    tensor = graph.tensors[op.outputs[output]]
    sources = [graph.tensors[i] for i in op.inputs]
    if op.attrs.form == "accumulate":
        value = 0
        for y in range(sources[0].rows):
            for x in range(sources[0].pixels):
                value = _added(value, read(0, (y, y + 1, x, x + 1)).tobytes(), y, x)
        seen = value.to_bytes(4, "little")
    else:
        seen = b"".join(read(n, (0, s.rows, 0, s.pixels)).tobytes() for n, s in enumerate(sources))
    return _checksum(op, output, 0, seen, sizes.size_bytes(tensor))


def _added(value: int, seen: bytes, y: int, x: int) -> int:
    """A sum over pixels, which may come in any order."""
    return (value + zlib.crc32(seen, y << 16 | x)) & 0xFFFFFFFF


def _checksum(op: Op, number: int, place: int, seen: bytes, size: int) -> Bytes:
    seed = zlib.crc32(f"{op.name} {number} {place}".encode())
    rng = np.random.default_rng(zlib.crc32(seen, seed))
    return rng.integers(0, 256, size, dtype=np.uint8)
