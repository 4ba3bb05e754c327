# SPDX-License-Identifier: MIT
"""Networks that were found by search, and EfficientNet, which was scaled up from one."""

from __future__ import annotations

from dataclasses import replace

from tinyeff.zoo.architectures import Architecture
from tinyeff.zoo.blocks import Classes, Conv, FusedInverted, Inverted, Pool, Row, Squeeze

_SE = Squeeze(0.25, of_input=True)

MNASNET_A1 = Architecture("mnasnet_a1", "MnasNet", "Tan et al. 2019", (
    Conv(32, 3, 2),
    #        c  n  s  t  k
    Inverted(16, 1, 1, 1, 3),
    Inverted(24, 2, 2, 6, 3),
    Inverted(40, 3, 2, 3, 5, squeeze=_SE),
    Inverted(80, 4, 2, 6, 3),
    Inverted(112, 2, 1, 6, 3, squeeze=_SE),
    Inverted(160, 3, 2, 6, 5, squeeze=_SE),
    Inverted(320, 1, 1, 6, 3),
    Conv(1280, at_least=1),
    Pool(),
    Classes(),
))

MNASNET_B1 = Architecture("mnasnet_b1", "MnasNet", "Tan et al. 2019", (
    Conv(32, 3, 2),
    #        c  n  s  t  k
    Inverted(16, 1, 1, 1, 3),
    Inverted(24, 3, 2, 3, 3),
    Inverted(40, 3, 2, 3, 5),
    Inverted(80, 3, 2, 6, 5),
    Inverted(96, 2, 1, 6, 3),
    Inverted(192, 4, 2, 6, 5),
    Inverted(320, 1, 1, 6, 3),
    Conv(1280, at_least=1),
    Pool(),
    Classes(),
))

MNASNET_SMALL = Architecture("mnasnet_small", "MnasNet", "Tan et al. 2019", (
    Conv(8, 3, 2),
    #        c  n  s  t  k
    Inverted(8, 1, 1, 1, 3),
    Inverted(16, 1, 2, 3, 3),
    Inverted(16, 2, 2, 6, 3),
    Inverted(32, 4, 2, 6, 5, squeeze=_SE),
    Inverted(32, 3, 1, 6, 3, squeeze=_SE),
    Inverted(88, 3, 2, 6, 5, squeeze=_SE),
    Inverted(144, 1, 1, 6, 3),
    Conv(1280, at_least=1),
    Pool(),
    Classes(),
))

SINGLE_PATH_NAS = Architecture("single_path_nas", "MnasNet", "Stamoulis et al. 2019", (
    Conv(32, 3, 2),
    #        c  n  s  t  k
    Inverted(16, 1, 1, 1, 3),
    Inverted(24, 3, 2, 3, 3),
    Inverted(40, 1, 2, 6, 5),
    Inverted(40, 3, 1, 3, 3),
    Inverted(80, 1, 2, 6, 5),
    Inverted(80, 3, 1, 3, 3),
    Inverted(96, 1, 1, 6, 5),
    Inverted(96, 3, 1, 3, 5),
    Inverted(192, 4, 2, 6, 5),
    Inverted(320, 1, 1, 6, 3),
    Conv(1280, at_least=1),
    Pool(),
    Classes(),
))

PROXYLESSNAS_MOBILE = Architecture("proxylessnas_mobile", "ProxylessNAS", "Cai et al. 2019", (
    Conv(32, 3, 2),
    #        c  n  s  t  k
    Inverted(16, 1, 1, 1, 3),
    Inverted(32, 1, 2, 3, 5),
    Inverted(32, 1, 1, 3, 3),
    Inverted(40, 1, 2, 3, 7),
    Inverted(40, 1, 1, 3, 3),
    Inverted(40, 2, 1, 3, 5),
    Inverted(80, 1, 2, 6, 7),
    Inverted(80, 3, 1, 3, 5),
    Inverted(96, 1, 1, 6, 5),
    Inverted(96, 3, 1, 3, 5),
    Inverted(192, 1, 2, 6, 7),
    Inverted(192, 1, 1, 6, 7),
    Inverted(192, 2, 1, 3, 7),
    Inverted(320, 1, 1, 6, 7),
    Conv(1280, at_least=1),
    Pool(),
    Classes(),
), activation="relu6")


def _fbnet(name: str, keep: bool, text: str) -> Architecture:
    """Wu et al. 2019, figure of FBNet-A to C; columns k t c s, `keep` the 1x1 also where t is 1."""
    columns = [[int(n) for n in row.split()] for line in text.strip().splitlines()
               for row in line.split(",")]
    rows: list[Row] = [Inverted(c, 1, s, t, k, keep=keep) for k, t, c, s in columns]
    return Architecture(name, "FBNet", "Wu et al. 2019",
                        (Conv(16, 3, 2), *rows, Conv(1984, at_least=1), Pool(), Classes()))


_FBNET_B = """
    3 1 16 1
    3 6 24 2, 5 1 24 1, 3 1 24 1, 3 1 24 1
    5 6 32 2, 5 3 32 1, 3 6 32 1, 5 6 32 1
    5 6 64 2, 5 6 64 1, 5 3 64 1, 5 6 112 1, 3 1 112 1, 5 1 112 1, 5 3 112 1
    5 6 184 2, 5 1 184 1, 5 6 184 1, 5 6 184 1, 3 6 352 1
    """

_FBNET_C = """
    3 1 16 1
    3 6 24 2, 3 1 24 1, 3 1 24 1
    5 6 32 2, 5 3 32 1, 5 6 32 1, 3 6 32 1
    5 6 64 2, 5 3 64 1, 5 6 64 1, 5 6 64 1, 5 6 112 1, 5 6 112 1, 5 6 112 1, 5 3 112 1
    5 6 184 2, 5 6 184 1, 5 6 184 1, 5 6 184 1, 3 6 352 1
    """

_FBNET_V3_SE = Squeeze(0.25, of_input=True, divisor=8, act="hard_silu", gate="hard_sigmoid")

FBNET_V3_B = Architecture("fbnet_v3_b", "FBNet", "Dai et al. 2021", (
    Conv(16, 3, 2),
    #        c  n  s  t  k
    Inverted(16, 2, 1, 1, 3),
    Inverted(24, 1, 2, 4, 5),
    Inverted(24, 3, 1, 2, 5),
    Inverted(40, 1, 2, 5, 5, squeeze=_FBNET_V3_SE),
    Inverted(40, 4, 1, 3, 5, squeeze=_FBNET_V3_SE),
    Inverted(72, 1, 2, 5, 5),
    Inverted(72, 4, 1, 3, 3),
    Inverted(120, 1, 1, 5, 3, squeeze=_FBNET_V3_SE),
    Inverted(120, 5, 1, 3, 5, squeeze=_FBNET_V3_SE),
    Inverted(184, 1, 2, 6, 3, squeeze=_FBNET_V3_SE),
    Inverted(184, 5, 1, 4, 5, squeeze=_FBNET_V3_SE),
    Inverted(224, 1, 1, 6, 5, squeeze=_FBNET_V3_SE),
    Conv(1344),
    Pool(keep=True),
    Conv(1984, norm=False, at_least=1),
    Pool(),
    Classes(),
), activation="hard_silu")

_SILU_SE = replace(_SE, act="silu")

EFFICIENTNET_B0 = Architecture("efficientnet_b0", "EfficientNet", "Tan and Le 2019", (
    Conv(32, 3, 2),
    #        c  n  s  t  k
    Inverted(16, 1, 1, 1, 3, squeeze=_SILU_SE),
    Inverted(24, 2, 2, 6, 3, squeeze=_SILU_SE),
    Inverted(40, 2, 2, 6, 5, squeeze=_SILU_SE),
    Inverted(80, 3, 2, 6, 3, squeeze=_SILU_SE),
    Inverted(112, 3, 1, 6, 5, squeeze=_SILU_SE),
    Inverted(192, 4, 2, 6, 5, squeeze=_SILU_SE),
    Inverted(320, 1, 1, 6, 3, squeeze=_SILU_SE),
    Conv(1280),
    Pool(),
    Classes(),
), activation="silu")

#                  width, depth, resolution
_COEFFICIENTS = ((1.0, 1.1, 240), (1.1, 1.2, 260), (1.2, 1.4, 300), (1.4, 1.8, 380),
                 (1.6, 2.2, 456), (1.8, 2.6, 528), (2.0, 3.1, 600))


EFFICIENTNET_V2_B0 = Architecture("efficientnet_v2_b0", "EfficientNet", "Tan and Le 2021", (
    Conv(32, 3, 2),
    Conv(16, 3),
    #             c  n  s  k  e
    FusedInverted(32, 2, 2, 3, 4),
    FusedInverted(48, 2, 2, 3, 4),
    #        c  n  s  t  k
    Inverted(96, 3, 2, 4, 3, squeeze=_SILU_SE),
    Inverted(112, 5, 1, 6, 3, squeeze=_SILU_SE),
    Inverted(192, 8, 2, 6, 3, squeeze=_SILU_SE),
    Conv(1280),
    Pool(),
    Classes(),
), activation="silu")


def _tinynet(letter: str, resolution: int, width: float, depth: float) -> Architecture:
    """EfficientNet-B0 made smaller in three ways at once (Han et al. 2020b, table 3)."""
    rows: list[Row] = [Conv(32, 3, 2, fixed=True)]
    for row in EFFICIENTNET_B0.rows:
        if isinstance(row, Inverted):
            rows.append(replace(row, n=max(1, round(row.n * depth))))
    return Architecture(f"tinynet_{letter}", "TinyNet", "Han et al. 2020b",
                        (*rows, Conv(1280, at_least=1), Pool(), Classes()),
                        (resolution, resolution, 3), activation="silu", width=width)


_MIX_SE = Squeeze(0.5, of_input=True, act="silu")
_MIX_SE_4 = Squeeze(0.25, of_input=True, act="silu")

MIXNET_S = Architecture("mixnet_s", "MixNet", "Tan and Le 2019 (MixConv)", (
    Conv(16, 3, 2),
    #        c  n  s  t  k
    Inverted(16, 1, 1, 1, 3),
    Inverted(24, 1, 2, 6, 3, groups=(2, 2)),
    Inverted(24, 1, 1, 3, 3, groups=(2, 2)),
    Inverted(40, 1, 2, 6, (3, 5, 7), "silu", _MIX_SE),
    Inverted(40, 3, 1, 6, (3, 5), "silu", _MIX_SE, (2, 2)),
    Inverted(80, 1, 2, 6, (3, 5, 7), "silu", _MIX_SE_4, (1, 2)),
    Inverted(80, 2, 1, 6, (3, 5), "silu", _MIX_SE_4, (1, 2)),
    Inverted(120, 1, 1, 6, (3, 5, 7), "silu", _MIX_SE, (2, 2)),
    Inverted(120, 2, 1, 3, (3, 5, 7, 9), "silu", _MIX_SE, (2, 2)),
    Inverted(200, 1, 2, 6, (3, 5, 7, 9, 11), "silu", _MIX_SE),
    Inverted(200, 2, 1, 6, (3, 5, 7, 9), "silu", _MIX_SE, (1, 2)),
    Conv(1536, fixed=True),
    Pool(),
    Classes(),
))

MIXNET_M = Architecture("mixnet_m", "MixNet", "Tan and Le 2019 (MixConv)", (
    Conv(24, 3, 2),
    #        c  n  s  t  k
    Inverted(24, 1, 1, 1, 3),
    Inverted(32, 1, 2, 6, (3, 5, 7), groups=(2, 2)),
    Inverted(32, 1, 1, 3, 3, groups=(2, 2)),
    Inverted(40, 1, 2, 6, (3, 5, 7, 9), "silu", _MIX_SE),
    Inverted(40, 3, 1, 6, (3, 5), "silu", _MIX_SE, (2, 2)),
    Inverted(80, 1, 2, 6, (3, 5, 7), "silu", _MIX_SE_4),
    Inverted(80, 3, 1, 6, (3, 5, 7, 9), "silu", _MIX_SE_4, (2, 2)),
    Inverted(120, 1, 1, 6, 3, "silu", _MIX_SE),
    Inverted(120, 3, 1, 3, (3, 5, 7, 9), "silu", _MIX_SE, (2, 2)),
    Inverted(200, 1, 2, 6, (3, 5, 7, 9), "silu", _MIX_SE),
    Inverted(200, 3, 1, 6, (3, 5, 7, 9), "silu", _MIX_SE, (1, 2)),
    Conv(1536, fixed=True),
    Pool(),
    Classes(),
))

ARCHITECTURES = (
    MNASNET_A1,
    MNASNET_B1,
    MNASNET_SMALL,
    SINGLE_PATH_NAS,
    PROXYLESSNAS_MOBILE,
    _fbnet("fbnet_b", True, _FBNET_B),
    _fbnet("fbnet_b_skip_1x1", False, _FBNET_B),
    _fbnet("fbnet_c", True, _FBNET_C),
    _fbnet("fbnet_c_skip_1x1", False, _FBNET_C),
    FBNET_V3_B,
    EFFICIENTNET_B0,
    *(replace(EFFICIENTNET_B0, name=f"efficientnet_b{n}", width=w, depth=d, input_shape=(r, r, 3))
      for n, (w, d, r) in enumerate(_COEFFICIENTS, 1)),
    EFFICIENTNET_V2_B0,
    *(_tinynet(*row) for row in (
        ("a", 192, 1.0, 1.2), ("b", 188, 0.75, 1.1), ("c", 184, 0.54, 0.85),
        ("d", 152, 0.54, 0.695), ("e", 106, 0.51, 0.6))),
    MIXNET_S,
    MIXNET_M,
    replace(MIXNET_M, name="mixnet_l", width=1.3),
)
