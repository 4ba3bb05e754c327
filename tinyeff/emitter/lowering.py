# SPDX-License-Identifier: MIT
"""From a planned graph to the steps, groups and segments that the generated C runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tinyeff.ir import (
    Access,
    Buffer,
    Exit,
    Graph,
    Op,
    Plan,
    Program,
    Step,
    StepExit,
    StepGroup,
    StepNeed,
    StepSegment,
    Tensor,
    Variant,
)
from tinyeff.ops import operator_of
from tinyeff.ops.operator import Node, describe_shape, node_of
from tinyeff.patch_mask import patch_stage
from tinyeff.schedule import ALONE, PUSHED, Operand, Stage, StageGroup, activations, schedule


def lower(graph: Graph, plan: Plan) -> Program:
    """The program of `graph` under `plan`: packed constants, parameters and addresses.

    Operators of form "view" leave no step.
    """
    return _Lowering(graph, plan).run()


def flattened(node: Node[Any]) -> Node[Any]:
    """The node with every full-size map reshaped to one row; smaller operands stay (broadcast)."""
    pixels = node.output.rows * node.output.pixels

    def flat(tensor: Tensor) -> Tensor:
        if tensor.is_constant or tensor.rows * tensor.pixels != pixels:
            return tensor
        return replace(tensor, shape=(1, 1, pixels, tensor.channels))

    return Node(node.name, node.attrs, tuple(None if t is None else flat(t) for t in node.inputs),
                tuple(flat(t) for t in node.outputs))


def kernel_node(graph: Graph, op: Op, flat: bool) -> Node[Any]:
    """The node as its kernel sees it: one row where the operator runs flat."""
    node = node_of(graph, op)
    return flattened(node) if flat else node


class _Lowering:
    def __init__(self, graph: Graph, plan: Plan) -> None:
        self._graph, self._plan = graph, plan
        self._places = {tensor: b for b in plan.buffers for tensor in b.tensors}
        self._steps: list[Step] = []
        self._groups: list[StepGroup] = []

    def run(self) -> Program:
        plan = self._plan
        segments = []
        groups = schedule(self._graph, plan.segments, plan.variants, plan.flat)
        for segment, parts in zip(plan.segments, groups, strict=True):
            first = len(self._groups)
            for part in parts:
                self._groups.append(self._group(part, first))
            if parts:
                progress = self._private(segment.first, "progress")
                segments.append(StepSegment(segment.strategy, first, len(self._groups), progress))
        exits = tuple(self._exit(e, groups) for e in self._graph.exits)
        return Program(self._graph, plan, tuple(self._steps), tuple(self._groups), tuple(segments),
                       exits, patch_stage(self._graph, plan))

    def _exit(self, record: Exit, groups: tuple[tuple[StageGroup, ...], ...]) -> StepExit:
        """Behind the segments that have groups, up to the one that ends with the exit."""
        before = sum(bool(parts) for segment, parts in
                     zip(self._plan.segments, groups, strict=True) if segment.last <= record.after)
        tensor = self._graph.outputs[record.output]
        return StepExit(before, self._whole(tensor, self._graph.tensors[tensor]),
                        record.threshold, record.margin)

    def _group(self, group: StageGroup, first_group: int) -> StepGroup:
        first = len(self._steps)
        for stage in group.stages:
            if stage.form != PUSHED:
                self._steps.append(self._step(stage, group, first_group))
        needs = tuple(StepNeed(first_group + n.group, n.window) for n in group.needs)
        return StepGroup(first, len(self._steps), needs, group.rows, group.pixels, group.tile_rows,
                         group.tile_pixels, group.slides, group.complete, group.stripes)

    def _step(self, stage: Stage, group: StageGroup, first_group: int) -> Step:
        op, variant = self._graph.ops[stage.op], self._plan.variants[stage.op]
        node = kernel_node(self._graph, op, stage.flat)
        mine = len(self._groups) if group.striped and not stage.inner else -1
        return Step(
            op=stage.op,
            name=f"{op.kind.lower()}_{stage.op}",
            kind=op.kind,
            form=stage.form,
            kernel=operator_of(op.kind).lower(node, variant),
            inputs=tuple(self._input(operand, first_group) for operand in stage.operands),
            outputs=tuple(self._output(tensor, view, stage, mine)
                          for tensor, view in zip(stage.outputs, node.outputs, strict=True)),
            rows_per_call=stage.rows_per_call,
            max_rows=self._rows_at_once(stage, variant),
            scratch_offset=self._private(stage.op, "scratch"),
            state_offset=self._private(stage.op, "state"),
            comment=self._comment(op),
        )

    def _rows_at_once(self, stage: Stage, variant: Variant) -> int:
        output = self._graph.tensors[stage.outputs[0]]
        return {"rows": variant.rows_per_call, "accumulate": output.rows, "whole": 1}[stage.form]

    def _input(self, operand: Operand, first_group: int) -> Access:
        record = self._graph.tensors[operand.tensor]
        buffer = self._places[operand.tensor]
        flat = operand.rows != record.rows or operand.pixels != record.pixels
        return Access(
            tensor=operand.tensor,
            region=buffer.region,
            index=self._region_index(buffer),
            offset_bytes=buffer.offset_bytes,
            rows=operand.rows,
            pixels=operand.pixels,
            ring_rows=operand.rows if flat else min(buffer.ring_rows, operand.rows),
            row_bytes=(buffer.row_pixels or operand.pixels) * record.pixel_bytes,
            pixel_bytes=record.pixel_bytes,
            window=operand.window,
            columns=operand.columns,
            producer=operand.producer,
            striped=-1 if operand.striped == ALONE else first_group + operand.striped,
        )

    def _output(self, tensor: int, view: Tensor, stage: Stage, striped: int) -> Access:
        buffer = self._places[tensor]
        return replace(
            self._whole(tensor, view),
            ring_rows=view.rows if stage.flat else min(buffer.ring_rows, view.rows),
            row_bytes=(buffer.row_pixels or view.pixels) * view.pixel_bytes,
            inner=stage.inner,
            striped=striped,
        )

    def _whole(self, tensor: int, view: Tensor) -> Access:
        """All of a tensor, its rows one after another."""
        buffer = self._places[tensor]
        return Access(
            tensor=tensor,
            region=buffer.region,
            index=self._region_index(buffer),
            offset_bytes=buffer.offset_bytes,
            rows=view.rows,
            pixels=view.pixels,
            ring_rows=view.rows,
            row_bytes=view.row_bytes,
            pixel_bytes=view.pixel_bytes,
        )

    def _region_index(self, buffer: Buffer) -> int:
        graph = self._graph
        members = {"input": graph.inputs, "output": graph.outputs}.get(buffer.region, ())
        return next((n for n, i in enumerate(members) if i in buffer.tensors), 0)

    def _private(self, op: int, what: str) -> int | None:
        for buffer in self._plan.buffers:
            mine = buffer.op == op or (what == "scratch" and buffer.op is not None)
            if mine and buffer.name.startswith(what) and buffer.first <= op < buffer.last:
                return buffer.offset_bytes
        return None

    def _comment(self, op: Op) -> str:
        tensors = self._graph.tensors
        shapes = [describe_shape(tensors[i].shape) for i in activations(self._graph, op)]
        result = " + ".join(describe_shape(tensors[i].shape) for i in op.outputs)
        return f"{op.kind}: {', '.join(shapes)} -> {result}"
