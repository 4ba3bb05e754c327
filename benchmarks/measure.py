# SPDX-License-Identifier: MIT
"""One emulated inference of a model, as figures that can be written and compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from tinyeff.emitter import EmitOptions, emit
from tinyeff.ir import Graph, Limits, Op, Optimize
from tinyeff.ops.operator import node_of
from tinyeff.pipeline import Compiled, compile_graph
from tinyeff.simulator.emulator import emulate
from tinyeff.simulator.flash import FlashTiming
from tinyeff.simulator.flash_use import flash_use
from tinyeff.targets import target_for

KERNELS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")
"""Operators whose weights are (.., height, width, ..)."""


@dataclass(frozen=True)
class Layer:
    """Counts of one operator. `kernel` is (height, width), empty for what has none."""

    kind: str
    kernel: tuple[int, ...]
    channels: int
    macs: int
    inputs: int
    outputs: int
    instructions: int
    cycles: int | None

    @property
    def title(self) -> str:
        """Its kind, with the size of its kernel."""
        return " ".join((self.kind, "x".join(map(str, self.kernel)))).strip()


@dataclass(frozen=True)
class Run:
    """One inference. `board` is empty where flash has no wait states."""

    model: str
    cpu: str
    board: str
    strategy: str
    optimize: str
    macs: int
    extra_macs: int
    activation_bytes: int
    instructions: int
    cycles: int | None
    code_bytes: int
    table_bytes: int
    weight_bytes: int
    layers: tuple[Layer, ...] = field(repr=False)

    @property
    def key(self) -> str:
        """What tells this run from others."""
        place = self.board or self.cpu
        return f"{self.model} {place} {self.strategy} {self.optimize}"

    def to_json(self) -> dict[str, Any]:
        """A JSON object; `run_of` reads it."""
        return asdict(self)


def run_of(value: dict[str, Any]) -> Run:
    """The run that `Run.to_json` wrote."""
    layers = tuple(Layer(**{**layer, "kernel": tuple(layer["kernel"])})
                   for layer in value["layers"])
    return Run(**{**value, "layers": layers})


def measure(
    name: str, graph: Graph, cpu: str, *, strategy: str = "per-layer",
    optimize: Optimize = "balanced", board: str = "", flash: FlashTiming | None = None,
) -> Run:
    """Compile `graph` and count one inference of random input on an emulated core."""
    limits = Limits(strategy=strategy, input_memory="excluded")
    compiled = compile_graph(graph, target_for(cpu, optimize), limits)
    return count_run(name, compiled, cpu, strategy=strategy, optimize=optimize, board=board,
                     flash=flash)


def count_run(
    name: str, compiled: Compiled, cpu: str, *, strategy: str = "stream",
    optimize: Optimize = "balanced", board: str = "", flash: FlashTiming | None = None,
) -> Run:
    """Count one inference of random input of a program whose input is outside its arena."""
    graph = compiled.graph
    sources = emit(compiled.program, EmitOptions("model"))
    rng = np.random.default_rng(0)
    inputs = [rng.integers(-128, 128, graph.tensors[i].shape, dtype=np.int8)
              for i in graph.inputs]
    result = emulate(sources, inputs, cpu, profile="layers", flash=flash)
    use, plan = flash_use(result.symbols, "model"), compiled.plan
    ops = {step.name: graph.ops[step.op] for step in compiled.program.steps}
    layers = tuple(_layer(graph, ops[c.name], c.macs, c.instructions, c.cycles)
                   for c in result.layers)
    return Run(name, cpu, board, strategy, optimize, plan.macs, plan.extra_macs,
               plan.activation_bytes, result.instructions, result.cycles, use.code_bytes,
               use.table_bytes, use.weight_bytes, layers)


def _layer(graph: Graph, op: Op, macs: int, instructions: int, cycles: int | None) -> Layer:
    node = node_of(graph, op)
    kernel = tuple(node.input(1).shape[1:3]) if op.kind in KERNELS else ()
    return Layer(op.kind, kernel, node.input(0).channels, macs,
                 sum(t.elements for t in node.activations), node.output.elements, instructions,
                 cycles)


def by_title(runs: Sequence[Run]) -> dict[str, list[Layer]]:
    """Layers of the runs by kind and kernel, those with the most instructions first."""
    found: dict[str, list[Layer]] = {}
    for run in runs:
        for layer in run.layers:
            found.setdefault(layer.title, []).append(layer)
    order = sorted(found, key=lambda title: -sum(x.instructions for x in found[title]))
    return {title: found[title] for title in order}
