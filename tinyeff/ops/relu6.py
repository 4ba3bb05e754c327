# SPDX-License-Identifier: MIT
"""RELU6 on its own, where it could not join the operator before it."""

from __future__ import annotations

from tinyeff.ops.relu import Relu


class Relu6(Relu):
    """Source of the arithmetic: QuantizedReluX of LiteRT."""

    kind = "RELU6"
    version = 2
    uint8 = True
    activation = "relu6"


OPERATOR = Relu6()
