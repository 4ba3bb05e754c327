# SPDX-License-Identifier: MIT
"""Hand-written models with the interface of generated ones, for the emulator's own tests."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from tests.shared import missing
from tinyeff.errors import MissingProgramError
from tinyeff.simulator.toolchain import find_toolchain

HEADER = """
#ifndef M_H
#define M_H
#include <stdint.h>
enum {{ M_ARENA_BYTES = {arena}, M_ARENA_ALIGN = 16 }};
{declarations}
#endif
"""
DECLARATIONS = {
    "resident": "int8_t *m_input(void *arena);\nint m_run(void *arena, int8_t *output);",
    "excluded": "int m_run(void *arena, const int8_t *input, int8_t *output);",
    "streamed": "int m_begin(void *arena);\nint m_push_row(void *arena, const int8_t *row);\n"
                "int m_finish(void *arena, int8_t *output);",
}
RESIDENT = """
#include "m.h"
int8_t *m_input(void *arena) { return (int8_t *)arena; }
"""


def model(
    code: str,
    *,
    input_memory: str = "resident",
    input_bytes: int = 4,
    rows: int = 1,
    output_bytes: int = 4,
    arena_bytes: int = 64,
    steps: tuple[str, ...] = (),
    files: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Sources of a model named m: `code` defines its functions, `files` are added."""
    def port(name: str, count: int, size: int) -> dict[str, object]:
        return {"name": name, "shape": [1, count, 1, size // count], "dtype": "int8",
                "size_bytes": size, "scale": 1.0, "zero_point": 0}

    manifest = {
        "schema_version": 1, "tinyeff": "0", "kernels_version": 1, "name": "m",
        "model": {"name": "m", "sha256": ""}, "options": {},
        "target": {"cpu": "cortex-m4", "path": "portable", "optimize": "balanced"},
        "plan": {"strategy": "per-layer", "input_memory": input_memory, "macs": 0, "extra_macs": 0,
                 "arena_bytes": arena_bytes, "arena_align": 16,
                 "steps": [{"name": name, "kind": name.upper()} for name in steps]},
        "inputs": [port("in", rows, input_bytes)], "outputs": [port("out", 1, output_bytes)],
        "labels": [], "files": {},
    }
    header = HEADER.format(arena=arena_bytes, declarations=DECLARATIONS[input_memory])
    return {"m.h": header, "m.c": code, **(files or {}), "tinyeff.json": json.dumps(manifest)}


def resident(body: str, before: str = "", **options: object) -> dict[str, str]:
    """A model whose m_run has `body`, with `arena` (the input at its start) and `output`."""
    run = f"int m_run(void *arena, int8_t *output)\n{{\n{body}\nreturn 0;\n}}\n"
    return model(RESIDENT + before + run, **options)  # type: ignore[arg-type]


def assembly(lines: str, functions: str = "") -> dict[str, str]:
    """A model whose m_run is exactly these instructions; r0 is the arena, r1 the output."""
    text = f"""
    .syntax unified
    .text
    {functions}
    .p2align 3
    .thumb_func
    .global m_run
    .type m_run, %function
    m_run:
    {lines}
    .size m_run, . - m_run"""
    strings = "".join(f'"{line.strip()}\\n"\n' for line in text.splitlines() if line.strip())
    return model(f"{RESIDENT}\n__asm({strings});\n")


def needs_compiler(name: str) -> None:
    """Skip (or fail) where the cross compiler called `name` is not installed."""
    try:
        find_toolchain(name)
    except MissingProgramError as error:
        missing(error.message)


compilers = pytest.mark.parametrize("compiler", ["gcc", "zig"])
