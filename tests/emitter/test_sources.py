# SPDX-License-Identifier: MIT
from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.emitter.graphs import GRAPHS, chain, inputs_of, program_of
from tests.objects import SANITIZERS
from tests.shared import needs
from tinyeff.data import random_inputs
from tinyeff.emitter import MANIFEST, EmitOptions, emit
from tinyeff.emitter.sources import sha256
from tinyeff.errors import UnsupportedError
from tinyeff.ir import Graph, Limits, Target
from tinyeff.ops.batch_matmul import BatchMatmulAttrs
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.softmax import SoftmaxAttrs
from tinyeff.pipeline import compile_graph
from tinyeff.reader.flatbuffer import with_flatbuffer
from tinyeff.simulator.host import WARNINGS, HostProgram, write_sources
from tinyeff.simulator.verify import verify


@pytest.mark.parametrize("memory", ["resident", "excluded"])
@pytest.mark.parametrize("name", GRAPHS)
def test_generated_code_is_exact_under_sanitizers_and_warnings(name: str, memory: str) -> None:
    graph = GRAPHS[name]()
    result = verify(program_of(graph, memory), inputs_of(graph), flags=(*WARNINGS, *SANITIZERS))
    assert result.exact, result.difference
    assert result.tensors == len(graph.ops)


def attention(pixels: int) -> Graph:
    """Of each pixel a sum over all, weighted by SOFTMAX: products with matrices read whole."""
    g = GraphBuilder("attention")
    query, key, value = (g.input(s, 0.05, 4) for s in (
        (1, 2, pixels, 4), (1, 2, 4, pixels), (1, 2, pixels, 4)))
    x = g.op("BATCH_MATMUL", [query, key], BatchMatmulAttrs(), 0.1, -2)
    x = g.op("SOFTMAX", [x], SoftmaxAttrs(), 1 / 256, -128)
    return with_flatbuffer(g.graph(g.op("BATCH_MATMUL", [x, value], BatchMatmulAttrs(), 0.02, 3)))


def test_a_matrix_read_whole_beside_an_operand_of_which_a_few_columns_are_held() -> None:
    graph = attention(16)
    program = compile_graph(graph, Target(), Limits(strategy="stream")).program
    assert any(0 < group.tile_pixels < group.pixels for group in program.groups)
    result = verify(program, random_inputs(graph, 0), flags=(*WARNINGS, *SANITIZERS))
    assert result.exact, result.difference


def test_verify_names_the_first_wrong_tensor() -> None:
    program = program_of(chain())
    second = program.steps[1].kernel
    bias = dict(second.fields)["bias"]
    bias.values[1] += 3000  # type: ignore[union-attr]
    difference = verify(program, inputs_of(program.graph)).difference
    assert difference is not None
    assert difference.tensor == program.graph.tensors[program.graph.ops[1].outputs[0]].name
    assert difference.position[-1] == 1
    assert difference.expected != difference.found


def test_excluded_input_is_left_unchanged_and_resident_input_may_be_overwritten() -> None:
    graph = chain()
    with HostProgram(program_of(graph, "excluded")) as excluded, HostProgram(
        program_of(graph)
    ) as resident:
        batch = inputs_of(graph, 3)
        assert np.array_equal(excluded.run(batch)[0], resident.run(batch)[0])


def test_same_program_gives_same_bytes_and_no_machine_paths() -> None:
    options = EmitOptions("chain", labels=("one", 'tw"o'))
    first, second = (emit(program_of(chain()), options) for _ in range(2))
    assert first == second
    text = "".join(first.values())
    assert str(Path.home()) not in text
    assert "/tmp" not in text


def test_manifest_names_every_file_with_its_hash() -> None:
    files = dict(emit(program_of(chain()), EmitOptions("chain")))
    manifest = json.loads(files.pop(MANIFEST))
    assert manifest["files"] == {name: sha256(text) for name, text in files.items()}
    assert manifest["inputs"][0]["shape"] == [1, 9, 7, 3]
    assert manifest["plan"]["arena_bytes"] > 0


def test_only_the_kernels_used_are_emitted() -> None:
    files = emit(program_of(chain()), EmitOptions("chain"))
    assert {n for n in files if n.startswith("te")} == {
        "te.h", "te_fixed_point.h", "te_conv_2d.c", "te_conv_2d.h", "te_dots.c", "te_dots.h"}


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_makefile_builds_library_and_example(tmp_path: Path, compiler: str) -> None:
    needs(compiler, "make", "nm")
    program = program_of(GRAPHS["two_inputs"]())
    write_sources(tmp_path, emit(program, EmitOptions("pair", labels=("a", "b"))))
    flags = " ".join(["-O2", *WARNINGS])
    subprocess.run(["make", f"CC={compiler}", f"CFLAGS={flags}"], cwd=tmp_path, check=True)
    subprocess.run([str(tmp_path / "pair_example")], check=True)
    symbols = subprocess.run(["nm", "-S", "pair_example"], cwd=tmp_path, check=True,
                             capture_output=True, text=True).stdout
    sizes = [int(line.split()[1], 16) for line in symbols.splitlines() if line.endswith(" arena")]
    assert sizes == [program.plan.arena_bytes]


def test_cmake_builds_the_library(tmp_path: Path) -> None:
    needs("cmake")
    write_sources(tmp_path, emit(program_of(chain()), EmitOptions("chain")))
    subprocess.run(["cmake", "-S", ".", "-B", "build"], cwd=tmp_path, check=True)
    subprocess.run(["cmake", "--build", "build"], cwd=tmp_path, check=True)
    subprocess.run([str(tmp_path / "build" / "chain_example")], check=True)


@pytest.mark.parametrize("cpu", ["cortex-m4", "cortex-m0plus"])
def test_library_links_without_heap_stdio_or_floating_point(tmp_path: Path, cpu: str) -> None:
    needs("arm-none-eabi-gcc")
    write_sources(tmp_path, emit(program_of(chain()), EmitOptions("chain")))
    sources = [p.name for p in tmp_path.glob("*.c")]
    subprocess.run(["arm-none-eabi-gcc", f"-mcpu={cpu}", "-mthumb", "-std=c11", "-O2", *WARNINGS,
                    "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections",
                    "--specs=nosys.specs", *sources, "-o", "chain.elf"], cwd=tmp_path, check=True)
    symbols = subprocess.run(["arm-none-eabi-nm", "chain.elf"], cwd=tmp_path, check=True,
                             capture_output=True, text=True).stdout
    names = {line.split()[-1] for line in symbols.splitlines()}
    forbidden = {n for n in names if n in {"malloc", "_malloc_r", "printf", "puts"}
                 or (n.startswith(("__aeabi_f", "__aeabi_d", "__aeabi_i2f", "__aeabi_ui2"))
                 and n not in {"__aeabi_idiv0", "__aeabi_ldiv0"})}
    assert not forbidden


def test_headers_work_from_cpp(tmp_path: Path) -> None:
    needs("g++")
    write_sources(tmp_path, emit(program_of(chain()), EmitOptions("chain")))
    (tmp_path / "use.cpp").write_text(
        '#include "chain.h"\nint main() { return chain_quantize_input(0.0f) == -4 ? 0 : 1; }\n')
    subprocess.run(["g++", "-Wall", "-Wextra", "-Werror", "use.cpp", "-o", "use"],
                   cwd=tmp_path, check=True)
    subprocess.run([str(tmp_path / "use")], check=True)


def test_a_misaligned_or_null_arena_is_refused(tmp_path: Path) -> None:
    needs("cc")
    write_sources(tmp_path, emit(program_of(chain()), EmitOptions("chain")))
    (tmp_path / "use.c").write_text(
        '#include "chain.h"\n#include <stddef.h>\n'
        "static _Alignas(16) uint8_t arena[CHAIN_ARENA_BYTES + 1];\n"
        "static int8_t out[CHAIN_OUTPUT_BYTES];\n"
        "int main(void) {\n"
        "  return chain_run(arena + 1, out) == CHAIN_ERROR_ALIGNMENT\n"
        "      && chain_run(NULL, out) == CHAIN_ERROR_NULL\n"
        "      && chain_run(arena, NULL) == CHAIN_ERROR_NULL\n"
        "      && chain_run(arena, out) == CHAIN_OK ? 0 : 1;\n}\n")
    sources = [p.name for p in tmp_path.glob("*.c") if not p.name.endswith("_example.c")]
    subprocess.run(["cc", "-std=c11", *sources, "-o", "use"], cwd=tmp_path, check=True)
    subprocess.run([str(tmp_path / "use")], check=True)


def test_rows_can_be_pushed_only_as_many_as_there_are(tmp_path: Path) -> None:
    needs("cc")
    program = compile_graph(chain(), Target(), Limits(input_memory="streamed")).program
    write_sources(tmp_path, emit(program, EmitOptions("chain")))
    (tmp_path / "use.c").write_text(
        '#include "chain.h"\n#include <stddef.h>\n'
        "static _Alignas(16) uint8_t arena[CHAIN_ARENA_BYTES];\n"
        "static int8_t row[CHAIN_INPUT_ROW_BYTES];\n"
        "static int8_t out[CHAIN_OUTPUT_BYTES];\n"
        "int main(void) {\n"
        "  if (chain_begin(NULL) != CHAIN_ERROR_NULL) { return 1; }\n"
        "  if (chain_begin(arena) != CHAIN_OK) { return 2; }\n"
        "  for (int i = 0; i < CHAIN_INPUT_ROWS; i++) {\n"
        "    if (chain_finish(arena, out) != CHAIN_ERROR_ROWS) { return 3; }\n"
        "    if (chain_push_row(arena, row) != CHAIN_OK) { return 4; }\n"
        "  }\n"
        "  if (chain_push_row(arena, row) != CHAIN_ERROR_ROWS) { return 5; }\n"
        "  return chain_finish(arena, out) == CHAIN_OK ? 0 : 6;\n}\n")
    sources = [p.name for p in tmp_path.glob("*.c") if not p.name.endswith("_example.c")]
    subprocess.run(["cc", "-std=c11", *WARNINGS, *sources, "-o", "use"], cwd=tmp_path, check=True)
    subprocess.run([str(tmp_path / "use")], check=True)


@pytest.mark.parametrize("strategy", ["per-layer", "stream"])
def test_streaming_the_input_needs_the_stream_strategy(strategy: str) -> None:
    limits = Limits(input_memory="streamed", strategy=strategy)
    if strategy == "stream":
        graph = chain()
        program = compile_graph(graph, Target(), limits).program
        result = verify(program, inputs_of(graph), flags=(*WARNINGS, *SANITIZERS))
        assert result.exact, result.difference
        image = next(b for b in program.plan.buffers if graph.inputs[0] in b.tensors)
        assert image.ring_rows == 3
    else:
        with pytest.raises(UnsupportedError, match="stream strategy"):
            compile_graph(chain(), Target(), limits)
