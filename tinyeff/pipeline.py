# SPDX-License-Identifier: MIT
"""The way through the house: one pure function per arrow.

    read(path)               -> Graph     .tflite, .h5, .keras, SavedModel
    simplify(graph)          -> Graph     fold padding and constants, drop what computes nothing
    quantize(graph, samples) -> Graph     float -> int8
    select(graph, target)    -> Graph     each operator's kernel variants for this CPU
    arrange(graph, target, limits) -> Graph     the order of operators that plans smallest
    plan(graph, limits)      -> Plan      what runs in what order, where every byte lies; validated
    lower(graph, plan)       -> Program   packed constants and the steps that the C code takes
    emit(program, options)   -> Sources   {relative path: text}

Only the command line reads arguments, prints and writes files.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tinyeff.emitter import EmitOptions, Sources, emit, lower
from tinyeff.ir import Array, Graph, Limits, Plan, Program, Target, check_graph
from tinyeff.planner import arrange, plan
from tinyeff.quantizer import quantize
from tinyeff.reader import check_supported, read, simplify
from tinyeff.selection import select
from tinyeff.simulator.host import Batch, HostProgram
from tinyeff.simulator.memory_map import MemoryMap
from tinyeff.simulator.verify import verify

__all__ = ["Compiled", "EmitOptions", "Sources", "arrange", "check_supported", "compile_graph",
           "compile_model", "emit", "infer", "lower",
           "plan", "prepare", "quantize", "read", "select", "simplify", "simulate", "verify"]


@dataclass(frozen=True, eq=False)
class Compiled:
    """A model on its way to C: the graph that was planned, its plan, and the program."""

    graph: Graph
    plan: Plan
    program: Program


def prepare(path: Path | str) -> Graph:
    """The graph of a model file, simplified and found to be supported."""
    graph = read(path)
    check_graph(graph, "reading")
    graph = simplify(graph)
    check_graph(graph, "simplifying")
    check_supported(graph)
    return graph


def compile_graph(graph: Graph, target: Target, limits: Limits) -> Compiled:
    """Select, arrange, plan and lower a prepared int8 graph."""
    graph = arrange(select(graph, target, limits.flash_bytes), target, limits)
    chosen = plan(graph, target, limits)
    return Compiled(graph, chosen, lower(graph, chosen))


def compile_model(
    path: Path | str, target: Target | None = None, limits: Limits | None = None
) -> Compiled:
    """The whole way from a model file to a program; `emit` prints it."""
    return compile_graph(prepare(path), target or Target(), limits or Limits())


def simulate(
    code: Program | Sources,
    inputs: tuple[Array, ...],
    cpu: str = "host",
    compiler: str | None = None,
    engine: str | None = None,
    memory: MemoryMap | None = None,
) -> tuple[Array, ...]:
    """Build generated code and run it: arrays of (count, *shape) in and out.

    It runs on this machine, or on an emulated core such as "cortex-m4"; `compiler`, `engine` and
    the chip's `memory` are for the latter.
    """
    return infer(code, inputs, cpu, compiler, engine, memory).outputs


def infer(
    code: Program | Sources,
    inputs: tuple[Array, ...],
    cpu: str = "host",
    compiler: str | None = None,
    engine: str | None = None,
    memory: MemoryMap | None = None,
) -> Batch:
    """As `simulate`, with the early exits that were taken."""
    if cpu != "host":
        from tinyeff.simulator.emulated import EmulatedProgram

        machine = EmulatedProgram(code, cpu, compiler=compiler, engine=engine, memory=memory)
        return machine.infer(inputs)
    with HostProgram(code) as host:
        return host.infer(inputs)
