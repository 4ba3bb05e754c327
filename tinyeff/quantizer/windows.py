# SPDX-License-Identifier: MIT
"""Which values of a tensor make a difference to the operators that read it.

HARD_SWISH gives 0 for all that is below -3, LOGISTIC hardly changes beyond 6. A range that leaves
out what nobody tells apart has finer steps, and loses nothing.
"""

from __future__ import annotations

from tinyeff.ir import ABSENT, Array, Graph
from tinyeff.ops import operator_of
from tinyeff.ops.operator import EVERYTHING
from tinyeff.quantizer.scales import Range

AVERAGES = ("AVERAGE_POOL_2D", "RESIZE_BILINEAR")
"""Of the operators whose inputs and outputs share a scale those that give neither values of their
inputs nor 0: what is beyond the bounds of what reads them counts, in an average."""


def windows_of(graph: Graph) -> dict[int, Range]:
    """For float activations the bounds beyond which their values need not be told apart.

    Only tensors that have such bounds are listed; model inputs and outputs have none.
    """
    found: dict[int, Range] = {}
    whole = {*graph.inputs, *graph.outputs}
    for op in reversed(graph.ops):
        known = operator_of(op.kind)
        window = known.told_apart
        if known.shares_scale and not known.writes_indices and op.kind not in AVERAGES:
            ends = [found.get(i, EVERYTHING) for i in op.outputs]
            window = min(low for low, _ in ends), max(high for _, high in ends)
        for i in op.inputs:
            if i == ABSENT or graph.tensors[i].is_constant or i in whole:
                continue
            low, high = found.get(i, window)
            found[i] = min(low, window[0]), max(high, window[1])
    return {i: window for i, window in found.items() if window != EVERYTHING}


def within(values: Array, window: Range | None) -> Array:
    """The values, those beyond the window as its bounds."""
    if window is None:
        return values
    result: Array = values.clip(*window)
    return result
