# SPDX-License-Identifier: MIT
"""RELU_N1_TO_1: values limited to the range from -1 to 1."""

from __future__ import annotations

from tinyeff.fixed_point import activation_bounds
from tinyeff.ops.relu import Relu


class ReluN1To1(Relu):
    """Source of the arithmetic: QuantizedReluX of LiteRT."""

    kind = "RELU_N1_TO_1"
    version = 1
    uint8 = True
    activation = "relu_n1_to_1"
    told_apart = activation_bounds(activation)


OPERATOR = ReluN1To1()
