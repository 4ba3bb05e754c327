# SPDX-License-Identifier: MIT
"""Segmentation and detection: U-Net, PSPNet, feature pyramids, SSDLite, YOLO heads."""

from __future__ import annotations

from tinyeff.zoo.architectures import Architecture
from tinyeff.zoo.blocks import Conv, Inverted, Row, Separable
from tinyeff.zoo.blocks.branched import DilatedRepVGG, RepVGG
from tinyeff.zoo.blocks.dense import (
    BoxHeads,
    Extra,
    GridHeads,
    PixelClasses,
    Pyramid,
    PyramidPooling,
    Tap,
    UNet,
)
from tinyeff.zoo.blocks.residual import Basic

_MOBILENET_V2: tuple[Row, ...] = (
    Conv(32, 3, 2),
    #        c  n  s  t
    Inverted(16, 1, 1, 1),
    Inverted(24, 2, 2, 6),
    Inverted(32, 3, 2, 6),
    Tap(),
    Inverted(64, 4, 2, 6),
    Inverted(96, 3, 1, 6),
    Tap(),
    Inverted(160, 3, 2, 6),
    Inverted(320, 1, 1, 6),
    Tap(),
)

ARCHITECTURES = (
    Architecture("unet", "U-Net", "Ronneberger et al. 2015", (
        UNet(64, 4, "valid"), PixelClasses()), (572, 572, 1), 2),
    Architecture("unet_same", "U-Net", "Ronneberger et al. 2015, padded", (
        UNet(64, 4), PixelClasses()), (512, 512, 3), 2),
    Architecture("pspnet_repvgg_a0", "PSPNet", "Ding et al. 2021, table 8", (
        RepVGG(48, 1, 2),
        RepVGG(48, 2, 2),
        RepVGG(96, 4, 2),
        # The last stages keep their size; their windows grow instead.
        DilatedRepVGG(192, 14, 2),
        DilatedRepVGG(1280, 1, 4),
        PyramidPooling(512),
        PixelClasses(8),
    ), (192, 192, 3), 19),
    Architecture("fpn_resnet_18", "FPN", "Lin et al. 2017b", (
        Conv(64, 7, 2),
        Basic(64, 2, 2),
        Tap(),
        Basic(128, 2, 2),
        Tap(),
        Basic(256, 2, 2),
        Tap(),
        Basic(512, 2, 2),
        Tap(),
        Pyramid(256),
        GridHeads(3),
    ), (256, 256, 3), 20),
    Architecture("ssdlite_mobilenet_v2", "SSDLite", "Sandler et al. 2018, section 6.2", (
        *(row for row in _MOBILENET_V2[:5] if not isinstance(row, Tap)),
        *_MOBILENET_V2[5:],
        Extra(512),
        Extra(256),
        Extra(256),
        BoxHeads(6),
    ), (320, 320, 3), 21, activation="relu6"),
    Architecture("yolo_mobilenet_v2", "YOLO", "Redmon and Farhadi 2018 (heads)", (
        *_MOBILENET_V2,
        Pyramid(64),
        GridHeads(3),
    ), (256, 256, 3), 20, activation="relu6"),
    Architecture("yolo_mobilenet_v1", "YOLO", "Redmon and Farhadi 2018 (heads)", (
        Conv(32, 3, 2),
        Separable(64, 1, 1),
        Separable(128, 2, 2),
        Separable(256, 2, 2),
        Tap(),
        Separable(512, 6, 2),
        Tap(),
        Separable(1024, 2, 2),
        Tap(),
        Pyramid(64),
        GridHeads(3),
    ), (256, 256, 3), 20, activation="relu6"),
)
