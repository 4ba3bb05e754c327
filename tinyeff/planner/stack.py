# SPDX-License-Identifier: MIT
"""The most stack that a planned model needs: frames of the loops, of a kernel, and their arrays.

The frames were measured with the bound that `tinyeff sim` prints (what compilers report along the
deepest calls), over all kernels, cores, strategies and levels of optimization, with
arm-none-eabi-gcc 12.2 and clang 18 (zig); the arrays follow from the plan. Tests hold linked models
against it. Another compiler may need more: `sim` measures what yours makes.
"""

from __future__ import annotations

from collections.abc import Sequence

from tinyeff.ir import Graph, Plan, Target
from tinyeff.planner.assembly import alone
from tinyeff.planner.choices import VIEW
from tinyeff.schedule import PUSHED, Stage, StageGroup, rows_at_once, schedule

LOOP_BYTES = 384
"""The generated loops, without their arrays: 104 to 328 measured."""

KERNEL_BYTES = {"portable": 336, "dsp": 544}
"""The kernel that needs most, by path: 304 and 508 measured."""

LEAST_STACK_BYTES = LOOP_BYTES + min(KERNEL_BYTES.values())
"""What every plan counts for the stack."""

UNKNOWN_BYTES = 2048
"""What the stack is taken to need where no kernel was measured."""

POINTER_BYTES, TILE_BYTES = 4, 20


def stack_bytes(graph: Graph, plan: Plan) -> int:
    """Bytes of stack below the caller of the model's functions."""
    groups = [g for segment in schedule(graph, plan.segments, plan.variants, plan.flat)
              for g in segment]
    memories = len(plan.regions) + len(graph.outputs) + len(graph.inputs)
    return _bound(graph, plan.target, groups, memories)


def least_stack_bytes(graph: Graph, target: Target, parts: int = 1) -> int:
    """The same of a plan layer by layer, in `parts` memories; operators must carry their variants.
    """
    variants = tuple(max(op.variants, key=lambda v: v.rows_per_call, default=VIEW)
                     for op in graph.ops)
    segments = tuple(alone(n) for n in range(len(graph.ops)))
    flat = (False,) * len(variants)
    groups = [g for segment in schedule(graph, segments, variants, flat) for g in segment]
    return _bound(graph, target, groups, parts + len(graph.outputs) + len(graph.inputs))


def _bound(graph: Graph, target: Target, groups: Sequence[StageGroup], memories: int) -> int:
    if target.path not in KERNEL_BYTES:
        return UNKNOWN_BYTES
    stages = [s for g in groups for s in g.stages if s.form != PUSHED]
    # Each form has arrays of its own, which compilers may put side by side.
    forms = {s.form for s in stages}
    pointers = (max(map(_in_rows, stages), default=1) * len(forms - {"accumulate"})
                + max((_out_rows(graph, s) for s in stages), default=1) * len(forms)
                + 2 * memories + 1)
    tiles = max((len(g.stages) for g in groups), default=1)
    if any(g.slides for g in groups):
        tiles *= 2  # those of the tile before are kept
    return (LOOP_BYTES + KERNEL_BYTES[target.path] + POINTER_BYTES * pointers
            + TILE_BYTES * tiles)


def _in_rows(stage: Stage) -> int:
    if stage.form != "rows":
        return max(1, len(stage.operands))
    return max(1, sum(rows_at_once(o.window, stage.rows_per_call) for o in stage.operands))


def _out_rows(graph: Graph, stage: Stage) -> int:
    whole = graph.tensors[stage.outputs[0]].rows if stage.form == "accumulate" else 1
    rows = stage.rows_per_call if stage.form == "rows" else whole
    return rows * len(stage.outputs)
