# SPDX-License-Identifier: MIT
"""The real models of the shared folder, from the file to compiled C."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.objects import SANITIZERS
from tests.shared import needs, shared_path
from tinyeff.data import random_inputs
from tinyeff.emitter import EmitOptions, emit
from tinyeff.ir import Graph, Limits, Program, Target
from tinyeff.pipeline import compile_graph, prepare
from tinyeff.simulator.host import WARNINGS, write_sources
from tinyeff.simulator.verify import verify
from tinyeff.targets import target_for

PLAIN_PER_LAYER = {
    "vww_96_int8": 55_296,
    "ic_resnet8_int8": 49_152,
    "kws_dscnn_int8": 16_000,
    "mcunet_vww_int8": 96_000,
    "ad_autoencoder_int8": 768,
}
"""Live activation bytes of a planner that keeps every tensor whole and shares nothing."""

STRATEGIES = ("per-layer", "stream")
QUICK = ("kws_dscnn_int8", "ad_autoencoder_int8")
MODELS = pytest.mark.parametrize("name", [
    pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow)
    for name in PLAIN_PER_LAYER])


@cache
def graph_of(path: Path) -> Graph:
    """A model, read once."""
    return prepare(path)


@cache
def program_of(name: str, strategy: str, input_memory: str = "resident") -> Program:
    """A shared model, compiled for the default CPU."""
    graph = graph_of(shared_path("models", f"{name}.tflite"))
    limits = Limits(strategy=strategy, input_memory=input_memory)
    return compile_graph(graph, Target(), limits).program


@MODELS
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_tensor_equals_litert_under_sanitizers(name: str, strategy: str) -> None:
    program = program_of(name, strategy)
    result = verify(program, random_inputs(program.graph, 0, 2), flags=(*WARNINGS, *SANITIZERS))
    assert result.exact, result.difference


@pytest.mark.all
@MODELS
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_hundred_inputs(name: str, strategy: str) -> None:
    program = program_of(name, strategy, "excluded")
    result = verify(program, random_inputs(program.graph, 1, 100))
    assert result.exact, result.difference


@pytest.mark.parametrize("name", PLAIN_PER_LAYER)
def test_per_layer_needs_no_more_than_plain_whole_tensors(name: str) -> None:
    plan = program_of(name, "per-layer", "excluded").plan
    assert plan.activation_bytes <= PLAIN_PER_LAYER[name]
    assert plan.scratch_bytes <= 4096


@MODELS
def test_linked_example_holds_the_arena_that_was_planned(name: str, tmp_path: Path) -> None:
    needs("make", "cc", "nm")
    program = program_of(name, "auto")
    write_sources(tmp_path, emit(program, EmitOptions("net")))
    subprocess.run(["make", "-s"], cwd=tmp_path, check=True)
    subprocess.run([str(tmp_path / "net_example")], check=True)
    symbols = subprocess.run(["nm", "-S", "net_example"], cwd=tmp_path, check=True,
                             capture_output=True, text=True).stdout
    sizes = [int(line.split()[1], 16) for line in symbols.splitlines() if line.endswith(" arena")]
    assert sizes == [program.plan.arena_bytes]


@MODELS
def test_clang_has_no_warning(name: str, tmp_path: Path) -> None:
    needs("clang")
    sources = emit(program_of(name, "stream"), EmitOptions("net"))
    write_sources(tmp_path, sources)
    files = [n for n in sources if n.endswith(".c")]
    subprocess.run(["clang", "-std=c11", "-fsyntax-only", *WARNINGS, *files], cwd=tmp_path,
                   check=True)


@MODELS
@pytest.mark.parametrize(("cpu", "strategy"), [("cortex-m4", "stream"), ("cortex-m0plus", "auto")])
def test_arm_library_links_without_heap_stdio_or_floating_point(
    name: str, cpu: str, strategy: str, tmp_path: Path
) -> None:
    needs("arm-none-eabi-gcc", "arm-none-eabi-nm")
    graph = graph_of(shared_path("models", f"{name}.tflite"))
    program = compile_graph(graph, target_for(cpu), Limits(strategy=strategy)).program
    write_sources(tmp_path, emit(program, EmitOptions("net")))
    sources = [p.name for p in tmp_path.glob("*.c")]
    subprocess.run(["arm-none-eabi-gcc", f"-mcpu={cpu}", "-mthumb", "-std=c11", "-O2", *WARNINGS,
                    "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections",
                    "--specs=nosys.specs", *sources, "-o", "net.elf"], cwd=tmp_path, check=True)
    symbols = subprocess.run(["arm-none-eabi-nm", "net.elf"], cwd=tmp_path, check=True,
                             capture_output=True, text=True).stdout
    names = {line.split()[-1] for line in symbols.splitlines()}
    floats = {n for n in names if n.startswith(("__aeabi_f", "__aeabi_d", "__aeabi_i2", "__adddf",
                                                "__addsf", "__mulsf", "__muldf"))}
    assert not floats
    assert not names & {"malloc", "_malloc_r", "free", "_free_r", "printf", "_printf_r"}
