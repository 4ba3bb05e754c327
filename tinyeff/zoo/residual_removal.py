# SPDX-License-Identifier: MIT
"""Removing residual connections from a trained network, exactly (RMNet, Meng et al. 2021).

Reserving: the convolutions of the branch get additional channels that carry the block's input
along; what follows a ReLU is not negative, so that the ReLUs within the branch leave it as it is.
Merging: the last convolution adds it. The block becomes a plain chain: nothing lives across it, at
the price of wider layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from tinyeff.ir import Array
from tinyeff.zoo.reparameterization import deploy
from tinyeff.zoo.rewriting import Maker, ModelGraph, Operation, again, rebuilt

NOT_NEGATIVE = ("relu", "relu6")


@dataclass(frozen=True, eq=False)
class _Block:
    """A sum of `source` and what the convolutions make of it, first to last."""

    total: Operation
    source: int
    convolutions: tuple[Operation, ...]


def remove_residuals(model: Any) -> Any:
    """A new keras.Model without the residual connections that can be removed.

    These are sums of a map that follows a ReLU, and of a chain of convolutions of it (stride 1,
    "same", dense, odd kernels) with ReLUs between; batch normalization is folded first (`deploy`).
    Others stay. The result computes the same to rounding.
    """
    graph = ModelGraph(deploy(model))
    replaced: dict[int, Maker] = {}
    for block in filter(None, (_block_of(graph, op) for op in graph.operations)):
        channels = int(graph.tensors[block.source].shape[-1])
        last = len(block.convolutions) - 1
        for place, op in enumerate(block.convolutions):
            kernel, bias = _weights(op)
            carried = place > 0, place < last
            kernel, bias = _widened(kernel, bias, channels, *carried)
            replaced[op.outputs[0]] = partial(_wider, graph, op, kernel, bias)
        replaced[block.total.outputs[0]] = partial(
            lambda end, values: values[end], block.convolutions[-1].outputs[0])
    return rebuilt(graph, replaced)


def _block_of(graph: ModelGraph, total: Operation) -> _Block | None:
    if total.kind != "Add" or len(total.inputs) != 2:
        return None
    for branch, source in (total.inputs, total.inputs[::-1]):
        if _follows_relu(graph, source):
            convolutions = _chain(graph, branch, source)
            if convolutions:
                return _Block(total, source, convolutions)
    return None


def _chain(graph: ModelGraph, end: int, source: int) -> tuple[Operation, ...]:
    """The convolutions from `source` to `end`, a ReLU between any two; () where it is otherwise."""
    found: list[Operation] = []
    while end != source:
        op = graph.writers.get(end)
        if op is None or graph.readers[end] != 1 or not _can_carry(op):
            return ()
        found.append(op)
        end = op.inputs[0]
        if end == source:
            break
        op = graph.writers.get(end)
        if op is None or graph.readers[end] != 1 or not _is_relu(op):
            return ()
        end = op.inputs[0]
    return tuple(reversed(found))


def _can_carry(op: Operation) -> bool:
    layer = op.layer
    return (op.kind == "Conv2D" and layer.groups == 1 and tuple(layer.strides) == (1, 1)
            and tuple(layer.dilation_rate) == (1, 1) and layer.use_bias
            and layer.activation.__name__ == "linear"
            and layer.data_format == "channels_last"
            and all(k % 2 for k in layer.kernel_size)
            and (layer.padding == "same" or tuple(layer.kernel_size) == (1, 1)))


def _is_relu(op: Operation) -> bool:
    if op.kind == "ReLU":
        return not op.layer.negative_slope and not op.layer.threshold
    return op.kind == "Activation" and op.layer.activation.__name__ in NOT_NEGATIVE


def _follows_relu(graph: ModelGraph, tensor: int) -> bool:
    """Whether a tensor comes out of a ReLU; behind a pooling of one it is not negative either."""
    op = graph.writers.get(tensor)
    while op is not None and op.kind in ("MaxPooling2D", "AveragePooling2D"):
        op = graph.writers.get(op.inputs[0])
    return op is not None and _is_relu(op)


def _weights(op: Operation) -> tuple[Array, Array]:
    kernel, bias = (np.asarray(w) for w in op.layer.get_weights())
    return kernel, bias


def _widened(
    kernel: Array, bias: Array, channels: int, enters: bool, leaves: bool
) -> tuple[Array, Array]:
    """Kernel and bias with `channels` more, carried from the input (`enters`: its last channels)
    to the output (`leaves`: as its last channels, else added to all that there are)."""
    rows, columns, inputs, filters = kernel.shape
    wide = np.zeros((rows, columns, inputs + channels * enters, filters + channels * leaves),
                    kernel.dtype)
    wide[:, :, :inputs, :filters] = kernel
    first_in, first_out = inputs * enters, filters * leaves
    each = np.arange(channels)
    wide[rows // 2, columns // 2, first_in + each, first_out + each] += 1
    return wide, np.concatenate([bias, np.zeros(channels * leaves, bias.dtype)])


def _wider(
    graph: ModelGraph, op: Operation, kernel: Array, bias: Array, values: Any
) -> Any:
    return again(op, graph, values, [kernel, bias], filters=int(kernel.shape[-1]))[0]
