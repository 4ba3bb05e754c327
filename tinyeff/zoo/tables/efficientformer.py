# SPDX-License-Identifier: MIT
"""EfficientFormer and its second version: convolutions first, attention where maps are small."""

from __future__ import annotations

from tinyeff.zoo.architectures import Architecture
from tinyeff.zoo.blocks import Conv, Pool, Row
from tinyeff.zoo.blocks.efficientformer import (
    AttentionDown,
    LayerNorm,
    LocalTokenMixer,
    PooledMixer,
    TokenMixer,
    TwoHeads,
)
from tinyeff.zoo.blocks.joined import Norm


def _down(c: int, act: str = "none") -> Conv:
    return Conv(c, 3, 2, act, bias=True)


EFFICIENTFORMER_L1 = Architecture("efficientformer_l1", "EfficientFormer", "Li et al. 2022", (
    _down(24, "relu"),
    _down(48, "relu"),
    PooledMixer(48, 3),
    _down(96),
    PooledMixer(96, 2),
    _down(224),
    PooledMixer(224, 6),
    _down(448),
    PooledMixer(448, 3),
    TokenMixer(448, 1),
    LayerNorm(),
    Pool(),
    TwoHeads(),
))


def _second(name: str, widths: tuple[int, int, int, int], ratios: tuple[tuple[int, ...], ...]
            ) -> Architecture:
    """Li et al. 2023: `ratios` has one number per block; the last two of late stages attend."""
    c1, c2, c3, c4 = widths
    r1, r2, r3, r4 = ratios
    rows: tuple[Row, ...] = (
        _down(c1 // 2, "gelu"),
        _down(c1, "gelu"),
        LocalTokenMixer(c1, len(r1), ratios=r1),
        _down(c2),
        LocalTokenMixer(c2, len(r2), ratios=r2),
        _down(c3),
        LocalTokenMixer(c3, len(r3), ratios=r3, attending=2, reduce=2),
        AttentionDown(c4),
        LocalTokenMixer(c4, len(r4), ratios=r4, attending=2),
        Norm(),
        Pool(),
        TwoHeads(),
    )
    return Architecture(name, "EfficientFormer", "Li et al. 2023", rows)


ARCHITECTURES = (
    EFFICIENTFORMER_L1,
    _second("efficientformer_v2_s0", (32, 48, 96, 176),
            ((4, 4), (4, 4), (4, 3, 3, 3, 4, 4), (4, 3, 3, 4))),
    _second("efficientformer_v2_s1", (32, 48, 120, 224),
            ((4, 4, 4), (4, 4, 4), (4, 4, 3, 3, 3, 3, 4, 4, 4), (4, 4, 3, 3, 4, 4))),
)
