# SPDX-License-Identifier: MIT
"""Cross compilers: finding one, and building a program for an emulated or a real Cortex-M."""

from __future__ import annotations

import atexit
import functools
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tinyeff.errors import DoesNotFitError, InternalError, MissingProgramError, UsageError
from tinyeff.ir import Optimize
from tinyeff.simulator.memory_map import MemoryMap
from tinyeff.simulator.text import render
from tinyeff.targets import COMPILER_LEVELS, Cpu

_MODEL_FLAGS = ("-std=c11", "-ffunction-sections", "-fdata-sections")

COMPILERS = ("gcc", "zig")

_HARNESS_FLAGS = ("-O2", "-std=gnu11", "-ffreestanding", "-fno-builtin",
                  "-ffunction-sections", "-fdata-sections")
# gcc writes a file beside each object; zig would leave that in its cache, so it writes a section.
_STACK_REPORT = {"gcc": "-fstack-usage", "zig": "-fstack-size-section"}
_HOW_TO_GET = {
    "gcc": "install Arm's GNU toolchain (Debian: apt install gcc-arm-none-eabi; others: "
           "https://developer.arm.com/downloads/-/arm-gnu-toolchain-downloads) and put it on PATH",
    "zig": "pip install 'tinyeff[toolchain]'",
}


@dataclass(frozen=True)
class Toolchain:
    """A cross compiler: `command` runs it, `version` is what it calls itself."""

    name: str
    command: tuple[str, ...]
    version: str
    environment: dict[str, str] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Build:
    """A linked program: the ELF file's bytes, and how it was made.

    `flags` are those of the model's sources; `frames` holds the bytes of stack that each function
    takes, where the compiler reports them in files (`Program.frames` has them where it does not).
    """

    elf: bytes = field(repr=False)
    compiler: str
    flags: tuple[str, ...]
    frames: dict[str, int]


def model_flags(optimize: Optimize = "balanced") -> tuple[str, ...]:
    """How models and kernels are compiled; the same as in the generated build files."""
    return (COMPILER_LEVELS[optimize], *_MODEL_FLAGS)


@functools.cache
def find_toolchain(name: str | None = None) -> Toolchain:
    """The compiler called `name` ("gcc" or "zig"); without a name gcc where present, else zig.

    Raises MissingProgramError (how to get it), or UsageError for another name.
    """
    if name not in (None, *COMPILERS):
        raise UsageError(f"--compiler {name} is not known; use one of {', '.join(COMPILERS)}")
    for candidate in COMPILERS if name is None else (name,):
        toolchain = _gcc() if candidate == "gcc" else _zig()
        if toolchain is not None:
            return toolchain
    if name is None:
        raise MissingProgramError("no compiler for Cortex-M was found: "
                                  f"{_HOW_TO_GET['zig']}, or {_HOW_TO_GET['gcc']}")
    raise MissingProgramError(f"--compiler {name} was not found: {_HOW_TO_GET[name]}")


def _gcc() -> Toolchain | None:
    program = shutil.which("arm-none-eabi-gcc")
    if program is None:
        return None
    version = subprocess.run([program, "-dumpfullversion"], capture_output=True, text=True,
                             check=True).stdout.strip()
    return Toolchain("gcc", (program,), f"arm-none-eabi-gcc {version}")


def _zig() -> Toolchain | None:
    if importlib.util.find_spec("ziglang") is None:
        return None
    environment = dict(os.environ)
    # zig insists on a cache; keep it out of the user's folders.
    cache = tempfile.mkdtemp(prefix="tinyeff-zig-")
    atexit.register(shutil.rmtree, cache, ignore_errors=True)
    environment["ZIG_GLOBAL_CACHE_DIR"] = environment["ZIG_LOCAL_CACHE_DIR"] = cache
    command = (sys.executable, "-m", "ziglang")
    version = subprocess.run([*command, "version"], capture_output=True, text=True, check=True,
                             env=environment).stdout.strip()
    return Toolchain("zig", (*command, "cc"), f"zig cc {version}", environment)


def compile_program(
    model: Mapping[str, str],
    harness: Mapping[str, str],
    cpu: Cpu,
    memory: MemoryMap,
    toolchain: Toolchain,
    flags: Sequence[str],
    defines: Sequence[str] = (),
    renamed: Mapping[str, Sequence[str]] | None = None,
) -> Build:
    """Compile and link {file name: text} of `model` and `harness` into a program for `cpu`.

    Headers of both are visible to both. Line numbers are kept, which changes no instruction.
    `defines` are for the harness, `renamed` for single files of the model.
    Raises DoesNotFitError where flash or SRAM overflow, InternalError with the compiler's words
    where a source does not compile.
    """
    with tempfile.TemporaryDirectory(prefix="tinyeff-build-") as name:
        folder = Path(name)
        for path, text in {**harness, **model}.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8", newline="\n")
        core = cpu.flags(toolchain.name)
        common = [*core, "-g", "-I."]
        for path in model:
            if path.endswith(".c"):
                _compile(toolchain, folder, path, [*flags, *common, _STACK_REPORT[toolchain.name],
                                                   *_defined((renamed or {}).get(path, ()))])
        for path in harness:
            if path.endswith(".c"):
                _compile(toolchain, folder, path,
                         [*_harness_flags(toolchain), *common, *_defined(defines)])
        objects = [f"{path}.o" for path in (*model, *harness) if path.endswith(".c")]
        elf = _link(toolchain, folder, objects, core, memory)
        return Build(elf, toolchain.version, (*core, *flags), _frames(folder))


def _harness_flags(toolchain: Toolchain) -> list[str]:
    # gcc turns loops into calls of memcpy even without builtins.
    extra = ["-fno-tree-loop-distribute-patterns"] if toolchain.name == "gcc" else []
    return [*_HARNESS_FLAGS, *extra]


def _defined(defines: Sequence[str]) -> list[str]:
    return [f"-D{define}" for define in defines]


def run_compiler(toolchain: Toolchain, folder: Path, arguments: Sequence[str]) -> tuple[int, str]:
    """Run a cross compiler in `folder`: its exit code, and all that it said."""
    done = subprocess.run([*toolchain.command, *arguments], cwd=folder, env=toolchain.environment,
                          capture_output=True, text=True, errors="replace", check=False)
    return done.returncode, done.stdout + done.stderr


def _compile(toolchain: Toolchain, folder: Path, path: str, flags: Sequence[str]) -> None:
    status, said = run_compiler(toolchain, folder, [*flags, "-c", path, "-o", f"{path}.o"])
    if status == 0:
        return
    if "stdint.h: No such file" in said:
        raise MissingProgramError(f"{toolchain.version} has no C library headers (stdint.h): "
                                  "install newlib (Debian: apt install libnewlib-arm-none-eabi)")
    raise InternalError(f"{toolchain.version} does not compile {path} "
                        f"(flags {' '.join(flags)}):\n{said.strip()}")


def _link(
    toolchain: Toolchain, folder: Path, objects: list[str], core: Sequence[str], memory: MemoryMap
) -> bytes:
    (folder / "program.ld").write_text(render("emulator.ld.j2", map=memory), encoding="utf-8")
    flags = [*core, "-nostdlib", "-Wl,--gc-sections", "-T", "program.ld", *objects]
    if toolchain.name == "gcc":
        flags += ["-Wl,--no-warn-rwx-segments", "-lgcc"]
    status, said = run_compiler(toolchain, folder, [*flags, "-o", "program.elf"])
    if status != 0 and toolchain.name == "zig" and "undefined symbol: __" in said:
        # Helpers such as __aeabi_idiv: zig compiles its run-time library first, which takes
        # seconds, so that it is asked for only where something needs it.
        flags.remove("-nostdlib")
        status, said = run_compiler(toolchain, folder,
                                    [*flags, "-nostartfiles", "-o", "program.elf"])
    if status != 0:
        _raise_overflow(said, memory)
        raise InternalError(f"{toolchain.version} does not link the program:\n{said.strip()}")
    return (folder / "program.elf").read_bytes()


def _raise_overflow(said: str, memory: MemoryMap) -> None:
    overflow = re.findall(r"region [`'](\w+)'[: ]+overflowed by (\d+) bytes", said)
    if not overflow:
        return
    sizes = {"FLASH": memory.flash.size_bytes, "SRAM": memory.sram.size_bytes,
             **{f"RAM_{r.name.upper()}": r.size_bytes for r in memory.rams}}
    worst = {region: max(int(n) for r, n in overflow if r == region) for region, _ in overflow}
    what = " and ".join(f"{region} by {excess} bytes (it has {sizes[region]})"
                        for region, excess in worst.items())
    raise DoesNotFitError(f"the program overflows the memory of {memory.name}: {what}; "
                          "choose a larger chip, or another strategy of the plan")


def _frames(folder: Path) -> dict[str, int]:
    frames: dict[str, int] = {}
    for report in folder.rglob("*.su"):
        for line in report.read_text(encoding="utf-8").splitlines():
            where, size, _ = line.split("\t")
            function = where.rsplit(":", 1)[1]
            frames[function] = max(int(size), frames.get(function, 0))
    return frames
