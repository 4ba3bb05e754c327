# SPDX-License-Identifier: MIT
"""What the records of a plan must satisfy before and after the validator replays it."""

from __future__ import annotations

from collections import Counter

import numpy as np

from tinyeff.errors import InternalError
from tinyeff.ir import Buffer, Graph, Op, Plan, Segment
from tinyeff.ops import form_of
from tinyeff.planner import sizes
from tinyeff.schedule import activations

STRATEGIES = ("per-layer", "patch", "stream")


def describe(op: Op) -> str:
    """The operator as messages name it."""
    return f"{op.kind} '{op.name}'"


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise InternalError(f"validator: {what}")


def check_records(graph: Graph, plan: Plan) -> None:
    """Raise InternalError where a record of `plan` contradicts the graph or another record."""
    count = len(graph.ops)
    _require(
        len(plan.variants) == len(plan.flat) == len(plan.layers) == count,
        f"{len(plan.variants)} variants, {len(plan.flat)} flags and {len(plan.layers)} layers for "
        f"{count} operators",
    )
    covered = [i for s in plan.segments for i in range(s.first, s.last)]
    _require(covered == list(range(count)), "the segments do not run every operator once, in order")
    cuts = {s.first for s in plan.segments}
    for number, record in enumerate(graph.exits, 1):
        _require(record.after in cuts, f"exit {number}, behind {record.after} operators, lies "
                                       "within a segment")
    for segment in plan.segments:
        _require(segment.strategy in STRATEGIES, f"cannot replay strategy '{segment.strategy}'")
        covered = [i for g in segment.groups for i in range(g.first, g.last)]
        _require(covered == list(range(segment.first, segment.last)),
                 f"the groups of operators {segment.first} to {segment.last - 1} do not run every "
                 "one of them once, in order")
        alone = len(segment.groups) == 1 and not segment.groups[0].slides
        _require(segment.strategy != "patch" or alone,
                 f"operators {segment.first} to {segment.last - 1} run patch by patch, which takes "
                 "one group that does not slide")
    _check_tensors(graph, plan)
    for buffer in plan.buffers:
        _check_place(graph, plan, buffer)
    _check_private(graph, plan)
    _check_groups(plan)
    _check_figures(graph, plan)


def check_touched(graph: Graph, plan: Plan, touched: dict[int, list[int]]) -> None:
    """Raise InternalError where a recorded lifetime is not from the first to the last use.

    `touched` has the first and last step at which each buffer was read or written.
    """
    for index, buffer in enumerate(plan.buffers):
        _require(index in touched, f"buffer '{buffer.name}' is never used")
        first, last = touched[index]
        _require(
            (buffer.first, buffer.last) == (first, last + 1),
            f"buffer '{buffer.name}' is used during steps [{first}, {last + 1}), recorded are "
            f"[{buffer.first}, {buffer.last})",
        )


def _check_tensors(graph: Graph, plan: Plan) -> None:
    """Every activation lies in exactly one buffer, with others only where it is the same bytes."""
    value = {i: i for i in graph.inputs}
    for op in graph.ops:
        runs = form_of(graph, op) != "view"
        for i in op.outputs:
            value[i] = i if runs else value[activations(graph, op)[0]]
    held = Counter(i for b in plan.buffers for i in b.tensors)
    for i in value:
        name = graph.tensors[i].name
        _require(graph.tensors[i].is_constant or held[i] == 1,
                 f"tensor {i} '{name}' lies in {held[i]} buffers")
    for buffer in plan.buffers:
        _require(len({value.get(i) for i in buffer.tensors}) <= 1,
                 f"buffer '{buffer.name}' holds tensors with different contents")
        for i in buffer.tensors:
            written = graph.tensors[value[i]]
            is_ring = buffer.ring_rows < written.rows or buffer.row_pixels > 0
            record = written if is_ring else graph.tensors[i]
            width = buffer.row_pixels or record.pixels
            size = buffer.ring_rows * width * sizes.pixel_bytes(record)
            whole = sizes.size_bytes(record)
            _require(is_ring or buffer.size_bytes == whole,
                     f"buffer '{buffer.name}' has {buffer.size_bytes} bytes, its tensor "
                     f"'{record.name}' has {whole}")
            _require(not is_ring or buffer.size_bytes == size,
                     f"buffer '{buffer.name}' has {buffer.size_bytes} bytes, {buffer.ring_rows} "
                     f"rows of {width} pixels of its tensor '{record.name}' have {size}")
            _require(not is_ring or _streamed(plan, buffer),
                     f"buffer '{buffer.name}' keeps {buffer.ring_rows} rows of {record.rows}, and "
                     "outlives the segment that may do so")


def _streamed(plan: Plan, buffer: Buffer) -> bool:
    """True where one segment holds the whole life of the buffer.

    It has several operators, or the caller pushes its input row by row.
    """
    return any(s.first <= buffer.first and buffer.last <= s.last
               and (s.last - s.first > 1 or s.pushed) for s in plan.segments)


def _check_place(graph: Graph, plan: Plan, buffer: Buffer) -> None:
    """Region, alignment and bounds of one buffer."""
    served = [i for i in graph.outputs if i in buffer.tensors]
    filled = [i for i in graph.inputs if i in buffer.tensors]
    name = f"buffer '{buffer.name}'"
    if buffer.in_arena:
        parts = {r.name: r.arena_bytes for r in plan.regions}
        _require(buffer.region in parts,
                 f"{name} lies in region '{buffer.region}', where the arena has no part")
        arena_bytes = parts[buffer.region]
        align = max((sizes.alignment(graph.tensors[i]) for i in buffer.tensors),
                    default=sizes.WORD_BYTES)
        _require(buffer.offset_bytes % align == 0,
                 f"{name} at {buffer.offset_bytes} is not aligned to {align}")
        _require(0 <= buffer.offset_bytes <= arena_bytes - buffer.size_bytes,
                 f"{name} at {buffer.offset_bytes} with {buffer.size_bytes} bytes leaves the "
                 f"{buffer.region} of {arena_bytes}")
        _require(not filled or plan.input_memory != "excluded", f"{name} is a model input outside")
        return
    _require(buffer.region != "none", f"{name} lies nowhere")
    _require(buffer.op is None and buffer.offset_bytes == 0,
             f"{name} must start the caller's memory")
    if buffer.region == "input":
        _require(len(filled) == 1 and not served and plan.input_memory == "excluded",
                 f"{name} lies in the caller's input memory without being just that")
    else:
        _require(len(served) == 1 and not filled,
                 f"{name} lies in the caller's output memory without being just that")


def _check_private(graph: Graph, plan: Plan) -> None:
    """Scratch and state of each operator are there with the bytes that its variant asks for.

    All lie in one memory: generated code looks for them nowhere else.
    """
    homes = {b.region for b in plan.buffers if b.op is not None}
    _require(len(homes) <= 1, f"scratch memory, states and counters lie in {sorted(homes)}")
    for step, (op, variant) in enumerate(zip(graph.ops, plan.variants, strict=True)):
        form = form_of(graph, op)
        _require(form == "view" or variant in op.variants,
                 f"{describe(op)} has no variant '{variant.name}'")
        _require(not plan.flat[step] or (variant.flat and form == "rows"),
                 f"{describe(op)} runs flat, its variant {variant.name} of form {form} cannot")
    for segment in plan.segments:
        if segment.strategy == "patch":
            for step in range(segment.first, segment.last):
                _check_memory(graph, plan, range(step, step + 1), 0)
        else:
            ops = range(segment.first, segment.last)
            _check_memory(graph, plan, ops, counter_bytes(graph, segment))


def _check_memory(graph: Graph, plan: Plan, ops: range, counters: int) -> None:
    """Operators that run together have scratch memory once, states each, and row counters."""
    mine = [b for b in plan.buffers if b.op is not None and b.op in ops]
    found = sorted((b.name.split()[0], b.size_bytes) for b in mine)
    for b in mine:
        _require((b.first, b.last) == (ops.start, ops.stop),
                 f"'{b.name}' is there during steps [{b.first}, {b.last}), needed during "
                 f"[{ops.start}, {ops.stop})")
    scratch = max((plan.variants[i].scratch_bytes for i in ops), default=0)
    wanted = [("state", plan.variants[i].state_bytes) for i in ops]
    wanted += [("scratch", scratch), ("progress", counters)]
    wanted = sorted(w for w in wanted if w[1])
    _require(found == wanted,
             f"{describe(graph.ops[ops.start])} needs {wanted} bytes with all that runs in its "
             f"segment, the plan has {found}")


def counter_bytes(graph: Graph, segment: Segment) -> int:
    """Bytes of the row counters: one int32_t per group, none where a group is alone."""
    runs = [any(form_of(graph, graph.ops[i]) != "view"
                for i in range(g.first, g.last)) for g in segment.groups]
    groups = sum(runs) + len(segment.pushed)
    return 4 * groups if groups > 1 else 0


def _check_groups(plan: Plan) -> None:
    """Buffers that overlap while both live belong to one group."""
    arena = [b for b in plan.buffers if b.in_arena and b.size_bytes]
    active: list[Buffer] = []
    for a in sorted(arena, key=lambda b: b.first):
        active = [b for b in active if b.last > a.first]
        for b in active:
            over = (a.region == b.region and a.offset_bytes < b.offset_bytes + b.size_bytes
                    and b.offset_bytes < a.offset_bytes + a.size_bytes)
            _require(not over or a.group == b.group,
                     f"buffers '{a.name}' and '{b.name}' overlap and are not of one group")
        active.append(a)


def _check_figures(graph: Graph, plan: Plan) -> None:
    """Count the bytes again, on the map of all buffer borders, one memory behind the other."""
    arena = [b for b in plan.buffers if b.in_arena]
    bases, at = {}, 0
    for region in plan.regions:
        used = max((b.offset_bytes + b.size_bytes for b in arena if b.region == region.name),
                   default=0)
        _require(region.arena_bytes == used, f"the {region.name} has {region.arena_bytes} bytes, "
                                             f"its buffers end at {used}")
        bases[region.name], at = at, at + region.arena_bytes
    begins = np.array([bases[b.region] + b.offset_bytes for b in arena], np.int64)
    ends = begins + np.array([b.size_bytes for b in arena], np.int64)
    borders = np.unique(np.concatenate([[0], begins, ends]))
    _require(plan.arena_bytes == borders[-1],
             f"the arena has {plan.arena_bytes} bytes, its buffers end at {borders[-1]}")
    first, last = np.searchsorted(borders, begins), np.searchsorted(borders, ends)
    peak = 0
    for step in range(max(len(graph.ops), 1)):
        covered = np.zeros(max(len(borders) - 1, 0), bool)
        for n, buffer in enumerate(arena):
            if buffer.op is None and buffer.first <= step < buffer.last:
                covered[first[n]:last[n]] = True
        live = int(np.diff(borders)[covered].sum())
        peak = max(peak, live)
        if step < len(plan.layers):
            _require(plan.layers[step].live_bytes == live,
                     f"{describe(graph.ops[step])} has {live} live bytes, the plan says "
                     f"{plan.layers[step].live_bytes}")
    _require(plan.activation_bytes == peak,
             f"{peak} bytes live at the peak, the plan says {plan.activation_bytes}")
    _require(plan.scratch_bytes == plan.arena_bytes - peak,
             f"{plan.arena_bytes} - {peak} bytes are scratch, the plan says {plan.scratch_bytes}")
    _require(plan.lower_bound_bytes <= plan.arena_bytes,
             f"the arena of {plan.arena_bytes} bytes is below its own lower bound of "
             f"{plan.lower_bound_bytes}")
