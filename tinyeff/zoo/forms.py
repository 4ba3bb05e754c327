# SPDX-License-Identifier: MIT
"""Linear parts of a network as convolutions of one tensor, and the arithmetic of them."""

from __future__ import annotations

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

    `cost` are the multiply-accumulates per output pixel of the layers that it stands for, `weights`
    the elements of their kernels. `through` is the same tensor as a convolution of an earlier one,
    where the source is a convolution itself; it is `narrow` where the tensor between them has fewer
    channels than either end.
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
    cost: float = 0.0
    weights: int = 0
    through: Form | None = None
    narrow: bool = False

    @property
    def own_cost(self) -> int:
        """Multiply-accumulates per output pixel of the one convolution."""
        return int(self.kernel.size) if self.parts else 0

    @property
    def is_worth_it(self) -> bool:
        """Whether the one convolution costs no more than what it replaces."""
        return self.own_cost <= self.cost

    @property
    def is_larger(self) -> bool:
        """Whether the one convolution has more weights than what it replaces."""
        return self.kernel.size > self.weights


@dataclass(frozen=True, eq=False)
class PaddingForm(Form):
    """Zeros around the source, which only a convolution can take in."""


def identity_form(tensor: int, shape: Any) -> Form:
    """The identity, as a form."""
    channels = int(shape[-1])
    return Form(tensor, np.ones((1, 1, 1, channels)), np.zeros(channels), channels,
                dense=len(shape) == 2, parts=0)


def reach(form: Form) -> dict[int, Form]:
    """Source -> the form of a tensor as a convolution of it."""
    found: dict[int, Form] = {}
    current: Form | None = form
    while current is not None:
        found[current.source] = current
        current = current.through
    return found


def sum_of(forms: list[Form]) -> Form | None:
    """The sum of forms of one tensor as one form; None where that is impossible."""
    if any(isinstance(f, PaddingForm) for f in forms) or not any(f.parts for f in forms):
        return None
    # A form that is dense takes all others in, one in groups does not.
    widest = max(forms, key=lambda f: (f.kernel.shape[0], f.kernel.shape[1], -f.groups, f.parts))
    size = tuple(max(f.kernel.shape[i] for f in forms) for i in range(2))
    total = _enlarged(widest, forms, (size[0], size[1]))
    for form in forms:
        if form is not widest:
            aligned = None if total is None else _aligned(form, total)
            if total is None or aligned is None:
                return None
            total = replace(total, kernel=total.kernel + aligned.kernel,
                            bias=total.bias + aligned.bias)
    if total is None:
        return None
    return replace(total, parts=sum(f.parts for f in forms), changed=True, through=None,
                   cost=sum(f.cost for f in forms), weights=sum(f.weights for f in forms))


def scaled(form: Form, scale: Array, shift: Array) -> Form:
    """Each output channel times `scale`, plus `shift`."""
    through = None if form.through is None else scaled(form.through, scale, shift)
    return replace(form, kernel=form.kernel * scale, bias=form.bias * scale + shift, changed=True,
                   through=through)


def composed(before: Form, form: Form) -> Form | None:
    """`form` of the tensor that `before` is a form of, as one convolution; None where it is none.

    The pixels around the map must be what the second one takes for them: it has no padding, or the
    first one, of single pixels and without a bias, makes zeros of zeros.
    """
    if not before.parts or before.dense != form.dense:
        return None
    if before.dilation != (1, 1) or form.dilation != (1, 1):
        return None
    pointwise = (before.kernel.shape[:2] == (1, 1) and before.stride == (1, 1)
                 and before.pads == NO_PADS and not before.bias.any())
    if form.pads != NO_PADS and not pointwise:
        return None
    groups = before.groups if before.groups == form.groups else 1
    joined_cost = form.cost + before.cost * form.stride[0] * form.stride[1]
    if 1 == groups < before.groups and _composed_size(before, form) > joined_cost:
        return None  # depthwise and 1x1: never worth it, not even as a branch of a sum
    first, second = (f.kernel if groups == f.groups else _dense_kernel(f) for f in (before, form))
    kernel = _composed_kernel(first, second, groups, before.stride)
    bias = form.bias + _through(before.bias, second.sum((0, 1)), groups)
    stride = (before.stride[0] * form.stride[0], before.stride[1] * form.stride[1])
    middle = before.kernel.shape[3]
    narrow = middle < min(before.kernel.shape[2] * before.groups, form.kernel.shape[3])
    joined = replace(
        form, source=before.source, kernel=kernel, bias=bias, groups=groups,
        stride=stride,
        pads=form.pads if pointwise else before.pads, parts=before.parts + form.parts,
        changed=True, cost=joined_cost, weights=before.weights + form.weights, through=None,
        narrow=narrow or before.narrow)
    if before.through is None:
        return joined
    return replace(joined, through=composed(before.through, form))


def _composed_size(before: Form, form: Form) -> int:
    """Elements of the kernel without groups."""
    rows, columns = (before.kernel.shape[i] + (form.kernel.shape[i] - 1) * before.stride[i]
                     for i in range(2))
    return int(rows * columns * before.kernel.shape[2] * before.groups * form.kernel.shape[3])


def _composed_kernel(first: Array, second: Array, groups: int, stride: Pair) -> Array:
    """The kernel of a convolution behind another, both in `groups`; `stride` is the first one's."""
    (rows, columns), (down, right) = second.shape[:2], stride
    kernel = np.zeros((first.shape[0] + (rows - 1) * down, first.shape[1] + (columns - 1) * right,
                       first.shape[2], second.shape[3]))
    members, out = first.shape[3] // groups, second.shape[3] // groups
    for y in range(rows):
        for x in range(columns):
            window = kernel[y * down:y * down + first.shape[0],
                            x * right:x * right + first.shape[1]]
            for g in range(groups):
                these = slice(g * out, (g + 1) * out)
                window[..., these] += (first[..., g * members:(g + 1) * members]
                                       @ second[y, x][:, these])
    return kernel


def _through(bias: Array, matrix: Array, groups: int) -> Array:
    """What a convolution (in / groups, out), summed over its taps, makes of a constant map."""
    members, out = matrix.shape[0], matrix.shape[1] // groups
    parts = [bias[g * members:(g + 1) * members] @ matrix[:, g * out:(g + 1) * out]
             for g in range(groups)]
    result: Array = np.concatenate(parts)
    return result


def _dense_kernel(form: Form) -> Array:
    """The kernel without groups: (rows, columns, in, out), zeros between the groups."""
    kernel, groups = form.kernel, form.groups
    rows, columns, share, out = kernel.shape
    if groups == 1:
        return kernel
    dense = np.zeros((rows, columns, share * groups, out))
    members = out // groups
    for g in range(groups):
        dense[:, :, g * share:(g + 1) * share, g * members:(g + 1) * members] = (
            kernel[..., g * members:(g + 1) * members])
    return dense


def _enlarged(form: Form, others: list[Form], size: Pair) -> Form | None:
    """`form` with a kernel of `size`, zeros around it, so that all `others` fit into it."""
    if form.kernel.shape[:2] == size:
        return form
    fitting = [f.pads[axis] for axis in range(2)
               for f in [next((f for f in others if f.kernel.shape[axis] == size[axis]), form)]]
    like = replace(form, kernel=np.zeros((*size, *form.kernel.shape[2:])),
                   pads=(fitting[0], fitting[1]))
    return _aligned(form, like)


def _aligned(form: Form, like: Form) -> Form | None:
    """`form` with the kernel size, groups and padding of `like`; None where that is impossible.

    A small kernel is put where, under the padding of the large one, it sees the same pixels.
    """
    if form.dense != like.dense or form.stride != like.stride:
        return None
    if not form.parts:
        form = _with_groups(form, like.groups)
    elif form.groups != like.groups and like.groups == 1:
        form = replace(form, kernel=_dense_kernel(form), groups=1)
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
