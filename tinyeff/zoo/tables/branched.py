# SPDX-License-Identifier: MIT
"""RepVGG and MobileOne: trained in branches, run as plain chains of convolutions; RepOptVGG."""

from __future__ import annotations

from tinyeff.zoo.architectures import Architecture
from tinyeff.zoo.blocks import (
    Classes,
    Conv,
    MobileOne,
    MobileOneStem,
    Pool,
    RepVGG,
    Row,
    Squeeze,
)
from tinyeff.zoo.blocks.branched import ScaledBranches

Widths = tuple[int, int, int, int, int]


def _repvgg(
    name: str, depths: Widths, widths: Widths, groups: int = 1, squeeze: Squeeze | None = None,
) -> Architecture:
    """Ding et al. 2021, tables 2 and 3: five stages, each begins with stride 2."""
    return Architecture(name, "RepVGG", "Ding et al. 2021", (
        *(RepVGG(c, n, 2, groups, squeeze) for n, c in zip(depths, widths, strict=True)),
        Pool(),
        Classes(),
    ))


def _repoptvgg(name: str, depths: Widths, widths: Widths) -> tuple[Architecture, Architecture]:
    """Ding et al. 2022: RepVGG without branches, and the network that finds their scales."""
    def made(suffix: str, rows: tuple[Row, ...]) -> Architecture:
        return Architecture(f"{name}{suffix}", "RepOptVGG", "Ding et al. 2022",
                            (*rows, Pool(), Classes()))

    stages = tuple(zip(depths, widths, strict=True))
    plain = tuple(Conv(c, 3, 1 if i else 2) for n, c in stages for i in range(n))
    return made("", plain), made("_search", tuple(ScaledBranches(c, n, 2) for n, c in stages))


_A, _B, _L = (1, 2, 4, 14, 1), (1, 4, 6, 16, 1), (1, 8, 14, 24, 1)
_REPVGG: tuple[tuple[str, Widths, Widths, tuple[int, ...]], ...] = (
    ("repvgg_a0", _A, (48, 48, 96, 192, 1280), (1,)),
    ("repvgg_a1", _A, (64, 64, 128, 256, 1280), (1,)),
    ("repvgg_a2", _A, (64, 96, 192, 384, 1408), (1,)),
    ("repvgg_b0", _B, (64, 64, 128, 256, 1280), (1,)),
    ("repvgg_b1", _B, (64, 128, 256, 512, 2048), (1, 2, 4)),
    ("repvgg_b2", _B, (64, 160, 320, 640, 2560), (1, 2, 4)),
    ("repvgg_b3", _B, (64, 192, 384, 768, 2560), (1, 2, 4)),
    ("repvgg_l1", _L, (64, 128, 256, 512, 2048), (1,)),
    ("repvgg_l2", _L, (64, 160, 320, 640, 2560), (1,)),
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
    _repvgg("repvgg_d2se", _L, (64, 160, 320, 640, 2560), squeeze=Squeeze(1 / 16)),
    *(a for name, depths, widths in (
        ("repoptvgg_b1", _B, (64, 128, 256, 512, 2048)),
        ("repoptvgg_b2", _B, (64, 160, 320, 640, 2560)),
        ("repoptvgg_l1", _L, (64, 128, 256, 512, 2048)),
        ("repoptvgg_l2", _L, (64, 160, 320, 640, 2560)),
    ) for a in _repoptvgg(name, depths, widths)),
    _mobileone("mobileone_s0", 48, (48, 128, 256, 1024), 4),
    _mobileone("mobileone_s1", 64, (96, 192, 512, 1280)),
    _mobileone("mobileone_s2", 64, (96, 256, 640, 2048)),
    _mobileone("mobileone_s3", 64, (128, 320, 768, 2048)),
    _mobileone("mobileone_s4", 64, (192, 448, 896, 2048), squeeze=_SE),
)
