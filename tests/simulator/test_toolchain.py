# SPDX-License-Identifier: MIT
"""Finding compilers, and what is said when there is none or a source does not compile."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.emitter.graphs import chain
from tests.shared import needs
from tests.simulator.programs import compilers, needs_compiler, resident
from tinyeff.errors import InternalError, MissingProgramError, UnsupportedError
from tinyeff.ir import Limits, Optimize, Target
from tinyeff.pipeline import EmitOptions, compile_graph, emit
from tinyeff.simulator import qemu_engine
from tinyeff.simulator.emulator import emulate
from tinyeff.simulator.engines import choose_engine
from tinyeff.simulator.toolchain import find_toolchain, model_flags
from tinyeff.targets import COMPILER_LEVELS, cpu_named

ZEROS = [bytes(4)]


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    find_toolchain.cache_clear()
    monkeypatch.setattr(shutil, "which", lambda name: None)
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec",
                        lambda name: None if name == "ziglang" else find_spec(name))
    yield
    find_toolchain.cache_clear()


@pytest.mark.usefixtures("nothing_installed")
def test_no_compiler_says_how_to_get_one() -> None:
    with pytest.raises(MissingProgramError, match=r"pip install 'tinyeff\[toolchain\]', or") as e:
        find_toolchain()
    assert e.value.exit_code == 4
    with pytest.raises(MissingProgramError, match="--compiler gcc was not found: install Arm's"):
        find_toolchain("gcc")
    with pytest.raises(MissingProgramError, match=r"--compiler zig was not found: pip install"):
        find_toolchain("zig")


def test_missing_qemu_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    needs("elftools")
    needs_compiler("gcc")
    find_toolchain("gcc")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(MissingProgramError, match="cortex-m55 is emulated by qemu-system-arm") as e:
        emulate(resident("output[0] = 0;"), ZEROS, "cortex-m55", compiler="gcc")
    assert "apt install qemu-system-arm" in e.value.message


def test_engines_name_the_cores_they_have() -> None:
    with pytest.raises(UnsupportedError, match="engine qemu has no machine with cortex-m3"):
        choose_engine(cpu_named("cortex-m3"), "qemu", None)
    engine = choose_engine(cpu_named("cortex-m55"), "unicorn", None).engine
    assert engine.name == "unicorn"
    assert choose_engine(cpu_named("cortex-m55"), None, None).engine.name == "qemu"
    assert set(qemu_engine.MACHINES) == {"cortex-m4", "cortex-m7", "cortex-m55"}


@compilers
def test_a_source_that_does_not_compile_is_shown(compiler: str) -> None:
    needs_compiler(compiler)
    with pytest.raises(InternalError, match=r"does not compile m.c") as caught:
        emulate(resident("output[0] = nonsense;"), ZEROS, compiler=compiler)
    assert "nonsense" in caught.value.message
    assert "m.c:6" in caught.value.message


@compilers
def test_a_program_that_does_not_link_is_shown(compiler: str) -> None:
    needs_compiler(compiler)
    before = "extern int elsewhere(void);\n"
    with pytest.raises(InternalError, match=r"does not link the program") as caught:
        emulate(resident("output[0] = (int8_t)elsewhere();", before=before), ZEROS,
                compiler=compiler)
    assert "elsewhere" in caught.value.message


def test_zig_leaves_nothing_in_the_users_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_compiler("zig")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    find_toolchain.cache_clear()
    try:
        body = "for (int i = 0; i < 4; i++) output[i] = 0;"
        emulate(resident(body), ZEROS, compiler="zig")
    finally:
        find_toolchain.cache_clear()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow  # zig compiles its run-time library
@compilers
def test_helpers_of_the_compiler_are_linked(compiler: str) -> None:
    """Cortex-M0+ divides and multiplies 64 bits in software."""
    needs("elftools", "unicorn")
    needs_compiler(compiler)
    body = """
    const int8_t *in = arena;
    volatile int64_t big = in[3];
    output[0] = (int8_t)(100 / in[1]);
    output[1] = (int8_t)(in[3] % in[2]);
    output[2] = (int8_t)((big * big * big) >> 3);
    output[3] = (int8_t)(7u / (unsigned)in[1]);"""
    result = emulate(resident(body), [bytes([1, 2, 3, 4])], "cortex-m0plus", compiler=compiler)
    assert list(result.outputs[0]) == [50, 1, 8, 3]


@pytest.mark.parametrize("optimize", list(COMPILER_LEVELS))
def test_flags_are_those_of_the_generated_build_files(optimize: Optimize) -> None:
    program = compile_graph(chain(), Target(optimize=optimize), Limits()).program
    sources = emit(program, EmitOptions("chain"))
    for flag in model_flags(optimize):
        assert f" {flag}" in sources["Makefile"]
        assert f" {flag}" in sources["CMakeLists.txt"] or flag.startswith("-std=")
    assert "C_STANDARD 11" in sources["CMakeLists.txt"]
