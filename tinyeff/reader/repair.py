# SPDX-License-Identifier: MIT
"""Files that other programs run and LiteRT refuses, in a form that LiteRT takes.

The results of the generated code are those of LiteRT, so that every model must have such a form.
"""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from tinyeff.errors import ModelFileError
from tinyeff.ir import ABSENT, Quant, Tensor
from tinyeff.reader.tables import BUDGET_BASE, UNREADABLE, RawModel, read_tables
from tinyeff.reader.write import write_tables

LOG = logging.getLogger("tinyeff")
def repaired(raw: RawModel, data: bytes) -> tuple[RawModel, bytes]:
    """The model and its file as LiteRT takes them; both as given where nothing had to change.

    Tensors keep their numbers; biases that are added follow them. Each change is logged.
    """
    changed = with_biases(without_dead(raw))
    readable = not any(op.kind.startswith(UNREADABLE) for op in changed.operators)
    if not changed.repairs or not readable or _opaque(changed):
        return raw, data
    for repair in changed.repairs:
        LOG.info("%s: %s", raw.name, repair)
    held = {t.data.__array_interface__["data"][0]: t.data.nbytes
            for t in changed.tensors if t.data is not None}
    if sum(held.values()) > BUDGET_BASE + len(data):
        raise ModelFileError(f"{raw.name}: the file is damaged: its tensors claim more data than "
                             "the file holds")
    flatbuffer = write_tables(changed)
    return read_tables(flatbuffer, raw.name), flatbuffer


def _opaque(raw: RawModel) -> bool:
    """True where an operator uses a tensor that was not read: the model will be refused."""
    return any(i in raw.opaque for op in raw.operators for i in (*op.inputs, *op.outputs))


def without_dead(raw: RawModel) -> RawModel:
    """Without the operators that no output needs, if LiteRT may not have one of them."""
    needed, kept = set(raw.outputs), []
    for op in reversed(raw.operators):
        if needed & set(op.outputs) or not op.outputs:
            needed.update(op.inputs)
            kept.append(op)
    dropped = {op.kind for op in raw.operators} - {op.kind for op in kept}
    unknown = sorted(kind for kind in dropped if kind.startswith(UNREADABLE))
    if not unknown:
        return raw
    repair = f"operators that no output needs are left out: {', '.join(unknown)}"
    return replace(raw, operators=tuple(reversed(kept)), repairs=(*raw.repairs, repair))


def with_biases(raw: RawModel) -> RawModel:
    """Convolutions without a bias get one of zeros; LiteRT's CONV_2D takes none without."""
    tensors, operators = list(raw.tensors), list(raw.operators)
    repairs = list(raw.repairs)
    for number, op in enumerate(operators):
        missing = len(op.inputs) == 2 or (len(op.inputs) == 3 and op.inputs[2] == ABSENT)
        if op.kind != "CONV_2D" or not missing or ABSENT in op.inputs[:2] or not op.outputs:
            continue
        bias = _zeros(tensors[op.inputs[0]], tensors[op.inputs[1]])
        if bias is None:
            continue
        tensors.append(replace(bias, name=f"{tensors[op.outputs[0]].name}_bias"))
        operators[number] = replace(op, inputs=(*op.inputs[:2], len(tensors) - 1))
        repairs.append(f"{op.kind} '{tensors[op.outputs[0]].name}' has no bias and gets one of "
                       "zeros")
    return replace(raw, tensors=tuple(tensors), operators=tuple(operators),
                   repairs=tuple(repairs))


def _zeros(x: Tensor, weights: Tensor) -> Tensor | None:
    """A bias of zeros for a convolution of `x`, None where its weights make no sense."""
    if len(weights.shape) != 4 or weights.data is None:
        return None
    channels = weights.shape[0]
    if x.dtype == "float32":
        return Tensor("", (channels,), "float32", None, np.zeros(channels, np.float32))
    if x.quant is None or weights.quant is None or weights.quant.axis not in (None, 0):
        return None
    scales = tuple(float(np.float32(x.quant.scale) * np.float32(s)) for s in weights.quant.scales)
    quant = Quant(scales, (0,) * len(scales), weights.quant.axis)
    return Tensor("", (channels,), "int32", quant, np.zeros(channels, np.int32))
