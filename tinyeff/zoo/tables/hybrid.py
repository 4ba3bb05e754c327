# SPDX-License-Identifier: MIT
"""Networks of convolutions and attention for phones: FastViT, EfficientViT and Next-ViT."""

from __future__ import annotations

from tinyeff.zoo.architectures import Architecture
from tinyeff.zoo.blocks import Classes, Conv, Inverted, MobileOne, MobileOneStem, Pool, Row
from tinyeff.zoo.blocks.efficientformer import LayerNorm
from tinyeff.zoo.blocks.hybrid import (
    FastDown,
    FastHead,
    FastMixer,
    MultiScaleAttention,
    NextAttention,
    NextConv,
    Position,
)
from tinyeff.zoo.blocks.joined import Act, Norm, Repeat

Four = tuple[int, int, int, int]


def _fastvit(name: str, c: int, depths: Four, ratio: int, attention: bool) -> Architecture:
    """Vasu et al. 2023, table 2: channels double from stage to stage; the last one may attend."""
    first, second, third, last = depths
    return Architecture(f"fastvit_{name}", "FastViT", "Vasu et al. 2023", (
        MobileOneStem(c),
        MobileOne(c, 1, 2),
        FastMixer(first, ratio),
        *(row for n in (second, third) for row in (FastDown(), FastMixer(n, ratio))),
        FastDown(),
        *((Position(),) if attention else ()),
        FastMixer(last, ratio, attention),
        FastHead(),
        Pool(),
        Classes(),
    ), (256, 256, 3), activation="gelu")


def _efficientvit(
    name: str, widths: tuple[int, ...], depths: tuple[int, ...], d: int, head: tuple[int, int],
) -> Architecture:
    """Cai et al. 2023, table 1: two stages of inverted residuals, two of linear attention."""
    stem, *stages = zip(widths, depths, strict=True)
    return Architecture(f"efficientvit_{name}", "EfficientViT", "Cai et al. 2023", (
        Conv(stem[0], 3, 2),
        Inverted(stem[0], stem[1], 1, 1),
        *(Inverted(c, n, 2, 4) for c, n in stages[:2]),
        *(MultiScaleAttention(c, n, d) for c, n in stages[2:]),
        Conv(head[0]),
        Pool(keep=True),
        Conv(head[1], act="none", norm=False),
        LayerNorm(),
        Act(),
        Pool(),
        Classes(),
    ), activation="hard_silu")


def _nextvit(name: str, repeats: int) -> Architecture:
    """Li et al. 2022b, table 3: `repeats` of the third stage's five blocks."""
    rows: tuple[Row, ...] = (
        Conv(64, 3, 2),
        Conv(32, 3),
        Conv(64, 3),
        Conv(64, 3, 2),
        NextConv(96, 3),
        NextConv(192, 3, 2),
        NextAttention(256, reduce=4),
        NextConv(384, 4, 2),
        NextAttention(512, reduce=2),
        Repeat((NextConv(384, 4), NextAttention(512, reduce=2)), repeats - 1),
        NextConv(768, 2, 2),
        NextAttention(1024),
        Norm(),
        Pool(),
        Classes(),
    )
    return Architecture(f"nextvit_{name}", "Next-ViT", "Li et al. 2022b", rows)


ARCHITECTURES = (
    _fastvit("t8", 48, (2, 2, 4, 2), 3, False),
    _fastvit("s12", 64, (2, 2, 6, 2), 4, False),
    _fastvit("sa12", 64, (2, 2, 6, 2), 4, True),
    _fastvit("sa24", 64, (4, 4, 12, 4), 4, True),
    _fastvit("sa36", 64, (6, 6, 18, 6), 4, True),
    _efficientvit("b0", (8, 16, 32, 64, 128), (1, 2, 2, 2, 2), 16, (1024, 1280)),
    _efficientvit("b1", (16, 32, 64, 128, 256), (1, 2, 3, 3, 4), 16, (1536, 1600)),
    _efficientvit("b2", (24, 48, 96, 192, 384), (1, 3, 4, 4, 6), 32, (2304, 2560)),
    _efficientvit("b3", (32, 64, 128, 256, 512), (1, 4, 6, 6, 9), 32, (2304, 2560)),
    _nextvit("small", 2),
    _nextvit("base", 4),
)
