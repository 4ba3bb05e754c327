# SPDX-License-Identifier: MIT
"""A linked program as the emulator sees it: bytes to load, symbols, functions, source lines."""

from __future__ import annotations

import bisect
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from types import ModuleType
from typing import Any

from tinyeff.errors import InternalError, MissingProgramError

HOW_TO_GET = "pip install 'tinyeff[emulator]'"

_WRITABLE = 1  # SHF_WRITE


def require(name: str) -> ModuleType:
    """Import an optional module; MissingProgramError says how to get it."""
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingProgramError(
            f"the emulator needs the Python package {name.split('.')[0]}: {HOW_TO_GET}"
        ) from error


@dataclass(frozen=True)
class Symbol:
    """A function or an object: bytes [address, address + size_bytes), and the source it is from.

    `source` is empty for symbols that other sources can see; `writable` tells SRAM from flash.
    """

    name: str
    address: int
    size_bytes: int
    is_function: bool
    source: str
    writable: bool

    @property
    def end(self) -> int:
        """The address after the last byte."""
        return self.address + self.size_bytes


@dataclass(frozen=True)
class Segment:
    """Bytes of the file that belong at a load address."""

    address: int
    data: bytes = field(repr=False)


class Program:
    """An ELF file for a Cortex-M; addresses of functions come without the Thumb bit."""

    def __init__(self, elf: bytes) -> None:
        self._file: Any = require("elftools.elf.elffile").ELFFile(io.BytesIO(elf))

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """What must be loaded, at load addresses (initial values of .data lie in flash)."""
        return tuple(
            Segment(s["p_paddr"], s.data()) for s in self._file.iter_segments()
            if s["p_type"] == "PT_LOAD" and s["p_filesz"] > 0
        )

    @cached_property
    def symbols(self) -> tuple[Symbol, ...]:
        """Functions and objects, by address."""
        return tuple(sorted(self._read_symbols(), key=lambda s: (s.address, s.name)))

    def _read_symbols(self) -> Iterator[Symbol]:
        table = self._file.get_section_by_name(".symtab")
        source = ""
        for entry in table.iter_symbols():
            kind, section = entry["st_info"]["type"], entry["st_shndx"]
            if kind == "STT_FILE":
                source = entry.name
            if not entry.name or entry.name.startswith("$") or isinstance(section, str):
                continue
            if kind not in ("STT_FUNC", "STT_OBJECT", "STT_NOTYPE"):
                continue
            is_function = kind == "STT_FUNC"
            flags = self._file.get_section(section)["sh_flags"]
            yield Symbol(
                entry.name, entry["st_value"] & ~1 if is_function else entry["st_value"],
                entry["st_size"], is_function,
                source if entry["st_info"]["bind"] == "STB_LOCAL" else "",
                bool(flags & _WRITABLE),
            )

    @cached_property
    def functions(self) -> tuple[Symbol, ...]:
        """The functions by address, one per address."""
        return tuple({s.address: s for s in self.symbols if s.is_function}.values())

    @cached_property
    def _by_name(self) -> dict[str, Symbol]:
        return {s.name: s for s in self.symbols}

    @cached_property
    def _starts(self) -> list[int]:
        return [f.address for f in self.functions]

    def has(self, name: str) -> bool:
        """True where the program defines `name`."""
        return name in self._by_name

    def symbol(self, name: str) -> Symbol:
        """The symbol called `name`; InternalError where the linker left it out."""
        if name not in self._by_name:
            raise InternalError(f"the linked program has no symbol {name}")
        return self._by_name[name]

    def function_at(self, address: int) -> Symbol | None:
        """The function that the instruction at `address` belongs to."""
        index = bisect.bisect_right(self._starts, address) - 1
        if index < 0:
            return None
        found = self.functions[index]
        following = self._starts[index + 1] if index + 1 < len(self._starts) else found.end
        # Assembly without .size: up to the next function.
        end = found.end if found.size_bytes else following
        return found if address < max(end, found.address + 2) else None

    def read(self, address: int, size_bytes: int) -> bytes:
        """Bytes of flash as they will be loaded."""
        for s in self.segments:
            if s.address <= address and address + size_bytes <= s.address + len(s.data):
                return s.data[address - s.address : address - s.address + size_bytes]
        raise InternalError(f"the program has no bytes at 0x{address:08x}")

    @cached_property
    def code_ranges(self) -> tuple[tuple[int, int], ...]:
        """[start, end) of instructions, without the literals between them (mapping symbols)."""
        table = self._file.get_section_by_name(".symtab")
        marks = sorted(
            (e["st_value"], e.name[:2]) for e in table.iter_symbols() if e.name[:2] in ("$t", "$d")
        )
        ranges = []
        for section in self._file.iter_sections():
            if not section["sh_flags"] & 4 or section["sh_size"] == 0:  # SHF_EXECINSTR
                continue
            end = section["sh_addr"] + section["sh_size"]
            inside = [m for m in marks if section["sh_addr"] <= m[0] < end]
            ends = [m[0] for m in inside[1:]] + [end]
            ranges += [(m[0], e) for m, e in zip(inside, ends, strict=True) if m[1] == "$t"]
        return tuple(r for r in ranges if r[0] < r[1])

    def line_at(self, address: int) -> str | None:
        """'file.c:12' of the instruction at `address`, from the debug information."""
        if not self._file.has_dwarf_info():
            return None
        dwarf = self._file.get_dwarf_info()
        for unit in dwarf.iter_CUs():
            program = dwarf.line_program_for_CU(unit)
            if program is None:
                continue
            before: Any = None
            for entry in program.get_entries():
                state = entry.state
                if state is None:
                    continue
                if before is not None and before.address <= address < state.address:
                    return f"{_file_name(program, before.file)}:{before.line}"
                before = None if state.end_sequence else state
        return None

    @cached_property
    def frames(self) -> dict[str, int]:
        """Bytes of stack that each function takes, where the compiler left a section of them."""
        section = self._file.get_section_by_name(".stack_sizes")
        frames: dict[str, int] = {}
        data, at = section.data() if section else b"", 0
        while at + 5 <= len(data):
            address, size, shift = int.from_bytes(data[at : at + 4], "little"), 0, 0
            at += 4
            while True:  # ULEB128
                byte = data[at]
                size, shift, at = size | (byte & 127) << shift, shift + 7, at + 1
                if byte < 128:
                    break
            function = self.function_at(address & ~1)
            if function is not None:
                frames[function.name] = max(size, frames.get(function.name, 0))
        return frames

    def place(self, address: int) -> str:
        """Where `address` is, for a message: function, file and line as far as they are known."""
        function, line = self.function_at(address), self.line_at(address)
        name = function.name if function else "no function"
        return f"{name} ({line}, 0x{address:08x})" if line else f"{name} (0x{address:08x})"


def _file_name(program: Any, index: int) -> str:
    first = 1 if program.header["version"] < 5 else 0
    raw = program.header["file_entry"][index - first].name
    name = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
    return name.replace("\\", "/").rsplit("/", 1)[-1]
