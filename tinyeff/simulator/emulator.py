# SPDX-License-Identifier: MIT
"""Runs a generated model on an emulated Cortex-M: result, instructions, cycles, memory touched."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tinyeff.emitter import MANIFEST, read_manifest
from tinyeff.errors import InternalError, UsageError
from tinyeff.ir import Array
from tinyeff.simulator.cycles import CycleModel, cycle_model
from tinyeff.simulator.elf import Program, Symbol
from tinyeff.simulator.engine import Accesses
from tinyeff.simulator.engines import choose_engine
from tinyeff.simulator.harness import ModelInterface, Place, build_program, interface_of
from tinyeff.simulator.memory_map import MemoryMap
from tinyeff.simulator.profile import (
    Accountant,
    FunctionCount,
    LayerCount,
    layer_counts,
    timed_layers,
    total,
)
from tinyeff.simulator.session import Pass, Session
from tinyeff.simulator.toolchain import MODEL_FLAGS, Build, find_toolchain
from tinyeff.targets import cpu_named

PAINT = 0xA5
PROFILES = ("none", "layers", "memory")


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
    place = Place(cpu_named(cpu), chosen.memory, find_toolchain(compiler), flags, chosen.defines)
    build = build_program(sources, interface, linked, place)
    session = Session(Program(build.elf), interface, chosen.engine, place, data)
    first = session.run(PAINT, "nothing")
    second = session.run(PAINT ^ 0xFF, "memory" if profile == "memory" else "blocks",
                         layers=profile != "none")
    if first.outputs != second.outputs:
        raise InternalError(
            f"the result of {interface.name} depends on what its memory held before the run. "
            "Generated code must never do this: please report it with the model")
    result = _result(build, session, first, second)
    if profile == "none" or not interface.steps:
        return result
    if second.run.intervals:
        accountant = Accountant(session.program, second.run, result.cycle_model)
        return replace(result, layers=layer_counts(
            accountant, second.run.intervals, session.layer_names, interface))
    # This engine cannot watch addresses: a second program books time by layer.
    build = build_program(sources, interface, linked, place, count_layers=True)
    session = Session(Program(build.elf), interface, chosen.engine, place, data)
    times = session.run(PAINT, "blocks").run.layers
    return replace(result, layers=timed_layers(
        times, result.instructions, session.layer_names, interface))


def _input_bytes(interface: ModelInterface, inputs: Sequence[Array | bytes]) -> list[bytes]:
    data = [v if isinstance(v, bytes) else np.ascontiguousarray(v).tobytes() for v in inputs]
    if [len(d) for d in data] != list(interface.input_bytes):
        raise UsageError(f"model {interface.name} takes inputs of {list(interface.input_bytes)} "
                         f"bytes, but {[len(d) for d in data]} were given")
    return data


def _result(build: Build, session: Session, first: Pass, second: Pass) -> EmulationResult:
    run, program = second.run, session.program
    model = cycle_model(session.place.cpu.name)
    functions = Accountant(program, run, model).functions(run.intervals)
    instructions, cycles = total(functions)
    if run.instructions is not None:
        instructions = _unwrapped(first, second)
    touched = first.touched | second.touched
    return EmulationResult(
        cpu=session.place.cpu.name, engine=session.engine.name, compiler=build.compiler,
        flags=build.flags, outputs=second.outputs, instructions=instructions,
        cycles=cycles if run.intervals else None, cycle_model=model if run.intervals else None,
        arena_bytes=session.arena.size_bytes,
        arena_bytes_touched=int(np.flatnonzero(touched)[-1]) + 1 if touched.any() else 0,
        arena_touched=touched, stack_bytes=max(first.stack_bytes, second.stack_bytes),
        frames=build.frames or program.frames, symbols=program.symbols, functions=functions,
        accesses=run.accesses,
        unaligned=tuple(f"{program.place(pc)} at 0x{address:08x}" for pc, address in run.unaligned),
    )


def _unwrapped(first: Pass, second: Pass) -> int:
    """The exact count of the second run, whose timer may have wrapped, by the coarse first one."""
    exact, coarse, wrap = second.run.instructions, first.run.instructions, second.run.wrap
    assert exact is not None
    assert coarse is not None
    return exact + round((coarse - exact) / wrap) * wrap
