# SPDX-License-Identifier: MIT
"""The MobileNets, and MobileNeXt."""

from __future__ import annotations

from dataclasses import replace

from tinyeff.zoo.architectures import Architecture
from tinyeff.zoo.blocks import (
    Bneck,
    Classes,
    Conv,
    Flatten,
    FusedInverted,
    Inverted,
    Pool,
    Row,
    Sandglass,
    Separable,
    Squeeze,
    UniversalInverted,
)
from tinyeff.zoo.blocks.attention import MobileAttention


def _v1(direct: bool) -> tuple[Row, ...]:
    """Howard et al. 2017, table 1, with or without anything between depthwise and 1x1."""
    return (
        Conv(32, 3, 2),
        #         c  n  s
        Separable(64, 1, 1, direct),
        Separable(128, 2, 2, direct),
        Separable(256, 2, 2, direct),
        Separable(512, 6, 2, direct),
        Separable(1024, 2, 2, direct),
        Pool(),
        Classes(),
    )


MOBILENET_V1 = Architecture("mobilenet_v1", "MobileNetV1", "Howard et al. 2017", _v1(False),
                            activation="relu6")

QUANTIZATION_FRIENDLY = Architecture(
    "mobilenet_v1_quant_friendly", "MobileNetV1", "Sheng et al. 2018", _v1(True))

MOBILENET_V2 = Architecture("mobilenet_v2", "MobileNetV2", "Sandler et al. 2018", (
    Conv(32, 3, 2),
    #        c  n  s  t
    Inverted(16, 1, 1, 1),
    Inverted(24, 2, 2, 6),
    Inverted(32, 3, 2, 6),
    Inverted(64, 4, 2, 6),
    Inverted(96, 3, 1, 6),
    Inverted(160, 3, 2, 6),
    Inverted(320, 1, 1, 6),
    Conv(1280, at_least=1),
    Pool(),
    Classes(),
), activation="relu6")

_SE = Squeeze(0.25, divisor=8, gate="hard_sigmoid")

MOBILENET_V3_SMALL = Architecture("mobilenet_v3_small", "MobileNetV3", "Howard et al. 2019", (
    Conv(16, 3, 2, at_least=1),
    #     c  n  s  k  exp
    Bneck(16, 1, 2, 3, 16, "relu", _SE),
    Bneck(24, 1, 2, 3, 72, "relu"),
    Bneck(24, 1, 1, 3, 88, "relu"),
    Bneck(40, 1, 2, 5, 96, None, _SE),
    Bneck(40, 2, 1, 5, 240, None, _SE),
    Bneck(48, 1, 1, 5, 120, None, _SE),
    Bneck(48, 1, 1, 5, 144, None, _SE),
    Bneck(96, 1, 2, 5, 288, None, _SE),
    Bneck(96, 2, 1, 5, 576, None, _SE),
    Conv(576),
    Pool(keep=True),
    Conv(1024, at_least=1, norm=False, bias=True),
    Flatten(),
    Classes(),
), activation="hard_silu")

MOBILENET_V3_LARGE = Architecture("mobilenet_v3_large", "MobileNetV3", "Howard et al. 2019", (
    Conv(16, 3, 2, at_least=1),
    #     c  n  s  k  exp
    Bneck(16, 1, 1, 3, 16, "relu"),
    Bneck(24, 1, 2, 3, 64, "relu"),
    Bneck(24, 1, 1, 3, 72, "relu"),
    Bneck(40, 1, 2, 5, 72, "relu", _SE),
    Bneck(40, 2, 1, 5, 120, "relu", _SE),
    Bneck(80, 1, 2, 3, 240),
    Bneck(80, 1, 1, 3, 200),
    Bneck(80, 2, 1, 3, 184),
    Bneck(112, 1, 1, 3, 480, None, _SE),
    Bneck(112, 1, 1, 3, 672, None, _SE),
    Bneck(160, 1, 2, 5, 672, None, _SE),
    Bneck(160, 2, 1, 5, 960, None, _SE),
    Conv(960),
    Pool(keep=True),
    Conv(1280, at_least=1, norm=False, bias=True),
    Flatten(),
    Classes(),
), activation="hard_silu")


def _minimalistic(full: Architecture) -> Architecture:
    """The variant without 5x5, squeeze and excite and hard-swish, for accelerators."""
    rows = tuple(replace(row, k=3, act=None, squeeze=None) if isinstance(row, Bneck) else row
                 for row in full.rows)
    return replace(full, name=f"{full.name}_minimalistic", rows=rows, activation="relu")


_V4_TOP: tuple[Row, ...] = (
    Conv(960), Pool(keep=True), Conv(1280, at_least=1), Flatten(), Classes())

MOBILENET_V4_CONV_SMALL = Architecture(
    "mobilenet_v4_conv_small", "MobileNetV4", "Qin et al. 2024", (
        Conv(32, 3, 2, at_least=1),
        Conv(32, 3, 2),
        Conv(32),
        Conv(96, 3, 2),
        Conv(64),
        #                 c  n  s  k1 k2 e
        UniversalInverted(96, 1, 2, 5, 5, 3),
        UniversalInverted(96, 4, 1, 0, 3, 2),
        UniversalInverted(96, 1, 1, 3, 0, 4),
        UniversalInverted(128, 1, 2, 3, 3, 6),
        UniversalInverted(128, 1, 1, 5, 5, 4),
        UniversalInverted(128, 1, 1, 0, 5, 4),
        UniversalInverted(128, 1, 1, 0, 5, 3),
        UniversalInverted(128, 2, 1, 0, 3, 4),
        *_V4_TOP,
    ))

MOBILENET_V4_CONV_MEDIUM = Architecture(
    "mobilenet_v4_conv_medium", "MobileNetV4", "Qin et al. 2024", (
        Conv(32, 3, 2),
        FusedInverted(48, 1, 2, 3, 4),
        #                 c  n  s  k1 k2 e
        UniversalInverted(80, 1, 2, 3, 5, 4),
        UniversalInverted(80, 1, 1, 3, 3, 2),
        UniversalInverted(160, 1, 2, 3, 5, 6),
        UniversalInverted(160, 2, 1, 3, 3, 4),
        UniversalInverted(160, 1, 1, 3, 5, 4),
        UniversalInverted(160, 1, 1, 3, 3, 4),
        UniversalInverted(160, 1, 1, 3, 0, 4),
        UniversalInverted(160, 1, 1, 0, 0, 2),
        UniversalInverted(160, 1, 1, 3, 0, 4),
        UniversalInverted(256, 1, 2, 5, 5, 6),
        UniversalInverted(256, 1, 1, 5, 5, 4),
        UniversalInverted(256, 2, 1, 3, 5, 4),
        UniversalInverted(256, 1, 1, 0, 0, 4),
        UniversalInverted(256, 1, 1, 3, 0, 4),
        UniversalInverted(256, 1, 1, 3, 5, 2),
        UniversalInverted(256, 1, 1, 5, 5, 4),
        UniversalInverted(256, 2, 1, 0, 0, 4),
        UniversalInverted(256, 1, 1, 5, 0, 2),
        *_V4_TOP,
    ), (256, 256, 3))

MOBILENET_V4_CONV_LARGE = Architecture(
    "mobilenet_v4_conv_large", "MobileNetV4", "Qin et al. 2024", (
        Conv(24, 3, 2),
        FusedInverted(48, 1, 2, 3, 4),
        #                 c  n  s  k1 k2 e
        UniversalInverted(96, 1, 2, 3, 5, 4),
        UniversalInverted(96, 1, 1, 3, 3, 4),
        UniversalInverted(192, 1, 2, 3, 5, 4),
        UniversalInverted(192, 3, 1, 3, 3, 4),
        UniversalInverted(192, 1, 1, 3, 5, 4),
        UniversalInverted(192, 5, 1, 5, 3, 4),
        UniversalInverted(192, 1, 1, 3, 0, 4),
        UniversalInverted(512, 1, 2, 5, 5, 4),
        UniversalInverted(512, 3, 1, 5, 5, 4),
        UniversalInverted(512, 1, 1, 5, 0, 4),
        UniversalInverted(512, 1, 1, 5, 3, 4),
        UniversalInverted(512, 2, 1, 5, 0, 4),
        UniversalInverted(512, 1, 1, 5, 3, 4),
        UniversalInverted(512, 1, 1, 5, 5, 4),
        UniversalInverted(512, 3, 1, 5, 0, 4),
        *_V4_TOP,
    ), (384, 384, 3))


def _hybrid_medium() -> tuple[Row, ...]:
    u, near, far = _scaled, MobileAttention(160, 1, 1, 4, 64, 2), MobileAttention(256, 1, 1, 4, 64)
    return (
        Conv(32, 3, 2),
        FusedInverted(48, 1, 2, 3, 4),
        # c  n  s  k1 k2 e
        u(80, 1, 2, 3, 5, 4),
        u(80, 1, 1, 3, 3, 2),
        u(160, 1, 2, 3, 5, 6), u(160, 1, 1, 0, 0, 2), u(160, 1, 1, 3, 3, 4), u(160, 1, 1, 3, 5, 4),
        near, u(160, 1, 1, 3, 3, 4),
        near, u(160, 1, 1, 3, 0, 4),
        near, u(160, 1, 1, 3, 3, 4),
        near, u(160, 1, 1, 3, 0, 4),
        u(256, 1, 2, 5, 5, 6), u(256, 1, 1, 5, 5, 4), u(256, 2, 1, 3, 5, 4), u(256, 1, 1, 0, 0, 2),
        u(256, 1, 1, 3, 5, 2), u(256, 1, 1, 0, 0, 2), u(256, 1, 1, 0, 0, 4),
        far, u(256, 1, 1, 3, 0, 4),
        far, u(256, 1, 1, 5, 5, 4),
        far, u(256, 1, 1, 5, 0, 4),
        far, u(256, 1, 1, 5, 0, 4),
        *_V4_TOP,
    )


def _hybrid_large() -> tuple[Row, ...]:
    u, near, far = _scaled, MobileAttention(192, 1, 1, 8, 48, 2), MobileAttention(512, 1, 1, 8, 64)
    return (
        Conv(24, 3, 2),
        FusedInverted(48, 1, 2, 3, 4),
        # c  n  s  k1 k2 e
        u(96, 1, 2, 3, 5, 4),
        u(96, 1, 1, 3, 3, 4),
        u(192, 1, 2, 3, 5, 4), u(192, 3, 1, 3, 3, 4), u(192, 1, 1, 3, 5, 4), u(192, 2, 1, 5, 3, 4),
        near, u(192, 1, 1, 5, 3, 4),
        near, u(192, 1, 1, 5, 3, 4),
        near, u(192, 1, 1, 5, 3, 4),
        near, u(192, 1, 1, 3, 0, 4),
        u(512, 4, 2, 5, 5, 4), u(512, 1, 1, 5, 0, 4), u(512, 1, 1, 5, 3, 4), u(512, 2, 1, 5, 0, 4),
        u(512, 1, 1, 5, 3, 4), u(512, 1, 1, 5, 5, 4),
        far, u(512, 1, 1, 5, 0, 4),
        far, u(512, 1, 1, 5, 0, 4),
        far, u(512, 1, 1, 5, 0, 4),
        far, u(512, 1, 1, 5, 0, 4),
        *_V4_TOP,
    )


def _scaled(c: int, n: int, s: int, k1: int, k2: int, e: float) -> UniversalInverted:
    return UniversalInverted(c, n, s, k1, k2, e, scaled=True)


def _mobilenext(name: str, identity: float = 1.0, plain: bool = False) -> Architecture:
    """Zhou et al. 2020, table 2; with `plain` every block is the one of the paper's text."""
    return Architecture(name, "MobileNeXt", "Zhou et al. 2020", (
        Conv(32, 3, 2),
        #         c  n  s  t
        Sandglass(96, 1, 2, 2, True, plain),
        Sandglass(144, 1, 1, 6, True, plain),
        Sandglass(192, 3, 2, 6, False, plain, identity),
        Sandglass(288, 3, 2, 6, False, plain, identity),
        Sandglass(384, 4, 1, 6, False, plain, identity),
        Sandglass(576, 4, 2, 6, False, plain, identity),
        Sandglass(960, 3, 1, 6, False, plain, identity),
        Sandglass(1280, 1, 1, 6, True, plain, at_least=1),
        Pool(),
        Classes(),
    ), activation="relu6")


ARCHITECTURES = (
    MOBILENET_V1,
    QUANTIZATION_FRIENDLY,
    MOBILENET_V2,
    MOBILENET_V3_SMALL,
    MOBILENET_V3_LARGE,
    _minimalistic(MOBILENET_V3_SMALL),
    _minimalistic(MOBILENET_V3_LARGE),
    MOBILENET_V4_CONV_SMALL,
    MOBILENET_V4_CONV_MEDIUM,
    MOBILENET_V4_CONV_LARGE,
    Architecture("mobilenet_v4_hybrid_medium", "MobileNetV4", "Qin et al. 2024", _hybrid_medium(),
                 (256, 256, 3)),
    Architecture("mobilenet_v4_hybrid_large", "MobileNetV4", "Qin et al. 2024", _hybrid_large(),
                 (384, 384, 3), activation="gelu"),
    _mobilenext("mobilenext"),
    _mobilenext("mobilenext_identity_1_2", 1 / 2),
    _mobilenext("mobilenext_identity_1_3", 1 / 3),
    _mobilenext("mobilenext_identity_1_6", 1 / 6),
    _mobilenext("mobilenext_plain", plain=True),
)
