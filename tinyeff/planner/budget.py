# SPDX-License-Identifier: MIT
"""What is left of the SRAM granted for the arena."""

from __future__ import annotations

from tinyeff.ir import Graph, Limits
from tinyeff.planner import sizes

STACK_BYTES = 2048
"""What the stack is taken to need as long as no compiler has said more exactly."""


def output_bytes(graph: Graph) -> int:
    """Memory of the caller that the outputs are written to."""
    return sum(sizes.size_bytes(graph.tensors[i]) for i in graph.outputs)


def arena_budget(graph: Graph, limits: Limits) -> int | None:
    """Bytes that the arena may take, None where no SRAM is named."""
    if limits.sram_bytes is None:
        return None
    return max(limits.sram_bytes - STACK_BYTES - output_bytes(graph), 0)


def mac_budget(macs: int, overhead: float) -> int:
    """Extra MACs within `overhead`, a fraction of `macs` that may be off by a rounding."""
    return int(overhead * macs + 1e-3)
