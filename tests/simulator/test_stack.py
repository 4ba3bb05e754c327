# SPDX-License-Identifier: MIT
"""The bound on the stack: along the deepest calls, through pointers, into libraries."""

from __future__ import annotations

import pytest

from tests.shared import needs
from tests.simulator.programs import assembly, compilers, model, needs_compiler, resident
from tinyeff.simulator.emulator import emulate

pytestmark = pytest.mark.slow
ZEROS = [bytes([1, 2, 3, 4])]

CALLS = """
typedef void work(volatile int8_t *out);
static __attribute__((noinline)) void small(volatile int8_t *out)
{
    volatile int8_t a[32];
    for (int i = 0; i < 32; i++) a[i] = (int8_t)i;
    out[0] = a[3];
}
static __attribute__((noinline)) void large(volatile int8_t *out)
{
    volatile int8_t a[512];
    for (int i = 0; i < 512; i++) a[i] = (int8_t)i;
    out[0] = a[4];
    small(out + 1);
    out[2] = a[5];
}
work *const table[2] = {small, large};
"""


@pytest.fixture(autouse=True)
def _programs() -> None:
    needs("unicorn", "capstone", "elftools")
    needs_compiler("gcc")


@compilers
@pytest.mark.parametrize("cpu", ["cortex-m0plus", "cortex-m4"])
def test_calls_through_pointers_count_with_the_deepest(cpu: str, compiler: str) -> None:
    needs_compiler(compiler)
    body = "for (int i = 0; i < 4; i++) output[i] = 0;\ntable[((int8_t *)arena)[{}]](output);"
    bound = 0
    for index in (0, 1):  # input byte 0 is 1, byte 1 is 2: table[1], then table[0] by - 2
        code = body.format(0) if index else body.format(1).replace("[1]]", "[1] - 2]")
        result = emulate(resident(code, before=CALLS), ZEROS, cpu, compiler=compiler)
        assert result.stack_bound_bytes is not None
        assert result.stack_bytes <= result.stack_bound_bytes
        bound = result.stack_bound_bytes
        assert bound >= 544
    assert bound - result.stack_bytes <= 16


@compilers
def test_recursion_has_no_bound(compiler: str) -> None:
    needs_compiler(compiler)
    before = """
    static __attribute__((noinline)) int down(int n, volatile int8_t *out)
    {
        volatile int a[4];
        a[n & 3] = n;
        out[0] = (int8_t)n;
        return n <= 0 ? 0 : down(n - 1, out) + a[n & 3];
    }
    """
    body = "for (int i = 0; i < 4; i++) output[i] = 0;\ndown(((int8_t *)arena)[2], output);"
    result = emulate(resident(body, before=before), ZEROS, compiler=compiler)
    assert result.stack_bound_bytes is None
    assert result.stack_bytes > 60


def test_a_naked_function_counts_with_what_it_pushes() -> None:
    before = """
    static __attribute__((naked, noinline)) void pushes(int8_t *out)
    {
        __asm volatile("push {r4-r11}\\n movs r4, #0\\n str r4, [r0]\\n pop {r4-r11}\\n bx lr");
    }
    """
    result = emulate(resident("pushes(output);", before=before), ZEROS)
    assert result.stack_bound_bytes == result.stack_bytes == 32 + 8


def test_frames_of_assembly_come_from_its_instructions() -> None:
    code = """
        push {r4, lr}
        sub sp, #96
        str r0, [sp]
        movs r2, #0
        str r2, [r1]
        bl inner
        add sp, #96
        movs r0, #0
        pop {r4, pc}"""
    inner = """
        .thumb_func
        .type inner, %function
        inner: str r4, [sp, #-8]!
        ldr r4, [sp], #8
        bx lr
        .size inner, . - inner"""
    result = emulate(assembly(code, inner), ZEROS)
    assert result.stack_bound_bytes == 8 + 96 + 8
    assert result.stack_bytes == result.stack_bound_bytes


# zig compiles its run-time library first, which takes as long as all other tests of this file.
@pytest.mark.parametrize("compiler", ["gcc", pytest.param("zig", marks=pytest.mark.all)])
def test_helpers_of_the_compiler_have_a_bound(compiler: str) -> None:
    needs_compiler(compiler)
    body = """
    const int8_t *in = arena;
    for (int i = 0; i < 4; i++) output[i] = (int8_t)(100 / in[i]);"""
    result = emulate(resident(body), ZEROS, "cortex-m0plus", compiler=compiler)
    assert list(result.outputs[0]) == [100, 50, 33, 25]
    assert result.stack_bound_bytes is not None
    assert result.stack_bytes <= result.stack_bound_bytes < 200


def test_a_model_that_takes_rows_has_a_bound() -> None:
    code = """
    #include "m.h"
    static __attribute__((noinline)) void add(int32_t *state, const int8_t *row)
    {
        volatile int8_t copy[64];
        for (int i = 0; i < 64; i++) copy[i] = row[i & 1];
        *state += copy[5];
    }
    int m_begin(void *arena) { *(int32_t *)arena = 0; return 0; }
    int m_push_row(void *arena, const int8_t *row) { add(arena, row); return 0; }
    int m_finish(void *arena, int8_t *output)
    {
        for (int i = 0; i < 4; i++) output[i] = ((int8_t *)arena)[i];
        return 0;
    }"""
    sources = model(code, input_memory="streamed", input_bytes=6, rows=3)
    result = emulate(sources, [bytes(range(6))])
    assert result.stack_bound_bytes is not None
    assert 64 <= result.stack_bytes <= result.stack_bound_bytes < 120
