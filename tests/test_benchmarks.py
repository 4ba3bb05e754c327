# SPDX-License-Identifier: MIT
"""The commands of `make bench` measure the example."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.golden_files import EXAMPLES
from tests.shared import CHECKOUT, needs
from tinyeff.pipeline import compile_model

pytestmark = pytest.mark.slow

MODEL = EXAMPLES / "shapes_int8.tflite"


def cells(module: str) -> dict[str, str]:
    """{column: value} of the only model."""
    done = subprocess.run([sys.executable, "-m", module, str(MODEL)], cwd=CHECKOUT, check=True,
                          capture_output=True, text=True)
    head, line = done.stdout.splitlines()[:2]
    names = head.replace("per MAC", "per_MAC").replace("plan s", "plan_s").split()
    return dict(zip(names, line.split(), strict=False))


def test_memory_is_that_of_the_plan() -> None:
    needs("arm-none-eabi-gcc")
    plan, found = compile_model(MODEL).plan, cells("benchmarks")
    assert found["arena"] == f"{plan.arena_bytes:,}"
    assert found["MACs"] == f"{plan.macs:,}"
    # Constants are at least the weights; code is some KiB.
    weights = sum(v.const_bytes for v in plan.variants)
    assert int(found["const"].replace(",", "")) > weights
    assert 1000 < int(found["code"].replace(",", "")) < 20_000


def test_instructions_are_counted() -> None:
    needs("arm-none-eabi-gcc", "unicorn")
    found = cells("benchmarks.emulation")
    instructions, macs = (int(found[n].replace(",", "")) for n in ("instructions", "MACs"))
    assert macs < instructions < 100 * macs
