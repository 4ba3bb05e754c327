# SPDX-License-Identifier: MIT
"""New architectures from old ones: compound scaling, and receptive fields moved backwards."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tinyeff.errors import UsageError
from tinyeff.zoo.architectures import Architecture
from tinyeff.zoo.blocks import Conv, Inverted, Row

SMALL_KERNEL = 3


def compound_scaling(
    base: Architecture, phi: float, alpha: float = 1.2, beta: float = 1.1, gamma: float = 1.15,
) -> Architecture:
    """`base` scaled by the rule of EfficientNet (Tan and Le 2019, section 3.3).

    Depth grows by alpha ** phi, width by beta ** phi and resolution by gamma ** phi. The defaults
    are the paper's, for which alpha * beta**2 * gamma**2 is about 2: each step of phi doubles the
    work. phi may be negative.

    >>> from tinyeff import zoo
    >>> zoo.compound_scaling(zoo.architecture("efficientnet_b0"), 1).input_shape
    (258, 258, 3)
    """
    if len(base.input_shape) != 3:
        raise UsageError(f"{base.name} has no image to scale")
    rows, columns, channels = base.input_shape
    shape = (round(rows * gamma ** phi), round(columns * gamma ** phi), channels)
    return replace(base, name=f"{base.name}_phi_{phi:g}", width=base.width * beta ** phi,
                   depth=base.depth * alpha ** phi, input_shape=shape)


def redistribute(base: Architecture, rows: int) -> Architecture:
    """`base` with the receptive field of its first `rows` rows moved to the rows behind them.

    What patches compute twice is the halo, which grows with the receptive field of the patch
    stage. There, kernels become 3 x 3, a block without expansion and stride becomes a 1x1
    convolution, and repeats are dropped; rows behind get more repeats, in turn from the front,
    while the work stays at most that of `base` (Lin et al. 2021, section 3.2).

    Raises UsageError where `rows` is not inside the table or nothing can be moved.

    >>> from tinyeff import zoo
    >>> zoo.redistribute(zoo.architecture("mobilenet_v2"), 3).name
    'mobilenet_v2_rd'
    """
    if not 1 <= rows < len(base.rows):
        raise UsageError(f"{base.name}: {rows} rows of a table of {len(base.rows)}")
    front = tuple(map(_narrow, base.rows[:rows]))
    if front == base.rows[:rows]:
        raise UsageError(f"{base.name}: its first {rows} rows have nothing that can be moved")
    result = replace(base, name=f"{base.name}_rd", rows=(*front, *base.rows[rows:]))
    allowed = base.network().macs
    places = [i for i in range(rows, len(base.rows)) if hasattr(base.rows[i], "n")]
    grown = True
    while grown:
        grown = False
        for i in places:
            larger = _with_row(result, i, _repeated(result.rows[i]))
            if larger.network().macs <= allowed:
                result, grown = larger, True
    return result


def _narrow(row: Row) -> Row:
    """The row with the least receptive field that keeps its shape and stride."""
    if isinstance(row, Inverted) and row.t == 1 and row.s == 1:
        return Conv(row.c, act="none")
    fields: dict[str, Any] = vars(row)
    changes: dict[str, Any] = {"n": 1} if fields.get("n", 1) > 1 else {}
    kernel = fields.get("k")
    if isinstance(kernel, int) and kernel > SMALL_KERNEL:
        changes["k"] = SMALL_KERNEL
    return replace(row, **changes)


def _repeated(row: Row) -> Row:
    changes: dict[str, Any] = {"n": vars(row)["n"] + 1}
    return replace(row, **changes)


def _with_row(base: Architecture, place: int, row: Row) -> Architecture:
    return replace(base, rows=(*base.rows[:place], row, *base.rows[place + 1:]))
