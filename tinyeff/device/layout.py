# SPDX-License-Identifier: MIT
"""Where the parts of an image lie in the memories of a board."""

from __future__ import annotations

from dataclasses import dataclass

from tinyeff.device.boards import Board
from tinyeff.device.memory import Ram
from tinyeff.errors import DoesNotFitError
from tinyeff.planner import budget

STACK_BYTES = 4096
"""The stack of an image: what a model may need, and its caller."""

PROGRAM_BYTES = 4096
"""What the program around the model keeps in SRAM, besides inputs and outputs; measured: 2.5 KiB
with frames of 512 bytes."""

PROGRAM_FLASH_BYTES = 12 * 1024
"""Start-up code, the serial link, a traced copy of the model's loops; measured: 9 KiB."""

CACHE_LINE_BYTES = 32


@dataclass(frozen=True)
class Layout:
    """Stack and data lie in the board's first memory, the arena in `arena_ram`."""

    arena_ram: Ram
    arena_align: int
    keeps_input: bool


def granted(board: Board) -> tuple[int, int]:
    """SRAM and flash in bytes that a model may be planned with, if it shall run in a program."""
    first, largest = board.rams[0], max(board.rams, key=lambda r: r.size_bytes)
    beside = STACK_BYTES - budget.STACK_BYTES + PROGRAM_BYTES + CACHE_LINE_BYTES
    sram = largest.size_bytes - (beside if largest == first else 0)
    return sram, board.flash_bytes - PROGRAM_FLASH_BYTES


def layout_for(
    board: Board, arena_bytes: int, arena_align: int, input_bytes: int, output_bytes: int,
    input_in_arena: bool,
) -> Layout:
    """The memory of the arena: the first one where everything fits, else the largest other one.

    A copy of the input, so that it can be run again, is kept where there is room. Raises
    DoesNotFitError naming the board, its memories and what is needed.
    """
    align = max(arena_align, CACHE_LINE_BYTES if board.cpu == "cortex-m7" else 0)
    fixed = STACK_BYTES + PROGRAM_BYTES + output_bytes
    fixed += 0 if input_in_arena else input_bytes
    first, *others = board.rams
    for keeps_input in (True, False):
        beside = fixed + (input_bytes if keeps_input and input_in_arena else 0)
        if beside + arena_bytes + align <= first.size_bytes:
            return Layout(first, align, keeps_input or not input_in_arena)
        for ram in others:
            if arena_bytes <= ram.size_bytes and beside <= first.size_bytes:
                return Layout(ram, align, keeps_input or not input_in_arena)
    sizes = " and ".join(f"{r.size_bytes:,} bytes at 0x{r.origin:08x}" for r in board.rams)
    raise DoesNotFitError(
        f"the image does not fit {board.title}: it needs {arena_bytes:,} bytes for the arena and "
        f"{fixed:,} for stack, inputs, outputs and the program around the model, and there are "
        f"{sizes}; choose a larger board, --sram {max(first.size_bytes - fixed, 0) // 1024}k, or "
        "another --strategy")
