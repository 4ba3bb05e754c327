# SPDX-License-Identifier: MIT
"""Proof by running: the generated C against LiteRT, end to end and tensor by tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tinyeff.emitter import EmitOptions, emit
from tinyeff.exits import exits_taken, handed_over
from tinyeff.ir import Array, Graph, Program, Tensor
from tinyeff.patch_mask import random_masks
from tinyeff.simulator.host import Batch, HostProgram, TraceRecord
from tinyeff.simulator.masked import MaskedOracle
from tinyeff.simulator.memory_map import MemoryMap
from tinyeff.simulator.oracle import Oracle

TRACE_BYTES = 1 << 26
"""How much trace is held at a time; larger batches are verified in parts."""


EXIT = "early exit"
"""`Difference.tensor` where outputs agree, and the exit that was taken does not."""


@dataclass(frozen=True)
class Difference:
    """The first value that differs: which sample, tensor and position, and both values."""

    sample: int
    tensor: str
    position: tuple[int, ...]
    expected: int
    found: int
    operator: str
    differing: int
    elements: int

    def __str__(self) -> str:
        if not self.position and self.tensor == EXIT:
            return (f"sample {self.sample}: by LiteRT's outputs the exit to take is "
                    f"{self.expected}, the generated C took {self.found} (0 is none)")
        where = ", ".join(map(str, self.position))
        return (f"sample {self.sample}: '{self.tensor}' (written by {self.operator}) differs from "
                f"LiteRT at [{where}]: LiteRT has {self.expected}, the generated C {self.found}; "
                f"{self.differing} of {self.elements} values differ")


@dataclass(frozen=True)
class Verification:
    """What was compared: `tensors` of the graph for each of `samples`, and the first difference.

    `layers` is False where the machine shows nothing but the outputs. `exits` counts the samples
    that took each early exit, the last those that took none; it is empty without exits.
    """

    samples: int
    tensors: int
    difference: Difference | None
    layers: bool = True
    exits: tuple[int, ...] = ()

    @property
    def exact(self) -> bool:
        """True where no tensor differs."""
        return self.difference is None


def reference_outputs(
    graph: Graph,
    inputs: tuple[Array, ...],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Array, ...]:
    """LiteRT's int8 outputs; arrays of (count, *shape) in and out, in the model's order.

    Early exits are not looked at: all outputs are there.
    """
    oracle, count = Oracle(graph), len(inputs[0])
    rows = []
    for n in range(count):
        rows.append(oracle.outputs(tuple(x[n] for x in inputs)))
        progress(n + 1, count)
    return tuple(np.array(output) for output in zip(*rows, strict=True))


class Machine(Protocol):
    """Runs one build of a program on batches of samples: `HostProgram`, `EmulatedProgram`."""

    def infer(self, inputs: tuple[Array, ...]) -> Batch:
        """Outputs and exits for a batch: each input is (count, *shape)."""

    def run_traced(
        self, inputs: tuple[Array, ...], tensors: tuple[Tensor, ...]
    ) -> tuple[tuple[Array, ...], Iterator[TraceRecord]]:
        """As `run`, with every row of the graph's `tensors` that the program wrote, in order."""


def verify(
    program: Program,
    inputs: tuple[Array, ...],
    *,
    cpu: str = "host",
    compiler: str | None = None,
    engine: str | None = None,
    memory: MemoryMap | None = None,
    flags: tuple[str, ...] = (),
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Verification:
    """Compare the generated C with LiteRT, bit for bit, on this machine or an emulated core.

    `inputs`: one array of (count, *shape) int8 per model input; where patches can be left out a
    mask of (count, rows, columns) may follow, else masks are random. The release build is compared
    at the model's outputs, and by the early exit that it takes; a traced build at every tensor that
    equals a TFLite tensor and was computed. `compiler` and `engine` are for an emulated `cpu` (see
    `emulate`), `flags` for this machine. `memory` is the map of a chip that the release build must
    run in; tracing takes room that no chip needs.
    """
    oracle = Oracle(program.graph)
    if program.patches is not None:
        oracle = MaskedOracle(program.graph, program.patches)
        if len(inputs) == len(program.graph.inputs):
            inputs = (*inputs, random_masks(program.patches, 0, len(inputs[0])))
    if cpu != "host":
        from tinyeff.simulator.emulated import EmulatedProgram, can_trace

        built = EmulatedProgram(program, cpu, compiler=compiler, engine=engine, memory=memory)
        shown = EmulatedProgram(program, cpu, trace=True, compiler=compiler, engine=engine
                                ) if can_trace(cpu, engine) else None
        return compare(program.graph, inputs, built, shown, progress, oracle)
    sources = emit(program, EmitOptions("model"))
    with HostProgram(sources, flags=flags) as release, HostProgram(
        sources, trace=True, flags=flags, release=release
    ) as traced:
        return compare(program.graph, inputs, release, traced, progress, oracle)


def compare(
    graph: Graph,
    inputs: tuple[Array, ...],
    release: Machine,
    traced: Machine | None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    oracle: Oracle | None = None,
) -> Verification:
    """`verify` on any machine; without `traced`, only outputs are compared.

    `oracle` says what is right, LiteRT unless given.
    """
    count, oracle = len(inputs[0]), oracle or Oracle(graph)
    written = {i for op in graph.ops for i in op.outputs}
    exits = np.zeros(len(graph.exits) + 1, np.int64)
    shown = set(graph.outputs) if traced is None else written | set(graph.outputs)
    compared = tuple(sorted(i for i in shown if graph.tensors[i].source is not None))
    part = max(1, TRACE_BYTES // max(1, sum(graph.tensors[i].size_bytes for i in written)))
    for start in range(0, count, part):
        batch = tuple(x[start:start + part] for x in inputs)
        released = release.infer(batch)
        layers = _traced_tensors(traced, batch, graph) if traced else [{} for _ in batch[0]]
        for n in range(len(batch[0])):
            expected = oracle.run(tuple(x[n] for x in batch), compared)
            left = _leave(graph, expected)
            outputs = {i: _Found(o[n]) for i, o in zip(graph.outputs, released.outputs,
                                                       strict=True)}
            difference = (_first_difference(graph, start + n, expected, layers[n])
                          or _first_difference(graph, start + n, expected, outputs)
                          or _other_exit(start + n, left, int(released.exits[n])))
            if difference:
                return Verification(start + n + 1, len(compared), difference, bool(traced))
            exits[left - 1] += 1
            progress(start + n + 1, count)
    return Verification(count, len(compared), None, bool(traced),
                        tuple(exits.tolist()) if graph.exits else ())


def _leave(graph: Graph, expected: dict[int, Array]) -> int:
    """The exit that LiteRT's outputs lead to; those that are then left out become zeros."""
    if not graph.exits:
        return 0
    outputs = tuple(expected[i][None] for i in graph.outputs)
    taken = exits_taken(graph.exits, outputs)
    for index, values in zip(graph.outputs, handed_over(graph, outputs, taken), strict=True):
        expected[index] = values[0]
    return int(taken[0])


def _other_exit(sample: int, expected: int, found: int) -> Difference | None:
    """Where the outputs agree, and the exit that was taken does not."""
    if expected == found:
        return None
    return Difference(sample, EXIT, (), expected, found, "the early exits", 1, 1)


@dataclass(frozen=True, eq=False)
class _Found:
    """A tensor as generated code computed it; `written` says where, None that it is everywhere.

    Streamed code leaves out what nothing needs: the rows and columns that a stride skips.
    """

    values: Array
    written: Array | None = None


def _traced_tensors(
    traced: Machine, batch: tuple[Array, ...], graph: Graph
) -> list[dict[int, _Found]]:
    """For each sample the tensors that the traced build wrote, each at its last writing."""
    outputs, records = traced.run_traced(batch, graph.tensors)
    samples: list[dict[int, _Found]] = [{} for _ in batch[0]]
    for record in records:
        tensor = graph.tensors[record.tensor]
        value = samples[record.sample].get(record.tensor)
        if value is None:
            value = _Found(np.zeros(tensor.shape, tensor.dtype), np.zeros(tensor.shape, np.bool_))
            samples[record.sample][record.tensor] = value
        start = record.y * tensor.pixels + record.x0
        here = slice(start, start + record.x1 - record.x0)
        assert value.written is not None
        value.values.reshape(-1, tensor.channels)[here] = record.data
        value.written.reshape(-1, tensor.channels)[here] = True
    for n, sample in enumerate(samples):
        # An output that only renames another tensor leaves no trace of its own.
        for index, output in zip(graph.outputs, outputs, strict=True):
            sample.setdefault(index, _Found(output[n]))
    return samples


def _first_difference(
    graph: Graph, sample: int, expected: dict[int, Array], found: dict[int, _Found]
) -> Difference | None:
    order = graph.writers
    for index in sorted(expected, key=lambda i: order.get(i, -1)):
        if index not in found:
            continue  # a view: the same bytes are compared under the tensor they alias
        wrong = expected[index] != found[index].values
        if found[index].written is not None:
            wrong &= found[index].written
        if wrong.any():
            position = tuple(int(n) for n in np.argwhere(wrong)[0])
            tensor = graph.tensors[index]
            writer = graph.ops[order[index]].kind if index in order else "the input"
            return Difference(
                sample, tensor.name, position, int(expected[index][position]),
                int(found[index].values[position]), writer,
                int(wrong.sum()), int(wrong.size),
            )
    return None
