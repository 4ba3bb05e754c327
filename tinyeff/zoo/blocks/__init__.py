# SPDX-License-Identifier: MIT
"""The rows that tables are made of, one class per kind of block."""

from tinyeff.zoo.blocks.base import (
    Classes,
    Conv,
    ConvClasses,
    Dropout,
    Flatten,
    Full,
    MaxPool,
    Pool,
    Row,
    Squeeze,
)
from tinyeff.zoo.blocks.branched import MobileOne, MobileOneStem, RepVGG
from tinyeff.zoo.blocks.compact import Fire, Ghost, Residual, ShuffleV1, ShuffleV2
from tinyeff.zoo.blocks.mobile import (
    Bneck,
    FusedInverted,
    Inverted,
    Sandglass,
    Separable,
    UniversalInverted,
)

__all__ = [
    "Bneck", "Classes", "Conv", "ConvClasses", "Dropout", "Fire", "Flatten", "Full",
    "FusedInverted", "Ghost", "Inverted", "MaxPool", "MobileOne", "MobileOneStem", "Pool",
    "RepVGG", "Residual", "Row", "Sandglass", "Separable", "ShuffleV1", "ShuffleV2", "Squeeze",
    "UniversalInverted",
]
