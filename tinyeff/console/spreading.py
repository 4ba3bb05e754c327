# SPDX-License-Identifier: MIT
"""What lies in each of several memories, as lines and as JSON objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tinyeff.ir import Graph, Limits, Plan
from tinyeff.planner import Verdict, heat_of


def region_objects(
    graph: Graph, plan: Plan, limits: Limits, verdict: Verdict
) -> list[dict[str, Any]]:
    """Each part of the arena; in several memories also what is needed and granted of each."""
    arena = {r.name: r.arena_bytes for r in plan.regions}
    if not verdict.memories:
        return [{"name": name, "arena_bytes": size} for name, size in arena.items()]
    granted = {m.name: m.size_bytes for m in limits.memories}
    shares = _traffic_shares(graph, plan)
    return [{"name": m.name, "arena_bytes": arena.get(m.name, 0), "needed_bytes": m.size_bytes,
             "granted_bytes": granted[m.name], "traffic": shares.get(m.name, 0.0),
             "buffers": [b.name for b in plan.buffers if b.region == m.name]}
            for m in verdict.memories]


def region_lines(graph: Graph, plan: Plan, limits: Limits, verdict: Verdict) -> Iterator[str]:
    """A line for each of several memories."""
    granted = {m.name: m.size_bytes for m in limits.memories}
    shares = _traffic_shares(graph, plan)
    for n, m in enumerate(verdict.memories):
        also = " with stack and output" if n == 0 else ""
        yield (f"{m.name:<7}{m.size_bytes:>11,} bytes of {granted[m.name]:,}{also}: "
               f"{shares.get(m.name, 0.0):.0%} of the traffic")


def _traffic_shares(graph: Graph, plan: Plan) -> dict[str, float]:
    """For each part of the arena its share of the bytes of tensors read and written, estimated."""
    tensors = [b for b in plan.buffers if b.in_arena and b.op is None]
    traffic = dict.fromkeys((r.name for r in plan.regions), 0.0)
    for b, heat in zip(tensors, heat_of(graph, tensors), strict=True):
        traffic[b.region] += heat * b.size_bytes
    total = sum(traffic.values())
    return {name: part / total if total else 0.0 for name, part in traffic.items()}
