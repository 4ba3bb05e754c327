# SPDX-License-Identifier: MIT
"""The table of CPUs against what the compilers say of themselves."""

from __future__ import annotations

import subprocess

import pytest

from tinyeff.errors import MissingProgramError, UsageError
from tinyeff.simulator.toolchain import find_toolchain
from tinyeff.targets import CPUS, Cpu, cpu_named, target_for

ARM = [cpu for cpu in CPUS.values() if cpu.is_arm]


def _macros(compiler: str, cpu: Cpu) -> dict[str, str]:
    try:
        toolchain = find_toolchain(compiler)
    except MissingProgramError as error:
        pytest.skip(error.message)
    done = subprocess.run(
        [*toolchain.command, *cpu.flags(compiler), "-E", "-dM", "-x", "c", "-"],
        input="", capture_output=True, text=True, check=True, env=toolchain.environment,
    )
    words = (line.split(" ", 2) for line in done.stdout.splitlines())
    return {name: value for _, name, value in words}


@pytest.mark.parametrize("compiler", ["gcc", "zig"])
@pytest.mark.parametrize("cpu", ARM, ids=lambda cpu: cpu.name)
def test_compilers_agree_with_the_table(cpu: Cpu, compiler: str) -> None:
    macros = _macros(compiler, cpu)
    assert ("__ARM_FEATURE_DSP" in macros) is cpu.dsp
    assert (int(macros.get("__ARM_FEATURE_MVE", "0")) & 1 == 1) is cpu.mve
    assert "__thumb__" in macros


def test_paths_follow_from_the_instruction_sets() -> None:
    for cpu in CPUS.values():
        assert cpu.path == ("mve" if cpu.mve else "dsp" if cpu.dsp else "portable")
        assert target_for(cpu.name).path == cpu.path


def test_unknown_cpu_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="cortex-m9 is not known; use one of host, cortex-m0plus"):
        cpu_named("cortex-m9")
