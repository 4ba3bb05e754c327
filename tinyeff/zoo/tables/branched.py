# SPDX-License-Identifier: MIT
"""RepVGG and MobileOne: trained in branches, run as plain chains of convolutions."""

from __future__ import annotations

from tinyeff.zoo.architectures import Architecture
from tinyeff.zoo.blocks import Classes, MobileOne, MobileOneStem, Pool, RepVGG, Squeeze

Widths = tuple[int, int, int, int, int]


def _repvgg(name: str, depths: Widths, widths: Widths, groups: int = 1) -> Architecture:
    """Ding et al. 2021, tables 2 and 3: five stages, each begins with stride 2."""
    return Architecture(name, "RepVGG", "Ding et al. 2021", (
        *(RepVGG(c, n, 2, groups) for n, c in zip(depths, widths, strict=True)),
        Pool(),
        Classes(),
    ))


_A, _B = (1, 2, 4, 14, 1), (1, 4, 6, 16, 1)
_REPVGG: tuple[tuple[str, Widths, Widths, tuple[int, ...]], ...] = (
    ("repvgg_a0", _A, (48, 48, 96, 192, 1280), (1,)),
    ("repvgg_a1", _A, (64, 64, 128, 256, 1280), (1,)),
    ("repvgg_a2", _A, (64, 96, 192, 384, 1408), (1,)),
    ("repvgg_b0", _B, (64, 64, 128, 256, 1280), (1,)),
    ("repvgg_b1", _B, (64, 128, 256, 512, 2048), (1, 2, 4)),
    ("repvgg_b2", _B, (64, 160, 320, 640, 2560), (1, 2, 4)),
    ("repvgg_b3", _B, (64, 192, 384, 768, 2560), (1, 2, 4)),
)

_SE = Squeeze(1 / 16)


def _mobileone(
    name: str, stem: int, widths: tuple[int, int, int, int], k: int = 1,
    squeeze: Squeeze | None = None,
) -> Architecture:
    """Vasu et al. 2023, tables 2 and 3: `k` branches; the stem has one in all variants."""
    c2, c3, c4, c5 = widths
    return Architecture(name, "MobileOne", "Vasu et al. 2023", (
        MobileOneStem(stem),
        #         c  n  s  k
        MobileOne(c2, 2, 2, k),
        MobileOne(c3, 8, 2, k),
        MobileOne(c4, 5, 2, k),
        MobileOne(c4, 5, 1, k, squeeze),
        MobileOne(c5, 1, 2, k, squeeze),
        Pool(),
        Classes(),
    ))


ARCHITECTURES = (
    *(_repvgg(name + (f"g{g}" if g > 1 else ""), depths, widths, g)
      for name, depths, widths, groups in _REPVGG for g in groups),
    _mobileone("mobileone_s0", 48, (48, 128, 256, 1024), 4),
    _mobileone("mobileone_s1", 64, (96, 192, 512, 1280)),
    _mobileone("mobileone_s2", 64, (96, 256, 640, 2048)),
    _mobileone("mobileone_s3", 64, (128, 320, 768, 2048)),
    _mobileone("mobileone_s4", 64, (192, 448, 896, 2048), squeeze=_SE),
)
