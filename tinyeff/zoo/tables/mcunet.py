# SPDX-License-Identifier: MIT
"""MCUNet and MCUNetV2: networks that were searched for microcontrollers, and their baselines.

Sources: Lin et al. 2020 (MCUNet) and 2021 (MCUNetV2), with the published configurations of their
models. The int4 variants are given in the float form that they were quantized from.
"""

from __future__ import annotations

from tinyeff.zoo.architectures import Architecture
from tinyeff.zoo.blocks import Classes, Conv, Inverted, Pool, Row, Squeeze

MCUNET, MCUNET_V2 = "Lin et al. 2020", "Lin et al. 2021"


def _columns(text: str) -> list[list[str]]:
    """Rows of words; rows are separated by commas and line ends."""
    return [row.split() for line in text.strip().splitlines() for row in line.split(",")]


def _network(
    name: str, resolution: int, stem: int, text: str, classes: int = 1000, last: int = 0,
) -> Architecture:
    """A network of inverted residuals, of a first convolution with `stem` channels.

    `text` has four columns t k c s; a row that ends in "alone" has no shortcut, though one would
    fit. `last` are the channels of a last 1x1 convolution.
    """
    rows: list[Row] = [Conv(stem, 3, 2)]
    for row in _columns(text):
        t, k, c, s = map(int, row[:4])
        rows.append(Inverted(c, 1, s, t, k, shortcut=row[4:] != ["alone"]))
    rows += [Conv(last)] if last else []
    return Architecture(name, "MCUNet", MCUNET, (*rows, Pool(), Classes()),
                        (resolution, resolution, 3), classes, "relu6")


#   t k c s: expansion, kernel, channels, stride
MCUNETS = (
    _network("mcunet_in0", 48, 24, """
        1 3 16 1
        4 5 16 2, 3 3 16 1, 4 3 16 1
        5 7 24 2, 4 5 24 1, 5 5 24 1
        5 7 48 2, 4 5 48 1, 5 3 56 1, 4 5 56 1, 5 3 56 1
        6 3 112 2, 4 5 112 1, 6 3 192 1
        """),
    _network("mcunet_in1", 96, 16, """
        1 3 8 1
        4 3 16 2, 3 3 16 1
        3 7 24 2, 5 3 24 1
        5 3 40 2, 4 7 40 1, 4 5 48 1, 3 3 48 1, 4 3 48 1
        5 7 96 2, 4 5 96 1, 4 5 96 1, 6 3 160 1
        """),
    _network("mcunet_in2", 160, 16, """
        1 3 8 1
        3 5 16 2, 6 7 16 1, 5 3 16 1, 5 5 16 1
        5 3 24 2, 6 7 24 1, 6 5 24 1
        4 7 40 2, 5 5 40 1, 5 3 48 1, 5 5 48 1, 4 3 48 1
        6 5 96 2, 4 5 96 1, 3 5 96 1, 4 3 96 1, 5 5 160 1
        """),
    _network("mcunet_in3", 176, 16, """
        1 3 8 1
        3 7 16 2, 5 3 16 1, 5 7 16 1, 4 5 16 1
        5 5 24 2, 5 5 24 1, 5 5 24 1
        5 3 40 2, 6 7 40 1, 4 5 40 1, 5 5 48 1, 5 7 48 1, 5 3 48 1
        6 3 96 2, 5 7 96 1, 4 3 96 1, 5 7 160 1
        """),
    _network("mcunet_in4", 160, 32, """
        1 3 16 1
        3 7 24 2, 5 3 24 1, 4 5 24 1
        5 7 40 2, 4 3 40 1, 4 7 40 1
        3 7 80 2, 3 3 80 1, 3 7 80 1, 4 3 96 1, 3 5 96 1, 3 5 96 1
        4 7 192 2, 3 7 192 1, 3 5 192 1, 4 5 320 1
        """),
    _network("mcunet_vww", 80, 16, """
        1 3 8 1
        6 3 16 2, 3 3 16 1, 3 3 16 1
        3 7 24 2, 6 3 24 1, 5 5 24 1
        6 7 40 2, 6 7 40 1, 6 3 48 1, 4 3 48 1
        5 5 96 2, 5 3 96 1, 4 3 96 1, 3 7 160 1
        """, classes=2),
    _network("mcunet_in2_int4", 160, 32, """
        1 3 16 1
        3 7 24 2, 6 3 24 1, 5 5 24 1, 3 7 24 1
        5 7 40 2, 3 5 40 1, 4 7 40 1
        5 3 72 2, 4 7 72 1, 6 5 88 1, 4 5 88 1, 3 7 88 1
        5 3 176 2, 4 5 176 1, 4 5 288 1
        """),
    _network("mcunet_in3_int4", 176, 32, """
        1 3 16 1
        3 7 24 2, 6 5 24 1, 6 5 24 1
        4 7 40 2, 4 3 40 1, 4 7 40 1, 4 5 40 1
        4 7 72 2, 6 7 72 1, 4 5 72 1, 3 5 88 1, 3 5 88 1, 4 7 88 1
        5 3 176 2, 3 3 176 1, 4 7 288 1
        """),
    _network("mcunet_in4_int4", 192, 48, """
        1 3 24 1
        3 7 40 2, 5 3 40 1, 5 3 40 1, 5 3 40 1
        6 5 64 2, 4 7 64 1, 5 5 64 1
        5 7 120 2, 4 7 120 1, 4 3 120 1, 4 5 144 1, 4 3 144 1, 3 7 144 1
        5 3 288 2, 3 7 288 1, 4 5 480 1
        """),
    _network("mcunet_mbv2_0.3", 80, 16, """
        1 3 8 1
        6 3 8 2, 6 3 8 1
        6 3 16 2, 6 3 16 1, 6 3 16 1
        6 3 24 2, 6 3 24 1, 6 3 24 1, 6 3 24 1, 6 3 32 1, 6 3 32 1, 6 3 32 1
        6 3 48 2, 6 3 48 1, 6 3 48 1, 6 3 96 1
        """, last=384),
    _network("mcunet_mbv2_0.35", 144, 16, """
        1 3 8 1
        6 3 8 2, 6 3 8 1
        6 3 16 2, 6 3 16 1, 6 3 16 1
        6 3 24 2, 6 3 24 1, 6 3 24 1, 6 3 24 1, 6 3 32 1, 6 3 32 1, 6 3 32 1
        6 3 56 2, 6 3 56 1, 6 3 56 1, 6 3 112 1
        """, last=448),
    _network("mcunet_proxyless_0.25", 112, 8, """
        1 3 8 1 alone
        3 5 8 2, 3 3 8 1
        3 7 16 2, 3 3 16 1, 3 5 16 1, 3 5 16 1
        6 7 24 2, 3 5 24 1, 3 5 24 1, 3 5 24 1, 6 5 24 1 alone, 3 5 24 1, 3 5 24 1, 3 5 24 1
        6 7 48 2, 6 7 48 1, 3 7 48 1, 3 7 48 1, 6 7 80 1
        """, last=320),
    _network("mcunet_proxyless_0.3", 176, 16, """
        1 3 8 1
        3 5 16 2, 3 3 16 1
        3 7 16 2, 3 3 16 1, 3 5 16 1, 3 5 16 1
        6 7 24 2, 3 5 24 1, 3 5 24 1, 3 5 24 1, 6 5 32 1, 3 5 32 1, 3 5 32 1, 3 5 32 1
        6 7 64 2, 6 7 64 1, 3 7 64 1, 3 7 64 1, 6 7 96 1
        """, last=384),
)

_SE = Squeeze(0.25, of_input=True, act="relu6", gate="hard_sigmoid")


def _gated(text: str) -> tuple[Row, ...]:
    """Rows of columns t k c s; those that end in "SE" have squeeze and excite."""
    return tuple(
        Inverted(int(row[2]), 1, int(row[3]), int(row[0]), int(row[1]),
                 squeeze=_SE if row[4:] == ["SE"] else None) for row in _columns(text))


MCUNETS_V2 = (
    Architecture("mcunetv2_large", "MCUNetV2", MCUNET_V2, (
        Conv(16, 3, 2),
        Conv(16, act="none"),
        *_gated("""
            6 3 24 2
            4 3 40 2, 6 5 40 1 SE, 6 5 40 1 SE, 3 3 40 1 SE
            6 5 64 2 SE, 4 5 64 1 SE, 3 3 64 1 SE, 4 7 64 1 SE
            6 5 96 1 SE, 4 5 96 1 SE, 3 5 96 1 SE
            4 7 144 2 SE, 4 3 144 1 SE, 4 3 144 1 SE, 4 5 240 1
            """),
        Conv(384),
        Pool(),
        Classes(),
    ), activation="relu6"),
    # The paper shows its redistributed MobileNetV2 in a figure only. The patch stage below has the
    # published field of 63 x 63 and 73 million multiply-accumulates; the blocks that the paper adds
    # behind it are not public, and are not here.
    Architecture("mcunetv2_mbv2_rd", "MCUNetV2", MCUNET_V2, (
        Conv(32, 3, 2),
        Conv(16, act="none"),
        #        c  n  s  t
        Inverted(24, 1, 2, 6),
        Inverted(32, 3, 2, 6),
        Inverted(64, 4, 2, 6),
        Inverted(96, 3, 1, 6),
        Inverted(160, 3, 2, 6),
        Inverted(320, 1, 1, 6),
        Conv(1280, at_least=1),
        Pool(),
        Classes(),
    ), activation="relu6"),
)

ARCHITECTURES = (*MCUNETS, *MCUNETS_V2)
