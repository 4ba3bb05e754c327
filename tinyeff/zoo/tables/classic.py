# SPDX-License-Identifier: MIT
"""The networks before residuals: AlexNet, VGG, NIN; the fully convolutional MobileNet."""

from __future__ import annotations

from tinyeff.zoo.architectures import Architecture
from tinyeff.zoo.blocks import Classes, Conv, ConvClasses, Dropout, Flatten, Full, Pool, Row
from tinyeff.zoo.blocks.joined import Grouped, Pooling, ResponseNorm

VGG, CIFAR = "Simonyan and Zisserman 2015", (32, 32, 3)
_SMALLER = Pooling("max", 3, 2, "valid")
_HALF = Pooling("max", 2, 2, "valid")


def _alexnet(name: str, groups: int) -> Architecture:
    """Krizhevsky et al. 2012; two groups are the two halves of the network on two GPUs."""
    return Architecture(name, "AlexNet", "Krizhevsky et al. 2012", (
        Conv(96, 11, 4, norm=False, bias=True, padding="valid"),
        ResponseNorm(),
        _SMALLER,
        Grouped(256, 5, 1, groups, norm=False, bias=True),
        ResponseNorm(),
        _SMALLER,
        Conv(384, 3, norm=False, bias=True),
        Grouped(384, 3, 1, groups, norm=False, bias=True),
        Grouped(256, 3, 1, groups, norm=False, bias=True),
        _SMALLER,
        Full(4096),
        Dropout(0.5),
        Full(4096),
        Dropout(0.5),
        Classes(),
    ), (227, 227, 3))


def _vgg(depths: tuple[int, ...], norm: bool = False) -> tuple[Row, ...]:
    """Stages of 3x3 convolutions, each halved at its end."""
    rows: list[Row] = []
    for n, c in zip(depths, (64, 128, 256, 512, 512), strict=True):
        rows += [Conv(c, 3, norm=norm, bias=not norm)] * n + [_HALF]
    return tuple(rows)


_VGG_16, _VGG_19 = (2, 2, 3, 3, 3), (2, 2, 4, 4, 4)
_TOP = (Full(4096), Dropout(0.5), Full(4096), Dropout(0.5), Classes())


def _mlpconv(k: int, c1: int, c2: int, c3: int) -> tuple[Row, ...]:
    """A convolution and the small network of 1x1 convolutions behind it."""
    return tuple(Conv(c, size, norm=False, bias=True)
                 for c, size in ((c1, k), (c2, 1), (c3, 1)))


NIN = Architecture("nin_cifar", "NIN", "Lin et al. 2014", (
    *_mlpconv(5, 192, 160, 96),
    Pooling("max", 3, 2),
    Dropout(0.5),
    *_mlpconv(5, 192, 192, 192),
    Pooling("average", 3, 2),
    Dropout(0.5),
    *_mlpconv(3, 192, 192, 192)[:2],
    ConvClasses(),
    Pool(),
), CIFAR, 10)

CONV_MOBILENET = Architecture("conv_mobilenet", "MobileNetV1", "Howard et al. 2017, table 4", (
    Conv(32, 3, 2),
    Conv(64, 3),
    Conv(128, 3, 2), Conv(128, 3),
    Conv(256, 3, 2), Conv(256, 3),
    Conv(512, 3, 2), *[Conv(512, 3)] * 5,
    Conv(1024, 3, 2), Conv(1024, 3),
    Pool(),
    Classes(),
))

ARCHITECTURES = (
    _alexnet("alexnet", 2),
    _alexnet("alexnet_one_group", 1),
    Architecture("vgg16", "VGG", VGG, (*_vgg(_VGG_16), *_TOP)),
    Architecture("vgg19", "VGG", VGG, (*_vgg(_VGG_19), *_TOP)),
    Architecture("vgg16_cifar", "VGG", VGG, (*_vgg(_VGG_16, True), Flatten(), Classes()),
                 CIFAR, 10),
    Architecture("vgg16_cifar_fc512", "VGG", VGG, (
        *_vgg(_VGG_16, True), Full(512, norm=True), Classes()), CIFAR, 10),
    NIN,
    CONV_MOBILENET,
)
