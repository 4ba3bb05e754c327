# SPDX-License-Identifier: MIT
"""Programs for boards in tests: a small one that talks as text, and images built of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache

from tests.shared import CHECKOUT
from tinyeff import pipeline
from tinyeff.console.options import PlanOptions
from tinyeff.device.boards import board_named
from tinyeff.device.emulated import EmulatedBoard, boot
from tinyeff.device.image import Image, build_image
from tinyeff.device.project import firmware_sources
from tinyeff.emitter import EmitOptions, Sources, emit

SHAPES = CHECKOUT / "examples" / "shapes_int8.tflite"

MAIN = """
#include "te_board.h"
#include "shapes.h"

static _Alignas(SHAPES_ARENA_ALIGN) uint8_t te_arena[SHAPES_ARENA_BYTES];
static int8_t output[SHAPES_OUTPUT_BYTES];
static volatile uint32_t kept;

static void text(const char *t)
{
    while (*t) {
        te_board_write((uint8_t)*t++);
    }
}

static void number(uint32_t v)
{
    char digits[11] = {0};
    int i = 10;
    do {
        digits[--i] = (char)('0' + v % 10u);
        v /= 10u;
    } while (v);
    text(digits + i);
    text(" ");
}

static uint32_t deep(uint32_t n)
{
    volatile uint32_t frame[16];
    frame[n & 15u] = n;
    kept = n;
    return n == 0 ? 0 : deep(n - 1) + frame[n & 15u];
}

static void run(void)
{
    int8_t *input = shapes_input(te_arena);
    for (int i = 0; i < SHAPES_INPUT_BYTES; i++) {
        input[i] = (int8_t)(i * 7);
    }
    uint32_t cycles = te_board_cycles();
    number((uint32_t)shapes_run(te_arena, output));
    cycles = te_board_cycles() - cycles;
    number(cycles);
    number(te_board_stack_high_water());
    for (int i = 0; i < SHAPES_OUTPUT_BYTES; i++) {
        number((uint32_t)(output[i] + 128));
    }
}

int main(void)
{
    te_board_start();
    text("ready\\n");
    for (;;) {
        switch (te_board_read()) {
        case -1: continue;
        case 'i':
            number(te_board_clock_hz());
            number(te_board_status());
            number(te_board_reset_reason());
            break;
        case 'r': run(); break;
        case 'o': number(deep(100000)); break;
        case 'w': *(volatile uint32_t *)0xA0000000u = 1; break;
        case 'f': *(volatile uint32_t *)0x08000000u = 1; break;
        case 'h':
            for (;;) {
            }
        default: text("?");
        }
        text("\\n");
    }
}
"""

CACHE: dict[str, bytes] = {}


@cache
def program(board: str) -> Sources:
    """The example model and the main program above, for a board."""
    options = PlanOptions(board=board)
    compiled = pipeline.compile_graph(pipeline.prepare(SHAPES), options.target(), options.limits())
    sources = emit(compiled.program, EmitOptions("shapes", (), options.recorded()))
    return firmware_sources(sources, board_named(board), lambda *_: {"te_application.c": MAIN})


@cache
def image(board: str) -> Image:
    """The program as an image."""
    return build_image(program(board), board, cache=CACHE)


@cache
def impatient_image(board: str) -> Image:
    """The program as an image that waits for clocks for a hundredth of the time."""
    files = dict(program(board))
    config = files["te_board_config.h"]
    short = re.sub(r"(TE_WAIT_LOOPS \d+)00u", r"\1u", config)
    assert short != config
    files["te_board_config.h"] = short
    return build_image(files, board, cache=CACHE)


@contextmanager
def running(built: Image, engine: str | None = None,
            dead: Sequence[str] = ()) -> Iterator[EmulatedBoard]:
    """A board that has booted the image and listens."""
    with boot(built, engine, dead) as board:
        assert line(board, 60) == "ready"
        yield board


def ask(board: EmulatedBoard, question: bytes, timeout: float = 20.0) -> str:
    """The line that the program answers."""
    board.write(question)
    return line(board, timeout)


def line(board: EmulatedBoard, timeout: float = 20.0) -> str:
    """The next line from the console."""
    text = b""
    while not text.endswith(b"\n"):
        got = board.read(1, timeout)
        assert got, f"no answer: {text!r}, {board.said()}"
        text += got
    return text.decode().strip()
