# SPDX-License-Identifier: MIT
"""Runs generated C in an emulated Cortex-M: batches of samples, and every tensor it writes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinyeff.emitter import MANIFEST, EmitOptions, Sources, emit, read_manifest
from tinyeff.errors import UsageError
from tinyeff.ir import Array, Program, Tensor
from tinyeff.simulator import elf
from tinyeff.simulator.engines import choose_engine
from tinyeff.simulator.harness import Place, build_program, interface_of, place_for
from tinyeff.simulator.host import TRACE, Batch, TraceRecord, read_trace
from tinyeff.simulator.memory_map import MemoryMap
from tinyeff.simulator.session import PAINT, Session
from tinyeff.simulator.toolchain import find_toolchain, model_flags
from tinyeff.targets import cpu_named


class EmulatedProgram:
    """A generated program built for an emulated core; the twin of `HostProgram`.

    It is linked once and starts from reset for each sample. `trace` builds with TINYEFF_TRACE.
    Raises as `emulate` does; UsageError where the engine cannot show traces (`can_trace`).
    """

    def __init__(
        self,
        program: Program | Sources,
        cpu: str,
        *,
        trace: bool = False,
        compiler: str | None = None,
        engine: str | None = None,
        memory: MemoryMap | None = None,
    ) -> None:
        if isinstance(program, Program):
            program = emit(program, EmitOptions("model"))
        self.manifest = read_manifest(program[MANIFEST], MANIFEST)
        self._interface = interface_of(self.manifest)
        chosen = choose_engine(cpu_named(cpu), engine, memory)
        if trace and not chosen.engine.can_trace:
            raise UsageError(f"engine {chosen.engine.name} cannot show what is written layer by "
                             "layer; use --engine unicorn with a core that it knows")
        self._engine, self._trace = chosen.engine, trace
        flags = list(model_flags(self.manifest.target.optimize))
        defines = list(chosen.defines)
        if trace:
            flags.append(f"-D{TRACE}")
            defines.append(TRACE)
        self._place = place_for(Place(cpu_named(cpu), chosen.memory, find_toolchain(compiler),
                                      flags, defines), self._interface)
        build = build_program(program, self._interface, self._place)
        self._program = elf.Program(build.elf)

    def run(self, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        """Outputs for a batch: each input is (count, *shape), each output (count, *shape)."""
        return self.infer(inputs).outputs

    def infer(self, inputs: tuple[Array, ...]) -> Batch:
        """As `run`, with the early exits that were taken."""
        return self._run(inputs)[0]

    def run_traced(
        self, inputs: tuple[Array, ...], tensors: tuple[Tensor, ...]
    ) -> tuple[tuple[Array, ...], Iterator[TraceRecord]]:
        """As `run`, with every row of the graph's `tensors` that the program wrote, in order."""
        batch, trace = self._run(inputs)
        return batch.outputs, read_trace(trace, tensors)

    def _run(self, inputs: tuple[Array, ...]) -> tuple[Batch, bytes]:
        samples, traces, exits = [], [], []
        for sample in zip(*self.manifest.with_mask(inputs), strict=True):
            data = [np.ascontiguousarray(x).tobytes() for x in sample]
            session = Session(self._program, self._interface, self._engine, self._place, data)
            done = session.run(PAINT, "nothing", trace=self._trace)
            samples.append(done.outputs)
            exits.append(done.exit)
            traces.append(BEGIN + done.run.trace)
        outputs = [
            np.frombuffer(b"".join(rows), t.dtype).reshape(len(samples), *t.shape)
            for t, rows in zip(self.manifest.outputs, zip(*samples, strict=True), strict=True)
        ]
        return Batch(tuple(outputs), np.array(exits, np.int32)), b"".join(traces)


BEGIN = np.array([-1, 0, 0, 0, 0], "<i4").tobytes()
"""The record that stands before the trace of an inference (see `read_trace`)."""


def can_trace(cpu: str, engine: str | None = None) -> bool:
    """Whether the engine for `cpu` shows what a program writes layer by layer."""
    return choose_engine(cpu_named(cpu), engine, None).engine.can_trace
