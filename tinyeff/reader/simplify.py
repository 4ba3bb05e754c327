# SPDX-License-Identifier: MIT
"""Simplifying a graph: what a converter left behind is folded away.

On an int8 graph no pass changes one bit of a tensor that it keeps; what a pass may only do to a
float graph says so. Each pass is a function from graph to graph; the checker runs after each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tinyeff.ir import Graph, Op, Tensor, check_graph
from tinyeff.ops.operator import Padding
from tinyeff.reader.edit import (
    constant_of,
    keep_only,
    readers,
    reread,
    substitute,
    with_input,
    with_tensor,
)
from tinyeff.reader.float_islands import join_float_islands
from tinyeff.reader.repeats import join_repeats

PADDED = ("CONV_2D", "DEPTHWISE_CONV_2D")
"""Operators that take taps outside the image as the zero point, on each side as many as asked."""


def simplify(graph: Graph) -> Graph:
    """The simplest graph that computes the same, bit for bit where it is int8.

    A QUANTIZE behind an input and a DEQUANTIZE before an output are taken off, so that the graph
    begins and ends in int8; the int8 tensors take the names of the inputs and outputs that they
    replace. The passes repeat until nothing changes.
    """
    before: tuple[Op, ...] | None = None
    while graph.ops != before:
        before = graph.ops
        for simplification in PASSES:
            graph = simplification(graph)
            check_graph(graph, simplification.__name__.replace("_", " "))
    return graph


def strip_input_conversions(graph: Graph) -> Graph:
    """An input that is only quantized to int8 becomes that int8 tensor."""
    inputs, removed = list(graph.inputs), set()
    found = readers(graph)
    for position, index in enumerate(graph.inputs):
        ops = found.get(index, [])
        if len(ops) != 1 or ops[0].kind != "QUANTIZE" or index in graph.outputs:
            continue
        output = ops[0].outputs[0]
        x, y = graph.tensors[index], graph.tensors[output]
        if y.dtype != "int8" or not (x.dtype == "float32" or _only_offset(x, y)):
            continue
        if output in graph.outputs:
            continue  # the model does nothing else
        inputs[position] = output
        removed.add(output)
        graph = with_tensor(graph, output, replace(y, name=x.name))
    ops_left = tuple(op for op in graph.ops if not removed & set(op.outputs))
    return replace(graph, inputs=tuple(inputs), ops=ops_left)


def strip_output_conversions(graph: Graph) -> Graph:
    """An output that is only dequantized from int8 becomes that int8 tensor."""
    writers = {op.outputs[0]: op for op in graph.ops if len(op.outputs) == 1}
    found = readers(graph)
    outputs, removed = list(graph.outputs), set()
    for position, index in enumerate(graph.outputs):
        op = writers.get(index)
        if op is None or op.kind not in ("DEQUANTIZE", "QUANTIZE") or found.get(index):
            continue
        x, y = graph.tensors[op.inputs[0]], graph.tensors[index]
        wanted = y.dtype == "float32" if op.kind == "DEQUANTIZE" else _only_offset(y, x)
        taken = op.inputs[0] in (*graph.inputs, *outputs) or x.is_constant
        if x.dtype == "int8" and wanted and not taken:
            outputs[position] = op.inputs[0]
            removed.add(index)
            graph = with_tensor(graph, op.inputs[0], replace(x, name=y.name))
    ops_left = tuple(op for op in graph.ops if not removed & set(op.outputs))
    return replace(graph, outputs=tuple(outputs), ops=ops_left)


def _only_offset(x: Tensor, y: Tensor) -> bool:
    """True where uint8 `x` and int8 `y` stand for the same reals, 128 apart."""
    if x.dtype != "uint8" or x.quant is None or y.quant is None:
        return False
    return x.quant.scales == y.quant.scales and x.quant.zero_point == y.quant.zero_point + 128


def drop_identities(graph: Graph) -> Graph:
    """Operators whose output is their input, byte for byte and in the same shape, disappear."""
    aliases: dict[int, int] = {}
    for op in graph.ops:
        if not _is_identity(graph, op):
            continue
        source, output = aliases.get(op.inputs[0], op.inputs[0]), op.outputs[0]
        if output in graph.outputs:
            kept = graph.tensors[source]
            if source in (*graph.inputs, *graph.outputs) or kept.is_constant:
                continue  # an output of its own is asked for
            if source in (aliases.get(i, i) for i in graph.outputs if i != output):
                continue
            graph = with_tensor(graph, source, replace(kept, name=graph.tensors[output].name))
        if graph.tensors[source].source is None:
            known = graph.tensors[output].source
            graph = with_tensor(graph, source, replace(graph.tensors[source], source=known))
        aliases[output] = source
    ops = tuple(op for op in graph.ops if not aliases.keys() & set(op.outputs))
    return substitute(replace(graph, ops=ops), aliases)


def _is_identity(graph: Graph, op: Op) -> bool:
    if op.kind not in ("QUANTIZE", "RESHAPE", "TRANSPOSE", "PAD"):
        return False
    x, y = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    if x.shape != y.shape or x.dtype != y.dtype or x.quant != y.quant:
        return False
    if op.kind in ("QUANTIZE", "RESHAPE"):
        return True
    values = constant_of(graph, op, 1)
    if values is None:
        return False
    if op.kind == "PAD":
        return not values.any()
    return bool(np.array_equal(values.reshape(-1), np.arange(len(x.shape))))


def merge_reshapes(graph: Graph) -> Graph:
    """A RESHAPE of a RESHAPE reads the first one's input."""
    sources: dict[int, int] = {}
    ops = []
    for op in graph.ops:
        if op.kind == "RESHAPE":
            op = with_input(op, sources.get(op.inputs[0], op.inputs[0]))
            x, y = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
            if x.quant == y.quant:
                sources[op.outputs[0]] = op.inputs[0]
        ops.append(op)
    return replace(graph, ops=tuple(ops))


def fold_padding(graph: Graph) -> Graph:
    """A PAD of rows and columns joins the convolutions that read it, if nothing else does."""
    found = readers(graph)
    folded: dict[int, tuple[int, Padding]] = {}
    for op in graph.ops:
        padding = _image_padding(graph, op) if op.kind == "PAD" else None
        users = found.get(op.outputs[0], []) if padding else []
        if padding and users and op.outputs[0] not in graph.outputs and all(
            user.kind in PADDED and op.outputs[0] not in user.inputs[1:] for user in users
        ):
            folded[op.outputs[0]] = (op.inputs[0], padding)
    ops = []
    for op in graph.ops:
        if op.kind in PADDED and op.inputs[0] in folded:
            source, padding = folded[op.inputs[0]]
            total = _sum(op.attrs.padding, padding)
            op = with_input(replace(op, attrs=replace(op.attrs, padding=total)), source)
        ops.append(op)
    return replace(graph, ops=tuple(op for op in ops if not folded.keys() & set(op.outputs)))


def _image_padding(graph: Graph, op: Op) -> Padding | None:
    """What a PAD adds to the image, where it adds to nothing else and pads with the zero point."""
    values = constant_of(graph, op, 1)
    x, y = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    if values is None or values.shape != (4, 2) or x.quant != y.quant or (values < 0).any():
        return None
    if values[0].any() or values[3].any():
        return None
    (top, bottom), (left, right) = values[1:3].tolist()
    return Padding(top, bottom, left, right)


def _sum(a: Padding, b: Padding) -> Padding:
    return Padding(a.top + b.top, a.bottom + b.bottom, a.left + b.left, a.right + b.right)


def sink_transposes(graph: Graph) -> Graph:
    """MEAN of a TRANSPOSE becomes the MEAN over the axes that were meant.

    Where what is left would be in another order, a TRANSPOSE of the smaller result follows; it
    may sink further. A MEAN sums integers, so that the order of its taps changes nothing.
    """
    tensors = list(graph.tensors)
    writers: dict[int, Op] = {}
    ops: list[Op] = []
    for op in graph.ops:
        new = _sunk(graph, op, writers.get(op.inputs[0]), tensors) if op.kind == "MEAN" else [op]
        ops += new
        writers.update((i, o) for o in new for i in o.outputs)
    return replace(graph, tensors=tuple(tensors), ops=tuple(ops))


def _sunk(graph: Graph, mean: Op, transpose: Op | None, tensors: list[Tensor]) -> list[Op]:
    """What replaces `mean`: a MEAN of the transpose's input, then a TRANSPOSE if need be."""
    if transpose is None or transpose.kind != "TRANSPOSE":
        return [mean]
    now = replace(graph, tensors=tuple(tensors))
    order, axes = constant_of(now, transpose, 1), constant_of(now, mean, 1)
    x, y = tensors[transpose.inputs[0]], tensors[mean.outputs[0]]
    same = x.quant == tensors[mean.inputs[0]].quant
    if order is None or axes is None or not same or len(order) != len(x.shape):
        return [mean]
    perm = [int(n) for n in order]
    reduced = {int(a) % len(perm) for a in axes.reshape(-1)}
    meant = sorted(perm[a] for a in reduced)
    if len(y.shape) == len(x.shape):
        left = perm
    else:
        places = [d for d in range(len(perm)) if d not in meant]
        left = [places.index(perm[d]) for d in range(len(perm)) if d not in reduced]
    tensors.append(Tensor(f"{mean.name}_axes", (len(meant),), "int32", None,
                          np.array(meant, np.int32)))
    moved = replace(mean, inputs=(transpose.inputs[0], len(tensors) - 1))
    if left == list(range(len(left))):
        return [reread(graph, moved, mean, tensors)]
    shape = tuple(y.shape[left.index(d)] for d in range(len(left)))
    tensors.append(replace(y, name=f"{y.name}_before_transpose", shape=shape, source=None))
    moved = replace(moved, outputs=(len(tensors) - 1,))
    tensors.append(Tensor(f"{y.name}_order", (len(left),), "int32", None,
                          np.array(left, np.int32)))
    after = Op("TRANSPOSE", y.name, (moved.outputs[0], len(tensors) - 1), mean.outputs,
               transpose.attrs)
    return [reread(graph, moved, mean, tensors), reread(now, after, transpose, tensors)]


def remove_dead(graph: Graph) -> Graph:
    """Operators whose results nobody reads disappear, and the tensors that nobody uses."""
    needed = set(graph.outputs)
    kept = []
    for op in reversed(graph.ops):
        if not op.outputs or needed & set(op.outputs):  # without outputs: done for an effect
            needed.update(op.inputs)
            kept.append(op)
    return keep_only(graph, reversed(kept))


PASSES: tuple[Callable[[Graph], Graph], ...] = (
    strip_input_conversions,
    strip_output_conversions,
    join_float_islands,
    sink_transposes,
    join_repeats,
    drop_identities,
    merge_reshapes,
    fold_padding,
    remove_dead,
)
"""The passes in the order in which they run."""
