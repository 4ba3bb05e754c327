# SPDX-License-Identifier: MIT
"""ResNet in its versions, and what grew from it: ResNeXt, wide, RegNet, DenseNet, Xception, CSP."""

from __future__ import annotations

from tinyeff.zoo.architectures import Architecture
from tinyeff.zoo.blocks import Classes, Conv, Pool, Row, Separable, Squeeze
from tinyeff.zoo.blocks.joined import Act, Chain, Norm, Pooling, Repeat, Sum
from tinyeff.zoo.blocks.nasnet import NasNet, PNasNet
from tinyeff.zoo.blocks.residual import (
    Basic,
    Bottleneck,
    CrossStage,
    DenseBlock,
    OrderedBasic,
    PreActivated,
    Separated,
    Transition,
)

RESNET, PREACTIVATED, XIE = "He et al. 2016", "He et al. 2016b", "Xie et al. 2017"
CIFAR = (32, 32, 3)
_STEM: tuple[Row, ...] = (Conv(64, 3 + 4, 2), Pooling("max"))
_STRIDES = (1, 2, 2, 2)
Depths = tuple[int, int, int, int]
_D50, _D101 = (3, 4, 6, 3), (3, 4, 23, 3)


def _basic(name: str, depths: Depths) -> Architecture:
    return Architecture(name, "ResNet", RESNET, (
        *_STEM,
        *(Basic(64 << i, n, s) for i, (n, s) in enumerate(zip(depths, _STRIDES, strict=True))),
        Pool(),
        Classes(),
    ))


def _bottleneck(
    name: str, depths: Depths, groups: int = 1, width: int = 64, family: str = "ResNet",
    source: str = RESNET, squeeze: Squeeze | None = None, early: bool = False, bias: bool = False,
) -> Architecture:
    """Stages of bottlenecks, `width` channels per group in the 3x3 of the first stage."""
    stem = (Conv(64, 7, 2, bias=bias), Pooling("max"))
    return Architecture(name, family, source, (
        *stem,
        *(Bottleneck(256 << i, n, s, groups * width << i, groups, squeeze, early, bias)
          for i, (n, s) in enumerate(zip(depths, _STRIDES, strict=True))),
        Pool(),
        Classes(),
    ))


def _resnext(depth: int, depths: Depths, groups: int, width: int) -> Architecture:
    """Table 2 and 3 of the paper; one group is the ResNet of the same depth, or a wide one."""
    return _bottleneck(f"resnext_{depth}_{groups}x{width}d", depths, groups, width, "ResNeXt", XIE)


_RESNEXT = (
    *(_resnext(50, _D50, g, d) for g, d in ((2, 40), (4, 24), (8, 14), (32, 4))),
    *(_resnext(101, _D101, g, d)
      for g, d in ((2, 40), (4, 24), (8, 14), (32, 4), (1, 100), (2, 64), (64, 4))),
)


def _preactivated(name: str, depths: Depths) -> Architecture:
    return Architecture(name, "ResNetV2", PREACTIVATED, (
        Conv(64, 7, 2, "none", norm=False),
        Pooling("max"),
        *(PreActivated(256 << i, n, s)
          for i, (n, s) in enumerate(zip(depths, _STRIDES, strict=True))),
        Norm("relu"),
        Pool(),
        Classes(),
    ))


RESNET_50_V2_KERAS = Architecture("resnet_50_v2_keras", "ResNetV2", PREACTIVATED, (
    # As Keras has it: strides at the ends of stages, the last stage without one.
    Conv(64, 7, 2, "none", norm=False, bias=True),
    Pooling("max"),
    *(PreActivated(256 << i, n, s, late=True)
      for i, (n, s) in enumerate(zip(_D50, (2, 2, 2, 1), strict=True))),
    Norm("relu"),
    Pool(),
    Classes(),
))


def _cifar_preactivated(n: int) -> Architecture:
    """9n + 2 layers: three stages of n bottlenecks."""
    return Architecture(f"cifar_resnet_v2_{9 * n + 2}", "CIFAR ResNet", PREACTIVATED, (
        Conv(16, 3),
        *(PreActivated(64 << i, n, s, early=True, ready=i == 0)
          for i, s in enumerate((1, 2, 2))),
        Norm("relu"),
        Pool(),
        Classes(),
    ), CIFAR, 10)


def _ordered(name: str, order: str, shortcut: str = "identity", n: int = 9) -> Architecture:
    """The comparison of He et al. 2016b: one order of layers, one kind of shortcut."""
    before = order in ("full", "act only before")
    return Architecture(f"cifar_resnet_{name}", "CIFAR ResNet", PREACTIVATED, (
        Conv(16, 3, act="none" if before else None, norm=order != "full"),
        *(OrderedBasic(16 << i, n, s, order, shortcut) for i, s in enumerate((1, 2, 2))),
        *((Norm("relu"),) if order == "full" else (Act("relu"),) if before else ()),
        Pool(),
        Classes(),
    ), CIFAR, 10)


_ORDERED = (
    *(_ordered(name, order) for name, order in (
        ("norm_after_sum", "norm after sum"), ("act_before_sum", "act before sum"),
        ("act_only_before", "act only before"), ("preactivated", "full"))),
    *(_ordered(f"shortcut_{name}", "original", name)
      for name in ("scaled", "gated", "projection", "dropout")),
)

REGNET_X = Architecture("regnetx_3_2gf", "RegNet", "Radosavovic et al. 2020", (
    Conv(32, 3, 2),
    # Groups of 48 channels.
    *(Bottleneck(c, n, 2, c, per_group=48)
      for c, n in ((96, 2), (192, 6), (432, 15), (1008, 2))),
    Pool(),
    Classes(),
))


def _densenet(name: str, depths: Depths, growth: int = 32) -> Architecture:
    """Huang et al. 2017, table 1."""
    first, *others = depths
    return Architecture(name, "DenseNet", "Huang et al. 2017", (
        Conv(2 * growth, 7, 2),
        Pooling("max"),
        DenseBlock(first, growth),
        *(row for n in others for row in (Transition(), DenseBlock(n, growth))),
        Norm("relu"),
        Pool(),
        Classes(),
    ))


def _entry(c: int, act: bool = True) -> Sum:
    """A block of Xception's entry flow: two separable convolutions and a pooling."""
    first: tuple[Row, ...] = (Act(),) if act else ()
    return Sum(((*first, Separated(c, "relu"), Separated(c), Pooling("max")),
                (Conv(c, 1, 2, "none"),)), "none")


_MIDDLE = Sum(((Act(), Separated(728, "relu"), Separated(728, "relu"), Separated(728)), ()), "none")

XCEPTION = Architecture("xception", "Xception", "Chollet 2017, figure 5", (
    Conv(32, 3, 2, padding="valid"),
    Conv(64, 3, padding="valid"),
    _entry(128, act=False),
    _entry(256),
    _entry(728),
    Repeat((_MIDDLE,), 8),
    Sum(((Act(), Separated(728, "relu"), Separated(1024), Pooling("max")),
         (Conv(1024, 1, 2, "none"),)), "none"),
    Separated(1536, "relu"),
    Separated(2048, "relu"),
    Pool(),
    Classes(),
), (299, 299, 3))



def _aligned(first: int, second: int, third: int, s: int = 1) -> Sum:
    """A block of aligned Xception: normalization behind each depthwise, no pooling but strides."""
    shortcut: Chain = (Conv(third, 1, s, "none"),) if s > 1 else ()
    return Sum(((Act(), Separated(first, between=True), Act(), Separated(second, between=True),
                 Act(), Separated(third, "none", s, between=True)), shortcut), "none")


XCEPTION_41 = Architecture("xception_41", "Xception", "Chen et al. 2018, figure 4", (
    Conv(32, 3, 2),
    Conv(64, 3),
    *(_aligned(c, c, c, 2) for c in (128, 256, 728)),
    Repeat((_aligned(728, 728, 728),), 8),
    _aligned(728, 1024, 1024, 2),
    Separable(1536, 2),
    Separable(2048),
    Pool(),
    Classes(),
), (299, 299, 3))

NASNET_MOBILE = Architecture("nasnet_mobile", "NASNet", "Zoph et al. 2018", (
    NasNet(44, 4, 32),
    Pool(),
    Classes(),
))

NASNET_LARGE = Architecture("nasnet_large", "NASNet", "Zoph et al. 2018", (
    NasNet(168, 6, 96),
    Pool(),
    Classes(),
), (331, 331, 3))


PNASNET_5_LARGE = Architecture("pnasnet_5_large", "PNASNet", "Liu et al. 2018", (
    PNasNet(216, 3, 96),
    Pool(),
    Classes(),
), (331, 331, 3))


def _csp(name: str, stages: tuple[CrossStage, ...]) -> Architecture:
    return Architecture(name, "CSPNet", "Wang et al. 2020", (
        Conv(64, 7, 2),
        Pooling("max"),
        *stages,
        Pool(),
        Classes(),
    ), (256, 256, 3), activation="leaky_relu")


def _cspresnet(name: str, fusion: str = "both") -> Architecture:
    """Wang et al. 2020: ResNet-50's stages, half of whose channels pass."""
    return _csp(name, tuple(
        CrossStage(128 << i, n, s, linear=True, fusion=fusion)
        for i, (n, s) in enumerate(zip((3, 3, 5, 2), _STRIDES, strict=True))))


CSPRESNEXT = _csp("cspresnext_50", tuple(
    CrossStage(256 << i, n, s, 1.0, 1.0, 0.5, 32, linear=True)
    for i, (n, s) in enumerate(zip((3, 3, 5, 2), _STRIDES, strict=True))))


def _dark(c: int, n: int, expand: float = 1.0, mid: float = 1.0, inner: float = 0.5) -> CrossStage:
    return CrossStage(c, n, 2, expand, mid, inner, grow=True, bottleneck=False)


CSPDARKNET = Architecture("cspdarknet53", "CSPNet", "Wang et al. 2020", (
    Conv(32, 3),
    _dark(64, 1, 2.0, 0.5, 1.0),
    _dark(128, 2),
    _dark(256, 8),
    _dark(512, 8),
    _dark(1024, 4),
    Pool(),
    Classes(),
), (256, 256, 3), activation="leaky_relu")

ARCHITECTURES = (
    _basic("resnet_18", (2, 2, 2, 2)),
    _basic("resnet_34", _D50),
    _bottleneck("resnet_50", _D50),
    _bottleneck("resnet_50_v1", _D50, early=True, bias=True),
    _bottleneck("resnet_101", _D101),
    _bottleneck("resnet_152", (3, 8, 36, 3)),
    _bottleneck("resnet_200", (3, 24, 36, 3)),
    _bottleneck("wide_resnet_50_2", _D50, 1, 128, "ResNet", "Zagoruyko and Komodakis 2016"),
    _bottleneck("se_resnet_50", _D50, 1, 64, "ResNet", "Hu et al. 2018", Squeeze(1 / 16)),
    *_RESNEXT,
    _preactivated("resnet_50_v2", _D50),
    RESNET_50_V2_KERAS,
    _cifar_preactivated(18),
    _cifar_preactivated(111),
    *_ORDERED,
    REGNET_X,
    _densenet("densenet_121", (6, 12, 24, 16)),
    XCEPTION,
    XCEPTION_41,
    NASNET_MOBILE,
    NASNET_LARGE,
    PNASNET_5_LARGE,
    _cspresnet("cspresnet_50"),
    _cspresnet("cspresnet_50_fusion_first", "first"),
    _cspresnet("cspresnet_50_fusion_last", "last"),
    CSPRESNEXT,
    CSPDARKNET,
)
