# SPDX-License-Identifier: MIT
"""What `import tinyeff` offers, and what it costs."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import tinyeff
from tests.golden_files import EXAMPLES


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          check=True).stdout


def test_every_public_name_is_there() -> None:
    for name in tinyeff.__all__:
        assert getattr(tinyeff, name) is not None, name
    assert {"read", "simplify", "quantize", "select", "plan", "lower", "emit", "simulate",
            "verify"} <= set(tinyeff.__all__) <= set(dir(tinyeff))


def test_no_module_hides_a_function() -> None:
    found = python("import tinyeff.cli, tinyeff.pipeline, tinyeff.simulator.verify, tinyeff\n"
                   "print([n for n in tinyeff.__all__ if type(getattr(tinyeff, n)).__name__ "
                   "== 'module'])")
    assert found.strip() == "[]"


def test_an_unknown_name_is_refused_as_python_does() -> None:
    with pytest.raises(AttributeError, match="no attribute 'compile'"):
        _ = tinyeff.compile


def test_importing_costs_nothing() -> None:
    loaded = python("import sys, tinyeff; print([m for m in ('numpy', 'jinja2', 'rich') "
                    "if m in sys.modules])")
    assert loaded.strip() == "[]"


def test_the_chain_of_the_docstring_runs() -> None:
    graph = tinyeff.simplify(tinyeff.read(EXAMPLES / "shapes_int8.tflite"))
    target = tinyeff.Target()
    graph = tinyeff.select(graph, target)
    plan = tinyeff.plan(graph, target, tinyeff.Limits(sram_bytes=64 * 1024))
    program = tinyeff.lower(graph, plan)
    sources = tinyeff.emit(program, tinyeff.EmitOptions("shapes"))
    assert "shapes.c" in sources
    inputs = (np.zeros((2, *graph.tensors[graph.inputs[0]].shape), np.int8),)
    outputs = tinyeff.simulate(program, inputs)
    assert outputs[0].shape == (2, *graph.tensors[graph.outputs[0]].shape)
    assert tinyeff.verify(program, inputs).exact
