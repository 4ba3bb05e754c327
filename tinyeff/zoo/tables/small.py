# SPDX-License-Identifier: MIT
"""Networks for small inputs: the CIFAR ResNets, and the four of MLPerf Tiny."""

from __future__ import annotations

from tinyeff.zoo.architectures import Architecture
from tinyeff.zoo.blocks import Classes, Conv, Flatten, Full, Pool, Residual, Row, Separable

MLPERF = "Banbury et al. 2021 (MLPerf Tiny)"


def _cifar_resnet(n: int) -> Architecture:
    """He et al. 2016, section 4.2: 6n + 2 layers, shortcuts without parameters."""
    return Architecture(f"cifar_resnet_{6 * n + 2}", "CIFAR ResNet", "He et al. 2016", (
        Conv(16, 3),
        #        c  n  s
        Residual(16, n, 1),
        Residual(32, n, 2),
        Residual(64, n, 2),
        Pool(),
        Classes(),
    ), (32, 32, 3), 10)


def _vww() -> tuple[Row, ...]:
    """MobileNetV1 with a quarter of the channels; its convolutions have biases."""
    return (
        Conv(8, 3, 2, bias=True),
        #         c  n  s
        Separable(16, 1, 1, bias=True),
        Separable(32, 2, 2, bias=True),
        Separable(64, 2, 2, bias=True),
        Separable(128, 6, 2, bias=True),
        Separable(256, 2, 2, bias=True),
        Pool(),
        Classes("softmax"),
    )


ARCHITECTURES = (
    *(_cifar_resnet(n) for n in (3, 9, 18, 200)),
    Architecture("mlperf_vww", "MLPerf Tiny", MLPERF, _vww(), (96, 96, 3), 2),
    Architecture("mlperf_ic", "MLPerf Tiny", MLPERF, (
        Conv(16, 3, bias=True),
        Residual(16, 1, 1, project=True, bias=True),
        Residual(32, 1, 2, project=True, bias=True),
        Residual(64, 1, 2, project=True, bias=True),
        Pool(),
        Classes("softmax"),
    ), (32, 32, 3), 10),
    Architecture("mlperf_kws", "MLPerf Tiny", MLPERF, (
        Conv(64, (10, 4), 2, bias=True),
        Separable(64, 4, 1, bias=True),
        Pool(),
        Classes("softmax"),
    ), (49, 10, 1), 12),
    Architecture("mlperf_ad", "MLPerf Tiny", MLPERF, (
        Flatten(),
        *(Full(c, norm=True) for c in (128, 128, 128, 128, 8, 128, 128, 128, 128)),
        Classes(),
    ), (640,), 640),
)
