# SPDX-License-Identifier: MIT
"""ConvNeXt."""

from __future__ import annotations

from tinyeff.zoo.architectures import Architecture
from tinyeff.zoo.blocks import Classes, Flatten, Pool
from tinyeff.zoo.blocks.convnext import ConvNext, Patches
from tinyeff.zoo.blocks.efficientformer import LayerNorm


def _convnext(name: str, depths: tuple[int, int, int, int]) -> Architecture:
    """Liu et al. 2022, section 3: depths of the stages; 96 channels, doubled by each."""
    n1, n2, n3, n4 = depths
    return Architecture(name, "ConvNeXt", "Liu et al. 2022", (
        Patches(96),
        #        c  n  s
        ConvNext(96, n1),
        ConvNext(192, n2, 2),
        ConvNext(384, n3, 2),
        ConvNext(768, n4, 2),
        Pool(keep=True),
        LayerNorm(),
        Flatten(),
        Classes(),
    ))


ARCHITECTURES = (
    _convnext("convnext_tiny", (3, 3, 9, 3)),
    _convnext("convnext_small", (3, 3, 27, 3)),
)
