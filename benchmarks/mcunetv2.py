# SPDX-License-Identifier: MIT
"""The figures that the MCUNetV2 paper gives for MobileNetV2, under the paper's accounting and ours.

    python -m benchmarks.mcunetv2

Source: Lin et al., MCUNetV2: Memory-Efficient Patch-based Inference for Tiny Deep Learning,
NeurIPS 2021. docs/memory-accounting.md says what each accounting includes.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.mobilenet_v2 import mobilenet_v2
from tinyeff.ir import Graph, Limits, Plan, Target
from tinyeff.ops import operator_of
from tinyeff.ops.operator import node_of
from tinyeff.planner.lifetimes import activation_inputs
from tinyeff.planner.patches import Patch, PatchSearch, measure, patch_segment, plan_patch
from tinyeff.planner.per_layer import plan_per_layer
from tinyeff.schedule import ALONE, Stage, StageGroup, schedule
from tinyeff.selection import select

STAGE_SHAPE, GRID = (1, 28, 28, 32), 4
"""The paper's patch stage for MobileNetV2 at 224x224, and the patches along each side."""


@dataclass(frozen=True)
class Figures:
    """Bytes are those of activations, MACs those of the patch stage."""

    per_layer_bytes: int
    rest_bytes: int
    stage_macs: int
    constant_macs: int
    clipped_macs: int
    patch_side: int


def figures(graph: Graph) -> Figures:
    """The paper's figures for a graph that has a patch stage of STAGE_SHAPE in GRID x GRID."""
    last = 1 + next(n for n, op in enumerate(graph.ops)
                    if graph.tensors[op.outputs[0]].shape == STAGE_SHAPE)
    tile = STAGE_SHAPE[1] // GRID
    group = stage_of(graph, last, tile)
    _, computed = measure(group)
    sizes = constant_sizes(group.stages, tile)
    each = [(macs_of(graph, s), _pixels(graph, s)) for s in group.stages]
    image = group.stages[0].operands[0].window
    return Figures(
        per_layer_bytes=paper_bytes(graph, 0),
        rest_bytes=paper_bytes(graph, last),
        stage_macs=sum(macs for macs, _ in each),
        constant_macs=GRID**2 * sum(macs * size**2 // pixels for (macs, pixels), size in
                                    zip(each, sizes, strict=True)),
        clipped_macs=sum(macs * computed[s.op] // pixels for (macs, pixels), s in
                         zip(each, group.stages, strict=True)),
        patch_side=(sizes[0] - 1) * image.step + image.count,
    )


def paper_bytes(graph: Graph, first: int) -> int:
    """The most that one operator from `first` on reads and writes, a depthwise one in place.

    The image is left out, and so is what merely lives on beside the operator: a residual while the
    block that it skips is computed.
    """
    peak = 0
    for op in graph.ops[first:]:
        inputs = sum(graph.tensors[i].elements for i in activation_inputs(graph, op)
                     if i not in graph.inputs)
        output = graph.tensors[op.outputs[0]].elements
        in_place = op.kind == "DEPTHWISE_CONV_2D"
        peak = max(peak, max(inputs, output) if in_place else inputs + output)
    return peak


def stage_of(graph: Graph, last: int, tile: int) -> StageGroup:
    """Operators [0, last) in square tiles."""
    selected = select(graph, Target())
    variants = tuple(op.variants[0] for op in selected.ops)
    flat = (False,) * len(graph.ops)
    return schedule(selected, (patch_segment(last, tile, tile),), variants, flat)[0][0]


def constant_sizes(stages: tuple[Stage, ...], tile: int) -> list[int]:
    """Rows that each stage computes for a tile where none is cut off at the image's border."""
    sizes = [0] * len(stages)
    sizes[-1] = tile
    for number in reversed(range(len(stages))):
        for operand in stages[number].operands:
            if operand.producer != ALONE:
                window = operand.window
                needed = (sizes[number] - 1) * window.step + window.count
                sizes[operand.producer] = max(sizes[operand.producer], needed)
    return sizes


def macs_of(graph: Graph, stage: Stage) -> int:
    """Multiply-accumulates of the operator that the stage runs."""
    op = graph.ops[stage.op]
    return operator_of(op.kind).macs(node_of(graph, op))


def _pixels(graph: Graph, stage: Stage) -> int:
    output = graph.tensors[stage.outputs[0]]
    return output.rows * output.pixels


def main() -> None:
    """Print the figures."""
    graph = select(mobilenet_v2(), Target())
    f = figures(graph)
    limits = Limits(input_memory="excluded")
    print("MobileNetV2 1.0, 224x224, image excluded")
    print("Paper's accounting: input + output of one operator, depthwise in place")
    print(f"  per layer              {f.per_layer_bytes:>12,} bytes = "
          f"{f.per_layer_bytes / 1024:,.0f} KiB")
    print(f"  after the patch stage  {f.rest_bytes:>12,} bytes = {f.rest_bytes / 1024:,.0f} KiB")
    print(f"MACs of the patch stage: {f.stage_macs:,}, in {GRID}x{GRID} patches of "
          f"{f.patch_side}x{f.patch_side}")
    for name, macs in (("constant patches", f.constant_macs),
                       ("cut at the border", f.clipped_macs)):
        print(f"  {name:<21} {macs:>13,} (+{macs / f.stage_macs - 1:.1%} of the stage, "
              f"+{(macs - f.stage_macs) / total_macs(graph):.1%} of the model)")
    print("This planner: arena with residuals, scratch and alignment; MACs of the model")
    _show("per layer", plan_per_layer(graph, Target(), limits))
    _show("the paper's stage", paper_stage(graph, limits))
    _show("smallest patches", plan_patch(graph, Target(), limits))


def paper_stage(graph: Graph, limits: Limits) -> Plan:
    """This planner's layout of the paper's patch stage."""
    tile = STAGE_SHAPE[1] // GRID
    search = PatchSearch(graph, Target(), limits)
    return search.plan(next(p for p in search.patches() if _is_paper(graph, p, tile)))


def _is_paper(graph: Graph, patch: Patch, tile: int) -> bool:
    shape = graph.tensors[graph.ops[patch.last - 1].outputs[0]].shape
    return shape == STAGE_SHAPE and patch.tile_rows == patch.tile_pixels == tile


def total_macs(graph: Graph) -> int:
    """Multiply-accumulates of the whole graph."""
    return sum(operator_of(op.kind).macs(node_of(graph, op)) for op in graph.ops)


def _show(name: str, plan: Plan) -> None:
    print(f"  {name:<21} {plan.arena_bytes:>13,} bytes, +{plan.extra_macs / plan.macs:.1%} MACs")


if __name__ == "__main__":
    main()
