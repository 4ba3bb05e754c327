# SPDX-License-Identifier: MIT
"""What counts as a sample's class when outputs are compared."""

from __future__ import annotations

import numpy as np

from tinyeff.console.outcome import compare
from tinyeff.ir import Array
from tinyeff.simulator.host import Batch


def batch(*outputs: Array) -> Batch:
    """Outputs of a model without exits."""
    return Batch(outputs, np.zeros(len(outputs[0]), np.int32))


def test_the_class_is_the_place_of_the_largest_value() -> None:
    ours = np.array([[1, 5, 5], [9, 2, 3]], np.int8)
    theirs = np.array([[1, 7, 5], [1, 2, 3]], np.int8)
    e = compare(batch(ours), (theirs,), np.array([1, 0]))
    assert (e.correct, e.reference_correct, e.same, e.exact) == (2, 1, 1, 0)


def test_an_index_is_a_class() -> None:
    ours, theirs = np.array([[2], [0], [7]]), np.array([[2], [1], [7]])
    for dtype in (np.int32, np.int64):
        e = compare(batch(ours.astype(dtype)), (theirs.astype(dtype),), np.array([2, 0, 6]))
        assert (e.correct, e.reference_correct, e.same, e.exact) == (2, 1, 2, 2)
