# SPDX-License-Identifier: MIT
"""The emulator on hand-written models whose behaviour is known to the byte and the instruction."""

from __future__ import annotations

import numpy as np
import pytest

from tests.shared import needs
from tests.simulator.programs import (
    RESIDENT,
    assembly,
    compilers,
    model,
    needs_compiler,
    resident,
)
from tinyeff.errors import DoesNotFitError, InternalError, UsageError
from tinyeff.simulator.emulator import emulate
from tinyeff.simulator.memory_map import KIB, memory_map
from tinyeff.targets import CPUS

FOUR = np.array([1, 2, 3, 4], np.int8)
CORES = ["cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33"]

DOUBLE = "const int8_t *in = arena; for (int i = 0; i < 4; i++) output[i] = (int8_t)(2 * in[i]);"


@pytest.fixture(autouse=True)
def _programs() -> None:
    needs("unicorn", "capstone", "elftools")
    needs_compiler("gcc")


@compilers
@pytest.mark.parametrize("cpu", CORES)
def test_every_core_computes(cpu: str, compiler: str) -> None:
    needs_compiler(compiler)
    result = emulate(resident(DOUBLE), [FOUR], cpu, compiler=compiler)
    assert np.frombuffer(result.outputs[0], np.int8).tolist() == [2, 4, 6, 8]
    assert compiler in result.compiler
    assert "-O2" in result.flags
    assert result.instructions > 0
    assert result.cycles is not None
    assert result.cycles >= result.instructions // 2


@pytest.mark.parametrize("times", [1, 2, 1000, 70_000])
def test_a_loop_of_known_length_reads_exactly(times: int) -> None:
    code = f"""
        ldr r2, ={times}
        1: str r2, [r1]
        subs r2, #1
        bne 1b
        str r2, [r1]
        movs r0, #0
        bx lr
        .ltorg"""
    assert emulate(assembly(code), [FOUR]).instructions == 4 + 3 * times


def test_instructions_skipped_in_an_it_block_count() -> None:
    code = """
        movs r0, #0
        str r0, [r1]
        cmp r0, #0
        itte ne
        addne r2, #1
        addne r3, #1
        moveq r0, #0
        bx lr"""
    assert emulate(assembly(code), [FOUR]).instructions == 8


def test_input_excluded_is_read_from_the_callers_memory() -> None:
    code = """
    #include "m.h"
    int m_run(void *arena, const int8_t *input, int8_t *output)
    {
        for (int i = 0; i < 4; i++) ((int8_t *)arena)[i] = output[i] = (int8_t)-input[i];
        return 0;
    }"""
    result = emulate(model(code, input_memory="excluded"), [FOUR])
    assert np.frombuffer(result.outputs[0], np.int8).tolist() == [-1, -2, -3, -4]
    assert result.arena_bytes_touched == 4


def test_input_streamed_row_by_row() -> None:
    code = """
    #include "m.h"
    int m_begin(void *arena) { *(int32_t *)arena = 0; return 0; }
    int m_push_row(void *arena, const int8_t *row)
    {
        *(int32_t *)arena = *(int32_t *)arena * 10 + row[0] + row[1];
        return 0;
    }
    int m_finish(void *arena, int8_t *output)
    {
        for (int i = 0; i < 4; i++) output[i] = ((int8_t *)arena)[i];
        return 0;
    }"""
    rows = np.array([[1, 0], [2, 1], [3, 2]], np.int8)
    sources = model(code, input_memory="streamed", input_bytes=6, rows=3)
    result = emulate(sources, [rows])
    assert int.from_bytes(result.outputs[0], "little") == 135
    assert {f.name for f in result.functions} == {"m_begin", "m_push_row", "m_finish"}
    needs("qemu-system-arm")
    assert emulate(sources, [rows], engine="qemu").instructions == result.instructions


def test_touched_bytes_are_found_even_where_the_paint_is_written() -> None:
    body = """
    uint8_t *a = arena;
    a[10] = 0xA5; a[20] = 0x5A; a[30] = 0;
    for (int i = 0; i < 4; i++) output[i] = 0;"""
    result = emulate(resident(body), [FOUR])
    assert np.flatnonzero(result.arena_touched).tolist() == [0, 1, 2, 3, 10, 20, 30]
    assert (result.arena_bytes, result.arena_bytes_touched) == (64, 31)


def test_stack_high_water_mark() -> None:
    code = """
        push {r4, lr}
        sub sp, #96
        str r0, [sp]
        movs r2, #0
        str r2, [r1]
        add sp, #96
        movs r0, #0
        pop {r4, pc}"""
    assert emulate(assembly(code), [FOUR]).stack_bytes == 104


@compilers
def test_frames_are_those_of_the_compiler(compiler: str) -> None:
    needs_compiler(compiler)
    body = """
    volatile int32_t local[32];
    for (int i = 0; i < 32; i++) local[i] = ((int8_t *)arena)[i & 3];
    for (int i = 0; i < 4; i++) output[i] = (int8_t)local[output[0] & 31 ? 0 : i];
    for (int i = 0; i < 4; i++) output[i] = 0;"""
    frames = emulate(resident(body), [FOUR], compiler=compiler).frames
    assert 128 <= frames["m_run"] <= 160


def test_a_write_behind_the_arena_is_found() -> None:
    body = "((uint8_t *)arena)[63] = 1; for (int i = 0; i < 4; i++) output[i] = 0;"
    sources = resident(body)
    assert emulate(sources, [FOUR]).arena_bytes_touched == 64
    with pytest.raises(InternalError, match="outside its arena of 63 bytes: up to 1 bytes above"):
        emulate(sources, [FOUR], arena_bytes=63)


def test_a_write_before_the_arena_is_found() -> None:
    body = "((uint8_t *)arena)[-3] = 1; for (int i = 0; i < 4; i++) output[i] = 0;"
    with pytest.raises(InternalError, match="up to 3 bytes below it"):
        emulate(resident(body), [FOUR])


def test_a_result_that_depends_on_old_memory_is_found() -> None:
    body = "for (int i = 0; i < 4; i++) output[i] = ((int8_t *)arena)[i + 8];"
    with pytest.raises(InternalError, match="depends on what its memory held before"):
        emulate(resident(body), [FOUR])


def test_an_output_that_is_not_written_is_found() -> None:
    with pytest.raises(InternalError, match="depends on what its memory held before"):
        emulate(resident("output[0] = output[1] = output[2] = 0;"), [FOUR])


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("*(volatile int *)0x40000000 = 1;", "write to unmapped memory at 0x40000000"),
        ("output[0] = *(volatile int8_t *)0x1ffffffc;", "read of unmapped memory at 0x1ffffffc"),
        ("*(volatile int *)(uintptr_t)&m_run = 1;", "write to flash at 0x0800"),
        ("__asm volatile(\"udf #0\");", "undefined instruction"),
        ("((void (*)(void))0x60000001)();", "jump into unmapped memory at 0x60000000"),
        ("((void (*)(void))((uintptr_t)arena | 1))();", "jump into SRAM"),
    ],
)
def test_faults_name_function_and_line(body: str, what: str) -> None:
    lines = "\n" * 20 + body
    with pytest.raises(InternalError) as caught:
        emulate(resident(lines), [FOUR])
    assert what in caught.value.message
    if "jump" not in what:
        assert "stopped in m_run (m.c:2" in caught.value.message


GROW = """
static int grow(int n)
{
    volatile char a[256];
    for (int i = 0; i < 256; i++) a[i] = (char)n;
    return n == 0 ? 0 : grow(n - 1) + a[0];
}
"""


def test_a_stack_that_outgrows_its_place_faults() -> None:
    body = "for (int i = 0; i < 4; i++) output[i] = (int8_t)grow(40);"
    with pytest.raises(InternalError, match=r"stopped in .*write to unmapped memory at 0x1ffff"):
        emulate(resident(body, before=GROW), [FOUR])


def test_a_stack_that_outgrows_its_place_is_found_where_memory_lies_below() -> None:
    needs("qemu-system-arm")
    body = "for (int i = 0; i < 4; i++) output[i] = (int8_t)grow(40);"
    with pytest.raises(InternalError, match="m needs more than the 8192 bytes of stack"):
        emulate(resident(body, before=GROW), [FOUR], "cortex-m55")


def test_an_error_code_is_reported() -> None:
    code = RESIDENT + "int m_run(void *arena, int8_t *output) { return arena && output ? -2 : 0; }"
    with pytest.raises(InternalError, match="m_run returned -2 in the emulated cortex-m4"):
        emulate(model(code), [FOUR])


def test_a_chip_that_is_too_small_is_named() -> None:
    chip = memory_map("tiny", 16 * KIB, 8 * KIB)
    with pytest.raises(DoesNotFitError, match=r"tiny: SRAM by \d+ bytes \(it has 8192\)"):
        emulate(resident("output[0] = 0;", arena_bytes=16 * KIB), [FOUR], memory=chip)
    table = "const int32_t table[5000] = {1};\n"
    body = "for (int i = 0; i < 4; i++) output[i] = (int8_t)table[((int8_t *)arena)[i]];"
    with pytest.raises(DoesNotFitError, match=r"FLASH by \d+ bytes \(it has 16384\)"):
        emulate(resident(body, before=table), [FOUR], memory=chip)


@compilers
def test_overflow_is_recognised_from_both_linkers(compiler: str) -> None:
    needs_compiler(compiler)
    chip = memory_map("tiny", 16 * KIB, 8 * KIB)
    with pytest.raises(DoesNotFitError, match="SRAM by"):
        emulate(resident("output[0] = 0;", arena_bytes=16 * KIB), [FOUR], memory=chip,
                compiler=compiler)


LAYERS = {
    "te_one.c": """
    #include <stdint.h>
    void te_one(const int32_t *params, int8_t *out);
    void te_one(const int32_t *params, int8_t *out)
    {
        for (volatile int32_t i = 0; i < params[0]; i++) { }
        *out = (int8_t)params[1];
    }"""
}
CALLS = """
extern void te_one(const int32_t *params, int8_t *out);
static const int32_t a_params[2] = {100, 1}, b_params[2] = {1000, 2}, c_params[2] = {10, 3};
"""
STEPS = """
for (int i = 0; i < 2; i++) {
    te_one(a_params, output);
    te_one(b_params, output + 1);
}
te_one(c_params, output + 2);
output[3] = 0;
"""


def test_layers_are_told_apart_and_add_up() -> None:
    sources = resident(STEPS, before=CALLS, steps=("a", "b", "c"), files=LAYERS)
    result = emulate(sources, [FOUR], profile="layers")
    assert sum(layer.instructions for layer in result.layers) == result.instructions
    assert sum(layer.cycles or 0 for layer in result.layers) == result.cycles
    a, b, c = (layer.instructions for layer in result.layers)
    per_turn = round((b - a) / 1800)
    assert b - a == pytest.approx(1800 * per_turn, abs=60)
    assert a - c == pytest.approx(190 * per_turn, abs=60)
    plain = emulate(sources, [FOUR])
    assert (plain.instructions, plain.layers) == (result.instructions, ())


def test_layers_that_share_parameters_share_the_count() -> None:
    same = CALLS.replace("{1000, 2}", "{100, 1}")
    sources = resident(STEPS, before=same, steps=("a", "b", "c"), files=LAYERS)
    result = emulate(sources, [FOUR], profile="layers")
    a, b, _ = (layer.instructions for layer in result.layers)
    assert abs(a - b) < 60
    assert sum(layer.instructions for layer in result.layers) == result.instructions


def test_memory_profile_counts_loads_and_stores() -> None:
    code = """
        ldr r2, [r0]
        ldrh r3, [r0, #2]
        strb r3, [r0, #32]
        ldr r3, =0x12345678
        str r2, [r1]
        push {r4-r7}
        pop {r4-r7}
        movs r0, #0
        bx lr
        .ltorg"""
    result = emulate(assembly(code), [FOUR], profile="memory")
    flash, sram = result.accesses["flash"], result.accesses["sram"]
    assert (flash.loads, flash.load_bytes, flash.stores) == (1, 4, 0)
    assert (sram.loads, sram.load_bytes) == (6, 4 + 2 + 16)
    assert (sram.stores, sram.store_bytes) == (6, 1 + 4 + 16)
    assert result.unaligned == ()


def test_memory_profile_shows_unaligned_accesses() -> None:
    code = "ldr r2, [r0, #1]\nmovs r2, #0\nstr r2, [r1]\nmovs r0, #0\nbx lr"
    result = emulate(assembly(code), [FOUR], profile="memory")
    assert len(result.unaligned) == 1
    assert result.unaligned[0].startswith("m_run")


def test_cortex_m0plus_must_not_access_unaligned_words() -> None:
    code = "adds r0, #1\nldr r2, [r0]\nmovs r2, #0\nstr r2, [r1]\nmovs r0, #0\nbx lr"
    with pytest.raises(InternalError, match=r"m_run .*: unaligned access"):
        emulate(assembly(code), [FOUR], "cortex-m0plus")
    assert emulate(assembly(code), [FOUR], "cortex-m4").instructions == 6


@pytest.mark.parametrize("cpu", CORES)
def test_dsp_instructions_run_where_the_core_has_them(cpu: str) -> None:
    qadd = ".inst.w 0xfa81f082\nmovs r2, #0\nstr r2, [r1]\nmovs r0, #0\nbx lr"
    if CPUS[cpu].dsp:
        assert emulate(assembly(qadd), [FOUR], cpu).instructions == 5
    else:
        with pytest.raises(InternalError, match="undefined instruction"):
            emulate(assembly(qadd), [FOUR], cpu)


def test_inputs_of_another_size_are_refused() -> None:
    with pytest.raises(UsageError, match=r"takes inputs of \[4\] bytes, but \[3\]"):
        emulate(resident(DOUBLE), [FOUR[:3]])


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UsageError, match="profile speed is not known"):
        emulate(resident(DOUBLE), [FOUR], profile="speed")
    with pytest.raises(UsageError, match="engine bochs is not known"):
        emulate(resident(DOUBLE), [FOUR], engine="bochs")
    with pytest.raises(UsageError, match="--compiler icc is not known"):
        emulate(resident(DOUBLE), [FOUR], compiler="icc")
    with pytest.raises(UsageError, match="host is not an emulated core"):
        emulate(resident(DOUBLE), [FOUR], "host")
