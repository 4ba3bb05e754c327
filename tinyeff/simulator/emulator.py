# SPDX-License-Identifier: MIT
"""Runs a generated model on an emulated Cortex-M: result, instructions, cycles, memory touched."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np

from tinyeff.emitter import MANIFEST, Manifest, read_manifest
from tinyeff.errors import InternalError, UsageError
from tinyeff.ir import Array
from tinyeff.simulator.cycles import CycleModel, cycle_model
from tinyeff.simulator.elf import Program, Symbol
from tinyeff.simulator.engine import Accesses, Engine, Job, Run
from tinyeff.simulator.engines import choose_engine
from tinyeff.simulator.memory_map import MemoryMap
from tinyeff.simulator.profile import Accountant, FunctionCount, LayerCount, layer_counts, total
from tinyeff.simulator.text import render, support_sources
from tinyeff.simulator.toolchain import MODEL_FLAGS, Build, compile_program, find_toolchain
from tinyeff.targets import cpu_named

PAINT = 0xA5
GUARD_BYTES = 256
PROFILES = ("none", "layers", "memory")


@dataclass(frozen=True)
class ModelInterface:
    """How generated code is called; sizes in bytes, `steps` are pairs of name and kind."""

    name: str
    input_memory: str
    arena_bytes: int
    input_bytes: tuple[int, ...]
    output_bytes: tuple[int, ...]
    steps: tuple[tuple[str, str], ...]
    macs: Mapping[str, int]
    stream_rows: int = 0


@dataclass(frozen=True)
class EmulationResult:
    """What one inference computed and cost.

    `outputs` are the bytes of each output in the model's order. `instructions` and `cycles` count
    from entry to return of the model's functions; `cycles` is None without a cycle model.
    `arena_bytes` is the arena in the linked program, `arena_bytes_touched` the highest byte written
    plus 1, `arena_touched` one flag per byte. `stack_bytes` is the high-water mark below the
    caller. `layers` add up to the totals (profile "layers" or "memory"); `accesses` per region are
    there for profile "memory". `frames` is the stack of each function as the compiler says.
    """

    cpu: str
    engine: str
    compiler: str
    flags: tuple[str, ...]
    outputs: tuple[bytes, ...] = field(repr=False)
    instructions: int
    cycles: int | None
    cycle_model: CycleModel | None = field(repr=False)
    arena_bytes: int
    arena_bytes_touched: int
    arena_touched: Array = field(repr=False)
    stack_bytes: int
    frames: dict[str, int] = field(repr=False)
    symbols: tuple[Symbol, ...] = field(repr=False)
    functions: tuple[FunctionCount, ...] = field(repr=False, default=())
    layers: tuple[LayerCount, ...] = field(repr=False, default=())
    accesses: dict[str, Accesses] = field(default_factory=dict)
    unaligned: tuple[str, ...] = ()

    @property
    def output_sha256(self) -> str:
        """Hash of all outputs in the model's order."""
        return hashlib.sha256(b"".join(self.outputs)).hexdigest()


def interface_of(manifest: Manifest) -> ModelInterface:
    """The interface that a manifest (tinyeff.json) describes."""
    steps = manifest.raw["plan"]["steps"]
    streamed = manifest.input_memory == "streamed"
    return ModelInterface(
        name=manifest.name, input_memory=manifest.input_memory, arena_bytes=manifest.arena_bytes,
        input_bytes=tuple(t.size_bytes for t in manifest.inputs),
        output_bytes=tuple(t.size_bytes for t in manifest.outputs),
        steps=tuple((s["name"], s["kind"]) for s in steps),
        macs={s["name"]: s.get("macs", 0) for s in steps},
        stream_rows=manifest.inputs[0].rows if streamed else 0,
    )


def emulate(
    sources: Mapping[str, str],
    inputs: Sequence[Array | bytes],
    cpu: str = "cortex-m4",
    *,
    compiler: str | None = None,
    engine: str | None = None,
    memory: MemoryMap | None = None,
    profile: str = "none",
    flags: Sequence[str] = MODEL_FLAGS,
    arena_bytes: int | None = None,
) -> EmulationResult:
    """Cross-compile generated `sources` ({path: text}, with tinyeff.json) and run one inference.

    `inputs` hold the bytes of every model input; `memory` is the chip's map, else large enough for
    any model. `profile` is "none", "layers" (instructions and cycles of each layer) or "memory"
    (slow: also loads and stores by region). `arena_bytes` overrides the arena that is linked.

    The program runs twice, over memory painted with complementary patterns: every byte that is
    written differs from one of them, and a result that depends on memory nobody wrote differs too.

    Raises InternalError where the program faults, leaves its arena or returns an error,
    DoesNotFitError where it overflows the chip, MissingProgramError where an outside program is
    missing, UsageError where an argument is wrong.
    """
    if profile not in PROFILES:
        raise UsageError(f"profile {profile} is not known; use one of {', '.join(PROFILES)}")
    interface = interface_of(read_manifest(sources[MANIFEST], MANIFEST))
    data = _input_bytes(interface, inputs)
    chosen = choose_engine(cpu_named(cpu), engine, memory)
    linked = interface.arena_bytes if arena_bytes is None else arena_bytes
    build = _build(sources, interface, linked, cpu, compiler, chosen.memory, chosen.defines, flags)
    program = Program(build.elf)
    session = _Session(program, interface, chosen.engine, chosen.memory, cpu, data)
    first = session.run(PAINT, "nothing", layers=False)
    second = session.run(PAINT ^ 0xFF, "memory" if profile == "memory" else "blocks",
                         layers=profile != "none")
    return _result(cpu, chosen.engine.name, build, session, first, second, profile)


def _input_bytes(interface: ModelInterface, inputs: Sequence[Array | bytes]) -> list[bytes]:
    data = [v if isinstance(v, bytes) else np.ascontiguousarray(v).tobytes() for v in inputs]
    if [len(d) for d in data] != list(interface.input_bytes):
        raise UsageError(f"model {interface.name} takes inputs of {list(interface.input_bytes)} "
                         f"bytes, but {[len(d) for d in data]} were given")
    return data


def _build(
    sources: Mapping[str, str], interface: ModelInterface, arena_bytes: int, cpu: str,
    compiler: str | None, memory: MemoryMap, defines: Sequence[str], flags: Sequence[str],
) -> Build:
    model = {path: text for path, text in sources.items()
             if path.endswith((".c", ".h")) and path != f"{interface.name}_example.c"}
    main = render("emulator_main.c.j2", h=_harness_view(interface, arena_bytes))
    harness = {**support_sources(), "te_emulator_main.c": main}
    return compile_program(model, harness, cpu_named(cpu), memory, find_toolchain(compiler),
                           flags, defines)


def _harness_view(interface: ModelInterface, arena_bytes: int) -> SimpleNamespace:
    name, streamed = interface.name, interface.input_memory == "streamed"
    single = len(interface.input_bytes) == 1
    resident = interface.input_memory == "resident"
    outputs = range(len(interface.output_bytes))
    return SimpleNamespace(
        name=name, arena_bytes=arena_bytes, guard_bytes=GUARD_BYTES,
        input_bytes=interface.input_bytes, output_bytes=interface.output_bytes,
        input_memory=interface.input_memory, functions=functions_of(interface),
        copies=[
            SimpleNamespace(function=f"{name}_input" if single else f"{name}_input_{n}",
                            size_bytes=size)
            for n, size in enumerate(interface.input_bytes) if resident
        ],
        input_arguments="".join(
            f", (const void *)te_emulator_input_{n}"
            for n in range(len(interface.input_bytes)) if not resident
        ),
        output_arguments="".join(f", (void *)te_emulator_output_{n}" for n in outputs),
        stream_rows=interface.stream_rows,
        stream_row_bytes=interface.input_bytes[0] // interface.stream_rows if streamed else 0,
    )


def functions_of(interface: ModelInterface) -> tuple[str, ...]:
    """The functions whose execution is an inference."""
    parts = ("begin", "push_row", "finish") if interface.input_memory == "streamed" else ("run",)
    return tuple(f"{interface.name}_{part}" for part in parts)


@dataclass(frozen=True)
class _Record:
    """te_emulator_record of te_emulator.h."""

    status: int
    stack: int
    ticks: tuple[int, int]
    fault: tuple[int, int, int] | None

    @classmethod
    def read(cls, data: bytes) -> _Record:
        words = np.frombuffer(data, "<u4").tolist()
        fault = (words[5], words[6], words[7]) if words[4] else None
        return cls(int(np.int32(np.uint32(words[0]))), words[1], (words[2], words[3]), fault)


class _Session:
    """One program, run with different paint."""

    def __init__(
        self, program: Program, interface: ModelInterface, engine: Engine, memory: MemoryMap,
        cpu: str, inputs: Sequence[bytes],
    ) -> None:
        self.program, self.interface, self.engine = program, interface, engine
        self.memory, self.cpu, self.inputs = memory, cpu, inputs
        self.arena = program.symbol("te_emulator_arena")
        self.guards = [program.symbol(f"te_emulator_guard_{end}") for end in ("low", "high")]
        self.outputs = [program.symbol(f"te_emulator_output_{n}")
                        for n in range(len(interface.output_bytes))]
        bottom = program.symbol("te_emulator_stack_bottom").address
        self.stack = (bottom, memory.stack_bytes)
        self.layer_names = self._layer_names()

    def _layer_names(self) -> dict[int, tuple[str, ...]]:
        """Address of the parameters -> the layers that use them; the compiler may fold equals."""
        names: dict[int, tuple[str, ...]] = {}
        for name, _ in self.interface.steps:
            if self.program.has(f"{name}_params"):
                address = self.program.symbol(f"{name}_params").address
                names[address] = (*names.get(address, ()), name)
        return names

    def run(self, paint: int, count: str, layers: bool) -> SimpleNamespace:
        painted = [*self.guards, self.arena, *self.outputs]
        ranges = [(s.address, s.size_bytes) for s in painted] + [self.stack]
        fill = [(address, bytes([paint]) * size) for address, size in ranges]
        fill += [(self.program.symbol(f"te_emulator_input_{n}").address, data)
                 for n, data in enumerate(self.inputs)]
        record = self.program.symbol("te_emulator_result")
        job = Job(
            self.program, self.cpu, self.memory, tuple(fill),
            read=((record.address, record.size_bytes), *ranges),
            watched=tuple(self.program.symbol(f).address for f in functions_of(self.interface)),
            watched_calls=self.interface.stream_rows + 2 if self.interface.stream_rows else 1,
            count=count,
            layer_functions=kernel_entries(self.program) if layers else (),
            layer_keys=tuple(self.layer_names) if layers else (),
        )
        run = self.engine.run(job)
        return self._checked(run, paint)

    def _checked(self, run: Run, paint: int) -> SimpleNamespace:
        record = _Record.read(run.memory[0])
        low, high, arena, *outputs, stack = run.memory[1:]
        if record.status != 0:
            raise InternalError(f"{self.interface.name}_run returned {record.status} "
                                f"in the emulated {self.cpu}")
        for where, guard in (("below", low), ("above", high)):
            hits = [i for i, byte in enumerate(guard) if byte != paint]
            if hits:
                far = GUARD_BYTES - hits[0] if where == "below" else hits[-1] + 1
                raise InternalError(
                    f"{self.interface.name} writes outside its arena of {self.arena.size_bytes} "
                    f"bytes: up to {far} bytes {where} it. Generated code must never do this: "
                    "please report it with the model")
        flat = np.frombuffer(arena, np.uint8)
        used = np.flatnonzero(np.frombuffer(stack, np.uint8) != paint)
        depth = record.stack - (self.stack[0] + int(used[0])) if used.size else 0
        return SimpleNamespace(run=run, outputs=tuple(outputs), touched=flat != paint,
                               stack_bytes=max(0, depth))


def kernel_entries(program: Program) -> tuple[int, ...]:
    """Functions of the kernels: their first argument names the layer."""
    return tuple(
        f.address for f in program.functions
        if not f.name.startswith("te_emulator") and (f.source or f.name).startswith("te_")
    )


def _result(
    cpu: str, engine: str, build: Build, session: _Session, first: SimpleNamespace,
    second: SimpleNamespace, profile: str,
) -> EmulationResult:
    if first.outputs != second.outputs:
        raise InternalError(
            f"the result of {session.interface.name} depends on what its memory held before the "
            "run. Generated code must never do this: please report it with the model")
    model, run = cycle_model(cpu), second.run
    accountant = Accountant(session.program, run, model)
    functions = accountant.functions(run.intervals)
    instructions, cycles = total(functions)
    touched = first.touched | second.touched
    layers: tuple[LayerCount, ...] = ()
    if profile != "none" and run.intervals and session.interface.steps:
        layers = layer_counts(accountant, run.intervals, session.layer_names,
                              dict(session.interface.steps), session.interface.macs)
    return EmulationResult(
        cpu=cpu, engine=engine, compiler=build.compiler, flags=build.flags,
        outputs=second.outputs, cycle_model=model,
        instructions=run.instructions if run.instructions is not None else instructions,
        cycles=cycles if run.intervals else None,
        arena_bytes=session.arena.size_bytes,
        arena_bytes_touched=int(np.flatnonzero(touched)[-1]) + 1 if touched.any() else 0,
        arena_touched=touched, stack_bytes=max(first.stack_bytes, second.stack_bytes),
        frames=build.frames or session.program.frames, symbols=session.program.symbols,
        functions=functions, layers=layers,
        accesses=run.accesses,
        unaligned=tuple(f"{session.program.place(pc)} at 0x{address:08x}"
                        for pc, address in run.unaligned),
    )
