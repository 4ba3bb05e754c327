# SPDX-License-Identifier: MIT
"""SqueezeNet, the ShuffleNets and GhostNet."""

from __future__ import annotations

from tinyeff.zoo.architectures import Architecture
from tinyeff.zoo.blocks import (
    Classes,
    Conv,
    ConvClasses,
    Fire,
    Flatten,
    Ghost,
    MaxPool,
    Pool,
    ShuffleV1,
    ShuffleV2,
    Squeeze,
)

SQUEEZENET_1_0 = Architecture("squeezenet_1_0", "SqueezeNet", "Iandola et al. 2016", (
    Conv(96, 7, 2, norm=False, bias=True, padding="valid"),
    MaxPool(ceil=True),
    #    s1  e1   e3
    Fire(16, 64, 64),
    Fire(16, 64, 64),
    Fire(32, 128, 128),
    MaxPool(ceil=True),
    Fire(32, 128, 128),
    Fire(48, 192, 192),
    Fire(48, 192, 192),
    Fire(64, 256, 256),
    MaxPool(ceil=True),
    Fire(64, 256, 256),
    ConvClasses(),
    Pool(),
))

SQUEEZENET_1_1 = Architecture("squeezenet_1_1", "SqueezeNet", "Iandola et al. 2016", (
    Conv(64, 3, 2, norm=False, bias=True, padding="valid"),
    MaxPool(ceil=True),
    #    s1  e1   e3
    Fire(16, 64, 64),
    Fire(16, 64, 64),
    MaxPool(ceil=True),
    Fire(32, 128, 128),
    Fire(32, 128, 128),
    MaxPool(ceil=True),
    Fire(48, 192, 192),
    Fire(48, 192, 192),
    Fire(64, 256, 256),
    Fire(64, 256, 256),
    ConvClasses(),
    Pool(),
))


def _shufflenet_v1(scale: str, g: int, stem: int, c: int) -> Architecture:
    """Zhang et al. 2018, table 1: `c` channels in stage 2, twice and four times as many after."""
    return Architecture(f"shufflenet_v1_{scale}_g{g}", "ShuffleNetV1", "Zhang et al. 2018", (
        Conv(stem, 3, 2),
        MaxPool(),
        #         c  n  s  g
        ShuffleV1(c, 4, 2, g, first=True),
        ShuffleV1(2 * c, 8, 2, g),
        ShuffleV1(4 * c, 4, 2, g),
        Pool(),
        Classes(bias=False),
    ), divisor=g)


def _shufflenet_v2(scale: str, c: int, last: int = 1024) -> Architecture:
    """Ma et al. 2018, table 5: `c` channels in stage 2, twice and four times as many after."""
    return Architecture(f"shufflenet_v2_{scale}", "ShuffleNetV2", "Ma et al. 2018", (
        Conv(24, 3, 2),
        MaxPool(),
        #         c  n  s
        ShuffleV2(c, 4, 2),
        ShuffleV2(2 * c, 8, 2),
        ShuffleV2(4 * c, 4, 2),
        Conv(last),
        Pool(),
        Classes(bias=False),
    ))


_SE = Squeeze(0.25, divisor=4, gate="hard_sigmoid")

GHOSTNET = Architecture("ghostnet", "GhostNet", "Han et al. 2020", (
    Conv(16, 3, 2),
    #     c  n  s  k  exp
    Ghost(16, 1, 1, 3, 16),
    Ghost(24, 1, 2, 3, 48),
    Ghost(24, 1, 1, 3, 72),
    Ghost(40, 1, 2, 5, 72, _SE),
    Ghost(40, 1, 1, 5, 120, _SE),
    Ghost(80, 1, 2, 3, 240),
    Ghost(80, 1, 1, 3, 200),
    Ghost(80, 2, 1, 3, 184),
    Ghost(112, 1, 1, 3, 480, _SE),
    Ghost(112, 1, 1, 3, 672, _SE),
    Ghost(160, 1, 2, 5, 672, _SE),
    Ghost(160, 1, 1, 5, 960),
    Ghost(160, 1, 1, 5, 960, _SE),
    Ghost(160, 1, 1, 5, 960),
    Ghost(160, 1, 1, 5, 960, _SE),
    Conv(960),
    Pool(keep=True),
    Conv(1280, fixed=True, norm=False, bias=True),
    Flatten(),
    Classes(),
), divisor=4)

ARCHITECTURES = (
    SQUEEZENET_1_0,
    SQUEEZENET_1_1,
    *(_shufflenet_v1(scale, g, stem, c) for g, rows in (
        (3, (("0.5", 12, 120), ("1.0", 24, 240), ("1.5", 24, 360), ("2.0", 48, 480))),
        (8, (("0.5", 16, 192), ("1.0", 24, 384), ("1.5", 24, 576), ("2.0", 48, 768))),
    ) for scale, stem, c in rows),
    _shufflenet_v2("0.5", 48),
    _shufflenet_v2("1.0", 116),
    _shufflenet_v2("1.5", 176),
    _shufflenet_v2("2.0", 244, 2048),
    GHOSTNET,
)
