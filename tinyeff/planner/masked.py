# SPDX-License-Identifier: MIT
"""Patch stages for masks: which operators are computed in the patches of a grid that is given."""

from __future__ import annotations

from tinyeff.errors import UsageError
from tinyeff.ir import Graph, Limits, Plan, Target
from tinyeff.planner.patches import Patch, PatchSearch, longest_stage

MOST_LAYOUTS = 4
"""How many patch stages are laid out at most until one fits."""


def plan_masked(graph: Graph, target: Target, limits: Limits, arena_bytes: int | None) -> Plan:
    """The plan with which an inference of half of the patches costs the fewest MACs, then bytes.

    All plans in at most `arena_bytes` come before the others; extra MACs, of all patches, stay
    within `limits.max_overhead`. Raises UsageError where nothing can be cut into `patch_grid`.
    """
    assert limits.patch_grid is not None
    search = PatchSearch(graph, target, limits)
    macs = search.stage_macs()
    most = None if limits.max_overhead is None else limits.max_overhead * sum(macs)
    patches = [p for p in search.patches() if search.grid(p) == limits.patch_grid
               and (most is None or p.extra_macs <= most)]
    if not patches:
        raise _nothing(graph, limits)

    def half_macs(patch: Patch) -> float:
        return sum(macs[patch.last:]) + (sum(macs[:patch.last]) + patch.extra_macs) / 2

    patches.sort(key=lambda p: (max(search.arena_bytes(p), arena_bytes or 0) if arena_bytes else 0,
                                half_macs(p), search.arena_bytes(p)))
    found = []
    for patch in patches[:MOST_LAYOUTS]:
        plan = search.plan(patch, masked=True)
        if arena_bytes is None or plan.arena_bytes <= arena_bytes:
            return plan
        found.append(plan)
    return min(found, key=lambda p: p.arena_bytes)


def _nothing(graph: Graph, limits: Limits) -> UsageError:
    assert limits.patch_grid is not None
    rows, columns = limits.patch_grid
    stage = longest_stage(graph)
    first = f"{stage} operators, from the first on, can" if stage > 1 else "no operators can"
    within = "" if limits.max_overhead is None else " within the extra MACs allowed"
    return UsageError(
        f"--patch-mask {rows}x{columns}: of {graph.source.name} {first} be computed in patches, "
        f"and none of their outputs can be cut into {rows} x {columns}{within}; use another grid, "
        "of up to 8 patches a side")
