# SPDX-License-Identifier: MIT
"""Profile records and the folded-stack file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.shared import needs
from tests.simulator.programs import needs_compiler, resident
from tinyeff.simulator.emulator import EmulationResult, emulate
from tinyeff.simulator.engine import LayerTime
from tinyeff.simulator.harness import ModelInterface, kernels_of
from tinyeff.simulator.profile import folded_stacks, timed_layers, write_flame

ONE = """
#include <stdint.h>
void te_{0}(const int32_t *params, int8_t *out);
static __attribute__((noinline)) int8_t work(int32_t n)
{{
    volatile int8_t sum = 0;
    for (int32_t i = 0; i < n; i++) sum = (int8_t)(sum + i);
    return sum;
}}
void te_{0}(const int32_t *params, int8_t *out) {{ *out = work(params[0]); }}
"""
BEFORE = """
void te_one(const int32_t *params, int8_t *out);
void te_two(const int32_t *params, int8_t *out);
static const int32_t a_params[1] = {10}, b_params[1] = {20};
"""
BODY = "te_one(a_params, output); te_two(b_params, output + 1); output[2] = output[3] = 0;"


@pytest.fixture(scope="module")
def result() -> EmulationResult:
    needs("unicorn", "capstone", "elftools")
    needs_compiler("gcc")
    files = {f"te_{name}.c": ONE.format(name) for name in ("one", "two")}
    sources = resident(BODY, before=BEFORE, steps=("a", "b"), files=files)
    return emulate(sources, [bytes(4)], profile="layers")


def test_functions_of_the_same_name_are_told_apart(result: EmulationResult) -> None:
    counts = {f.name: f for f in result.functions}
    assert {"te_one", "te_two", "te_one.c:work", "te_two.c:work", "m_run"} == set(counts)
    assert counts["te_two.c:work"].instructions > counts["te_one.c:work"].instructions
    assert all(f.flash_bytes > 0 for f in result.functions)
    assert sum(f.instructions for f in result.functions) == result.instructions
    assert sum(f.cycles or 0 for f in result.functions) == result.cycles


def test_layers_hold_their_functions(result: EmulationResult) -> None:
    a, b = result.layers
    assert {"te_one", "te_one.c:work"} <= {f.name for f in a.functions}
    assert {"te_two", "te_two.c:work"} <= {f.name for f in b.functions}
    assert "te_two" not in {f.name for f in a.functions}
    assert (a.kind, b.kind, a.macs, a.instructions_per_mac) == ("A", "B", 0, None)


def test_folded_stacks(result: EmulationResult, tmp_path: Path) -> None:
    lines = folded_stacks("m", result.layers).splitlines()
    assert all(re.fullmatch(r"m;[ab];[\w.:]+ \d+", line) for line in lines)
    assert sum(int(line.rsplit(" ", 1)[1]) for line in lines) == result.cycles
    write_flame(tmp_path / "profile.txt", "m", result.layers)
    text = (tmp_path / "profile.txt").read_bytes().decode()
    assert text == folded_stacks("m", result.layers)


def test_layers_booked_by_the_program_add_up() -> None:
    interface = ModelInterface("m", "resident", (), (), (), (("a", "A"), ("b", "B"), ("c", "C")),
                               {"a": 10})
    # 5 instructions too much for each of 40 entries; a and c share their parameters.
    times = [LayerTime(100, 1000.4 + 5 * 30, 30), LayerTime(200, 500.6 + 5 * 10, 10)]
    layers = timed_layers(times, 1501, {100: ("a", "c"), 200: ("b",)}, interface)
    assert [layer.instructions for layer in layers] == [500, 501, 500]
    assert layers[0].instructions_per_mac == 50.0
    assert all(layer.cycles is None for layer in layers)


def test_kernels_are_read_from_the_table_of_stages() -> None:
    code = """
    {.form = TE_ROWS, .kernel.rows = te_add, .params = &add_1_params},
    {.form = TE_ACCUMULATE, .kernel.accumulate = &te_mean, .params = &mean_2_params},
    {.form = TE_ROWS, .kernel.rows = te_add, .params = &add_3_params},"""
    assert [(k.name, k.accumulates) for k in kernels_of(code)] == [
        ("te_add", False), ("te_mean", True)]
