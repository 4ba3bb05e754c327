# SPDX-License-Identifier: MIT
"""Memory, code size and planning time of models, one line each: `make bench`.

    python -m benchmarks [MODEL ...]
    python -m benchmarks compare OLD.json NEW.json    (see benchmarks/compare.py)

Without models: the example, and the int8 models in ../shared/models or in TINYEFF_SHARED, where
they are there. Code is compiled for a Cortex-M4 where arm-none-eabi-gcc is installed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.text import print_table
from tinyeff.pipeline import Compiled, EmitOptions, compile_model, emit

ROOT = Path(__file__).resolve().parent.parent
CROSS = "arm-none-eabi-"
FLAGS = ("-std=c11", "-O2", "-mcpu=cortex-m4", "-mthumb", "-ffunction-sections", "-fdata-sections")
COLUMNS = ("model", "MACs", "activations", "scratch", "arena", "const", "code", "plan s")


def default_models() -> list[Path]:
    """The example, then the shared models."""
    shared = Path(os.environ.get("TINYEFF_SHARED") or ROOT.parent / "shared")
    return [ROOT / "examples" / "shapes_int8.tflite",
            *sorted((shared / "models").glob("*_int8.tflite"))]


def section_bytes(compiled: Compiled) -> tuple[int, int] | None:
    """(constants, code) of the generated C for a Cortex-M4, or None without the compiler.

    Constants are .rodata: weights and the tables of steps. Nothing is linked, so code that only the
    C library would bring is not counted; generated code calls none but memcpy and memset.
    """
    if shutil.which(f"{CROSS}gcc") is None or shutil.which(f"{CROSS}size") is None:
        return None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, text in emit(compiled.program, EmitOptions("model")).items():
            (folder / file).write_bytes(text.encode("utf-8"))
        sources = [f.name for f in folder.glob("*.c") if not f.name.endswith("_example.c")]
        subprocess.run([f"{CROSS}gcc", *FLAGS, "-c", *sources], cwd=folder, check=True)
        objects = [f.name for f in folder.glob("*.o")]
        listing = subprocess.run([f"{CROSS}size", "-A", *objects], cwd=folder, check=True,
                                 capture_output=True, text=True).stdout
    totals = {".rodata": 0, ".text": 0}
    for line in listing.splitlines():
        for section in totals:
            if line.startswith(section):
                totals[section] += int(line.split()[1])
    return totals[".rodata"], totals[".text"]


def row(model: Path) -> tuple[str, ...]:
    """The line of one model: bytes, and the seconds from the file to the program."""
    begin = time.perf_counter()
    compiled = compile_model(model)
    seconds = time.perf_counter() - begin
    plan, sections = compiled.plan, section_bytes(compiled)
    sizes = (plan.macs, plan.activation_bytes, plan.scratch_bytes, plan.arena_bytes)
    shown = ("-", "-") if sections is None else tuple(f"{n:,}" for n in sections)
    return (model.stem, *(f"{n:,}" for n in sizes), *shown, f"{seconds:.2f}")


def main() -> None:
    """Print the table, or compare two files of figures."""
    if sys.argv[1:2] == ["compare"]:
        from benchmarks.compare import compare

        parser = argparse.ArgumentParser(prog="python -m benchmarks compare")
        parser.add_argument("old", type=Path)
        parser.add_argument("new", type=Path)
        files = parser.parse_args(sys.argv[2:])
        sys.exit(compare(files.old, files.new))
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("models", nargs="*", type=Path)
    models = parser.parse_args().models or default_models()
    compile_model(models[0])  # what is loaded once is no model's time
    print_table("", [COLUMNS, *map(row, models)])


if __name__ == "__main__":
    main()
