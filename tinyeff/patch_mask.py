# SPDX-License-Identifier: MIT
"""Masks of patches: what each patch of a plan sees and costs, and what leaving it out means.

Source of the idea: Ren et al., SBNet: Sparse Blocks Network for Fast Inference, CVPR 2018. What is
left out is not what lay there before, but a real zero.
"""

from __future__ import annotations

import numpy as np

from tinyeff.ir import Area, Array, Graph, PatchStage, Plan, Segment
from tinyeff.ops import operator_of
from tinyeff.ops.operator import node_of
from tinyeff.schedule import ALONE, StageGroup, Tile, schedule, tiles_of
from tinyeff.work import segment_macs


def patch_count(graph: Graph, plan: Plan) -> int:
    """How many patches of a plan can be left out."""
    total = 0
    for segment in (s for s in plan.segments if s.masked):
        (group,), output = segment.groups, graph.tensors[_written(graph, segment)[0]]
        total += -(-output.rows // group.tile_rows) * -(-output.pixels // group.tile_pixels)
    return total


def patch_stage(graph: Graph, plan: Plan) -> PatchStage | None:
    """The patch stage whose patches can be left out; None where a plan has none."""
    segment = next((s for s in plan.segments if s.masked), None)
    if segment is None:
        return None
    ((group,),) = schedule(graph, (segment,), plan.variants, plan.flat)
    patches = [tiles for y in range(0, group.rows, group.tile_rows)
               for tiles in tiles_of(group, y, min(y + group.tile_rows, group.rows), 0)]
    ends = [tiles[-1] for tiles in patches]
    work = segment_macs(graph, plan)
    return PatchStage(
        segment.last, -(-group.rows // group.tile_rows), -(-group.pixels // group.tile_pixels),
        tuple(_area(graph, group, tiles) for tiles in patches),
        tuple((t.y0, t.y1, t.x0, t.x1) for t in ends),
        tuple(_macs(graph, group, tiles) for tiles in patches),
        sum(n for s, n in zip(plan.segments, work, strict=True) if s is not segment),
        _written(graph, segment),
    )


def _written(graph: Graph, segment: Segment) -> tuple[int, ...]:
    return graph.ops[segment.last - 1].outputs


def _area(graph: Graph, group: StageGroup, tiles: tuple[Tile, ...]) -> Area:
    """What the stages need of the model's first input for these tiles; nothing where they do not
    read it."""
    seen = [(*operand.rows_of(tile.y0, tile.y1), *operand.columns_of(tile.x0, tile.x1))
            for stage, tile in zip(group.stages, tiles, strict=True) if not tile.is_empty
            for operand in stage.operands
            if operand.producer == ALONE and operand.tensor == graph.inputs[0]]
    if not seen:
        return 0, 0, 0, 0
    return (min(a[0] for a in seen), max(a[1] for a in seen),
            min(a[2] for a in seen), max(a[3] for a in seen))


def _macs(graph: Graph, group: StageGroup, tiles: tuple[Tile, ...]) -> int:
    total = 0
    for stage, tile in zip(group.stages, tiles, strict=True):
        node = node_of(graph, graph.ops[stage.op])
        pixels = 0 if tile.is_empty else (tile.y1 - tile.y0) * (tile.x1 - tile.x0)
        macs = operator_of(graph.ops[stage.op].kind).macs(node)
        total += macs * pixels // (node.output.rows * node.output.pixels)
    return total


def zero_points(graph: Graph, stage: PatchStage) -> tuple[int, ...]:
    """What left-out patches of each of the stage's tensors hold."""
    quants = [graph.tensors[t].quant for t in stage.tensors]
    return tuple(q.zero_point if q else 0 for q in quants)


def left_out(graph: Graph, stage: PatchStage, values: Array, tensor: int, mask: Array) -> Array:
    """A tensor of the stage, where `mask`, of one value per patch, is 0 at its zero point."""
    record = graph.tensors[tensor]
    result = values.reshape(record.rows, record.pixels, record.channels).copy()
    fill = zero_points(graph, stage)[stage.tensors.index(tensor)]
    for (y0, y1, x0, x1), on in zip(stage.outputs, mask.ravel(), strict=True):
        if not on:
            result[y0:y1, x0:x1] = fill
    return result.reshape(values.shape)


def random_masks(stage: PatchStage, seed: int, count: int) -> Array:
    """(count, rows, columns) of 0 and 1; of several the last computes all, the others any part."""
    rng = np.random.default_rng([seed, 0x5b])
    shares = rng.uniform(0, 1, (count, 1, 1))
    masks = (rng.uniform(0, 1, (count, stage.rows, stage.columns)) < shares).astype(np.uint8)
    if count > 1:
        masks[-1] = 1
    return masks
