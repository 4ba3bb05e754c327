# SPDX-License-Identifier: MIT
"""Building the image of a generated project: the ELF file, and the bytes that go into flash."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinyeff.device.boards import Board, board_named
from tinyeff.emitter import MANIFEST, read_manifest
from tinyeff.errors import DoesNotFitError, InternalError, MissingProgramError, UsageError
from tinyeff.simulator.toolchain import Toolchain, find_toolchain, run_compiler
from tinyeff.targets import COMPILER_LEVELS, cpu_named

FLAGS = ("-g", "-std=gnu11", "-ffunction-sections", "-fdata-sections")
LIBRARY_FLAGS = ("-ffreestanding", "-fno-builtin")
LIBRARY_FILES = ("te_start.c", "te_memory.c")
HOW_TO_GET = 'pip install "tinyeff[emulator]"'


@dataclass(frozen=True)
class Image:
    """A linked program for a board; `flash` lies at `origin`."""

    board: Board
    elf: bytes = field(repr=False)
    origin: int
    flash: bytes = field(repr=False)
    compiler: str


def board_of(sources: Mapping[str, str], where: str) -> Board:
    """The board that generated sources are for; UsageError where they are for none."""
    raw: dict[str, Any] = json.loads(sources[MANIFEST])
    if "board" not in raw:
        raise UsageError(f"{where} holds a model and no program for a board; generate it with "
                         "--board, e.g. --board nucleo-f746zg")
    return board_named(str(raw["board"]["name"]))


def build_image(
    sources: Mapping[str, str], where: str = "the project", compiler: str | None = None,
    cache: dict[str, bytes] | None = None,
) -> Image:
    """Compile and link the program in `sources`, as its Makefile would.

    `cache` keeps objects between calls, by all that they are made of. Raises UsageError where
    `sources` are for no board, DoesNotFitError where the image is too large for it, and
    MissingProgramError without a compiler.
    """
    board = board_of(sources, where)
    toolchain = find_toolchain(compiler)
    optimize = read_manifest(sources[MANIFEST], MANIFEST).target.optimize
    core = (*cpu_named(board.cpu).flags(toolchain.name), COMPILER_LEVELS[optimize])
    with tempfile.TemporaryDirectory(prefix="tinyeff-image-") as name:
        folder = Path(name)
        for path, text in sources.items():
            (folder / path).write_text(text, encoding="utf-8", newline="\n")
        objects = []
        for path in sources:
            if path.endswith(".c"):
                objects.append(f"{path}.o")
                _compile(toolchain, folder, path, core, sources, cache)
        elf = _link(toolchain, folder, objects, core, board)
    origin, flash = _flash_of(elf)
    return Image(board, elf, origin, flash, toolchain.version)


def _compile(
    toolchain: Toolchain, folder: Path, path: str, core: tuple[str, ...],
    sources: Mapping[str, str], cache: dict[str, bytes] | None,
) -> None:
    flags = [*core, *FLAGS, "-I."]
    if path in LIBRARY_FILES:
        flags += LIBRARY_FLAGS
        if toolchain.name == "gcc":
            flags.append("-fno-tree-loop-distribute-patterns")
    key = _key(toolchain, flags, path, sources)
    if cache is not None and key in cache:
        (folder / f"{path}.o").write_bytes(cache[key])
        return
    status, said = run_compiler(toolchain, folder, [*flags, "-c", path, "-o", f"{path}.o"])
    if status != 0:
        raise InternalError(f"{toolchain.version} does not compile {path}:\n{said.strip()}")
    if cache is not None:
        cache[key] = (folder / f"{path}.o").read_bytes()


def _key(toolchain: Toolchain, flags: list[str], path: str, sources: Mapping[str, str]) -> str:
    """Names an object: compiler, flags, and the texts of the file and of all that it includes."""
    seen, waiting = set[str](), [path]
    while waiting:
        name = waiting.pop()
        if name in sources and name not in seen:
            seen.add(name)
            waiting += re.findall(r'#include "([^"]+)"', sources[name])
    texts = "\0".join(f"{name}\0{sources[name]}" for name in sorted(seen))
    return hashlib.sha256("\0".join([toolchain.version, *flags, path, texts]).encode()).hexdigest()


def _link(
    toolchain: Toolchain, folder: Path, objects: list[str], core: tuple[str, ...], board: Board
) -> bytes:
    flags = [*core, "-nostdlib", "-Wl,--gc-sections", "-T", "te_board.ld", *objects]
    if toolchain.name == "gcc":
        flags += ["-Wl,--no-warn-rwx-segments", "-lgcc"]
    status, said = run_compiler(toolchain, folder, [*flags, "-o", "firmware.elf"])
    if status != 0 and toolchain.name == "zig" and "undefined symbol: __" in said:
        flags.remove("-nostdlib")  # its run-time library, compiled only where it is needed
        status, said = run_compiler(toolchain, folder,
                                    [*flags, "-nostartfiles", "-o", "firmware.elf"])
    if status != 0:
        raise_overflow(said, board)
        raise InternalError(f"{toolchain.version} does not link the image:\n{said.strip()}")
    return (folder / "firmware.elf").read_bytes()


def raise_overflow(said: str, board: Board) -> None:
    """DoesNotFitError where a linker has said that a memory of the board overflows."""
    overflow = re.findall(r"region [`'](\w+)'[: ]+overflowed by (\d+) bytes", said)
    if not overflow:
        return
    sizes = {"FLASH": board.flash_bytes}
    sizes.update({"RAM" if n == 0 else f"RAM{n + 1}": ram.size_bytes
                  for n, ram in enumerate(board.rams)})
    worst = {region: max(int(n) for r, n in overflow if r == region) for region, _ in overflow}
    what = " and ".join(f"{'flash' if r == 'FLASH' else 'SRAM'} by {excess:,} bytes (of "
                        f"{sizes[r]:,})" for r, excess in worst.items())
    raise DoesNotFitError(f"the image does not fit {board.title}: it exceeds {what}; generate it "
                          "again with a smaller --sram or --flash, another --strategy, or for a "
                          "larger board")


def _flash_of(elf: bytes) -> tuple[int, bytes]:
    """What is to be programmed: the first address, and all bytes from there on."""
    try:
        from elftools.elf.elffile import ELFFile
    except ImportError as error:
        raise MissingProgramError("images are read with the Python package pyelftools: "
                                  f"{HOW_TO_GET}") from error
    segments = sorted((s["p_paddr"], s.data()) for s in ELFFile(io.BytesIO(elf)).iter_segments()
                      if s["p_type"] == "PT_LOAD" and s["p_filesz"])
    origin = segments[0][0]
    flash = bytearray()
    for address, data in segments:
        flash += b"\xff" * (address - origin - len(flash)) + data
    return origin, bytes(flash)
