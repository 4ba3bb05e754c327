# SPDX-License-Identifier: MIT
"""Flash wait states: reads through the data cache, and code that does not fit its cache."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.shared import needs
from tests.simulator.programs import assembly, needs_compiler, resident
from tinyeff.device.boards import board_named
from tinyeff.simulator.emulator import EmulationResult, emulate
from tinyeff.simulator.profile import FLASH_READS

pytestmark = pytest.mark.slow
_TIMING = board_named("nucleo-l4r5zi").timing
assert _TIMING is not None
L4R5 = _TIMING
INPUT = np.array([1, 2, 3, 4], np.int8)
CACHE = L4R5.data_lines * L4R5.line_bytes

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
    waiting = emulate(sources, [INPUT], flash=L4R5)
    plain = emulate(sources, [INPUT])
    assert _waits(waiting) == lines * L4R5.wait_states
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
    assert emulate(sources, [INPUT], flash=L4R5).cycles == emulate(sources, [INPUT]).cycles


def test_code_that_does_not_fit_waits_for_every_line() -> None:
    # 1,606 bytes touch 202 lines of the flash; reading one takes 6 cycles, a turn 803 cycles.
    sources, lines, turn = _code(800), 202, 803
    plain = emulate(sources, [INPUT]).cycles
    prefetched = emulate(sources, [INPUT], flash=L4R5).cycles
    bare = emulate(sources, [INPUT], flash=replace(L4R5, prefetch=False)).cycles
    assert plain is not None
    assert prefetched is not None
    assert bare is not None
    assert prefetched - plain == pytest.approx(100 * (6 * lines - turn + 5), rel=0.005)
    assert bare - plain == pytest.approx(100 * 5 * lines, rel=0.005)


def test_no_wait_states_cost_nothing() -> None:
    fast = replace(L4R5, wait_states=0)
    sources = _code(800)
    assert emulate(sources, [INPUT], flash=fast).cycles == emulate(sources, [INPUT]).cycles


# A pointwise convolution as stacks built on CMSIS-NN compute it: inputs copied to 16 bits, then
# two output channels by two pixels at a time, weights from flash, a requantization per channel.
CMSIS = """
#define UNPACK(even, odd, from) \\
    do { \\
        uint32_t word_, raw_; \\
        __builtin_memcpy(&word_, from, 4); \\
        from += 4; \\
        __asm volatile("sxtb16 %0, %1, ror #8" : "=r"(odd) : "r"(word_)); \\
        __asm volatile("sxtb16 %0, %1" : "=r"(raw_) : "r"(word_)); \\
        __asm volatile("pkhtb %0, %1, %2, asr #16" \\
                       : "=r"(even) : "r"(odd), "r"(raw_)); \\
        __asm volatile("pkhbt %0, %1, %2, lsl #16" \\
                       : "=r"(odd) : "r"(raw_), "r"(odd)); \\
    } while (0)
#define SMLAD(x, y, sum) __asm volatile("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(x), "r"(y))
enum { CHANNELS = 64 };
static const int8_t weights[CHANNELS * CHANNELS] = {1, 2, 3};
static const int32_t multipliers[CHANNELS] = {1518500250}, shifts[CHANNELS] = {-6};
static const int32_t biases[CHANNELS] = {7};

static int8_t requantize(int32_t sum, int32_t multiplier, int32_t shift)
{
    const int32_t left = shift > 0 ? shift : 0, right = shift > 0 ? 0 : -shift;
    const int64_t product = (int64_t)(sum << left) * multiplier + (1 << 30);
    int32_t v = (int32_t)(product >> 31);
    const int32_t mask = (1 << right) - 1, rest = v & mask;
    v = (v >> right) + (rest > (mask >> 1) + (v < 0) ? 1 : 0);
    return (int8_t)(v < -128 ? -128 : v > 127 ? 127 : v);
}

static void expand(const int8_t *in, int16_t *out, int32_t offset)
{
    for (int i = 0; i < CHANNELS / 4; i++) {
        uint32_t even, odd;
        const uint32_t offsets = (uint32_t)offset * 0x10001u;
        UNPACK(even, odd, in);
        __asm volatile("sadd16 %0, %0, %1" : "+r"(even) : "r"(offsets));
        __asm volatile("sadd16 %0, %0, %1" : "+r"(odd) : "r"(offsets));
        __builtin_memcpy(out, &even, 4);
        __builtin_memcpy(out + 2, &odd, 4);
        out += 4;
    }
}

static __attribute__((noinline)) void pair(const int16_t *columns, volatile int8_t *out)
{
    const int8_t *w0 = weights;
    for (int o = 0; o < CHANNELS; o += 2) {
        const int8_t *w1 = w0 + CHANNELS;
        const int16_t *b0 = columns, *b1 = columns + CHANNELS;
        int32_t s0 = biases[o], s1 = s0, s2 = biases[o + 1], s3 = s2;
        for (int k = 0; k < CHANNELS / 4; k++) {
            uint32_t a01, a02, a11, a12, x, y;
            UNPACK(a01, a02, w0);
            UNPACK(a11, a12, w1);
            __builtin_memcpy(&x, b0, 4);
            __builtin_memcpy(&y, b1, 4);
            SMLAD(a01, x, s0); SMLAD(a01, y, s1); SMLAD(a11, x, s2); SMLAD(a11, y, s3);
            __builtin_memcpy(&x, b0 + 2, 4);
            __builtin_memcpy(&y, b1 + 2, 4);
            SMLAD(a02, x, s0); SMLAD(a02, y, s1); SMLAD(a12, x, s2); SMLAD(a12, y, s3);
            b0 += 4;
            b1 += 4;
        }
        w0 += CHANNELS;
        out[0] = requantize(s0, multipliers[o], shifts[o]);
        out[1] = requantize(s1, multipliers[o], shifts[o]);
        out[2] = requantize(s2, multipliers[o + 1], shifts[o + 1]);
        out[3] = requantize(s3, multipliers[o + 1], shifts[o + 1]);
    }
}
"""


def test_code_like_cmsis_nn_takes_what_boards_take() -> None:
    """Whole models on a NUCLEO-L4R5ZI at 120 MHz: 1.45 to 1.65 cycles per instruction, +- 10 %."""
    body = """
    int8_t *in = arena;
    int16_t *columns = (int16_t *)((int8_t *)arena + 2 * CHANNELS);
    for (int i = 0; i < 2 * CHANNELS; i++) in[i] = (int8_t)i;
    for (int n = 0; n < 100; n++) {
        expand(in, columns, n);
        expand(in + CHANNELS, columns + CHANNELS, n);
        pair(columns, output);
    }"""
    sources = resident(body, before=CMSIS, arena_bytes=384)
    result = emulate(sources, [INPUT], flash=L4R5)
    assert result.cycles is not None
    print(f"cycles per instruction: {result.cycles / result.instructions:.2f}")
    assert 0.9 * 1.45 <= result.cycles / result.instructions <= 1.1 * 1.65
    assert result.cycle_model is not None
    assert "NUCLEO-L4R5ZI at 120 MHz" in result.cycle_model.error


@pytest.mark.parametrize("profile", ["none", "memory"])
def test_watched_loads_in_it_blocks_leave_no_condition_behind(profile: str) -> None:
    """The block of code behind `1:` runs whole, though the condition is false by then."""
    sources = assembly("""
        adr r2, 9f
        movs r3, #0
        cmp r3, #0
        itt eq
        ldreq r2, [r2]
        moveq r3, #1
        cmp r3, #0
        b 1f
        .p2align 2
        9: .word 0x01020304
        1:
        add.w r2, r2, #1
        add.w r2, r2, #1
        str r2, [r1]
        movs r0, #0
        bx lr""")
    result = emulate(sources, [INPUT], flash=L4R5, profile=profile)
    assert result.outputs == (bytes([6, 3, 2, 1]),)


def _functions_that_take_turns(turns: int) -> dict[str, str]:
    """Two functions that each fit the cache, but not both, each 20 times with loops of `turns`."""
    bodies = "".join(f"""
        .thumb_func
        .type {name}, %function
        {name}:
        mov r2, #{turns}
        1:
        .rept {L4R5.instruction_lines * 3}
        adds r3, #1
        .endr
        subs r2, #1
        bne 1b
        bx lr
        .size {name}, . - {name}""" for name in ("first", "second"))
    return assembly("""
        push {r1, lr}
        movs r0, #20
        3:
        bl first
        bl second
        subs r0, #1
        bne 3b
        pop {r1, lr}
        str r0, [r1]
        bx lr""", bodies)


def test_functions_that_take_turns_are_fetched_once_a_call() -> None:
    few, many = (emulate(_functions_that_take_turns(turns), [INPUT], flash=L4R5)
                 for turns in (2, 200))
    stalls = [(r.cycles or 0) - (emulate(_functions_that_take_turns(turns), [INPUT]).cycles or 0)
              for r, turns in ((few, 2), (many, 200))]
    lines = 2 * 20 * (L4R5.instruction_lines * 3 * 2 // L4R5.line_bytes + 4)
    assert 0 < stalls[1] <= lines * L4R5.wait_states
    assert stalls[1] < 3 * max(stalls[0], 1)
