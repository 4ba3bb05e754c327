# SPDX-License-Identifier: MIT
"""From a planned graph to the steps that the generated C takes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tinyeff.ir import Access, Buffer, Graph, Op, Plan, Program, Step, Tensor, Window
from tinyeff.ops import operator_of
from tinyeff.ops.operator import Node, describe_shape, node_of


def lower(graph: Graph, plan: Plan) -> Program:
    """The program of `graph` under `plan`: packed constants, parameters and addresses.

    Operators of form "view" leave no step.
    """
    places = _places(plan)
    steps = []
    for index, op in enumerate(graph.ops):
        node = node_of(graph, op)
        if operator_of(op.kind).form_of(node) != "view":
            steps.append(_step(graph, plan, places, index, node))
    return Program(graph, plan, tuple(steps))


def _places(plan: Plan) -> dict[int, Buffer]:
    return {tensor: buffer for buffer in plan.buffers for tensor in buffer.tensors}


def _step(
    graph: Graph, plan: Plan, places: dict[int, Buffer], index: int, node: Node[Any]
) -> Step:
    op, operator = graph.ops[index], operator_of(graph.ops[index].kind)
    form, variant = operator.form_of(node), plan.variants[index]
    if plan.flat[index]:
        node = flattened(node)
    activations = [i for i in op.inputs if i >= 0 and not graph.tensors[i].is_constant]
    inputs = tuple(
        _access(graph, places, tensor, view, operator.window(node, number))
        for number, (tensor, view) in enumerate(zip(activations, node.activations, strict=True))
    )
    outputs = tuple(
        _access(graph, places, tensor, view, Window())
        for tensor, view in zip(op.outputs, node.outputs, strict=True)
    )
    return Step(
        op=index,
        name=f"{op.kind.lower()}_{index}",
        kind=op.kind,
        form=form,
        kernel=operator.lower(node, variant),
        inputs=inputs,
        outputs=outputs,
        rows=node.output.rows,
        pixels=node.output.pixels,
        rows_per_call=variant.rows_per_call,
        scratch_offset=_private_offset(plan, index, "scratch"),
        state_offset=_private_offset(plan, index, "state"),
        comment=_comment(graph, op),
    )


def flattened(node: Node[Any]) -> Node[Any]:
    """The node with every full-size map reshaped to one row; smaller operands stay (broadcast)."""
    pixels = node.output.rows * node.output.pixels

    def flat(tensor: Tensor) -> Tensor:
        if tensor.is_constant or tensor.rows * tensor.pixels != pixels:
            return tensor
        return replace(tensor, shape=(1, 1, pixels, tensor.channels))

    return Node(node.name, node.attrs, tuple(None if t is None else flat(t) for t in node.inputs),
                tuple(flat(t) for t in node.outputs))


def _access(
    graph: Graph, places: dict[int, Buffer], index: int, view: Tensor, window: Window
) -> Access:
    buffer = places[index]
    ring = min(buffer.ring_rows, view.rows) if view.rows == graph.tensors[index].rows else view.rows
    return Access(
        tensor=index,
        region=buffer.region,
        index=_region_index(graph, buffer),
        offset_bytes=buffer.offset_bytes,
        rows=view.rows,
        ring_rows=ring,
        row_bytes=view.row_bytes,
        window=window,
    )


def _region_index(graph: Graph, buffer: Buffer) -> int:
    members = {"input": graph.inputs, "output": graph.outputs}.get(buffer.region, ())
    return next((n for n, i in enumerate(members) if i in buffer.tensors), 0)


def _private_offset(plan: Plan, op: int, what: str) -> int | None:
    for buffer in plan.buffers:
        if buffer.op == op and buffer.name.startswith(what):
            return buffer.offset_bytes
    return None


def _comment(graph: Graph, op: Op) -> str:
    shapes = [describe_shape(graph.tensors[i].shape) for i in op.inputs
              if i >= 0 and not graph.tensors[i].is_constant]
    result = " + ".join(describe_shape(graph.tensors[i].shape) for i in op.outputs)
    return f"{op.kind}: {', '.join(shapes)} -> {result}"
