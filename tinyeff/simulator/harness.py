# SPDX-License-Identifier: MIT
"""The program around a generated model: who calls it, where its memory lies, what is counted."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace

from tinyeff.emitter import Manifest
from tinyeff.emitter.naming import arena_parameters
from tinyeff.ir import Region
from tinyeff.simulator.memory_map import MemoryMap
from tinyeff.simulator.text import render, support_sources
from tinyeff.simulator.toolchain import Build, Toolchain, compile_program
from tinyeff.targets import Cpu

GUARD_BYTES = 256
"""Painted memory before and after the arena."""


@dataclass(frozen=True)
class ModelInterface:
    """How generated code is called; sizes in bytes, `steps` are pairs of name and kind.

    Where it is `masked` the last of `input_bytes` is that of the mask.
    """

    name: str
    input_memory: str
    regions: tuple[Region, ...]
    input_bytes: tuple[int, ...]
    output_bytes: tuple[int, ...]
    steps: tuple[tuple[str, str], ...]
    macs: Mapping[str, int]
    stream_rows: int = 0
    masked: bool = False

    @property
    def arena_bytes(self) -> int:
        """Bytes of all parts of the arena."""
        return sum(r.arena_bytes for r in self.regions)

    def with_arena(self, arena_bytes: int) -> ModelInterface:
        """The same with another size of the last part, so that all are of `arena_bytes`."""
        *others, last = self.regions
        size = last.arena_bytes + arena_bytes - self.arena_bytes
        return replace(self, regions=(*others, Region(last.name, size)))


def interface_of(manifest: Manifest) -> ModelInterface:
    """The interface that a manifest (tinyeff.json) describes."""
    steps = manifest.raw["plan"]["steps"]
    streamed = manifest.input_memory == "streamed"
    return ModelInterface(
        name=manifest.name, input_memory=manifest.input_memory, regions=manifest.regions,
        input_bytes=tuple(t.size_bytes for t in manifest.given),
        masked=manifest.patches is not None,
        output_bytes=tuple(t.size_bytes for t in manifest.outputs),
        steps=tuple((s["name"], s["kind"]) for s in steps),
        macs={s["name"]: s.get("macs", 0) for s in steps},
        stream_rows=manifest.inputs[0].rows if streamed else 0,
    )


def functions_of(interface: ModelInterface) -> tuple[str, ...]:
    """The functions whose execution is an inference."""
    run = "run_masked" if interface.masked else "run"
    parts = ("begin", "push_row", "finish") if interface.input_memory == "streamed" else (run,)
    return tuple(f"{interface.name}_{part}" for part in parts)


@dataclass(frozen=True)
class Place:
    """Where a program runs and how it is built: `defines` are for the code around the model."""

    cpu: Cpu
    memory: MemoryMap
    toolchain: Toolchain
    flags: Sequence[str]
    defines: Sequence[str]


def build_program(
    sources: Mapping[str, str], interface: ModelInterface, place: Place,
    count_layers: bool = False,
) -> Build:
    """Link the model of `sources` with its arena into a program.

    With `count_layers`, calls of kernels pass through functions that book time by layer; the model
    itself is compiled from the same text.
    """
    model = {path: text for path, text in sources.items()
             if path.endswith((".c", ".h")) and path != f"{interface.name}_example.c"}
    main = render("emulator_main.c.j2", h=_harness_view(interface, place.memory))
    harness = {**support_sources(), "te_emulator_main.c": main}
    defines, renamed = list(place.defines), {}
    if count_layers:
        kernels = kernels_of(sources[f"{interface.name}.c"])
        harness["te_emulator_layers.c"] = render("emulator_layers.c.j2",
                                                 h=SimpleNamespace(kernels=kernels))
        defines.append("TE_EMULATOR_COUNT_LAYERS")
        renamed[f"{interface.name}.c"] = [f"{k.name}=te_emulator_{k.name}" for k in kernels]
    return compile_program(model, harness, place.cpu, place.memory, place.toolchain,
                           place.flags, defines, renamed)


def kernels_of(code: str) -> list[SimpleNamespace]:
    """The kernels that the table of stages of a generated model names."""
    found = re.findall(r"\.kernel\.(rows|accumulate|whole) = &?(\w+)", code)
    return [SimpleNamespace(name=name, accumulates=form == "accumulate")
            for form, name in dict.fromkeys(found)]


def place_for(place: Place, interface: ModelInterface) -> Place:
    """The same with the memory that the parts of a model's arena need."""
    parts = [r.name for r in interface.regions]
    return replace(place, memory=place.memory.holding(parts, 3 * GUARD_BYTES))


def _harness_view(interface: ModelInterface, memory: MemoryMap) -> SimpleNamespace:
    known = {r.name for r in memory.rams}
    parameters = arena_parameters([r.name for r in interface.regions])
    arenas = [
        SimpleNamespace(symbol=parameter, size_bytes=r.arena_bytes,
                        section=f".arena_{r.name}" if r.name in known else f".arena.{n}")
        for n, (r, parameter) in enumerate(zip(interface.regions, parameters, strict=True))
    ]
    name, streamed = interface.name, interface.input_memory == "streamed"
    inputs = len(interface.input_bytes) - interface.masked
    single = inputs == 1
    resident = interface.input_memory == "resident"
    outputs = range(len(interface.output_bytes))
    return SimpleNamespace(
        name=name, arenas=arenas, guard_bytes=GUARD_BYTES,
        arena_arguments=", ".join(f"te_emulator_{a.symbol}" for a in arenas),
        input_bytes=interface.input_bytes, output_bytes=interface.output_bytes,
        input_memory=interface.input_memory, functions=functions_of(interface),
        copies=[
            SimpleNamespace(function=f"{name}_input" if single else f"{name}_input_{n}",
                            size_bytes=size)
            for n, size in enumerate(interface.input_bytes[:inputs]) if resident
        ],
        input_arguments="".join(
            f", (const void *)te_emulator_input_{n}"
            for n in range(len(interface.input_bytes)) if not resident or n >= inputs
        ),
        output_arguments="".join(f", (void *)te_emulator_output_{n}" for n in outputs),
        stream_rows=interface.stream_rows,
        stream_row_bytes=interface.input_bytes[0] // interface.stream_rows if streamed else 0,
    )
