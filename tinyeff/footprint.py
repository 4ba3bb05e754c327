# SPDX-License-Identifier: MIT
"""What a planned model takes beside its arena: flash, stack, and the caller's own buffers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinyeff.ir import Graph, Op, Plan
from tinyeff.ops import form_of, operator_of
from tinyeff.ops.operator import node_of
from tinyeff.patch_mask import patch_count
from tinyeff.planner import sizes
from tinyeff.planner.budget import output_bytes
from tinyeff.planner.stack import stack_bytes

RUNNER_BYTES, TAKING_TURNS_BYTES = 900, 700
"""Code that every model has: the loops over tiles and rows, `*_run` (360 to 1,000 measured); and
where groups take turns row by row, or a group has several stages."""

STAGE_BYTES, INPUT_BYTES, OUTPUT_BYTES, GROUP_BYTES = 14, 3, 12, 8
"""What the tables take for a stage, an input, an output with its place, and a group."""

CODE_PERCENT = {"cortex-m0plus": 140}
"""Kernels against their size on a Cortex-M4: ARMv6-M has no long multiplication and no division."""

OPTIMIZE_PERCENT = {"size": 82}
"""Code by --optimize, against -O2: the compiler's -Os leaves assembly as it is."""

PARAMETER_BYTES = 36
"""A kernel's parameters: 28 to 68 bytes."""

EXITS_BYTES, EXIT_BYTES, MASK_BYTES, AREA_BYTES = 120, 6, 170, 4
"""Code of early exits and what the table takes for each; code of a mask of patches, and what the
table of areas takes for each (24 to 120, 160 to 210 of code measured)."""


@dataclass(frozen=True)
class Footprint:
    """Bytes of flash by what they hold, and of SRAM outside the arena.

    `const_bytes` (weights, biases, multipliers, tables of values) is exact; `code_bytes` and
    `table_bytes` (the steps as data) are estimates, `stack_bytes` is a bound of measured parts. The
    caller provides `output_bytes`, and `input_bytes` where the input is not in the arena.
    """

    const_bytes: int
    code_bytes: int
    table_bytes: int
    stack_bytes: int
    input_bytes: int
    output_bytes: int

    @property
    def flash_bytes(self) -> int:
        """All that lies in flash."""
        return self.const_bytes + self.code_bytes + self.table_bytes


def step_bytes(graph: Graph, op: Op) -> int:
    """Bytes of the tables that describe an operator and its call; 0 for a view."""
    node = node_of(graph, op)
    if operator_of(op.kind).form_of(node) == "view":
        return 0
    return (STAGE_BYTES + PARAMETER_BYTES + OUTPUT_BYTES * len(node.outputs)
            + INPUT_BYTES * len(node.activations))


def footprint(graph: Graph, plan: Plan) -> Footprint:
    """The footprint of `graph` under `plan`; a float graph counts as the int8 it will become."""
    tables = GROUP_BYTES * sum(len(segment.groups) for segment in plan.segments)
    tables += sum(step_bytes(graph, op) for op in graph.ops)
    code, dynamic = _kernels(graph, plan), EXITS_BYTES * bool(graph.exits)
    tables += EXIT_BYTES * len(graph.exits)
    if (patches := patch_count(graph, plan)) > 0:
        dynamic, tables = dynamic + MASK_BYTES, tables + AREA_BYTES * patches
    simple = all(len(s.groups) == 1 and s.groups[0].last - s.groups[0].first == 1
                 for s in plan.segments)
    runner = RUNNER_BYTES + (0 if simple else TAKING_TURNS_BYTES)
    inputs = () if plan.input_memory == "resident" else graph.inputs
    return Footprint(
        const_bytes=sum(v.const_bytes for v in plan.variants),
        code_bytes=runner + dynamic + sum(code.values()),
        table_bytes=tables,
        stack_bytes=stack_bytes(graph, plan),
        input_bytes=sum(sizes.size_bytes(graph.tensors[i]) for i in inputs),
        output_bytes=output_bytes(graph),
    )


def shared_code_bytes(models: Sequence[tuple[Graph, Plan]]) -> int:
    """What several models in one program save against programs of their own: each kernel is there
    once."""
    each = [_kernels(graph, plan) for graph, plan in models]
    together: dict[tuple[str, str], int] = {}
    for kernels in each:
        together |= kernels
    return sum(sum(kernels.values()) for kernels in each) - sum(together.values())


def _kernels(graph: Graph, plan: Plan) -> dict[tuple[str, str], int]:
    """The bytes of each kernel, and of what several have in common."""
    code: dict[tuple[str, str], int] = {}
    for op, variant in zip(graph.ops, plan.variants, strict=True):
        if form_of(graph, op) != "view":
            code[op.kind, variant.name] = variant.code_bytes
            code.update({("", name): size for name, size in variant.shared_code})
    percent = CODE_PERCENT.get(plan.target.cpu, 100)
    percent = percent * OPTIMIZE_PERCENT.get(plan.target.optimize, 100) // 100
    return {name: size * percent // 100 for name, size in code.items()}
