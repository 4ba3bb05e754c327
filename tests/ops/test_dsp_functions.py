# SPDX-License-Identifier: MIT
"""The functions of te_dsp.h: the instruction on an emulated Cortex-M4 equals its twin in C."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.ops.harness import compiler
from tests.shared import needs
from tests.simulator.programs import model, needs_compiler
from tinyeff import resources
from tinyeff.ir import Array
from tinyeff.simulator.emulator import emulate
from tinyeff.simulator.host import WARNINGS

HEADER = resources.kernel_source("te_dsp.h")
FUNCTIONS = [
    (name, arguments.count(",") + 1)
    for kind, name, arguments in re.findall(r"static inline (\w+) (te_\w+)\((.*)\)", HEADER)
    if kind != "void" and "*" not in arguments
]
CORNERS = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7F7F7F7F, 0x80808080, 0x7FFFFFFF,
           0x80000000, 0x80008000, 0xFFFFFFFF]


def operands() -> Array:
    """Triples of words: all pairs of corners, and random ones. Shape (n, 3)."""
    rng = np.random.default_rng(0)
    pairs = np.array([(a, b) for a in CORNERS for b in CORNERS], np.uint32)
    thirds = rng.integers(0, 2**32, (len(pairs), 1), np.uint32)
    corners = np.concatenate([pairs, thirds], axis=1)
    return np.concatenate([corners, rng.integers(0, 2**32, (200, 3), np.uint32)])


def program_text() -> str:
    """C that fills `results` with what every function makes of every triple."""
    words = operands()
    table = ",\n".join("{" + ", ".join(f"{w}u" for w in row) + "}" for row in words.tolist())
    calls = []
    for name, count in FUNCTIONS:
        # Parameters that are int32_t take the word's bits.
        given = ", ".join(f"w[{i}]" for i in range(count))
        calls.append(f"        results[n++] = (uint32_t){name}({given});")
    return "\n".join([
        '#include "te_dsp.h"',
        f"static const uint32_t operands[][3] = {{\n{table}\n}};",
        f"static uint32_t results[{len(words) * len(FUNCTIONS)}];",
        "static void run_all(void)", "{", "    int32_t n = 0;",
        f"    for (int32_t i = 0; i < {len(words)}; i++) {{",
        "        const uint32_t *w = operands[i];", *calls, "    }", "}", "",
    ])


def on_host(folder: Path) -> Array:
    """The twins' results; shape (triples, functions)."""
    main = "#include <stdio.h>\nint main(void)\n{\n    run_all();\n" \
           "    return fwrite(results, sizeof results, 1, stdout) == 1 ? 0 : 1;\n}\n"
    (folder / "te_dsp.h").write_text(HEADER, encoding="utf-8")
    (folder / "main.c").write_text(program_text() + main, encoding="utf-8")
    loose = [w for w in WARNINGS if w not in ("-Wconversion", "-Wsign-conversion")]
    command = [*compiler(), "-std=c11", "-O1", *loose, "-fsanitize=undefined",
               "-fno-sanitize-recover=all", "main.c", "-o", "main.exe"]
    built = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    done = subprocess.run([str(folder / "main.exe")], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return np.frombuffer(done.stdout, np.uint32).reshape(-1, len(FUNCTIONS))


@pytest.mark.parametrize("toolchain", ["gcc", "zig"])
def test_instructions_equal_their_twins(tmp_path: Path, toolchain: str) -> None:
    needs("unicorn", "capstone", "elftools")
    needs_compiler(toolchain)
    assert len(FUNCTIONS) > 15
    wanted = on_host(tmp_path)
    code = program_text() + """
#include "m.h"
int m_run(void *arena, const int8_t *input, int8_t *output)
{
    const int8_t *bytes = (const int8_t *)results;
    (void)arena;
    (void)input;
    run_all();
    for (uint32_t i = 0; i < sizeof results; i++) {
        output[i] = bytes[i];
    }
    return 0;
}
"""
    program = model(code, input_memory="excluded", output_bytes=wanted.nbytes,
                    files={"te_dsp.h": HEADER})
    result = emulate(program, [np.zeros(4, np.int8)], "cortex-m4", compiler=toolchain)
    found = np.frombuffer(result.outputs[0], np.uint32).reshape(-1, len(FUNCTIONS))
    for number, (name, _) in enumerate(FUNCTIONS):
        different = np.flatnonzero(found[:, number] != wanted[:, number])
        assert len(different) == 0, f"{name} of {operands()[different[:3]]}"


def test_words_at_any_address(tmp_path: Path) -> None:
    lines = [
        '#include "te_dsp.h"', "int main(void)", "{",
        "    int8_t bytes[9] = {0, 1, 2, 3, 4, 5, 6, 7, 8};",
        "    for (int32_t at = 0; at < 5; at++) {",
        "        te_store4(bytes + at, te_load4(bytes + at) + 0x01010101u);", "    }",
        "    return bytes[0] == 1 && bytes[4] == 8 && bytes[8] == 8 ? 0 : 1;", "}", "",
    ]
    (tmp_path / "te_dsp.h").write_text(HEADER, encoding="utf-8")
    (tmp_path / "main.c").write_text("\n".join(lines), encoding="utf-8")
    command = [*compiler(), "-std=c11", *WARNINGS, "-fsanitize=undefined",
               "-fno-sanitize-recover=all", "main.c", "-o", "main.exe"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert subprocess.run([str(tmp_path / "main.exe")], check=False).returncode == 0


def test_a_core_without_the_extension_is_refused(tmp_path: Path) -> None:
    needs("arm-none-eabi-gcc")
    (tmp_path / "te_dsp.h").write_text(HEADER, encoding="utf-8")
    for cpu, status in (("cortex-m4", 0), ("cortex-m33", 0), ("cortex-m0plus", 1),
                        ("cortex-m3", 1)):
        done = subprocess.run(["arm-none-eabi-gcc", "-mthumb", f"-mcpu={cpu}", "-std=c11",
                               "-fsyntax-only", "-x", "c", str(tmp_path / "te_dsp.h")],
                              capture_output=True, text=True, check=False)
        assert done.returncode == status
        assert status == 0 or "need the DSP extension" in done.stderr
