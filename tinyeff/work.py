# SPDX-License-Identifier: MIT
"""How much a plan really computes, counted by going through its calls."""

from __future__ import annotations

from collections import Counter

from tinyeff.ir import Graph, Plan
from tinyeff.ops import operator_of
from tinyeff.ops.operator import node_of
from tinyeff.schedule import calls_of, schedule


def segment_macs(graph: Graph, plan: Plan) -> tuple[int, ...]:
    """Multiply-accumulates of each segment of the plan, with all that is computed again.

    Their sum is `plan.macs + plan.extra_macs`.
    """
    macs = [operator_of(op.kind).macs(node_of(graph, op)) for op in graph.ops]
    found = []
    groups = schedule(graph, plan.segments, plan.variants, plan.flat)
    for number, (segment, parts) in enumerate(zip(plan.segments, groups, strict=True)):
        if segment.strategy == "per-layer":
            found.append(sum(macs[segment.first:segment.last]))
            continue
        pixels: Counter[int] = Counter()
        for call in calls_of(number, parts):
            if call.stage.form == "rows" and not call.tile.is_empty:
                tile = call.tile
                columns = max(tile.x1 - max(tile.x0, tile.held), 0)
                pixels[call.stage.op] += (tile.y1 - tile.y0) * columns
        stages = [s for part in parts for s in part.stages if s.op >= 0]
        found.append(sum(
            macs[s.op] * pixels[s.op] // _pixels(graph, s.op) if s.form == "rows" else macs[s.op]
            for s in stages))
    return tuple(found)


def exit_macs(graph: Graph, plan: Plan) -> tuple[int, ...]:
    """Multiply-accumulates until each early exit of the graph, and last those of all."""
    if not graph.exits:
        return (plan.macs + plan.extra_macs,)
    by_segment = segment_macs(graph, plan)
    ends = [*(e.after for e in graph.exits), len(graph.ops)]
    return tuple(
        sum(n for segment, n in zip(plan.segments, by_segment, strict=True) if segment.last <= end)
        for end in ends)


def _pixels(graph: Graph, op: int) -> int:
    output = graph.tensors[graph.ops[op].outputs[0]]
    return output.rows * output.pixels
