# SPDX-License-Identifier: MIT
"""The rules that find linear parts of a Keras network (`forms.py`).

A rule says of one operation how its output follows from the forms of its inputs; RULES holds them
all. Adding a rule is enough to have more kinds of branches joined.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tinyeff.ir import Array
from tinyeff.zoo.forms import (
    NO_PADS,
    Form,
    PaddingForm,
    Pads,
    composed,
    identity_form,
    reach,
    scaled,
    sum_of,
)
from tinyeff.zoo.layers import Pair
from tinyeff.zoo.rewriting import Operation

FormOf = Callable[[int], Form]
"""The form of an input: that of the tensor itself where something else needs the tensor too."""

Rule = Callable[[Operation, FormOf], Form | None]


def convolution_form(op: Operation, form_of: FormOf) -> Form | None:
    """A convolution or depthwise convolution without activation; padding before it is taken in."""
    layer = op.layer
    if op.kind not in ("Conv2D", "DepthwiseConv2D") or not _linear(layer):
        return None
    if layer.data_format != "channels_last":
        return None
    kernel = np.asarray(layer.get_weights()[0], np.float64)
    groups = getattr(layer, "groups", 1)
    if op.kind == "DepthwiseConv2D":
        groups, multiplier = kernel.shape[2], kernel.shape[3]
        kernel = kernel.reshape((*kernel.shape[:2], 1, groups * multiplier))
    pads = explicit_pads(layer, kernel.shape[:2], op.node.input_tensors[0].shape)
    if pads is None:
        return None
    before = form_of(op.inputs[0])
    source = op.inputs[0]
    if isinstance(before, PaddingForm):
        source, pads = before.source, _sum_pads(pads, before.pads)
    form = Form(source, kernel, _bias(layer, kernel.shape[-1]), groups, _two(layer.strides), pads,
                _two(layer.dilation_rate), name=layer.name, cost=float(kernel.size),
                weights=kernel.size)
    return replace(form, through=composed(before, form))


def pooling_form(op: Operation, form_of: FormOf) -> Form | None:
    """An average over windows that all lie within the map: a depthwise convolution."""
    layer = op.layer
    if op.kind != "AveragePooling2D" or layer.data_format != "channels_last":
        return None
    if layer.padding != "valid":
        return None
    rows, columns = _two(layer.pool_size)
    channels = int(op.node.input_tensors[0].shape[-1])
    kernel = np.full((rows, columns, 1, channels), 1 / (rows * columns))
    before = form_of(op.inputs[0])
    source, pads = op.inputs[0], NO_PADS
    if isinstance(before, PaddingForm):
        source, pads = before.source, before.pads
    form = Form(source, kernel, np.zeros(channels), channels, _two(layer.strides), pads,
                name=layer.name)
    return replace(form, through=composed(before, form))


def dense_form(op: Operation, form_of: FormOf) -> Form | None:
    """A fully connected layer of a vector, without activation."""
    layer = op.layer
    if op.kind != "Dense" or not _linear(layer) or len(op.node.input_tensors[0].shape) != 2:
        return None
    kernel = np.asarray(layer.get_weights()[0], np.float64)[None, None]
    form = Form(op.inputs[0], kernel, _bias(layer, kernel.shape[-1]), 1, dense=True,
                name=layer.name, cost=float(kernel.size), weights=kernel.size)
    return replace(form, through=composed(form_of(op.inputs[0]), form))


def padding_form(op: Operation, form_of: FormOf) -> Form | None:
    """Zeros around a map."""
    if op.kind != "ZeroPadding2D" or op.layer.data_format != "channels_last":
        return None
    rows, columns = op.layer.padding
    itself = identity_form(op.inputs[0], op.node.input_tensors[0].shape)
    return PaddingForm(itself.source, itself.kernel, itself.bias, itself.groups,
                    pads=(_two(rows), _two(columns)), parts=0)


def normalization_form(op: Operation, form_of: FormOf) -> Form | None:
    """Batch normalization, with the moving mean and variance."""
    layer = op.layer
    if op.kind != "BatchNormalization":
        return None
    axis = layer.axis if isinstance(layer.axis, int) else layer.axis[0]
    if axis not in (-1, len(op.node.input_tensors[0].shape) - 1):
        return None
    before = form_of(op.inputs[0])
    if isinstance(before, PaddingForm):
        return None
    scale, shift = _scale_and_shift(layer)
    return scaled(before, scale, shift)


def factor_form(op: Operation, form_of: FormOf) -> Form | None:
    """A constant factor and offset behind a convolution."""
    if op.kind != "Rescaling":
        return None
    before = form_of(op.inputs[0])
    if isinstance(before, PaddingForm) or not before.parts:
        return None
    channels = before.kernel.shape[-1]
    factor, offset = (np.broadcast_to(np.asarray(v, np.float64), channels)
                      for v in (op.layer.scale, op.layer.offset))
    return scaled(before, factor, offset)


def plain_form(op: Operation, form_of: FormOf) -> Form | None:
    """A layer of `overparameterized.py`, which says itself what plain convolution it is."""
    if not hasattr(op.layer, "plain_weights") or not _linear(op.layer):
        return None
    kernel, bias = (np.asarray(w, np.float64) for w in op.layer.plain_weights())
    pads = explicit_pads(op.layer, kernel.shape[:2], op.node.input_tensors[0].shape)
    if pads is None:
        return None
    groups = getattr(op.layer, "groups", 1)
    return Form(op.inputs[0], kernel, bias, groups, _two(op.layer.strides), pads, changed=True,
                name=op.layer.name, cost=float(kernel.size), weights=kernel.size)


def sum_form(op: Operation, form_of: FormOf) -> Form | None:
    """The sum or difference of forms of one tensor: the latest one that all are forms of."""
    if op.kind not in ("Add", "Subtract"):
        return None
    shapes = {tuple(x.shape[1:]) for x in op.node.input_tensors}
    forms = [form_of(i) for i in op.inputs]
    if len(shapes) != 1 or any(isinstance(f, PaddingForm) for f in forms):
        return None
    if op.kind == "Subtract":
        channels = forms[1].kernel.shape[-1]
        forms[1] = scaled(forms[1], np.full(channels, -1.0), np.zeros(channels))
    reaches = [reach(f) for f in forms]
    common = set.intersection(*(set(r) for r in reaches))
    for source in sorted(common, reverse=True):
        total = sum_of([r[source] for r in reaches])
        if total is not None and total.is_worth_it:
            return total
    return None


RULES: tuple[Rule, ...] = (
    convolution_form, pooling_form, dense_form, plain_form, padding_form, normalization_form,
    factor_form, sum_form,
)
"""Asked in this order; the first that knows an operation decides."""


def _scale_and_shift(layer: Any) -> tuple[Array, Array]:
    """Batch normalization as x * scale + shift."""
    mean, variance = (np.asarray(v, np.float64)
                      for v in (layer.moving_mean, layer.moving_variance))
    gamma = np.asarray(layer.gamma, np.float64) if layer.scale else np.ones_like(mean)
    beta = np.asarray(layer.beta, np.float64) if layer.center else np.zeros_like(mean)
    scale = gamma / np.sqrt(variance + layer.epsilon)
    return scale, beta - mean * scale


def _linear(layer: Any) -> bool:
    return getattr(layer.activation, "__name__", "") == "linear"


def _bias(layer: Any, channels: int) -> Array:
    if not layer.use_bias:
        return np.zeros(channels)
    return np.asarray(layer.get_weights()[1], np.float64)


def _two(value: Any) -> Pair:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))


def explicit_pads(layer: Any, kernel: Pair, shape: Any) -> Pads | None:
    """Explicit padding of a layer; None where it depends on a size that is not known."""
    if layer.padding == "valid":
        return NO_PADS
    found = []
    for axis in range(2):
        size, step = shape[1 + axis], _two(layer.strides)[axis]
        reach = (kernel[axis] - 1) * _two(layer.dilation_rate)[axis] + 1
        if size is None and step != 1:
            return None
        total = same_padding(size or 1, reach, step) if size else reach - 1
        found.append((total // 2, total - total // 2))
    return found[0], found[1]


def same_padding(size: int, reach: int, stride: int) -> int:
    """Pixels that "same" adds along an axis to an image of `size`, on both sides together."""
    return max((-(-size // stride) - 1) * stride + reach - size, 0)


def _sum_pads(a: Pads, b: Pads) -> Pads:
    rows, columns = (((x[0] + y[0]), (x[1] + y[1])) for x, y in zip(a, b, strict=True))
    return rows, columns
