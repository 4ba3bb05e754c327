# SPDX-License-Identifier: MIT
"""Known networks with overparameterized convolutions; deployed they are the known networks."""

from __future__ import annotations

from tinyeff.zoo.architectures import Architecture
from tinyeff.zoo.blocks import Classes, Conv, Pool
from tinyeff.zoo.blocks.diverse import KINDS, OverBasic, OverConv, OverSeparable
from tinyeff.zoo.blocks.joined import Pooling

SOURCES = {"asymmetric": ("ACNet", "Ding et al. 2019", "acnet"),
           "diverse": ("DBBNet", "Ding et al. 2021b", "dbb"),
           "expanded": ("ExpandNet", "Guo et al. 2020", "expandnet")}


def _mobilenet_v1(what: str) -> Architecture:
    family, source, prefix = SOURCES[what]
    return Architecture(f"{prefix}_mobilenet_v1", family, source, (
        OverConv(what, 32, 3, 2),
        OverSeparable(64, 1, 1, what),
        OverSeparable(128, 2, 2, what),
        OverSeparable(256, 2, 2, what),
        OverSeparable(512, 6, 2, what),
        OverSeparable(1024, 2, 2, what),
        Pool(),
        Classes(),
    ))


def _resnet_18(what: str) -> Architecture:
    family, source, prefix = SOURCES[what]
    return Architecture(f"{prefix}_resnet_18", family, source, (
        Conv(64, 7, 2),
        Pooling("max"),
        *(OverBasic(64 << i, 2, 1 if i == 0 else 2, what) for i in range(4)),
        Pool(),
        Classes(),
    ))


ARCHITECTURES = (
    *(_mobilenet_v1(what) for what in KINDS),
    *(_resnet_18(what) for what in KINDS),
)
