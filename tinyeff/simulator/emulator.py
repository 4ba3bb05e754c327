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
from tinyeff.simulator.flash import FlashTiming
from tinyeff.simulator.harness import (
    ModelInterface,
    Place,
    build_program,
    functions_of,
    interface_of,
    place_for,
)
from tinyeff.simulator.memory_map import MemoryMap
from tinyeff.simulator.profile import (
    Accountant,
    FunctionCount,
    LayerCount,
    layer_counts,
    timed_layers,
    total,
)
from tinyeff.simulator.session import PAINT, Pass, Session
from tinyeff.simulator.stack import stack_bound
from tinyeff.simulator.toolchain import Build, find_toolchain, model_flags
from tinyeff.targets import cpu_named

PROFILES = ("none", "layers", "memory")


@dataclass(frozen=True)
class EmulationResult:
    """What one inference computed and cost.

    `outputs` are the bytes of each output in the model's order. `instructions` and `cycles` count
    from entry to return of the model's functions; `cycles` is None without a cycle model.
    `arena_bytes` is the arena in the linked program, `arena_bytes_touched` the highest byte written
    plus 1, `arena_touched` one flag per byte; in several parts these are sums, and `regions` has
    (bytes, bytes touched) of each part. `stack_bytes` is the high-water mark below the
    caller, `stack_bound_bytes` the most that any input can need (None where it is unknown);
    `frames` is the stack of each function as the compiler says. `layers` add up to the totals
    (profile "layers" or "memory"); `accesses` per region are there for profile "memory". `exit` is
    the number of the early exit that was taken, 0 where none was.
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
    stack_bound_bytes: int | None
    frames: dict[str, int] = field(repr=False)
    symbols: tuple[Symbol, ...] = field(repr=False)
    functions: tuple[FunctionCount, ...] = field(repr=False, default=())
    layers: tuple[LayerCount, ...] = field(repr=False, default=())
    accesses: dict[str, Accesses] = field(default_factory=dict)
    unaligned: tuple[str, ...] = ()
    regions: dict[str, tuple[int, int]] = field(default_factory=dict)
    exit: int = 0

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
    flash: FlashTiming | None = None,
    profile: str = "none",
    flags: Sequence[str] | None = None,
    arena_bytes: int | None = None,
) -> EmulationResult:
    """Cross-compile generated `sources` ({path: text}, with tinyeff.json) and run one inference.

    `inputs` hold the bytes of every model input, and of a mask where patches can be left out (all
    are computed without one); `memory` is the chip's map, else large enough for
    any model; with `flash`, cycles include the wait states of the board. `profile` is "none",
    "layers" (instructions and cycles of each layer) or "memory" (slow: also loads and stores by
    region). `flags` replace those of the generated build files, `arena_bytes` the arena that is
    linked.

    The program runs twice, over memory painted with complementary patterns: every byte that is
    written differs from one of them, and a result that depends on memory nobody wrote differs too.

    Raises InternalError where the program faults, leaves its arena or returns an error,
    DoesNotFitError where it overflows the chip, MissingProgramError where an outside program is
    missing, UsageError where an argument is wrong.
    """
    if profile not in PROFILES:
        raise UsageError(f"profile {profile} is not known; use one of {', '.join(PROFILES)}")
    manifest = read_manifest(sources[MANIFEST], MANIFEST)
    interface = interface_of(manifest)
    flags = model_flags(manifest.target.optimize) if flags is None else flags
    data = _input_bytes(interface, inputs)
    chosen = choose_engine(cpu_named(cpu), engine, memory)
    if arena_bytes is not None:
        interface = interface.with_arena(arena_bytes)
    place = place_for(Place(cpu_named(cpu), chosen.memory, find_toolchain(compiler), flags,
                            chosen.defines), interface)
    build = build_program(sources, interface, place)
    session = Session(Program(build.elf), interface, chosen.engine, place, data)
    first, second = _both_passes(session, profile, flash)
    if second.run.instructions is None:
        return _counted(build, session, first, second, profile, flash)
    result = _result(build, session, first, second, _unwrapped(first, second))
    if profile == "none" or not interface.steps:
        return result
    # This engine cannot watch addresses: a second program books time by layer.
    build = build_program(sources, interface, place, count_layers=True)
    session = Session(Program(build.elf), interface, chosen.engine, place, data)
    times = session.run(PAINT, "blocks").run.layers
    return replace(result, layers=timed_layers(
        times, result.instructions, session.layer_names, interface))


def _input_bytes(interface: ModelInterface, inputs: Sequence[Array | bytes]) -> list[bytes]:
    data = [v if isinstance(v, bytes) else np.ascontiguousarray(v).tobytes() for v in inputs]
    if interface.masked and len(data) + 1 == len(interface.input_bytes):
        data.append(bytes([1]) * interface.input_bytes[-1])
    if [len(d) for d in data] != list(interface.input_bytes):
        raise UsageError(f"model {interface.name} takes inputs of {list(interface.input_bytes)} "
                         f"bytes, but {[len(d) for d in data]} were given")
    return data


def _both_passes(session: Session, profile: str, flash: FlashTiming | None) -> tuple[Pass, Pass]:
    """The run that watches reads of flash where that is asked for, and the run that counts."""
    layers = profile != "none"
    cache = (flash.line_bytes, flash.data_lines) if flash else None
    first = session.run(PAINT, "nothing", layers, cache)
    second = session.run(PAINT ^ 0xFF, "memory" if profile == "memory" else "blocks", layers)
    if (first.outputs, first.exit) != (second.outputs, second.exit):
        raise InternalError(
            f"the result of {session.interface.name} depends on what its memory held before the "
            "run. Generated code must never do this: please report it with the model")
    return first, second


def _counted(
    build: Build, session: Session, first: Pass, second: Pass, profile: str,
    flash: FlashTiming | None,
) -> EmulationResult:
    """The result where the engine sees every block."""
    model, run = cycle_model(session.place.cpu.name), second.run
    misses = {interval.key: interval.flash_misses for interval in first.run.intervals}
    intervals = tuple(replace(i, flash_misses=misses.get(i.key, 0)) for i in run.intervals)
    accountant = Accountant(session.program, run, model, flash)
    functions = accountant.functions(intervals)
    instructions, cycles = total(functions)
    layers: tuple[LayerCount, ...] = ()
    if profile != "none" and session.interface.steps:
        layers = layer_counts(accountant, intervals, session.layer_names, session.interface)
    result = _result(build, session, first, second, instructions)
    if model is not None and flash is not None:
        model = replace(model, error=f"{model.error}; {flash.error}")
    return replace(result, cycles=cycles, cycle_model=model, functions=functions, layers=layers)


def _result(
    build: Build, session: Session, first: Pass, second: Pass, instructions: int
) -> EmulationResult:
    program, touched = session.program, first.touched | second.touched
    regions = _touched_by_region(session, touched)
    frames = build.frames or program.frames
    return EmulationResult(
        cpu=session.place.cpu.name, engine=session.engine.name, compiler=build.compiler,
        flags=build.flags, outputs=second.outputs, instructions=instructions,
        cycles=None, cycle_model=None,
        arena_bytes=sum(size for size, _ in regions.values()),
        arena_bytes_touched=sum(top for _, top in regions.values()), regions=regions,
        arena_touched=touched, stack_bytes=max(first.stack_bytes, second.stack_bytes),
        stack_bound_bytes=stack_bound(program, frames, functions_of(session.interface)),
        frames=frames, symbols=program.symbols,
        accesses=second.run.accesses,
        unaligned=tuple(f"{program.place(pc)} at 0x{address:08x}"
                        for pc, address in second.run.unaligned),
        exit=second.exit,
    )


def _touched_by_region(session: Session, touched: Array) -> dict[str, tuple[int, int]]:
    """For each part of the arena its bytes, and the highest one written plus 1."""
    found, start = {}, 0
    for region, arena in zip(session.interface.regions, session.arenas, strict=True):
        written = np.flatnonzero(touched[start:start + arena.size_bytes])
        found[region.name] = arena.size_bytes, int(written[-1]) + 1 if written.size else 0
        start += arena.size_bytes
    return found


def _unwrapped(first: Pass, second: Pass) -> int:
    """The exact count of the second run, whose timer may have wrapped, by the coarse first one."""
    exact, coarse, wrap = second.run.instructions, first.run.instructions, second.run.wrap
    assert exact is not None
    assert coarse is not None
    return exact + round((coarse - exact) / wrap) * wrap
