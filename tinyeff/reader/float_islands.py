# SPDX-License-Identifier: MIT
"""Operators that TFLite has in float32 only, in the middle of an int8 graph.

    int8 - DEQUANTIZE - LOCAL_RESPONSE_NORMALIZATION - QUANTIZE - int8

becomes one operator from int8 to int8, which computes what the three compute.
"""

from __future__ import annotations

from dataclasses import replace

from tinyeff.ir import Graph, Op
from tinyeff.reader.edit import readers

ISLANDS = ("LOCAL_RESPONSE_NORMALIZATION",)
"""Operators of one input and one output that know what they compute from int8 to int8."""


def join_float_islands(graph: Graph) -> Graph:
    """Each such operator between its DEQUANTIZE and its QUANTIZE takes their int8 tensors.

    The DEQUANTIZE stays for others that read it; where nobody does, it is removed later.
    """
    writers = {i: op for op in graph.ops for i in op.outputs}
    found = readers(graph)
    replaced: dict[int, Op] = {}
    for op in graph.ops:
        if op.kind not in ISLANDS or op.outputs[0] in graph.outputs:
            continue
        before, after = writers.get(op.inputs[0]), found.get(op.outputs[0], [])
        if before is None or before.kind != "DEQUANTIZE" or not after:
            continue
        tensors = [graph.tensors[i] for i in (before.inputs[0], *(o.outputs[0] for o in after))]
        if all(o.kind == "QUANTIZE" for o in after) and {t.dtype for t in tensors} == {"int8"}:
            for quantize in after:
                result = quantize.outputs[0]
                replaced[result] = replace(op, name=graph.tensors[result].name,
                                           inputs=before.inputs, outputs=(result,))
    ops = tuple(replaced.get(op.outputs[0], op) if op.outputs else op for op in graph.ops)
    return replace(graph, ops=ops)
