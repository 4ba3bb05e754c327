# SPDX-License-Identifier: MIT
"""The planner: which kernel runs each operator, in what order, and where every byte lies."""

from __future__ import annotations

from tinyeff.errors import UnsupportedError, UsageError
from tinyeff.ir import Graph, Limits, Plan, Target
from tinyeff.planner.drawing import draw
from tinyeff.planner.per_layer import plan_per_layer
from tinyeff.planner.streaming import plan_stream
from tinyeff.planner.validator import validate
from tinyeff.planner.verdict import Verdict, judge

__all__ = ["Verdict", "draw", "judge", "plan", "validate"]

STRATEGIES = ("auto", "per-layer", "stream")
INPUT_MEMORIES = ("resident", "excluded")


def plan(graph: Graph, target: Target, limits: Limits) -> Plan:
    """The plan of a graph whose operators carry their variants; always validated.

    A float graph is planned as if it were int8. Raises UnsupportedError for a strategy or an input
    memory that the planner does not offer. Whether the plan fits the limits is asked of `judge`.
    """
    if limits.strategy not in STRATEGIES:
        raise UnsupportedError(f"strategy '{limits.strategy}' is not supported; "
                               f"use one of {', '.join(STRATEGIES)}")
    if limits.input_memory == "streamed":
        raise UnsupportedError("streaming the input needs the stream strategy: per layer, the "
                               "first operator reads the whole image; use input memory "
                               f"{' or '.join(INPUT_MEMORIES)}")
    if limits.input_memory not in INPUT_MEMORIES:
        raise UsageError(f"input memory '{limits.input_memory}' is not known; "
                         f"use {' or '.join(INPUT_MEMORIES)}")
    chosen = plan_stream if limits.strategy == "stream" else plan_per_layer
    result = chosen(graph, target, limits)
    validate(graph, result)
    return result
