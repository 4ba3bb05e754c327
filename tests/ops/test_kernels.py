# SPDX-License-Identifier: MIT
"""What a kernel file must be: clean, small on the stack, free of floats, of the size it says."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.objects import compile_c
from tests.ops.test_cases import WITH_CASES, cases, variants
from tests.shared import needs
from tinyeff import resources
from tinyeff.ops import operator_of
from tinyeff.simulator.host import WARNINGS

FOLDER = resources.folder("firmware") / "kernels"
FILES = sorted(FOLDER.iterdir())
KERNELS = sorted(path.stem for path in FOLDER.glob("te_*.c"))
HEADERS = sorted(path.name for path in FOLDER.glob("*.h"))
ARM = ("arm-none-eabi-gcc", "-mthumb", "-std=c11", "-O2", "-ffunction-sections",
       "-fdata-sections")
STACK_LIMIT_BYTES = 256
TOLERANCE = 0.15
"""By how much a variant's code_bytes may be off, as a fraction of what the compiler makes."""

FLOAT_HELPER = re.compile(r"__aeabi_([fd]\w+|\w*2[fd])|__\w*[sd]f\d?")


@functools.cache
def arm_frames(kernel: str, cpu: str) -> tuple[tuple[str, ...], dict[str, int]]:
    """(symbols that a kernel file needs from elsewhere, bytes of stack of each function)."""
    with tempfile.TemporaryDirectory(prefix="tinyeff-kernel-") as name:
        out = _object(kernel, cpu, Path(name))
        undefined = _tool("arm-none-eabi-nm", "-u", str(out)).split()[1::2]
        frames = {}
        for line in out.with_suffix(".su").read_text(encoding="utf-8").splitlines():
            where, size, kind = line.split("\t")
            assert kind == "static", f"{where} takes stack that depends on its arguments"
            frames[where.rsplit(":", 1)[1]] = int(size)
        return tuple(undefined), frames


@functools.cache
def code_bytes(function: str, sources: tuple[str, ...]) -> int:
    """Bytes of code that `function` and all it calls take on a Cortex-M4, libraries left out."""
    with tempfile.TemporaryDirectory(prefix="tinyeff-kernel-") as name:
        out = Path(name) / "kernel.elf"
        files = [str(_object(source, "cortex-m4", Path(name))) for source in sources]
        _tool(*ARM, "-mcpu=cortex-m4", "-nostdlib", *files, "-o", str(out), "-Wl,--gc-sections",
              f"-Wl,-e,{function}", "-Wl,--unresolved-symbols=ignore-all")
        sections = _tool("arm-none-eabi-size", "-A", str(out)).splitlines()
        return sum(int(line.split()[1]) for line in sections if line.startswith(".text"))


def _object(kernel: str, cpu: str, folder: Path) -> Path:
    """A kernel file compiled for `cpu` into `folder`, with a report of its stack beside it."""
    out = folder / f"{kernel}.o"
    done = compile_c([*ARM, f"-mcpu={cpu}", "-fstack-usage", "-c", str(FOLDER / f"{kernel}.c"),
                      "-o", str(out)], folder)
    assert done.returncode == 0, done.stderr
    return out


@functools.cache
def formatting() -> str:
    """What clang-format says of all kernel files: it starts slower than it reads."""
    done = subprocess.run(["clang-format", "--dry-run", "-Werror", *map(str, FILES)],
                          capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == (done.stderr == ""), done
    return done.stderr


def needs_dsp(kernel: str) -> bool:
    """True where a kernel file is for cores with the DSP extension only: its name says so."""
    return "_dsp" in kernel


def _tool(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_compiles_without_warnings(kernel: str, compiler: str) -> None:
    needs(compiler)
    done = subprocess.run([compiler, "-std=c11", "-O2", *WARNINGS, "-fsyntax-only",
                           str(FOLDER / f"{kernel}.c")], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("header", HEADERS)
def test_headers_stand_alone(header: str) -> None:
    needs("gcc")
    done = subprocess.run(["gcc", "-std=c11", *WARNINGS, f"-I{FOLDER}", "-fsyntax-only", "-x", "c",
                           "-"], input=f'#include "{header}"\nextern int used;\n',
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kernel", KERNELS)
def test_no_floats_no_library_little_stack(kernel: str) -> None:
    needs("arm-none-eabi-gcc")
    for cpu in ("cortex-m4",) if needs_dsp(kernel) else ("cortex-m4", "cortex-m0plus"):
        undefined, frames = arm_frames(kernel, cpu)
        assert [s for s in undefined if FLOAT_HELPER.fullmatch(s)] == []
        foreign = {s for s in undefined if not s.startswith(("__", "te_"))}
        # Compilers make these two of plain loops.
        assert foreign <= {"memcpy", "memset"}, "kernels call no library"
        assert max(frames.values()) <= STACK_LIMIT_BYTES, frames


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_includes_and_licence(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("/* SPDX-License-Identifier: MIT-0 */\n")
    system = set(re.findall(r"#include <([^>]+)>", text))
    assert system <= {"stdint.h", "stddef.h"}
    assert not re.search(r"\b(float|double|malloc|alloca)\b", re.sub(r"/\*.*?\*/", "", text,
                                                                       flags=re.DOTALL))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_is_formatted(path: Path) -> None:
    needs("clang-format")
    wrong = [line for line in formatting().splitlines() if line.startswith(f"{path}:")]
    assert wrong == []


def test_formatting_complains_of_nothing_else() -> None:
    needs("clang-format")
    assert formatting() == ""


@pytest.mark.slow
@pytest.mark.parametrize("kind", WITH_CASES)
def test_code_bytes_are_measured(kind: str) -> None:
    needs("arm-none-eabi-gcc")
    operator = operator_of(kind)
    stated = {}
    for _, node, _ in cases(kind):
        for variant in variants(kind, node):
            kernel = operator.lower(node, variant)
            stated[(variant.name, kernel.function, kernel.sources)] = (
                variant.code_bytes + sum(size for _, size in variant.shared_code))
    wrong = []
    for (name, function, sources), claim in stated.items():
        measured = code_bytes(function, sources)
        if abs(claim - measured) > TOLERANCE * measured:
            wrong.append(f"{name} ({function}): code_bytes = {claim}, measured {measured}")
    assert wrong == []


def test_arm_tools_come_together() -> None:
    needs("arm-none-eabi-gcc")
    for tool in ("arm-none-eabi-size", "arm-none-eabi-nm"):
        assert shutil.which(tool), f"{tool} belongs to arm-none-eabi-gcc and is missing"
