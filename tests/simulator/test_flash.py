# SPDX-License-Identifier: MIT
"""Flash wait states: reads through the data cache, and code that does not fit its cache."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.shared import needs
from tests.simulator.programs import assembly, needs_compiler
from tinyeff.simulator.emulator import EmulationResult, emulate
from tinyeff.simulator.flash import NUCLEO_L4R5ZI
from tinyeff.simulator.profile import FLASH_READS

pytestmark = pytest.mark.slow
INPUT = np.array([1, 2, 3, 4], np.int8)
CACHE = NUCLEO_L4R5ZI.data_lines * NUCLEO_L4R5ZI.line_bytes

# Reads a table in flash of `bytes` bytes, `times` times, byte by byte.
READ = """
    adr r2, 9f
    mov r12, #{times}
    1: mov r3, #0
    2: ldrb r0, [r2, r3]
    adds r3, #1
    cmp r3, #{bytes}
    bne 2b
    subs r12, #1
    bne 1b
    str r0, [r1]
    movs r0, #0
    bx lr
    .p2align 3
    9: .space {bytes}"""


@pytest.fixture(autouse=True)
def _programs() -> None:
    needs("unicorn", "capstone", "elftools")
    needs_compiler("gcc")


def _waits(result: EmulationResult) -> int:
    return sum(f.cycles or 0 for f in result.functions if f.name == FLASH_READS)


@pytest.mark.parametrize(
    ("size", "times", "lines"),
    [
        (8, 1, 1),
        (128, 1, 16),
        (128, 10, 16),  # fits the cache: each line is read once
        (CACHE, 10, CACHE // 8),
        (2 * CACHE, 10, 10 * 2 * CACHE // 8),  # does not fit: each line is read every time
    ],
)
def test_reads_of_flash(size: int, times: int, lines: int) -> None:
    sources = assembly(READ.format(bytes=size, times=times))
    waiting = emulate(sources, [INPUT], flash=NUCLEO_L4R5ZI)
    plain = emulate(sources, [INPUT])
    assert _waits(waiting) == lines * NUCLEO_L4R5ZI.wait_states
    assert waiting.instructions == plain.instructions
    assert waiting.cycles == (plain.cycles or 0) + _waits(waiting)


def _code(additions: int) -> dict[str, str]:
    """A loop of 100 turns over so many 16-bit instructions."""
    return assembly(f"""
        str r0, [r1]
        movs r2, #100
        1:
        .rept {additions}
        adds r3, #1
        .endr
        subs r2, #1
        bne.w 1b
        movs r2, #0
        str r2, [r1]
        movs r0, #0
        bx lr""")


def test_code_that_fits_the_cache_waits_for_nothing() -> None:
    sources = _code(400)
    assert emulate(sources, [INPUT], flash=NUCLEO_L4R5ZI).cycles == emulate(sources, [INPUT]).cycles


def test_code_that_does_not_fit_waits_for_every_line() -> None:
    # 1,606 bytes touch 202 lines of the flash; reading one takes 6 cycles, a turn 803 cycles.
    sources, lines, turn = _code(800), 202, 803
    plain = emulate(sources, [INPUT]).cycles
    prefetched = emulate(sources, [INPUT], flash=NUCLEO_L4R5ZI).cycles
    bare = emulate(sources, [INPUT], flash=replace(NUCLEO_L4R5ZI, prefetch=False)).cycles
    assert plain is not None
    assert prefetched is not None
    assert bare is not None
    assert prefetched - plain == pytest.approx(100 * (6 * lines - turn + 5), rel=0.005)
    assert bare - plain == pytest.approx(100 * 5 * lines, rel=0.005)


def test_no_wait_states_cost_nothing() -> None:
    fast = replace(NUCLEO_L4R5ZI, wait_states=0)
    sources = _code(800)
    assert emulate(sources, [INPUT], flash=fast).cycles == emulate(sources, [INPUT]).cycles
