# SPDX-License-Identifier: MIT
"""Training a plain network as if it had branches: gradients are multiplied, not layers (RepOpt).

    plain = zoo.build("repoptvgg_b1")
    searched = zoo.build("repoptvgg_b1_search")   # trained a while, on little data
    scales = zoo.branch_scales(searched)
    optimizer = zoo.as_if_branched(plain, keras.optimizers.SGD(0.1, 0.9), scales)
    plain.compile(optimizer, ...)

A 3x3 convolution scaled by s, a 1x1 convolution scaled by t and a learned factor of the identity,
added and each trained by SGD, compute the same after every step as one 3x3 convolution whose
gradient is multiplied by s^2, at the centre by s^2 + t^2, and by 1 more where a channel meets
itself (Ding et al. 2022, "Re-parameterizing Your Optimizers Rather than Architectures", section
3.1). Nothing is to be joined afterwards, and what is quantized is what was trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyeff.errors import UsageError
from tinyeff.ir import Array
from tinyeff.zoo.rewriting import ModelGraph, Operation


@dataclass(frozen=True, eq=False)
class BranchScales:
    """Factors per output channel of a 3x3 and of a 1x1 convolution; `identity` None without one."""

    wide: Array
    point: Array
    identity: Array | None = None


def gradient_multiplier(scales: BranchScales, shape: tuple[int, ...]) -> Array:
    """What the gradient of a kernel of `shape` (rows, columns, in, out) is multiplied by.

    >>> import numpy as np
    >>> one = BranchScales(np.full(2, 3.0), np.full(2, 2.0), np.ones(2))
    >>> gradient_multiplier(one, (3, 3, 2, 2))[1, 1].tolist()
    [[14.0, 13.0], [13.0, 14.0]]
    """
    result = np.broadcast_to(np.square(scales.wide), shape).astype(np.float32)
    centre = result[shape[0] // 2, shape[1] // 2]
    centre += np.square(scales.point)
    if scales.identity is not None:
        centre += np.eye(shape[2], shape[3])
    return result


def first_kernel(scales: BranchScales, wide: Array, point: Array) -> Array:
    """The kernel that training starts with: that of all branches together.

    `wide` (rows, columns, in, out) and `point` (in, out) are the first weights of two branches.
    """
    result = (wide * scales.wide).astype(np.float32)
    centre = result[wide.shape[0] // 2, wide.shape[1] // 2]
    centre += point * scales.point
    if scales.identity is not None:
        centre += np.diag(scales.identity)
    return result


def as_if_branched(
    model: Any, optimizer: Any, scales: Sequence[BranchScales] | None = None, seed: int = 0,
) -> Any:
    """A copy of `optimizer` that trains the 3x3 convolutions of `model` as if they had branches.

    Their kernels are set to what the branches would begin with. `scales` are those of the
    convolutions in order; without any, both factors of the n-th convolution since the number of
    channels changed are sqrt(2 / (n + 1)), with which the search begins. The copy is for this
    model; `optimizer` is left as it is.

    Raises UsageError where there are not as many scales as convolutions, or they do not fit.
    """
    convolutions = [op for op in ModelGraph(model).operations if _is_wide(op)]
    if scales is None:
        scales = _first_scales(convolutions)
    if len(scales) != len(convolutions):
        raise UsageError(f"{len(scales)} scales for {len(convolutions)} convolutions of 3x3; "
                         "expected is one for each, in order")
    rng = np.random.default_rng(seed)
    multipliers: dict[str, Array] = {}
    for op, scale in zip(convolutions, scales, strict=True):
        kernel = op.layer.kernel
        channels, filters = kernel.shape[2:]
        if len(scale.wide) != filters or (scale.identity is not None and channels != filters):
            raise UsageError(f"{op.layer.name} has {channels} channels and {filters} filters; "
                             f"scales of {len(scale.wide)} filters"
                             f"{' with an identity' if scale.identity is not None else ''} do not "
                             "fit")
        point = rng.normal(0, np.sqrt(2 / channels), (channels, filters))
        op.layer.kernel.assign(first_kernel(scale, np.asarray(kernel), point))
        multipliers[kernel.path] = gradient_multiplier(scale, tuple(kernel.shape))
    return _multiplied(optimizer, multipliers)


def _multiplied(optimizer: Any, multipliers: dict[str, Array]) -> Any:
    kind: Any = type(optimizer)

    class Multiplied(kind):  # type: ignore[misc]
        """Multiplies gradients by constants before it uses them."""

        def apply(self, grads: Any, trainable_variables: Any = None) -> Any:
            """Update variables by gradients, in the same order."""
            variables = (self._trainable_variables if trainable_variables is None
                         else trainable_variables)
            grads = [g * multipliers[v.path] if v.path in multipliers else g
                     for g, v in zip(grads, variables, strict=True)]
            return super().apply(grads, trainable_variables)

    return Multiplied.from_config(optimizer.get_config())


def branch_scales(searched: Any) -> tuple[BranchScales, ...]:
    """The factors that a `…_search` network has learned, block by block in order.

    A block is found by structure: the sum of a scaled 3x3 convolution, a scaled 1x1 convolution
    and perhaps the scaled input. Raises UsageError where there is none.
    """
    graph = ModelGraph(searched)
    found = [scales for op in graph.operations if op.kind == "Add"
             if (scales := _scales_of(graph, op)) is not None]
    if not found:
        raise UsageError(f"{searched.name} has no sums of scaled convolutions; expected is a "
                         "network like repoptvgg_b1_search")
    return tuple(found)


def _scales_of(graph: ModelGraph, total: Operation) -> BranchScales | None:
    wide = point = identity = None
    for tensor in total.inputs:
        op = graph.writers.get(tensor)
        if op is None or op.kind != "DepthwiseConv2D" or tuple(op.layer.kernel_size) != (1, 1):
            return None
        factors = np.asarray(op.layer.get_weights()[0]).reshape(-1)
        before = graph.writers.get(op.inputs[0])
        if before is not None and _is_wide(before):
            wide = factors
        elif before is not None and before.kind == "Conv2D":
            point = factors
        else:
            identity = factors
    if wide is None or point is None:
        return None
    return BranchScales(wide, point, identity)


def _is_wide(op: Operation) -> bool:
    return op.kind == "Conv2D" and tuple(op.layer.kernel_size) == (3, 3) and op.layer.groups == 1


def _first_scales(convolutions: Sequence[Operation]) -> list[BranchScales]:
    found: list[BranchScales] = []
    place, before = 0, None
    for op in convolutions:
        channels, filters = op.layer.kernel.shape[2:]
        place = place + 1 if filters == before else 1
        before = filters
        factor = np.full(filters, np.sqrt(2 / (place + 1)))
        keeps = channels == filters and tuple(op.layer.strides) == (1, 1)
        found.append(BranchScales(factor, factor, np.ones(filters) if keeps else None))
    return found
