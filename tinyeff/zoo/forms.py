# SPDX-License-Identifier: MIT
"""Linear parts of a Keras network as convolutions of one tensor, and the rules that find them.

A rule says of one operation how its output follows from the forms of its inputs; RULES holds them
all. Adding a rule is enough to have more kinds of branches joined.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinyeff.ir import Array
from tinyeff.zoo.layers import Pair

Pads = tuple[Pair, Pair]
"""(before, after) of rows, and of columns."""

NO_PADS: Pads = ((0, 0), (0, 0))


@dataclass(frozen=True, eq=False)
class Form:
    """A tensor as a convolution of the tensor `source`: kernel (rows, columns, in / groups, out).

    Kernel and bias are float64. `pads` are explicit, whatever Keras called them. A `dense` form is
    a fully connected layer, its kernel (1, 1, in, out). A form of no `parts` convolutions is the
    tensor itself, scaled and shifted per channel: its kernel is a diagonal with groups = channels.
    """

    source: int
    kernel: Array
    bias: Array
    groups: int
    stride: Pair = (1, 1)
    pads: Pads = NO_PADS
    dilation: Pair = (1, 1)
    dense: bool = False
    parts: int = 1
    changed: bool = False
    name: str = ""


@dataclass(frozen=True, eq=False)
class Operation:
    """A Keras layer or operation where it is used: `inputs` and `output` number tensors."""

    node: Any
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @property
    def layer(self) -> Any:
        """The Keras layer or operation."""
        return self.node.operation

    @property
    def kind(self) -> str:
        """Name of its class."""
        return type(self.layer).__name__


FormOf = Callable[[int], Form]
"""The form of an input: that of the tensor itself where something else needs the tensor too."""

Rule = Callable[[Operation, FormOf], Form | None]


def identity_form(tensor: int, shape: Any) -> Form:
    """The identity, as a form."""
    channels = int(shape[-1])
    return Form(tensor, np.ones((1, 1, 1, channels)), np.zeros(channels), channels,
                dense=len(shape) == 2, parts=0)


# Rules.

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
    return Form(source, kernel, _bias(layer, kernel.shape[-1]), groups, _two(layer.strides), pads,
                _two(layer.dilation_rate), name=layer.name)


def dense_form(op: Operation, form_of: FormOf) -> Form | None:
    """A fully connected layer of a vector, without activation."""
    layer = op.layer
    if op.kind != "Dense" or not _linear(layer) or len(op.node.input_tensors[0].shape) != 2:
        return None
    kernel = np.asarray(layer.get_weights()[0], np.float64)[None, None]
    return Form(op.inputs[0], kernel, _bias(layer, kernel.shape[-1]), 1, dense=True,
                name=layer.name)


@dataclass(frozen=True, eq=False)
class PaddingForm(Form):
    """Zeros around the source, which only a convolution can take in."""


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
    return replace(before, kernel=before.kernel * scale, bias=before.bias * scale + shift,
                   changed=True)


def sum_form(op: Operation, form_of: FormOf) -> Form | None:
    """The sum of forms of one tensor."""
    if op.kind != "Add":
        return None
    shapes = {tuple(x.shape[1:]) for x in op.node.input_tensors}
    forms = [form_of(i) for i in op.inputs]
    if len(shapes) != 1 or len({f.source for f in forms}) != 1:
        return None
    if any(isinstance(f, PaddingForm) for f in forms) or not any(f.parts for f in forms):
        return None
    widest = max(forms, key=lambda f: (f.kernel.shape[0] * f.kernel.shape[1], f.parts))
    total = widest
    for form in forms:
        if form is not widest:
            aligned = _aligned(form, widest)
            if aligned is None:
                return None
            total = replace(total, kernel=total.kernel + aligned.kernel,
                            bias=total.bias + aligned.bias)
    return replace(total, parts=sum(f.parts for f in forms), changed=True)


RULES: tuple[Rule, ...] = (convolution_form, dense_form, padding_form, normalization_form, sum_form)
"""Asked in this order; the first that knows an operation decides."""


# Arithmetic of forms.

def _aligned(form: Form, like: Form) -> Form | None:
    """`form` with the kernel size, groups and padding of `like`; None where that is impossible.

    A small kernel is put where, under the padding of the large one, it sees the same pixels.
    """
    if form.dense != like.dense or form.stride != like.stride:
        return None
    if not form.parts:
        form = _with_groups(form, like.groups)
    if form.groups != like.groups or form.kernel.shape[2:] != like.kernel.shape[2:]:
        return None
    if form.kernel.shape[:2] != (1, 1) and form.dilation != like.dilation:
        return None
    kernel = np.zeros(like.kernel.shape)
    place = []
    for axis in range(2):
        (before, after), (wider, behind) = form.pads[axis], like.pads[axis]
        step, size, total = like.dilation[axis], form.kernel.shape[axis], like.kernel.shape[axis]
        first, rest = divmod(wider - before, step)
        spare = (total - size) * step
        if rest or not 0 <= first <= total - size or behind - after + wider - before > spare:
            return None
        place.append(slice(first, first + size))
    kernel[place[0], place[1]] = form.kernel
    return replace(form, kernel=kernel, pads=like.pads, dilation=like.dilation)


def _with_groups(form: Form, groups: int) -> Form:
    """A diagonal form, one scale per channel, as a 1x1 kernel in `groups`."""
    scales = form.kernel.reshape(-1)
    channels, share = len(scales), len(scales) // groups
    kernel = np.zeros((1, 1, share, channels))
    kernel[0, 0, np.arange(channels) % share, np.arange(channels)] = scales
    return replace(form, kernel=kernel, groups=groups)


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
