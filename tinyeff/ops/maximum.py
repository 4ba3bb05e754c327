# SPDX-License-Identifier: MIT
"""MAXIMUM: the larger of two values, of maps of the same shape or broadcast."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyeff.ops.minimum import Minimum


class Maximum(Minimum):
    """Source: MaximumOp in maximum_minimum.cc of LiteRT; compares as MINIMUM does."""

    kind = "MAXIMUM"
    uint8 = True
    shares_scale = True
    function = "te_maximum"
    choose: Any = np.maximum


OPERATOR = Maximum()
