# SPDX-License-Identifier: MIT
"""Checks the C in firmware/: clang-format, and no warning with any compiler that is installed.

A compiler that is missing is named and left out; with TINYEFF_NO_SKIP=1 that is a failure.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tinyeff.simulator.host import WARNINGS
from tinyeff.targets import Cpu, cpu_named

ROOT = Path(__file__).resolve().parent.parent
KERNELS = ROOT / "firmware" / "kernels"
HOST_COMPILERS = ("gcc", "clang")
CORES = ("cortex-m0plus", "cortex-m4", "cortex-m55")
"""One for each kernel path."""


def clang_format() -> str | None:
    """The clang-format of this Python's environment, else the one on the path."""
    beside = shutil.which("clang-format", path=str(Path(sys.executable).parent))
    return beside or shutil.which("clang-format")


def format_failures() -> Iterator[str]:
    """What clang-format would change."""
    program = clang_format()
    if program is None:
        yield from missing("clang-format")
        return
    files = [str(f) for f in sorted((ROOT / "firmware").rglob("*.[ch]"))]
    done = subprocess.run([program, "--dry-run", "-Werror", *files], capture_output=True,
                          text=True, check=False)
    if done.returncode != 0:
        yield done.stderr


def compiler_failures() -> Iterator[str]:
    """Warnings on every file: headers alone too, since each must stand by itself."""
    host = sorted([*KERNELS.glob("*.[ch]"), *ROOT.glob("firmware/link/*.[ch]")])
    bare_metal = sorted(ROOT.glob("firmware/emulator/*.[ch]"))
    for compiler in HOST_COMPILERS:
        yield from compile_all([compiler], host)
    for core in (cpu_named(name) for name in CORES):
        command = ["arm-none-eabi-gcc", *core.gcc_flags, "-ffreestanding"]
        kernels = [file for file in host if runs_on(file, core)]
        yield from compile_all(command, [*kernels, *bare_metal])


def runs_on(kernel: Path, core: Cpu) -> bool:
    """False for te_..._dsp and te_..._mve on a core without that extension: it stops there."""
    needs_dsp, needs_mve = (kernel.stem.endswith(path) for path in ("_dsp", "_mve"))
    return (core.dsp or not needs_dsp) and (core.mve or not needs_mve)


def compile_all(compiler: list[str], files: list[Path]) -> Iterator[str]:
    """The compiler's complaints about each file."""
    if shutil.which(compiler[0]) is None:
        yield from missing(compiler[0])
        return
    with tempfile.TemporaryDirectory() as folder:
        for file in files:
            command = [*compiler, "-std=c11", "-O2", *WARNINGS, f"-I{KERNELS}", "-c", "-o",
                       str(Path(folder) / "object.o")]
            # A header is included by a file that holds nothing else.
            command += ["-x", "c", "-"] if file.suffix == ".h" else [str(file)]
            text = f'#include "{file.as_posix()}"\ntypedef int te_not_empty;\n'
            done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                yield f"{' '.join(compiler)}, {file.relative_to(ROOT)}:\n{done.stderr}"
    print(f"{' '.join(compiler)}: {len(files)} files")


def missing(program: str) -> Iterator[str]:
    """A failure where nothing may be skipped, else a note."""
    if os.environ.get("TINYEFF_NO_SKIP") == "1":
        yield f"{program} is not installed, and TINYEFF_NO_SKIP=1 forbids going without it"
    else:
        print(f"{program} is not installed: left out")


def main() -> int:
    """Print every failure; 1 where there is one."""
    failures = [*format_failures(), *compiler_failures()]
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
