# SPDX-License-Identifier: MIT
"""GoogLeNet and the Inceptions: branches side by side."""

from __future__ import annotations

from tinyeff.zoo.architectures import Architecture
from tinyeff.zoo.blocks import Classes, Conv, Dropout, Pool, Row
from tinyeff.zoo.blocks.joined import Branches, Pooling, Repeat, ScaledResidual
from tinyeff.zoo.layers import Pair

MAX = Pooling("max", 3, 2, "valid")
AVERAGE = Pooling("average", 3, 1)


def _v(c: int, k: int | Pair, s: int = 1) -> Conv:
    return Conv(c, k, s, padding="valid")


# GoogLeNet (Szegedy et al. 2015, table 1) ------------------------------------------------------


def _plain(c: int, k: int = 1, s: int = 1) -> Conv:
    return Conv(c, k, s, norm=False, bias=True)


def _module(a: int, b1: int, b3: int, c1: int, c5: int, pool: int) -> Branches:
    """The columns of the table: #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool projection."""
    return Branches((
        (_plain(a),),
        (_plain(b1), _plain(b3, 3)),
        (_plain(c1), _plain(c5, 5)),
        (Pooling("max", 3, 1), _plain(pool)),
    ))


GOOGLENET = Architecture("googlenet", "GoogLeNet", "Szegedy et al. 2015", (
    _plain(64, 7, 2),
    Pooling("max"),
    _plain(64),
    _plain(192, 3),
    Pooling("max"),
    _module(64, 96, 128, 16, 32, 32),
    _module(128, 128, 192, 32, 96, 64),
    Pooling("max"),
    _module(192, 96, 208, 16, 48, 64),
    _module(160, 112, 224, 24, 64, 64),
    _module(128, 128, 256, 24, 64, 64),
    _module(112, 144, 288, 32, 64, 64),
    _module(256, 160, 320, 32, 128, 128),
    Pooling("max"),
    _module(256, 160, 320, 32, 128, 128),
    _module(384, 192, 384, 48, 128, 128),
    Pool(),
    Dropout(0.4),
    Classes(),
))

# Inception v2 (Ioffe and Szegedy 2015): batch normalization, 5x5 as two 3x3 ---------------------


def _normed(a: int, b1: int, b3: int, c1: int, c3: int, what: str, pool: int) -> Branches:
    chains: list[tuple[Row, ...]] = [(Conv(a),)] if a else []
    s = 1 if a else 2
    chains += [(Conv(b1), Conv(b3, 3, s)), (Conv(c1), Conv(c3, 3), Conv(c3, 3, s))]
    chains.append((Pooling(what, 3, s), *((Conv(pool),) if pool else ())))
    return Branches(tuple(chains))


INCEPTION_V2 = Architecture("inception_v2", "Inception", "Ioffe and Szegedy 2015, figure 5", (
    Conv(64, 7, 2),
    Pooling("max"),
    Conv(64),
    Conv(192, 3),
    Pooling("max"),
    _normed(64, 64, 64, 64, 96, "average", 32),
    _normed(64, 64, 96, 64, 96, "average", 64),
    _normed(0, 128, 160, 64, 96, "max", 0),
    _normed(224, 64, 96, 96, 128, "average", 128),
    _normed(192, 96, 128, 96, 128, "average", 128),
    _normed(160, 128, 160, 128, 160, "average", 96),
    _normed(96, 128, 192, 160, 192, "average", 96),
    _normed(0, 128, 192, 192, 256, "max", 0),
    _normed(352, 192, 320, 160, 224, "average", 128),
    _normed(352, 192, 320, 192, 224, "max", 128),
    Pool(),
    Classes(),
))

# Inception v3 (Szegedy et al. 2016): 7x7 as 1x7 and 7x1 -----------------------------------------

_STEM_V3 = (_v(32, 3, 2), _v(32, 3), Conv(64, 3), MAX, _v(80, 1), _v(192, 3), MAX)


def _v3_a(pool: int) -> Branches:
    return Branches((
        (Conv(64),),
        (Conv(48), Conv(64, 5)),
        (Conv(64), Conv(96, 3), Conv(96, 3)),
        (AVERAGE, Conv(pool)),
    ))


def _v3_b(c: int) -> Branches:
    return Branches((
        (Conv(192),),
        (Conv(c), Conv(c, (1, 7)), Conv(192, (7, 1))),
        (Conv(c), Conv(c, (7, 1)), Conv(c, (1, 7)), Conv(c, (7, 1)), Conv(192, (1, 7))),
        (AVERAGE, Conv(192)),
    ))


def _both(c: int) -> Branches:
    """1x3 beside 3x1."""
    return Branches(((Conv(c, (1, 3)),), (Conv(c, (3, 1)),)))


_V3_C = Branches((
    (Conv(320),),
    (Conv(384), _both(384)),
    (Conv(448), Conv(384, 3), _both(384)),
    (AVERAGE, Conv(192)),
))

INCEPTION_V3 = Architecture("inception_v3", "Inception", "Szegedy et al. 2016", (
    *_STEM_V3,
    _v3_a(32), _v3_a(64), _v3_a(64),
    Branches(((_v(384, 3, 2),), (Conv(64), Conv(96, 3), _v(96, 3, 2)), (MAX,))),
    _v3_b(128), _v3_b(160), _v3_b(160), _v3_b(192),
    Branches((
        (Conv(192), _v(320, 3, 2)),
        (Conv(192), Conv(192, (1, 7)), Conv(192, (7, 1)), _v(192, 3, 2)),
        (MAX,),
    )),
    _V3_C, _V3_C,
    Pool(),
    Classes(),
), (299, 299, 3))

# Inception v4 and Inception-ResNet v2 (Szegedy et al. 2017) -------------------------------------

_V4_A = Branches((
    (Conv(96),),
    (Conv(64), Conv(96, 3)),
    (Conv(64), Conv(96, 3), Conv(96, 3)),
    (AVERAGE, Conv(96)),
))
_V4_B = Branches((
    (Conv(384),),
    (Conv(192), Conv(224, (1, 7)), Conv(256, (7, 1))),
    (Conv(192), Conv(192, (7, 1)), Conv(224, (1, 7)), Conv(224, (7, 1)), Conv(256, (1, 7))),
    (AVERAGE, Conv(128)),
))
_V4_C = Branches((
    (Conv(256),),
    (Conv(384), _both(256)),
    (Conv(384), Conv(448, (3, 1)), Conv(512, (1, 3)), _both(256)),
    (AVERAGE, Conv(256)),
))

INCEPTION_V4 = Architecture("inception_v4", "Inception", "Szegedy et al. 2017", (
    _v(32, 3, 2), _v(32, 3), Conv(64, 3),
    Branches(((MAX,), (_v(96, 3, 2),))),
    Branches(((Conv(64), _v(96, 3)), (Conv(64), Conv(64, (1, 7)), Conv(64, (7, 1)), _v(96, 3)))),
    Branches(((_v(192, 3, 2),), (MAX,))),
    Repeat((_V4_A,), 4),
    Branches(((_v(384, 3, 2),), (Conv(192), Conv(224, 3), _v(256, 3, 2)), (MAX,))),
    Repeat((_V4_B,), 7),
    Branches((
        (Conv(192), _v(192, 3, 2)),
        (Conv(256), Conv(256, (1, 7)), Conv(320, (7, 1)), _v(320, 3, 2)),
        (MAX,),
    )),
    Repeat((_V4_C,), 3),
    Pool(),
    Classes(),
), (299, 299, 3))


_ROWS_8 = ((Conv(192),), (Conv(192), Conv(224, (1, 3)), Conv(256, (3, 1))))

INCEPTION_RESNET_V2 = Architecture("inception_resnet_v2", "Inception", "Szegedy et al. 2017", (
    *_STEM_V3,
    Branches((
        (Conv(96),),
        (Conv(48), Conv(64, 5)),
        (Conv(64), Conv(96, 3), Conv(96, 3)),
        (AVERAGE, Conv(64)),
    )),
    Repeat((ScaledResidual((
        (Conv(32),),
        (Conv(32), Conv(32, 3)),
        (Conv(32), Conv(48, 3), Conv(64, 3)),
    ), 0.17),), 10),
    Branches(((_v(384, 3, 2),), (Conv(256), Conv(256, 3), _v(384, 3, 2)), (MAX,))),
    Repeat((ScaledResidual((
        (Conv(192),),
        (Conv(128), Conv(160, (1, 7)), Conv(192, (7, 1))),
    ), 0.1),), 20),
    Branches((
        (Conv(256), _v(384, 3, 2)),
        (Conv(256), _v(288, 3, 2)),
        (Conv(256), Conv(288, 3), _v(320, 3, 2)),
        (MAX,),
    )),
    Repeat((ScaledResidual(_ROWS_8, 0.2),), 9),
    ScaledResidual(_ROWS_8, 1.0, "none"),
    Conv(1536),
    Pool(),
    Classes(),
), (299, 299, 3))

ARCHITECTURES = (GOOGLENET, INCEPTION_V2, INCEPTION_V3, INCEPTION_V4, INCEPTION_RESNET_V2)
