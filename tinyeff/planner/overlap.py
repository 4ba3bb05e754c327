# SPDX-License-Identifier: MIT
"""How far an operator's output may lie over an input that dies with it.

An output row may overlap only input rows that no later call, nor this one, reads. With the rows
contiguous that is one number: the output must start `below` bytes before the input.

    address  0                                          input rows needed by call y and later:
             | out 0 | out 1 | out 2 | ...                   [m(y), M)
             :           | in 0 | in 1 | in 2 | ...     out y ends before in m(y) starts
             <--below--->

Or it starts at least `above` bytes after the input's start, beyond the last row that is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tinyeff.ir import Graph, Op, Tensor, Variant, Window
from tinyeff.ops import form_of, operator_of
from tinyeff.ops.operator import node_of
from tinyeff.planner import sizes
from tinyeff.planner.lifetimes import activation_inputs


@dataclass(frozen=True)
class Overlap:
    """`written` + below <= `read`, or `written` >= `read` + above; tensors stand for addresses.

    `below` may be negative: then the output may start that much later than the input. Where
    `below` = -`above` any address will do.
    """

    written: int
    read: int
    below: int
    above: int


def overlaps(graph: Graph, op: Op, variant: Variant, flat: bool) -> Iterator[Overlap]:
    """The rule for each pair of an output and an input of `op`, run by `variant`.

    Where `flat`, the operator takes its whole map in one call.
    """
    form, node, operator = form_of(graph, op), node_of(graph, op), operator_of(op.kind)
    one_loop = all(t.rows == node.output.rows for t in node.outputs)
    for number, read in enumerate(activation_inputs(graph, op)):
        source = graph.tensors[read]
        size = sizes.size_bytes(source)
        for written in op.outputs:
            result = graph.tensors[written]
            if form == "accumulate":
                below, above = -size, size  # `finish` reads the state only
            elif form == "rows" and one_loop:
                window = operator.window(node, number)
                columns = operator.columns(node, number)
                if variant.consumes and _is_pointwise(window, columns, source, result):
                    below, above = _pixel_rule(source, result), size
                elif flat:
                    below, above = sizes.size_bytes(result), size
                else:
                    below, above = _row_rule(window, source, result, variant.rows_per_call)
            else:
                below, above = sizes.size_bytes(result), size
            yield Overlap(written, read, below, above)


def _is_pointwise(window: Window, columns: Window, source: Tensor, result: Tensor) -> bool:
    """True where output pixel p needs nothing of this input but its pixel p."""
    same_map = (source.rows, source.pixels) == (result.rows, result.pixels)
    return same_map and window == columns == Window()


def _pixel_rule(source: Tensor, result: Tensor) -> int:
    """Output pixel p may overlap input pixels up to p: they have been read in all channels."""
    growth = sizes.pixel_bytes(result) - sizes.pixel_bytes(source)
    return max(growth, growth * result.rows * result.pixels)


def _row_rule(
    window: Window, source: Tensor, result: Tensor, rows_per_call: int
) -> tuple[int, int]:
    """(below, above) by going through the calls from the last to the first."""
    in_row, out_row = sizes.row_bytes(source), sizes.row_bytes(result)
    needed, end = source.rows, 0  # rows [needed, end) are read by the calls seen so far
    below = -source.rows * in_row
    for y in reversed(range(0, result.rows, rows_per_call)):
        y_end = min(y + rows_per_call, result.rows)
        top = max(window.first(y), 0)
        bottom = min(window.first(y_end - 1) + window.count, source.rows)
        if top < bottom:
            needed, end = min(needed, top), max(end, bottom)
        if needed < end:
            below = max(below, y_end * out_row - needed * in_row)
    above = end * in_row
    return max(below, -above), above
