# SPDX-License-Identifier: MIT
"""What is said of flash: constants to the byte, code and tables near what a compiler makes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.golden_files import EXAMPLES
from tests.shared import needs
from tinyeff.footprint import footprint
from tinyeff.ir import ConstArray, Graph, Limits, Optimize
from tinyeff.ops import registry
from tinyeff.pipeline import EmitOptions, compile_graph, compile_model, emit
from tinyeff.reader.flatbuffer import with_flatbuffer
from tinyeff.simulator.host import write_sources
from tinyeff.simulator.toolchain import model_flags
from tinyeff.targets import target_for

CASES = [case for operator in registry().values() for case in operator.cases()]


@pytest.mark.parametrize("cpu", ["cortex-m3", "cortex-m4"])
@pytest.mark.parametrize("graph", CASES, ids=lambda g: str(g.source.name))
def test_constants_are_exact(graph: Graph, cpu: str) -> None:
    compiled = compile_graph(with_flatbuffer(graph), target_for(cpu), Limits())
    arrays = [value for step in compiled.program.steps for _, value in step.kernel.fields
              if isinstance(value, ConstArray)]
    found = footprint(compiled.graph, compiled.plan).const_bytes
    assert found == sum(array.values.nbytes for array in arrays)


@pytest.mark.slow
@pytest.mark.parametrize(("cpu", "strategy", "optimize"), [
    ("cortex-m0plus", "per-layer", "balanced"), ("cortex-m0plus", "stream", "size"),
    ("cortex-m3", "stream", "balanced"), ("cortex-m4", "per-layer", "balanced"),
    ("cortex-m4", "stream", "speed"), ("cortex-m4", "stream", "size"),
])
def test_flash_is_near_what_the_compiler_makes(
    tmp_path: Path, cpu: str, strategy: str, optimize: Optimize
) -> None:
    needs("arm-none-eabi-gcc", "arm-none-eabi-size")
    compiled = compile_model(EXAMPLES / "shapes_int8.tflite", target_for(cpu, optimize),
                             Limits(strategy=strategy))
    sources = emit(compiled.program, EmitOptions("shapes"))
    write_sources(tmp_path, sources)
    files = [n for n in sources if n.endswith(".c") and not n.endswith("_example.c")]
    # As a project links it: functions that nothing calls are left out.
    subprocess.run(["arm-none-eabi-gcc", "-mthumb", f"-mcpu={cpu}", *model_flags(optimize), *files,
                    "-nostartfiles", "-Wl,--gc-sections,--entry=shapes_run", "-o", "shapes.elf"],
                   cwd=tmp_path, check=True)
    listing = subprocess.run(["arm-none-eabi-size", "shapes.elf"], cwd=tmp_path, check=True,
                             capture_output=True, text=True).stdout.splitlines()[1]
    text, data, bss = (int(n) for n in listing.split()[:3])
    assert data == bss == 0
    said = footprint(compiled.graph, compiled.plan).flash_bytes
    assert 0.9 * text <= said <= 1.25 * text, f"said {said}, compiled {text}"
