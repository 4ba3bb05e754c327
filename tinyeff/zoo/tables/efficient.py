# SPDX-License-Identifier: MIT
"""Networks of cheap operations: ghosts, groups, shifts, condensed connections, many devices."""

from __future__ import annotations

from tinyeff.zoo.architectures import Architecture
from tinyeff.zoo.blocks import Classes, Conv, Flatten, Full, Inverted, Pool, Row
from tinyeff.zoo.blocks.adder import AdderBasic, ShiftAdd
from tinyeff.zoo.blocks.efficient import (
    Asymmetric,
    BigLittle,
    CondenseBlock,
    GhostBasic,
    GhostConv,
    HalfClasses,
    Interleaved,
    Octave,
    Shifted,
    TwiceDepthwise,
)
from tinyeff.zoo.blocks.joined import Norm, Pooling
from tinyeff.zoo.layers import Pair

GHOST, CIFAR = "Han et al. 2020", (32, 32, 3)


def _ghost_vgg(name: str, top: tuple[Row, ...]) -> Architecture:
    """VGG-16 whose convolutions, but for the first, are ghost modules."""
    rows: list[Row] = []
    for i, (n, c) in enumerate(zip((2, 2, 3, 3, 3), (64, 128, 256, 512, 512), strict=True)):
        first = 1 if i == 0 else 0
        rows += [Conv(c, 3)] * first + [GhostConv(c)] * (n - first)
        rows.append(Pooling("max", 2, 2, "valid"))
    return Architecture(name, "GhostNet", GHOST, (*rows, *top), CIFAR, 10)


def _ghost_resnet(name: str, inner: bool) -> Architecture:
    return Architecture(name, "GhostNet", GHOST, (
        Conv(16, 3),
        *(GhostBasic(16 << i, 9, s, inner) for i, s in enumerate((1, 2, 2))),
        Pool(),
        Classes(),
    ), CIFAR, 10)


def _igcv3(name: str, stem: int, widths: tuple[int, ...], head: int) -> Architecture:
    """Sun et al. 2018, table 6: MobileNetV2 in two groups, twice as deep."""
    repeats, strides = (1, 4, 6, 8, 6, 6, 1), (1, 2, 2, 2, 1, 2, 1)
    return Architecture(name, "IGCV3", "Sun et al. 2018", (
        Conv(stem, 3, 2),
        *(Interleaved(c, n, s, 1 if i == 0 else 6)
          for i, (c, n, s) in enumerate(zip(widths, repeats, strides, strict=True))),
        Conv(head, at_least=1),
        Pool(),
        Classes(),
    ), activation="relu6")


MOBILENET_V2_TWICE = Architecture("mobilenet_v2_twice_depthwise", "MobileNetV2",
                                  "Zhou et al. 2020 (ablation)", (
    Conv(32, 3, 2),
    #              c  n  s  t
    TwiceDepthwise(16, 1, 1, 1),
    TwiceDepthwise(24, 2, 2),
    TwiceDepthwise(32, 3, 2),
    TwiceDepthwise(64, 4, 2),
    TwiceDepthwise(96, 3, 1),
    TwiceDepthwise(160, 3, 2),
    TwiceDepthwise(320, 1, 1),
    Conv(1280, at_least=1),
    Pool(),
    Classes(),
), activation="relu6")


def _condensenet(groups: int) -> Architecture:
    """Huang et al. 2018, after training: stages of 4, 6, 8, 10, 8 layers, growth doubles."""
    stages = zip((4, 6, 8, 10, 8), (8, 16, 32, 64, 128), strict=True)
    rows: list[Row] = []
    for i, (n, growth) in enumerate(stages):
        rows += [Pooling("average", 2, 2, "valid")] if i else []
        rows.append(CondenseBlock(n, growth, groups))
    return Architecture(f"condensenet_g{groups}", "CondenseNet", "Huang et al. 2018", (
        Conv(16, 3, 2, "none", norm=False),
        *rows,
        Norm("relu"),
        Pool(),
        HalfClasses(),
    ))


def _multi(name: str, blocks: tuple[tuple[int, int, float, int], ...], width: float
           ) -> Architecture:
    """Chu et al. 2021: one network for many devices; columns are k, s, t, c."""
    return Architecture(name, "MultiHardware", "Chu et al. 2021", (
        Conv(32, 3, 2),
        *(Inverted(c, 1, s, t, k) for k, s, t, c in blocks),
        Conv(960),
        Pool(keep=True),
        Conv(1280, at_least=1),
        Pool(),
        Classes(),
    ), width=width)


_MAX = (
    (3, 2, 3, 32), (5, 2, 6, 64), (3, 1, 2, 64), (3, 1, 2, 64), (5, 2, 6, 128), (3, 1, 4, 128),
    (3, 1, 3, 128), (3, 1, 3, 128), (3, 1, 6, 128), (3, 1, 3, 128), (3, 2, 6, 160), (5, 1, 4, 160),
    (3, 1, 5, 160), (5, 1, 4, 160),
)
_AVG = (
    (3, 2, 3, 32), (3, 1, 2, 32), (5, 2, 5, 64), (3, 1, 3, 64), (3, 1, 2, 64), (3, 1, 3, 64),
    (5, 2, 6, 128), (3, 1, 3, 128), (3, 1, 3, 128), (3, 1, 3, 128), (3, 1, 6, 160), (3, 1, 4, 160),
    (3, 2, 6, 192), (5, 1, 4, 192), (5, 1, 4, 192), (5, 1, 4, 192),
)

def _stages(name: str, family: str, source: str, *stages: Row, stem: int = 16) -> Architecture:
    """A small network for images of 32 x 32: stem, stages, classifier."""
    return Architecture(name, family, source, (
        Conv(stem, 3), *stages, Norm("relu"), Pool(), Classes()), CIFAR, 10)


# Where the shares of a learned layer went (Jeon and Kim 2018: most shifts stay small).
_LEARNED: tuple[Pair, ...] = ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0), (2, 0), (0, 2))

ARCHITECTURES = (
    _ghost_vgg("ghost_vgg16_cifar", (Flatten(), Classes())),
    _ghost_vgg("ghost_vgg16_cifar_fc512", (Full(512, norm=True), Classes())),
    _ghost_resnet("ghost_resnet_56", True),
    _ghost_resnet("ghost_resnet_56_plain", False),
    _igcv3("igcv3_d_1.0", 32, (16, 24, 32, 64, 96, 160, 320), 1280),
    # 1.4 times the channels, rounded to even numbers.
    _igcv3("igcv3_d_1.4", 46, (22, 34, 46, 90, 134, 224, 448), 1792),
    MOBILENET_V2_TWICE,
    _condensenet(4),
    _condensenet(8),
    *(_multi(f"multihardware_{name}_{width}", blocks, width)
      for name, blocks in (("max", _MAX), ("avg", _AVG)) for width in (1.0, 1.5)),
    _stages("shiftnet_20", "Shift", "Wu et al. 2018",
            Shifted(16, 3, 1), Shifted(32, 3, 2), Shifted(64, 3, 2)),
    _stages("active_shiftnet_20", "Shift", "Jeon and Kim 2018",
            *(Shifted(16 << i, 3, 1 + (i > 0), 3, _LEARNED) for i in range(3))),
    _stages("adscnet_small", "ADSCNet", "Wang et al. 2019",
            Asymmetric(32, 1, 1), Asymmetric(64, 2, 2), Asymmetric(128, 2, 2), stem=32),
    _stages("adder_resnet_8", "Adder", "Chen et al. 2020",
            AdderBasic(16, 1, 1), AdderBasic(32, 1, 2), AdderBasic(64, 1, 2)),
    _stages("shift_add_small", "Adder", "You et al. 2020",
            ShiftAdd(32), ShiftAdd(32, 2), ShiftAdd(64, 2)),
    _stages("octave_resnet_small", "Octave", "Chen et al. 2019",
            Octave(32, 2, 1), Octave(64, 2, 2), Octave(128, 1, 2)),
    _stages("big_little_small", "Big-little", "Chen et al. 2019b",
            BigLittle(32, 1, 1), BigLittle(64, 1, 2), BigLittle(128, 1, 2)),
)
