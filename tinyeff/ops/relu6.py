# SPDX-License-Identifier: MIT
"""RELU6 on its own, where it could not join the operator before it."""

from __future__ import annotations

from tinyeff.fixed_point import activation_bounds
from tinyeff.ops.relu import Relu


class Relu6(Relu):
    """Source of the arithmetic: QuantizedReluX of LiteRT."""

    kind = "RELU6"
    version = 2
    uint8 = True
    activation = "relu6"
    told_apart = activation_bounds(activation)


OPERATOR = Relu6()
