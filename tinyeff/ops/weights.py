# SPDX-License-Identifier: MIT
"""What operators with constant weights share: limits, the folded bias, accumulator ranges."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tinyeff.ir import Array, Tensor
from tinyeff.ops import operator as o
from tinyeff.ops.operator import Node

DOTS = ("te_dots", 252)
"""What portable convolutions and fully connected layers share, and its bytes on a Cortex-M4."""

DOTS_AT_ONCE = 4
"""TE_DOTS."""


def centred(weights: Tensor) -> Array:
    """The weights less their zero point: int8 where that holds them all, else int16.

    Those of a convolution have zero points in TFLite's older quantization only, in uint8.
    """
    assert weights.data is not None
    zero_point = weights.quant.zero_points[0] if weights.quant is not None else 0
    if zero_point == 0 or weights.dtype != "int8":
        return weights.data
    values = weights.data.astype(np.int16) - np.int16(zero_point)
    small = values.min(initial=0) >= -128 and values.max(initial=0) <= 127
    return values.astype(np.int8) if small else values


def has_zero_point(weights: Tensor) -> bool:
    """True where the weights less their zero point leave int8: kernels must then subtract it."""
    return weights.dtype == "int8" and centred(weights).dtype != np.int8


def folded_bias(x: Tensor, filters: Array, bias: Tensor | None) -> Array:
    """Per-channel bias with the input zero point folded in: bias - zero_point * sum(weights).

    With it an accumulator is bias + sum(x * w) over all taps, where a tap outside the image
    counts as x = zero_point. `filters` has channels first. Shape (channels,), int64.
    """
    assert x.quant is not None
    sums = filters.astype(np.int64).reshape(filters.shape[0], -1).sum(1)
    values = np.zeros(filters.shape[0], np.int64)
    if bias is not None:
        assert bias.data is not None
        values = bias.data.astype(np.int64).reshape(-1)
    result: Array = values - x.quant.zero_point * sums
    return result


def accumulator_range(bias: Array, filters: Array) -> tuple[Array, Array]:
    """The least and greatest accumulator of each channel over all int8 inputs, both int64.

    `bias` has the input zero point folded in, `filters` has channels first.
    """
    w = filters.astype(np.int64).reshape(len(bias), -1)
    up, down = np.maximum(w, 0).sum(1), np.minimum(w, 0).sum(1)
    return bias - 128 * up + 127 * down, bias + 127 * up - 128 * down


def image_limits(node: Node[Any]) -> Iterator[str]:
    """The limit sentence of operators that slide a window over one image."""
    batch = node.input(0).shape[0]
    if batch != 1:
        yield f"its input holds {batch} images; only one image at a time is supported"


def weight_limits(
    node: Node[Any], channels: int, zero_points: bool = False
) -> Iterator[str]:
    """The limit sentences on inputs 1 (weights) and 2 (bias) of an operator of `channels` outputs.

    `zero_points` says that LiteRT takes the zero point of weights with one scale into account.
    Where it yields nothing, weights and bias are there, and int8 and int32 in an int8 graph.
    """
    x, weights, bias = node.input(0), node.input(1), node.optional(2)
    if weights.data is None:
        yield "its weights are computed at run time; only constant weights are supported"
        return
    if bias is not None and bias.data is None:
        yield "its bias is computed at run time; only a constant bias is supported"
        return
    if bias is not None and bias.elements != channels:
        yield f"its bias has {bias.elements} values for {channels} output channels"
        return
    if not o.is_int8(x, node.output):
        return
    if weights.dtype != "int8" or weights.quant is None:
        yield f"its weights are {weights.dtype}; int8 activations need quantized int8 weights"
        return
    if bias is not None and bias.dtype != "int32":
        yield f"its bias is {bias.dtype}; int8 activations need an int32 bias"
        return
    scales = [s for t in (x, weights, node.output) if t.quant is not None for s in t.quant.scales]
    if not all(0 < scale < math.inf for scale in scales):
        yield "one of its scales is not a positive finite number; quantize the model again"
        return
    if any(weights.quant.zero_points) and not (zero_points and len(weights.quant.scales) == 1):
        yield ("its weights have zero points other than 0, which TFLite's kernel would ignore; "
               "quantize the model again, with symmetric weights")
    if len(weights.quant.scales) not in (1, channels):
        yield (f"its weights have {len(weights.quant.scales)} scales for {channels} output "
               "channels; there must be one in all or one for each")
