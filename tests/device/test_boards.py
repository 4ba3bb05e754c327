# SPDX-License-Identifier: MIT
"""Boards: each file makes sense, and gives what planning and emulation need."""

from __future__ import annotations

import pytest

from tinyeff.console.options import PlanOptions
from tinyeff.device.boards import board_named, board_names, device_named
from tinyeff.device.clocks import solve_pll, wait_states
from tinyeff.errors import UsageError

# Core clock in MHz, wait states and core, as the reference manuals have them.
EXPECTED = {
    "nucleo-f401re": (84, 2, "cortex-m4"), "nucleo-f411re": (100, 3, "cortex-m4"),
    "nucleo-f412zg": (100, 3, "cortex-m4"), "nucleo-f446re": (180, 5, "cortex-m4"),
    "nucleo-f746zg": (216, 7, "cortex-m7"), "nucleo-h743zi2": (480, 4, "cortex-m7"),
    "nucleo-h7a3zi-q": (280, 6, "cortex-m7"), "nucleo-l476rg": (80, 4, "cortex-m4"),
    "nucleo-l4r5zi": (120, 5, "cortex-m4"), "nucleo-g474re": (170, 8, "cortex-m4"),
    "nucleo-g0b1re": (64, 2, "cortex-m0plus"), "nucleo-u575zi-q": (160, 4, "cortex-m33"),
    "stm32f746g-disco": (216, 7, "cortex-m7"), "stm32f769i-disco": (216, 7, "cortex-m7"),
    "black-pill-f411ce": (100, 3, "cortex-m4"), "netduino-plus-2": (168, 5, "cortex-m4"),
}


def test_all_boards_run_as_fast_as_their_manuals_allow() -> None:
    boards = map(board_named, board_names())
    found = {b.name: (b.core_hz // 1_000_000, b.clocks.wait_states, b.cpu) for b in boards}
    assert {name: found[name] for name in EXPECTED} == EXPECTED


@pytest.mark.parametrize("name", board_names())
def test_the_pll_stays_inside_its_limits(name: str) -> None:
    board = board_named(name)
    tree = board.family.clock
    assert (board.clocks.external is None) == (board.external == "none")
    for pll in filter(None, (board.clocks.external, board.clocks.internal)):
        assert pll.source_hz * pll.n == board.core_hz * pll.m * pll.output
        assert tree.pll_input_hz[0] * pll.m <= pll.source_hz <= tree.pll_input_hz[1] * pll.m
        assert tree.vco_hz[0] <= pll.vco_hz <= tree.vco_hz[1]
        assert tree.m[0] <= pll.m <= tree.m[1] and tree.n[0] <= pll.n <= tree.n[1]
    slow = board.clocks.bus_hz // 2
    assert wait_states(board.chip, board.family, slow) < board.clocks.wait_states


def test_a_clock_that_cannot_be_made_is_none() -> None:
    tree = board_named("nucleo-f746zg").family.clock
    assert solve_pll(tree, 8_000_000, 216_000_000) is not None
    assert solve_pll(tree, 8_000_000, 217_300_001) is None


def test_unknown_boards_are_answered_with_what_there_is() -> None:
    with pytest.raises(UsageError, match="did you mean nucleo-f746zg"):
        board_named("nucleo_f746")
    with pytest.raises(UsageError, match=r"netduino-plus-2.*--device"):
        board_named("arduino-uno")
    assert board_named("NUCLEO-F746ZG") == board_named("nucleo-f746zg")


def test_a_board_sets_core_and_limits() -> None:
    options = PlanOptions(board="nucleo-f746zg")
    limits = options.limits()
    assert (limits.sram_bytes, limits.flash_bytes) == (320 * 1024, 1024 * 1024)
    assert options.target().cpu == "cortex-m7"
    assert PlanOptions(board="nucleo-f746zg", sram="64k").limits().sram_bytes == 65536
    assert PlanOptions(device="stm32g0b1re").target("host").cpu == "cortex-m0plus"
    assert options.recorded()["board"] == "nucleo-f746zg"


@pytest.mark.parametrize(("options", "said"), [
    (PlanOptions(board="nucleo-f746zg", sram="1m"), "--sram 1m.*NUCLEO-F746ZG has 327680"),
    (PlanOptions(board="nucleo-h743zi2", sram="600k"), "512k.*in one piece"),
    (PlanOptions(board="nucleo-f746zg", flash="2m"), "--flash 2m.*1024k"),
    (PlanOptions(board="nucleo-f746zg", cpu="cortex-m4"), "has a cortex-m7"),
    (PlanOptions(board="nucleo-f746zg", device="stm32f746ng"), "give one of them"),
])
def test_options_that_contradict_the_chip(options: PlanOptions, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        _ = options.limits(), options.target()


def test_memory_for_emulation_is_the_largest_block() -> None:
    memory = board_named("nucleo-h743zi2").memory
    assert (memory.sram.origin, memory.sram.size_bytes) == (0x2400_0000, 512 * 1024)
    assert (memory.flash.origin, memory.flash.size_bytes) == (0x0800_0000, 2 * 1024 * 1024)
    timing = board_named("nucleo-l4r5zi").timing
    assert timing is not None
    assert (timing.wait_states, timing.line_bytes) == (5, 8)
    assert device_named("stm32f103c8").timing is None  # no clock tree is known of it
