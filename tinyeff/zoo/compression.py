# SPDX-License-Identifier: MIT
"""Smaller networks from trained ones: channel pruning, low-rank factorisation, fewer classes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from tinyeff.errors import UsageError
from tinyeff.ir import Array
from tinyeff.zoo.rewriting import Maker, ModelGraph, Operation, again, rebuilt

# What computes each channel by itself: a channel that is gone before it is gone behind it.
PER_CHANNEL = ("Activation", "AveragePooling2D", "BatchNormalization", "DepthwiseConv2D", "Dropout",
               "GlobalAveragePooling2D", "MaxPooling2D", "ReLU", "ZeroPadding2D")


def prune_channels(model: Any, fraction: float, divisor: int = 1) -> Any:
    """A new keras.Model without the `fraction` of channels that matter least.

    A convolution's output channels are ranked by the sum of their weights' magnitudes (Li et al.
    2017); the smallest go, and with them what later layers did with them. The number that stays is
    a multiple of `divisor`, and at least that. Only channels that lead to convolutions or fully
    connected layers through layers that treat each channel by itself can go: not those that a sum
    or concatenation needs. Fine-tune the result.

    Raises UsageError where `fraction` is not within [0, 1).
    """
    if not 0 <= fraction < 1:
        raise UsageError(f"a fraction of {fraction:g} of all channels cannot go; 0 to below 1 can")
    graph = ModelGraph(model)
    kept: dict[int, Array] = {}
    for op in graph.operations:
        if op.kind == "Conv2D" and op.layer.groups == 1 and _leads_to_dense(graph, op.outputs[0]):
            kept[op.outputs[0]] = _strongest(op.layer.get_weights()[0], fraction, divisor)
        elif op.kind in PER_CHANNEL and op.inputs[0] in kept:
            kept[op.outputs[0]] = kept[op.inputs[0]]
    replaced: dict[int, Maker] = {
        op.outputs[0]: partial(_pruned, graph, op, kept) for op in graph.operations
        if kept.keys() & {*op.inputs, *op.outputs}}
    return rebuilt(graph, replaced)


def _leads_to_dense(graph: ModelGraph, tensor: int) -> bool:
    """Whether all that reads a tensor, through layers per channel, are dense layers."""
    if tensor in graph.outputs:
        return False
    for op in graph.consumers(tensor):
        if op.kind in PER_CHANNEL:
            if len(graph.tensors[op.outputs[0]].shape) not in (2, 4) or not _leads_to_dense(
                    graph, op.outputs[0]):
                return False
        elif op.kind == "Conv2D":
            if op.layer.groups != 1:
                return False
        elif op.kind != "Dense":
            return False
    return True


def _strongest(kernel: Array, fraction: float, divisor: int) -> Array:
    """The channels that stay, in order."""
    strength = np.abs(kernel).sum((0, 1, 2))
    number = len(strength) - math.floor(len(strength) * fraction)
    number = min(len(strength), max(divisor, -(-number // divisor) * divisor))
    order = np.argsort(-strength, kind="stable")[:number]
    return np.sort(order)


def _pruned(
    graph: ModelGraph, op: Operation, kept: Mapping[int, Array], values: Mapping[int, Any]
) -> Any:
    """The operation without the channels that are gone from its input and output."""
    entering, leaving = kept.get(op.inputs[0]), kept.get(op.outputs[0])
    weights, config = [np.asarray(w) for w in getattr(op.layer, "get_weights", list)()], {}
    if op.kind in ("Conv2D", "Dense"):
        if entering is not None:
            weights[0] = np.take(weights[0], entering, -2)
        if leaving is not None:
            weights = [np.take(w, leaving, -1) for w in weights]
            config["filters"] = len(leaving)
    elif op.kind == "DepthwiseConv2D" and entering is not None:
        multiplier = op.layer.depth_multiplier
        each = (entering[:, None] * multiplier + np.arange(multiplier)).reshape(-1)
        weights = [np.take(weights[0], entering, 2), *(np.take(w, each, 0) for w in weights[1:])]
    elif op.kind == "BatchNormalization" and entering is not None:
        weights = [np.take(w, entering, 0) for w in weights]
    return again(op, graph, values, weights, **config)[0]


def factorize(model: Any, energy: float = 0.9, rank: int | None = None) -> Any:
    """A new keras.Model whose 1x1 convolutions and fully connected layers have low rank.

    Each becomes two, the first without bias or activation, by singular value decomposition (Denton
    et al. 2014): `rank` singular values stay, or as many as hold the fraction `energy` of the sum
    of their squares. Where two layers would not be smaller than the one, it stays.

    Raises UsageError where a number makes no sense.
    """
    if not 0 < energy <= 1 or (rank is not None and rank < 1):
        raise UsageError(f"energy {energy:g} must be above 0 and at most 1, rank "
                         f"{rank} at least 1")
    graph = ModelGraph(model)
    replaced: dict[int, Maker] = {}
    for op in graph.operations:
        if op.kind == "Dense" or (op.kind == "Conv2D" and _is_pointwise(op.layer)):
            kernel = np.asarray(op.layer.get_weights()[0])
            matrix = kernel.reshape(kernel.shape[-2:])
            left, values, right = np.linalg.svd(matrix.astype(np.float64), full_matrices=False)
            r = _rank(values, energy) if rank is None else min(rank, len(values))
            if r * sum(matrix.shape) < matrix.size:
                factors = left[:, :r] * values[:r], right[:r]
                replaced[op.outputs[0]] = partial(_two_layers, graph, op, factors)
    return rebuilt(graph, replaced)


def _is_pointwise(layer: Any) -> bool:
    return (tuple(layer.kernel_size) == (1, 1) and layer.groups == 1
            and tuple(layer.strides) == (1, 1))


def _rank(values: Array, energy: float) -> int:
    share = np.cumsum(values**2) / max(float((values**2).sum()), 1e-300)
    return int(np.searchsorted(share, energy - 1e-12)) + 1


def _two_layers(
    graph: ModelGraph, op: Operation, factors: tuple[Array, Array], values: Mapping[int, Any]
) -> Any:
    layer, (first, second) = op.layer, factors
    size = "units" if op.kind == "Dense" else "filters"
    config = {**layer.get_config(), size: first.shape[1], "use_bias": False,
              "activation": "linear", "name": f"{layer.name}_low"}
    narrow = type(layer).from_config(config)
    shape = np.asarray(layer.get_weights()[0]).shape[:-2]
    x = narrow(values[op.inputs[0]])
    narrow.set_weights([first.reshape((*shape, *first.shape)).astype(np.float32)])
    rest = [np.asarray(w) for w in layer.get_weights()[1:]]
    wide = type(layer).from_config(layer.get_config())
    y = wide(x)
    wide.set_weights([second.reshape((*shape, *second.shape)).astype(np.float32), *rest])
    return y


def keep_classes(model: Any, classes: Sequence[int]) -> Any:
    """A new keras.Model that only tells the given classes, in the given order.

    The model's output must be that of a fully connected layer or 1x1 convolution, through layers
    that treat each class by itself (a softmax among them, whose sum is then over fewer classes).

    Raises UsageError where the model ends otherwise, or a class does not exist.
    """
    graph = ModelGraph(model)
    chosen, end = np.asarray(classes, int), graph.outputs[0]
    follow = (*PER_CHANNEL, "Softmax", "Reshape", "Flatten")
    while end in graph.writers and graph.writers[end].kind in follow:
        end = graph.writers[end].inputs[0]
    op = graph.writers.get(end)
    if len(graph.outputs) != 1 or op is None or op.kind not in ("Dense", "Conv2D"):
        raise UsageError("the model does not end in a fully connected layer or convolution of one "
                         "unit per class")
    count = int(graph.tensors[end].shape[-1])
    if not len(chosen) or len(set(classes)) != len(chosen) or chosen.min() < 0 or (
            chosen.max() >= count):
        raise UsageError(f"classes {list(classes)}: expected are different numbers of 0 to "
                         f"{count - 1}")

    def fewer(values: Mapping[int, Any]) -> Any:
        weights = [np.take(np.asarray(w), chosen, -1) for w in op.layer.get_weights()]
        size = "units" if op.kind == "Dense" else "filters"
        return again(op, graph, values, weights, **{size: len(chosen)})[0]

    return rebuilt(graph, {end: fewer})
