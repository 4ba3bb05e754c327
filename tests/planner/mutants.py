# SPDX-License-Identifier: MIT
"""Plans with one thing changed and every figure put right again, for the validator to look at."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tinyeff.ir import Buffer, LayerMemory, Plan, Region
from tinyeff.planner.assembly import covered_bytes


def number_of(plan: Plan, name: str) -> int:
    """The index of the buffer with this name."""
    return next(n for n, b in enumerate(plan.buffers) if b.name == name)


def changed(plan: Plan, name: str, **fields: Any) -> Plan:
    """The plan with fields of one buffer replaced."""
    index = number_of(plan, name)
    buffers = list(plan.buffers)
    buffers[index] = replace(buffers[index], **fields)
    return refigured(plan, buffers)


def moved(plan: Plan, index: int, offset: int) -> Plan:
    """The plan with one buffer elsewhere; all buffers in one group, so that they may overlap."""
    buffers = [replace(b, group="all") for b in plan.buffers]
    buffers[index] = replace(buffers[index], offset_bytes=offset)
    return refigured(plan, buffers)


def refigured(plan: Plan, buffers: list[Buffer]) -> Plan:
    """The plan with other buffers and the figures that follow from them."""
    arena = [b for b in buffers if b.in_arena]
    steps = range(max(len(plan.layers), 1))
    live = [covered_bytes(b for b in arena if b.op is None and b.first <= t < b.last)
            for t in steps]
    regions = tuple(Region(r.name, max((b.offset_bytes + b.size_bytes for b in arena
                                        if b.region == r.name), default=0)) for r in plan.regions)
    size = sum(r.arena_bytes for r in regions)
    layers = tuple(LayerMemory(m.op, live[m.op], m.scratch_bytes) for m in plan.layers)
    return replace(plan, buffers=tuple(buffers), layers=layers, activation_bytes=max(live),
                   scratch_bytes=size - max(live), arena_bytes=size, regions=regions,
                   lower_bound_bytes=0)
