# SPDX-License-Identifier: MIT
"""The stage that attaches to every operator the kernels that can compute it on a target."""

from __future__ import annotations

from dataclasses import replace

from tinyeff.ir import Graph, Target
from tinyeff.ops import operator_of
from tinyeff.ops.operator import node_of


def select(graph: Graph, target: Target) -> Graph:
    """The graph with each operator's kernel variants for `target`."""
    ops = tuple(
        replace(op, variants=operator_of(op.kind).variants(node_of(graph, op), target))
        for op in graph.ops
    )
    return replace(graph, ops=ops)
