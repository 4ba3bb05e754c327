# SPDX-License-Identifier: MIT
"""Where the parts of an image lie in the memories of a board."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tinyeff.device.boards import Board
from tinyeff.device.memory import Ram
from tinyeff.errors import DoesNotFitError, UsageError
from tinyeff.ir import Memory, Region
from tinyeff.planner.stack import LEAST_STACK_BYTES

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
    """Stack and data lie in the board's first memory, the parts of the arena in `arenas`, each the
    part's name and a memory."""

    arenas: tuple[tuple[str, Ram], ...]
    arena_align: int
    keeps_input: bool


def granted(board: Board) -> tuple[tuple[Memory, ...], int]:
    """The memories, and flash in bytes, that a model may be planned with, if it shall run in a
    program: the first memory also holds what the program keeps, the stack that a plan counts
    aside."""
    beside = STACK_BYTES - LEAST_STACK_BYTES + PROGRAM_BYTES + CACHE_LINE_BYTES
    memories = tuple(Memory(ram.name, ram.size_bytes - (0 if n else beside))
                     for n, ram in enumerate(board.rams))
    return memories, board.flash_bytes - PROGRAM_FLASH_BYTES


def layout_for(
    board: Board, regions: Sequence[Region], arena_align: int, input_bytes: int, output_bytes: int,
    input_in_arena: bool,
) -> Layout:
    """The memory of the arena: the first one where everything fits, else the largest other one; of
    an arena in several parts, those that the parts are named after.

    A copy of the input, so that it can be run again, is kept where there is room. Raises
    DoesNotFitError naming the board, its memories and what is needed.
    """
    align = max(arena_align, CACHE_LINE_BYTES if board.cpu == "cortex-m7" else 0)
    fixed = STACK_BYTES + PROGRAM_BYTES + output_bytes
    fixed += 0 if input_in_arena else input_bytes
    first = board.rams[0]
    for keeps_input in (True, False):
        beside = fixed + (input_bytes if keeps_input and input_in_arena else 0)
        for arenas in _homes(board, regions):
            needed = dict.fromkeys(board.rams, 0) | {first: beside}
            for region, (_, ram) in zip(regions, arenas, strict=True):
                needed[ram] += region.arena_bytes + (align if ram == first else 0)
            if all(size <= ram.size_bytes for ram, size in needed.items()):
                return Layout(arenas, align, keeps_input or not input_in_arena)
    arena_bytes = sum(r.arena_bytes for r in regions)
    sizes = " and ".join(f"{r.size_bytes:,} bytes at 0x{r.origin:08x}" for r in board.rams)
    raise DoesNotFitError(
        f"the image does not fit {board.title}: it needs {arena_bytes:,} bytes for the arena and "
        f"{fixed:,} for stack, inputs, outputs and the program around the model, and there are "
        f"{sizes}; choose a larger board, --sram {max(first.size_bytes - fixed, 0) // 1024}k, or "
        "another --strategy")


def _homes(
    board: Board, regions: Sequence[Region]
) -> Iterator[tuple[tuple[str, Ram], ...]]:
    """Ways to place the parts of an arena, the best first."""
    if len(regions) == 1:
        yield from (((regions[0].name, ram),) for ram in board.rams)
        return
    named = {ram.name: ram for ram in board.rams}
    lacking = [r.name for r in regions if r.name not in named]
    if lacking:
        raise UsageError(f"{board.title} has no memory called {' or '.join(lacking)}; it has "
                         f"{', '.join(named)}")
    yield tuple((r.name, named[r.name]) for r in regions)
