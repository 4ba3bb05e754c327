# SPDX-License-Identifier: MIT
"""Which tensors share a buffer, where it may lie, and during which steps it is needed.

Step t is operator t of the graph. A buffer lives from the step that writes it to the last step that
reads it:

    step        0     1     2     3
    input     [-----)                     read by operator 0
    a         [-----------------)         written by 0, read by 1 and 2
    b               [-----------)         written by 1, read by 2
    output                [-----------)   written by 2, read by 3: the caller's memory
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tinyeff.errors import Item, UnsupportedError
from tinyeff.ir import Buffer, Graph, Op, Variant
from tinyeff.ops import form_of
from tinyeff.planner import sizes


@dataclass(frozen=True)
class Lifetimes:
    """The buffers of a graph's activations, not yet placed; `home` maps a tensor to its buffer."""

    buffers: tuple[Buffer, ...]
    home: dict[int, int]

    def read_by(self, graph: Graph, op: Op) -> tuple[int, ...]:
        """Buffers that `op` reads, each once."""
        return tuple(dict.fromkeys(self.home[i] for i in activation_inputs(graph, op)))

    def written_by(self, op: Op) -> tuple[int, ...]:
        """Buffers that `op` writes."""
        return tuple(self.home[i] for i in op.outputs)


def activation_inputs(graph: Graph, op: Op) -> tuple[int, ...]:
    """The tensors that `op` reads and that are computed at run time, in the operator's order."""
    return tuple(i for i in op.inputs if i >= 0 and not graph.tensors[i].is_constant)


def lifetimes(graph: Graph, input_memory: str) -> Lifetimes:
    """The buffers of the activations of `graph`, in the order in which they are first written.

    Operators of form "view" put their output into the buffer of their input. Model inputs lie in
    the arena ("resident", "streamed") or in memory of the caller ("excluded"). A model output is
    written straight into the caller's memory, unless its buffer also serves a second output or an
    input, or the input is streamed: then it stays in the arena to the end and is copied. Raises
    UnsupportedError for outputs that nothing computes.
    """
    views = {i for i, op in enumerate(graph.ops) if form_of(graph, op) == "view"}
    roots = _roots(graph, views)
    _refuse_copies(graph, roots, input_memory)
    members: dict[int, list[int]] = {}
    for tensor, root in roots.items():
        members.setdefault(root, []).append(tensor)
    spans = _spans(graph, roots, views)
    buffers: list[Buffer] = []
    home: dict[int, int] = {}
    for root, tensors in members.items():
        home.update(dict.fromkeys(tensors, len(buffers)))
        region = _region(graph, roots, root, input_memory)
        first, last = spans[root]
        buffers.append(
            Buffer(
                name=graph.tensors[root].name,
                region=region,
                group=graph.tensors[root].name,
                first=first,
                last=last,
                size_bytes=sizes.size_bytes(graph.tensors[root]),
                offset_bytes=0,
                ring_rows=max(graph.tensors[i].rows for i in tensors),
                tensors=tuple(tensors),
            )
        )
    return Lifetimes(tuple(buffers), home)


def private_buffers(graph: Graph, step: int, variant: Variant) -> tuple[Buffer, ...]:
    """The scratch memory and the state of the operator at `step`, where its variant has them."""
    op = graph.ops[step]
    empty = Buffer("", "arena", "", step, step + 1, 0, 0, 0, op=step)
    wanted = (("scratch", variant.scratch_bytes), ("state", variant.state_bytes))
    names = ((f"{what} of {op.name}", size) for what, size in wanted if size)
    return tuple(replace(empty, name=name, group=name, size_bytes=size) for name, size in names)


def _roots(graph: Graph, views: set[int]) -> dict[int, int]:
    """For each activation the tensor whose bytes it is, in order of first writing."""
    roots = {i: i for i in graph.inputs if not graph.tensors[i].is_constant}
    for step, op in enumerate(graph.ops):
        inputs = activation_inputs(graph, op)
        for output in op.outputs:
            roots[output] = roots[inputs[0]] if step in views and inputs else output
    return roots


def _refuse_copies(graph: Graph, roots: dict[int, int], input_memory: str) -> None:
    """Outputs that no operator writes need code of their own; say so where there is none."""
    items = []
    for i in graph.outputs:
        name = graph.tensors[i].name
        if i not in roots:
            items.append(Item("model", name, "this output is a constant; remove it from the model"))
        elif roots[i] in graph.inputs and input_memory == "excluded":
            reason = ("this output is a model input, unchanged; remove it from the model or keep "
                      "the input in the arena (--input-memory resident)")
            items.append(Item("model", name, reason))
    for op in graph.ops:
        if form_of(graph, op) == "view" and not activation_inputs(graph, op):
            name = graph.tensors[op.outputs[0]].name
            items.append(Item(f"{op.kind} '{op.name}'", name, "it only renames a constant"))
    if items:
        raise UnsupportedError("the model has tensors that no operator computes", tuple(items))


def _spans(graph: Graph, roots: dict[int, int], views: set[int]) -> dict[int, tuple[int, int]]:
    """Steps [first, last) of each root; what nobody reads lives while it is written.

    The step after the last operator is the end, when outputs are copied out of the arena.
    """
    first = {roots[i]: 0 for i in graph.inputs if i in roots}
    last = dict.fromkeys(first, 1)
    for step, op in enumerate(graph.ops):
        for i in op.outputs:
            first.setdefault(roots[i], step)
        if step not in views:
            for i in (*activation_inputs(graph, op), *op.outputs):
                last[roots[i]] = step + 1
    for i in graph.outputs:
        last[roots[i]] = len(graph.ops) + 1
    return {root: (first[root], last[root]) for root in first}


def _region(graph: Graph, roots: dict[int, int], root: int, input_memory: str) -> str:
    if root in graph.inputs:
        return "input" if input_memory == "excluded" else "arena"
    if input_memory == "streamed":
        return "arena"  # rows are computed while they are pushed, before an output is named
    uses = sum(roots[i] == root for i in graph.outputs)
    return "output" if uses == 1 else "arena"
