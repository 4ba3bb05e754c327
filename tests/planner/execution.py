# SPDX-License-Identifier: MIT
"""Runs a planned graph of fakes on a real arena, with the rudest kernels that the rules allow.

Every output pixel is a checksum of all that its operator may read for it. A kernel that promises
nothing spoils its output rows before it reads its inputs; scratch memory is spoilt before and after
each call. The outputs must equal those of a run in which nothing shares memory.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tinyeff.ir import Buffer, Graph, Op, Plan, Window
from tinyeff.planner import sizes

Bytes = npt.NDArray[np.uint8]
Place = Callable[[int], Bytes]


def run_apart(graph: Graph, inputs: list[Bytes]) -> list[Bytes]:
    """The outputs where every tensor has memory of its own."""
    memory = [np.zeros(sizes.size_bytes(t), np.uint8) for t in graph.tensors]
    home = list(range(len(graph.tensors)))
    for op in graph.ops:
        if op.attrs.form == "view":
            home[op.outputs[0]] = home[op.inputs[0]]
    place: Place = lambda tensor: memory[home[tensor]]  # noqa: E731
    for tensor, data in zip(graph.inputs, inputs, strict=True):
        place(tensor)[:] = data
    for op in graph.ops:
        if op.attrs.form != "view":
            _run(graph, op, place, _Manner(1, False, False), [])
    return [place(i).copy() for i in graph.outputs]


def run_planned(graph: Graph, plan: Plan, inputs: list[Bytes]) -> list[Bytes]:
    """The outputs on the memory that `plan` lays out."""
    arena = np.full(plan.arena_bytes, 0xAA, np.uint8)

    def bytes_of(buffer: Buffer) -> Bytes:
        return arena[buffer.offset_bytes:buffer.offset_bytes + buffer.size_bytes]

    outside = {b.name: np.full(b.size_bytes, 0xAA, np.uint8) for b in plan.buffers
               if b.region != "arena"}
    home = {t: outside.get(b.name, bytes_of(b)) for b in plan.buffers for t in b.tensors}
    for tensor, data in zip(graph.inputs, inputs, strict=True):
        home[tensor][:] = data
    for step, op in enumerate(graph.ops):
        if op.attrs.form != "view":
            private = [bytes_of(b) for b in plan.buffers if b.op == step]
            variant = plan.variants[step]
            rows = variant.rows_per_call
            if plan.flat[step]:
                rows = graph.tensors[op.outputs[0]].rows
            _run(graph, op, home.__getitem__, _Manner(rows, variant.consumes > 0, True), private)
    return [home[i].copy() for i in graph.outputs]


class _Manner:
    """How a kernel behaves: rows per call, pixel by pixel or not, polite or rude."""

    def __init__(self, rows: int, by_pixels: bool, rude: bool) -> None:
        self.rows = rows
        self.by_pixels = by_pixels
        self.rude = rude


def _run(graph: Graph, op: Op, place: Place, manner: _Manner, private: list[Bytes]) -> None:
    if op.attrs.form == "rows":
        _run_rows(graph, op, place, manner, private)
    elif op.attrs.form == "accumulate":
        _run_accumulate(graph, op, place, private)
    else:
        _spoil(private)
        if manner.rude:
            _spoil([place(i) for i in op.outputs])
        whole = b"".join(place(i).tobytes() for i in op.inputs)
        for n, i in enumerate(op.outputs):
            place(i)[:] = _checksum(op, n, 0, whole, len(place(i)))
        _spoil(private)


def _run_rows(
    graph: Graph, op: Op, place: Place, manner: _Manner, private: list[Bytes]
) -> None:
    outputs = [(n, graph.tensors[i], place(i)) for n, i in enumerate(op.outputs)]
    rows, pixels = outputs[0][1].rows, outputs[0][1].pixels
    for y0 in range(0, rows, manner.rows):
        _spoil(private)
        y1 = min(y0 + manner.rows, rows)
        ordered = []
        for number, i in enumerate(op.inputs):
            same = (graph.tensors[i].rows, graph.tensors[i].pixels) == (rows, pixels)
            ordered.append(manner.by_pixels and same and op.attrs.windows[number] == Window())
        if manner.rude and not any(ordered):
            _spoil([o[y0 * sizes.row_bytes(t):y1 * sizes.row_bytes(t)] for _, t, o in outputs])
        for y in range(y0, y1):
            for p in range(pixels):
                seen = _seen(graph, op, place, y, p)
                for n, tensor, out in outputs:
                    size, begin = sizes.pixel_bytes(tensor), y * sizes.row_bytes(tensor)
                    if p < tensor.pixels:
                        out[begin + p * size:begin + (p + 1) * size] = _checksum(
                            op, n, y * pixels + p, seen, size)
        _spoil(private)


def _seen(graph: Graph, op: Op, place: Place, y: int, p: int) -> bytes:
    """What output pixel p of row y depends on: the same pixel where that is all, else all rows."""
    found = b""
    out = graph.tensors[op.outputs[0]]
    for number, i in enumerate(op.inputs):
        tensor, window, data = graph.tensors[i], op.attrs.windows[number], place(i)
        row, pixel = sizes.row_bytes(tensor), sizes.pixel_bytes(tensor)
        if (tensor.rows, tensor.pixels) == (out.rows, out.pixels) and window == Window():
            found += data[y * row + p * pixel:y * row + (p + 1) * pixel].tobytes()
        else:
            first = max(window.first(y), 0)
            last = max(min(window.first(y) + window.count, tensor.rows), first)
            found += data[first * row:last * row].tobytes()
    return found


def _run_accumulate(graph: Graph, op: Op, place: Place, private: list[Bytes]) -> None:
    """Keeps a running checksum in the state, as far as there is one."""
    state = private[-1] if private else np.zeros(4, np.uint8)
    state[:4] = 0
    for i in op.inputs:
        tensor = graph.tensors[i]
        for y in range(tensor.rows):
            row = place(i)[y * sizes.row_bytes(tensor):(y + 1) * sizes.row_bytes(tensor)]
            value = zlib.crc32(row.tobytes(), int.from_bytes(state[:4].tobytes(), "little"))
            state[:4] = np.frombuffer(value.to_bytes(4, "little"), np.uint8)
    _spoil([place(i) for i in op.outputs])
    for n, i in enumerate(op.outputs):
        place(i)[:] = _checksum(op, n, 0, state[:4].tobytes(), len(place(i)))


def _checksum(op: Op, number: int, place: int, seen: bytes, size: int) -> Bytes:
    seed = zlib.crc32(f"{op.name} {number} {place}".encode())
    rng = np.random.default_rng(zlib.crc32(seen, seed))
    return rng.integers(0, 256, size, dtype=np.uint8)


def _spoil(memories: list[Bytes]) -> None:
    for memory in memories:
        memory[:] = 0x55
