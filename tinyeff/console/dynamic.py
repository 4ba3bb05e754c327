# SPDX-License-Identifier: MIT
"""What a plan may leave undone, for people and programs: early exits, and patches of a mask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tinyeff.exits import describe_exit, real_threshold
from tinyeff.ir import Exit, Graph, PatchStage, Plan
from tinyeff.patch_mask import patch_stage
from tinyeff.work import exit_macs


def dynamic_object(graph: Graph, plan: Plan) -> dict[str, Any]:
    """Exits, and patches where a mask can leave them out, for the JSON object of `tinyeff plan`."""
    work = exit_macs(graph, plan)[:-1]
    found: dict[str, Any] = {"exits": [
        _exit_object(graph, e, macs) for e, macs in zip(graph.exits, work, strict=True)]}
    stage = patch_stage(graph, plan)
    if stage is not None:
        found["patches"] = {
            "rows": stage.rows, "columns": stage.columns, "layers": stage.last,
            "macs": list(stage.macs), "other_macs": stage.other_macs,
            "areas": [list(area) for area in stage.areas], "break_even": break_even(plan, stage)}
    return found


def dynamic_lines(graph: Graph, plan: Plan) -> Iterator[str]:
    """The work until each exit, and of patches."""
    *work, whole = exit_macs(graph, plan)
    for number, (record, macs) in enumerate(zip(graph.exits, work, strict=True), 1):
        yield (f"exit {number} {macs:>11,} multiply-accumulates ({macs / max(whole, 1):.1%}) up to "
               f"layer {record.after - 1}; {describe_exit(graph, record)}")
    stage = patch_stage(graph, plan)
    if stage is not None:
        each = f"{min(stage.macs):,} to {max(stage.macs):,} each"
        yield (f"patch  {sum(stage.macs) // len(stage.macs):>11,} multiply-accumulates on average, "
               f"{each}: {stage.rows} x {stage.columns} patches of layers 0 to {stage.last - 1}; "
               f"{stage.other_macs:,} behind them")
        yield (f"mask   {break_even(plan, stage):>11,} of {len(stage.macs)} patches, or fewer, are "
               "no more work than the whole image layer by layer")


def break_even(plan: Plan, stage: PatchStage) -> int:
    """The most patches of average work that cost no more than the graph layer by layer."""
    left, whole = plan.macs - stage.other_macs, sum(stage.macs)
    return min(len(stage.macs), left * len(stage.macs) // max(whole, 1))


def _exit_object(graph: Graph, record: Exit, macs: int) -> dict[str, Any]:
    tensor = graph.tensors[graph.outputs[record.output]]
    assert tensor.quant is not None
    return {"output": tensor.name, "rule": "margin" if record.margin else "score",
            "threshold": record.threshold, "value": real_threshold(record, tensor.quant),
            "layers": record.after, "macs": macs}
