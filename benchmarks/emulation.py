# SPDX-License-Identifier: MIT
"""Instructions and cycles of models on an emulated core, and how fast the emulator counts them.

    python -m benchmarks.emulation [--cpu cortex-m4] [--compiler gcc|zig] [MODEL ...]

Instructions are executed ones, from entry to return of the model's function. The last column is
the counting run alone, with the start of its process: the target is 10 million a second on vww_96.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from benchmarks.__main__ import default_models
from benchmarks.text import print_table
from tinyeff.emitter import MANIFEST, EmitOptions, emit, read_manifest
from tinyeff.pipeline import compile_model
from tinyeff.simulator.cycles import cycle_model
from tinyeff.simulator.elf import Program
from tinyeff.simulator.engines import choose_engine
from tinyeff.simulator.harness import Place, build_program, interface_of
from tinyeff.simulator.profile import Accountant, total
from tinyeff.simulator.session import Session
from tinyeff.simulator.toolchain import find_toolchain, model_flags
from tinyeff.targets import cpu_named, target_for

COLUMNS: tuple[str, ...] = ("model", "MACs", "instructions", "per MAC", "cycles", "per instr.",
                           "seconds", "M instr./s")


def line(model: Path, cpu: str, compiler: str | None) -> tuple[str, ...]:
    """One line of the table."""
    compiled = compile_model(model, target_for(cpu))
    sources = emit(compiled.program, EmitOptions("model"))
    interface = interface_of(read_manifest(sources[MANIFEST], MANIFEST))
    chosen = choose_engine(cpu_named(cpu), None, None)
    place = Place(cpu_named(cpu), chosen.memory, find_toolchain(compiler), model_flags(),
                  chosen.defines)
    build = build_program(sources, interface, place)
    rng = np.random.default_rng(0)
    inputs = [rng.integers(-128, 128, size, dtype=np.int8).tobytes()
              for size in interface.input_bytes]
    session = Session(Program(build.elf), interface, chosen.engine, place, inputs)
    start = time.perf_counter()
    run = session.run(0xA5, "blocks").run
    seconds = time.perf_counter() - start
    functions = Accountant(session.program, run, cycle_model(cpu)).functions(run.intervals)
    instructions, cycles = total(functions)
    instructions = instructions if run.instructions is None else run.instructions
    known = cycles if run.intervals else None
    return (model.stem, f"{compiled.plan.macs:,}", f"{instructions:,}",
            f"{instructions / compiled.plan.macs:.2f}", "" if known is None else f"{known:,}",
            "" if known is None else f"{known / instructions:.2f}", f"{seconds:.2f}",
            f"{instructions / seconds / 1e6:.1f}")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--cpu", default="cortex-m4")
    parser.add_argument("--compiler", choices=("gcc", "zig"))
    options = parser.parse_args()
    models = options.models or default_models()
    print_table("", [COLUMNS, *(line(m, options.cpu, options.compiler) for m in models)])


if __name__ == "__main__":
    main()
