# SPDX-License-Identifier: MIT
"""Comparing with LiteRT: what is compared, and what generated code may leave out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.reader.random_models import Builder
from tests.shared import needs
from tinyeff.ir import Graph, Limits, Program, Target
from tinyeff.ops.operator import VALID, padding_of
from tinyeff.ops.pooling import Pool2DAttrs
from tinyeff.pipeline import compile_graph
from tinyeff.reader import simplify, with_flatbuffer
from tinyeff.simulator.verify import verify


def skipping_graph() -> Graph:
    """A convolution of 5 rows and columns of which a pooling by 2 needs but 4."""
    g = Builder("skips")
    y = g.conv(g.input((1, 5, 5, 3), 0.05, 3), 1)
    window = ((2, 2), (2, 2))
    attrs = Pool2DAttrs(*window, padding_of(VALID, (5, 5), *window))
    return simplify(with_flatbuffer(g.graph(g.op("MAX_POOL_2D", [y], attrs, like=y))))


def program_of(strategy: str) -> Program:
    return compile_graph(skipping_graph(), Target(), Limits(strategy=strategy)).program


@pytest.mark.parametrize("strategy", ["per-layer", "stream"])
def test_rows_that_nothing_needs_are_not_compared(strategy: str) -> None:
    needs("cc")
    inputs = np.random.default_rng(0).integers(-128, 128, (4, 1, 5, 5, 3), dtype=np.int8)
    result = verify(program_of(strategy), (inputs,))
    assert result.exact, result.difference
    assert (result.samples, result.tensors) == (4, 2)


@pytest.mark.parametrize("strategy", ["per-layer", "stream"])
def test_the_first_tensor_that_differs_is_named(strategy: str) -> None:
    needs("cc")
    program = program_of(strategy)
    step = program.steps[0]
    fields = tuple((name, value if name != "out_min" else 5) for name, value in step.kernel.fields)
    wrong = replace(step, kernel=replace(step.kernel, fields=fields))
    inputs = np.random.default_rng(0).integers(-128, 128, (4, 1, 5, 5, 3), dtype=np.int8)
    result = verify(replace(program, steps=(wrong, *program.steps[1:])), (inputs,))
    assert result.difference is not None
    assert result.difference.operator == "CONV_2D"
    assert result.difference.found == 5 > result.difference.expected
