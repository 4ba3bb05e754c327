# SPDX-License-Identifier: MIT
"""One rounding for a sum: what is found gives what is wanted for every pair of values."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from tinyeff.ops.linear_sum import VALUES, linear_sum

values = st.integers(-128, 127)
factors = st.floats(0.05, 3.0)


@given(factors, factors, values, values, values, st.tuples(values, values).map(sorted))
@example(0.65, 0.65, -128, -128, 127, [90, 127])  # no sum is below the upper limit
@example(0.65, 0.65, 127, 127, -128, [-128, -90])  # nor above the lower one
def test_every_pair_of_values(
    a: float, b: float, a_zero: int, b_zero: int, out_zero: int, clamp: list[int]
) -> None:
    low, high = clamp
    exact = a * (VALUES[:, None] - a_zero) + b * (VALUES - b_zero)
    wanted = np.clip(np.floor(exact + 0.5).astype(np.int64) + out_zero, low, high)
    found = linear_sum(wanted, (a, b), (a_zero, b_zero), (low, high))
    if found is not None:
        sums = VALUES[:, None] * found.multipliers[0] + VALUES * found.multipliers[1] + found.base
        assert np.abs(sums).max() < 2**31
        np.testing.assert_array_equal(np.clip(sums >> found.shift, low, high), wanted)
