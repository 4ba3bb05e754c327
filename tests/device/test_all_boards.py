# SPDX-License-Identifier: MIT
"""Every board, the whole way: generated, linked, booted in emulation, asked over the link."""

from __future__ import annotations

import hashlib
import io
import json
import struct
from functools import cache

import numpy as np
import pytest

from tests.device.firmware import CACHE, SHAPES
from tests.shared import missing, needs, shared_path
from tinyeff import pipeline
from tinyeff.console.options import PlanOptions
from tinyeff.data import random_inputs
from tinyeff.device.boards import Board, board_named, board_names
from tinyeff.device.emulated import boot
from tinyeff.device.image import Image, build_image
from tinyeff.device.layout import STACK_BYTES
from tinyeff.device.link.client import Link
from tinyeff.device.link.sources import build_of
from tinyeff.device.link.stream import SerialStream
from tinyeff.device.project import board_program
from tinyeff.emitter import MANIFEST, EmitOptions, Sources, emit, read_manifest
from tinyeff.errors import DoesNotFitError, MissingProgramError
from tinyeff.ir import Array
from tinyeff.simulator.toolchain import find_toolchain

MODELS = ["minimal", "kws"]
pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _programs() -> None:
    needs("elftools", "unicorn")
    try:
        find_toolchain()
    except MissingProgramError as error:
        missing(error.message)


@cache
def _model(name: str, cpu: str) -> tuple[Sources, bytes, tuple[Array, ...], str]:
    """Generated code for a core, its flatbuffer, an input, and the hash of the host's output."""
    path = SHAPES if name == "minimal" else shared_path("models", "kws_dscnn_int8.tflite")
    # The plan that fits the smallest of the boards.
    options = PlanOptions(cpu=cpu, sram="64k")
    compiled = pipeline.compile_graph(pipeline.prepare(path), options.target(), options.limits())
    sources = emit(compiled.program, EmitOptions(name))
    inputs = random_inputs(read_manifest(sources[MANIFEST], MANIFEST).interface, 7, 1)
    [output] = pipeline.simulate(sources, inputs)
    return (sources, compiled.graph.source.flatbuffer, inputs,
            hashlib.sha256(np.ascontiguousarray(output).tobytes()).hexdigest())


@cache
def _image(model: str, name: str) -> tuple[Sources, Image]:
    board = board_named(name)
    sources, flatbuffer, _, _ = _model(model, board.cpu)
    files = board_program(sources, board, flatbuffer)
    return files, build_image(files, name, cache=CACHE)


def _symbols(built: Image) -> dict[str, int]:
    from elftools.elf.elffile import ELFFile
    from elftools.elf.sections import SymbolTableSection

    table = ELFFile(io.BytesIO(built.elf)).get_section_by_name(".symtab")
    assert isinstance(table, SymbolTableSection)
    return {s.name: s["st_value"] for s in table.iter_symbols()}


def _sections(built: Image) -> dict[str, tuple[int, int]]:
    from elftools.elf.elffile import ELFFile

    return {s.name: (s["sh_addr"], s["sh_size"]) for s in ELFFile(io.BytesIO(built.elf))
            .iter_sections() if s["sh_flags"] & 2}


def _inside(board: Board, start: int, size: int) -> bool:
    return any(r.origin <= start and start + size <= r.end for r in board.rams)


@pytest.mark.parametrize("name", board_names())
def test_vectors_and_regions(name: str) -> None:
    _, built = _image("minimal", name)
    board, symbols, sections = built.board, _symbols(built), _sections(built)
    assert built.origin == board.flash_origin
    assert len(built.flash) <= board.flash_bytes
    words = max(board.chip.interrupts) + 17
    vectors = struct.unpack(f"<{words}I", built.flash[:4 * words])
    assert vectors[0] == symbols["te_stack_top"]
    assert vectors[1] == symbols["te_reset"] | 1
    assert vectors[15] == symbols["SysTick_Handler"] | 1
    known = {symbols["te_reset"] | 1, symbols["SysTick_Handler"] | 1,
             symbols["te_default_handler"] | 1}
    assert set(vectors[1:]) == known
    for number, interrupt in board.chip.interrupts.items():
        assert vectors[16 + number] == symbols[f"{interrupt}_IRQHandler"] | 1
    for section in (".vectors", ".text", ".rodata"):
        start, size = sections[section]
        assert board.flash_origin <= start
        assert start + size <= board.flash_origin + board.flash_bytes
    for section in (".stack", ".arena", ".bss"):
        assert _inside(board, *sections[section]), section
    assert sections[".stack"] == (board.rams[0].origin, STACK_BYTES)
    assert symbols["te_arena"] == sections[".arena"][0]
    assert symbols["te_arena"] % (32 if board.cpu == "cortex-m7" else 16) == 0


@pytest.mark.parametrize("name", board_names())
@pytest.mark.parametrize("model", MODELS)
def test_the_image_fits_and_its_parts_lie_where_they_should(model: str, name: str) -> None:
    files, built = _image(model, name)
    board, manifest = built.board, read_manifest(files[MANIFEST], MANIFEST)
    sections = _sections(built)
    assert sections[".vectors"][0] == board.flash_origin
    assert len(built.flash) <= board.flash_bytes
    arena, size = sections[".arena"]
    assert size == manifest.arena_bytes  # planned = linked
    region = next(r for r in board.rams if r.name == manifest.raw["board"]["arena"])
    assert region.origin <= arena and arena + size <= region.end
    first = board.rams[0]
    for section in (".stack", ".bss"):
        start, size = sections[section]
        assert first.origin <= start and start + size <= first.end


@pytest.mark.parametrize("name", board_names())
@pytest.mark.parametrize("model", MODELS)
def test_the_image_computes_over_the_serial_link(model: str, name: str) -> None:
    files, built = _image(model, name)
    _, flatbuffer, inputs, expected = _model(model, built.board.cpu)
    engine = "qemu" if built.board.qemu else "unicorn"
    if engine == "qemu":
        needs("qemu-system-arm")
    with boot(built, engine) as port, Link(lambda: SerialStream(port, False)) as link:
        identity = link.identify()
        assert identity.board == name
        assert identity.build_sha256 == build_of(files, "out")
        assert identity.model_sha256 == hashlib.sha256(flatbuffer).digest()
        data = b"".join(np.ascontiguousarray(x[0]).tobytes() for x in inputs)
        assert hashlib.sha256(link.infer(data).output).hexdigest() == expected
        status = link.status()
        if engine == "unicorn":
            assert status.clock_hz == built.board.core_hz
        assert 256 < status.stack_bytes < 4096


def test_the_netduino_runs_in_unicorn_too() -> None:
    _, built = _image("kws", "netduino-plus-2")
    _, _, inputs, expected = _model("kws", built.board.cpu)
    with boot(built, "unicorn") as port, Link(lambda: SerialStream(port, False)) as link:
        data = np.ascontiguousarray(inputs[0][0]).tobytes()
        assert hashlib.sha256(link.infer(data).output).hexdigest() == expected
        assert link.status().clock_hz == 168_000_000


def test_a_model_that_is_too_large_is_refused_when_code_is_generated() -> None:
    sources, flatbuffer, _, _ = _model("minimal", "cortex-m4")
    raw = json.loads(sources[MANIFEST])
    raw["plan"]["arena_bytes"] = 90 * 1024
    large = {**sources, MANIFEST: json.dumps(raw)}
    with pytest.raises(DoesNotFitError, match=r"NUCLEO-F401RE: it needs 92,160 bytes .* arena"):
        board_program(large, board_named("nucleo-f401re"), flatbuffer)
    assert board_program(large, board_named("nucleo-f446re"), flatbuffer)
