# SPDX-License-Identifier: MIT
"""RELU_0_TO_1: values limited to the range from 0 to 1."""

from __future__ import annotations

from tinyeff.fixed_point import activation_bounds
from tinyeff.ops.relu import Relu


class Relu0To1(Relu):
    """Source of the arithmetic: QuantizedReluX of LiteRT."""

    kind = "RELU_0_TO_1"
    version = 1
    uint8 = True
    activation = "relu_0_to_1"
    told_apart = activation_bounds(activation)


OPERATOR = Relu0To1()
