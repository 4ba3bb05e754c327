# SPDX-License-Identifier: MIT
"""Networks that may stop early: a head after each part, for --early-exit."""

from __future__ import annotations

from tinyeff.zoo.architectures import Architecture
from tinyeff.zoo.blocks import Conv, Residual
from tinyeff.zoo.blocks.exits import Head, MultiScale, Scales

ARCHITECTURES = (
    Architecture("branchy_resnet_8", "BranchyNet", "Teerapittayanon et al. 2016, on ResNet-8", (
        Conv(16, 3, bias=True),
        Residual(16, 1, 1, project=True, bias=True),
        Head(),
        Residual(32, 1, 2, project=True, bias=True),
        Head(),
        Residual(64, 1, 2, project=True, bias=True),
        Head(),
    ), (32, 32, 3), 10),
    Architecture("msdnet_small", "MSDNet", "Huang et al. 2018, with 3 scales and 7 layers", (
        Scales(8, 3),
        MultiScale(8, 2),
        Head(32),
        MultiScale(8, 2),
        Head(32),
        MultiScale(8, 1, 1),
        MultiScale(8, 1, 2),
        Head(32),
    ), (32, 32, 3), 10),
)
