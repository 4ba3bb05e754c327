# SPDX-License-Identifier: MIT
"""How sizes, percentages and choices on the command line are read."""

from __future__ import annotations

import inspect
from typing import Annotated

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from tinyeff.console.options import (
    OutputOptions,
    PlanOptions,
    ProfileOptions,
    parse_fraction,
    parse_size,
    takes_options,
)
from tinyeff.errors import UsageError


@pytest.mark.parametrize(("text", "size"), [
    ("0", 0), ("262144", 262144), ("256k", 262144), ("256K", 262144), ("1m", 1 << 20),
    ("0.5m", 1 << 19), ("1.5k", 1536), ("64KiB", 65536), ("2 MiB", 2 << 20), (" 8k ", 8192),
])
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text, "--sram") == size


@pytest.mark.parametrize("text", ["", "k", "-1", "1e3", "12q", "256kb", "1g", "0.3", "1.0001k",
                                  "0x10", "9" * 20, "٣k"])
def test_what_is_no_size_is_refused_by_name(text: str) -> None:
    with pytest.raises(UsageError, match=r"--flash.*1024"):
        parse_size(text, "--flash")


@given(st.integers(0, 10**12 - 1))
def test_every_number_of_bytes_can_be_said(size: int) -> None:
    assert parse_size(str(size), "--sram") == size


@pytest.mark.parametrize(("text", "fraction"), [("5%", 0.05), ("0.05", 0.05), ("12.5 %", 0.125),
                                                ("0", 0.0), ("100%", 1.0)])
def test_fractions(text: str, fraction: float) -> None:
    assert parse_fraction(text, "--max-overhead") == fraction


@pytest.mark.parametrize("text", ["", "%", "-5%", "five", "5%%", "nan", "inf"])
def test_what_is_no_fraction_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--max-overhead"):
        parse_fraction(text, "--max-overhead")


def test_limits_of_plan_options() -> None:
    limits = PlanOptions(sram="64k", flash="1m", strategy="per-layer", input_memory="excluded",
                         max_overhead="5%").limits()
    assert (limits.sram_bytes, limits.flash_bytes) == (65536, 1 << 20)
    assert (limits.strategy, limits.input_memory) == ("per-layer", "excluded")
    assert limits.max_overhead == 0.05
    assert PlanOptions().limits().sram_bytes is None


@pytest.mark.parametrize(("options", "named"), [
    (PlanOptions(strategy="fast"), "--strategy fast .*per-layer"),
    (PlanOptions(input_memory="flash"), "--input-memory flash .*excluded"),
    (PlanOptions(sram="lots"), "--sram lots"),
])
def test_unknown_choices_are_named_with_the_known_ones(options: PlanOptions, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        options.limits()


def test_the_cpu_defaults_by_command_and_must_be_known() -> None:
    assert PlanOptions().target().cpu == "cortex-m4"
    assert PlanOptions().target("host").cpu == "host"
    assert PlanOptions(cpu="cortex-m7").target("host").cpu == "cortex-m7"
    with pytest.raises(UsageError, match="cortex-m0plus"):
        PlanOptions(cpu="avr").target()


def test_optimize_is_balanced_unless_given_and_must_be_known() -> None:
    assert PlanOptions().target().optimize == "balanced"
    assert PlanOptions(optimize="size").target().optimize == "size"
    with pytest.raises(UsageError, match=r"--optimize fast .*speed, balanced, size"):
        PlanOptions(optimize="fast").target()


def test_recorded_options_are_those_given() -> None:
    assert PlanOptions(sram="64k").recorded() == {
        "sram": "64k", "strategy": "auto", "input_memory": "resident", "optimize": "balanced"}


@pytest.mark.parametrize(("options", "cpu", "named"), [
    (ProfileOptions(profile="layers"), "host", "--profile .*cortex-m4"),
    (ProfileOptions(symbols=True), "host", "--symbols"),
    (ProfileOptions(flame="x"), "host", "--flame"),
    (ProfileOptions(compiler="gcc"), "host", "--compiler"),
    (ProfileOptions(compiler="icc"), "cortex-m4", "--compiler icc .*gcc, zig"),
    (ProfileOptions(engine="qemu"), "host", "--engine"),
    (ProfileOptions(engine="bochs"), "cortex-m4", "--engine bochs .*unicorn, qemu"),
    (ProfileOptions(profile="all"), "cortex-m4", "--profile all .*memory"),
])
def test_emulator_options_that_make_no_sense(
    options: ProfileOptions, cpu: str, named: str
) -> None:
    with pytest.raises(UsageError, match=named):
        options.check(cpu)


def test_emulator_options_that_make_sense() -> None:
    ProfileOptions().check("host")
    ProfileOptions("zig", "qemu", "memory", "out.txt", True).check("cortex-m4")


def test_a_dataclass_parameter_becomes_one_option_per_field() -> None:
    @takes_options
    def command(
        model: Annotated[str, typer.Argument()], plan: PlanOptions, output: OutputOptions,
        seed: Annotated[int, typer.Option()] = 3,
    ) -> int:
        assert (model, plan, output) == ("m", PlanOptions(sram="1k"), OutputOptions(json=True))
        return seed

    names = list(inspect.signature(command).parameters)
    assert names[:6] == ["model", "sram", "memory", "flash", "board", "device"]
    assert names[-4:] == ["json", "verbose", "quiet", "seed"]
    given = {n: p.default for n, p in inspect.signature(command).parameters.items()}
    assert command(**{**given, "model": "m", "sram": "1k", "json": True}) == 3
