# SPDX-License-Identifier: MIT
"""Projects for boards: what is written, and that nothing is said where it does not fit."""

from __future__ import annotations

import json

import pytest

from tests.device.firmware import program
from tinyeff.device.boards import board_named, board_names
from tinyeff.device.image import board_of, raise_overflow
from tinyeff.device.layout import PROGRAM_BYTES, STACK_BYTES, Layout, granted, layout_for
from tinyeff.emitter import MANIFEST
from tinyeff.errors import DoesNotFitError, UsageError
from tinyeff.ir import Region
from tinyeff.planner.stack import LEAST_STACK_BYTES

KIB = 1024
H743, F401 = board_named("nucleo-h743zi2"), board_named("nucleo-f401re")
BESIDE = STACK_BYTES + PROGRAM_BYTES


def test_a_small_arena_lies_in_tightly_coupled_memory_and_a_large_one_in_axi_sram() -> None:
    small = layout_for(H743, _arena(100 * KIB), 16, 10 * KIB, 10, True)
    assert (_homes(small), small.arena_align, small.keeps_input) == (["dtcm"], 32, True)
    large = layout_for(H743, _arena(400 * KIB), 16, 10 * KIB, 10, True)
    assert (_homes(large), large.keeps_input) == (["d1_sram"], True)


def test_the_parts_of_an_arena_lie_in_the_memories_of_their_names() -> None:
    parts = (Region("dtcm", 100 * KIB), Region("d1_sram", 400 * KIB))
    layout = layout_for(H743, parts, 16, 10 * KIB, 10, True)
    assert (_homes(layout), layout.keeps_input) == (["dtcm", "d1_sram"], True)
    with pytest.raises(DoesNotFitError, match="does not fit NUCLEO-H743"):
        layout_for(H743, (Region("dtcm", 124 * KIB), parts[1]), 16, 10 * KIB, 10, True)
    with pytest.raises(UsageError, match="has no memory called axi; it has dtcm, d1_sram"):
        layout_for(H743, (parts[0], Region("axi", 4)), 16, 10 * KIB, 10, True)


def _arena(size: int) -> tuple[Region, ...]:
    return (Region("arena", size),)


def _homes(layout: Layout) -> list[str]:
    return [ram.name for _, ram in layout.arenas]


def test_the_copy_of_the_input_goes_first_where_memory_is_short() -> None:
    arena = 96 * KIB - BESIDE - 1024
    assert layout_for(F401, _arena(arena), 16, 512, 10, True).keeps_input
    assert not layout_for(F401, _arena(arena), 16, 1100, 10, True).keeps_input


@pytest.mark.parametrize("name", board_names())
def test_what_is_granted_to_a_model_leaves_room_for_the_program(name: str) -> None:
    board = board_named(name)
    memories, flash = granted(board)
    sram = max(m.size_bytes for m in memories)
    assert 0.8 * board.sram_bytes < sram <= board.sram_bytes
    assert flash == board.flash_bytes - 12 * KIB
    arena = sram - LEAST_STACK_BYTES - 10  # the most that the planner would take
    layout_for(board, _arena(arena), 16, 512, 10, True)


def test_what_does_not_fit_is_said_with_sizes() -> None:
    with pytest.raises(DoesNotFitError, match=r"does not fit NUCLEO-F401RE.*98,304 bytes at 0x2"):
        layout_for(F401, _arena(96 * KIB), 16, 512, 10, True)


def test_the_linker_s_words_become_a_sentence() -> None:
    said = ("ld: region `RAM' overflowed by 40 bytes\nld: region `RAM' overflowed by 56 bytes\n"
            "ld: region `FLASH' overflowed by 7 bytes")
    with pytest.raises(DoesNotFitError, match=r"NUCLEO-F401RE: it exceeds SRAM by 56 .*flash by 7"):
        raise_overflow(said, F401)
    raise_overflow("undefined reference to `x'", F401)


def test_the_manifest_names_board_and_files() -> None:
    files = program("nucleo-f746zg")
    raw = json.loads(files[MANIFEST])
    assert raw["board"]["name"] == "nucleo-f746zg"
    assert raw["board"]["console"] == {"uart": "usart3", "tx": "PD8", "rx": "PD9", "baud": 115200}
    assert set(raw["files"]) == set(files) - {MANIFEST}
    assert board_of(files, "out") is board_named("nucleo-f746zg")
    assert "shapes_example.c" not in files
    with pytest.raises(UsageError, match=r"out holds a model.*--board"):
        board_of({MANIFEST: "{}"}, "out")


def test_start_up_code_knows_the_board() -> None:
    config = program("nucleo-l4r5zi")["te_board_config.h"]
    for text in ("TE_CORE_HZ 120000000u", "TE_WAIT_STATES 5u", "TE_CONSOLE_UART 0x40008000u",
                 "TE_CONSOLE_TX 6u, 7u, 8u", "TE_CONSOLE_LOW_POWER 1", "TE_PWR_BOOST 1u"):
        assert text in config
    vectors = program("nucleo-g0b1re")["te_vectors.c"]
    assert "USART1_IRQHandler" in vectors and "MemManage_Handler" not in vectors
