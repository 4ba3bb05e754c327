# SPDX-License-Identifier: MIT
"""The cycle model against the documented timing of short sequences (run with -s to see both)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tests.shared import needs
from tests.simulator.programs import assembly, needs_compiler
from tinyeff.simulator.cycles import cycle_model
from tinyeff.simulator.emulator import emulate
from tinyeff.simulator.unicorn_engine import CORES

INPUT = np.array([1, 2, 3, 4], np.int8)

# r0, r5, r6 and r7 hold the address of the arena, r1 that of the output; r2, r3, r4 and r12 are
# free. The sequence runs between instructions that do not overlap with it.
FUNCTION = """
    .p2align 2
    .thumb_func
    .type {name}, %function
    {name}:
    push {{r4-r7, lr}}
    movs r4, #0
    str r4, [r1]
    mov r5, r0
    mov r6, r0
    mov r7, r0
    {setup}
    nop
    {sequence}
    nop
    nop
    pop {{r4-r7, pc}}
    .size {name}, . - {name}
"""
CALL = """
    push {{r0, r1}}
    bl {name}
    pop {{r0, r1}}"""

Case = tuple[str, str, str, int]

ADDRESSES = "str r0, [r0]; str r0, [r0, #4]; str r0, [r0, #8]; movs r4, #0"
M4: list[Case] = [
    # Table 3-1: the cost of instructions on their own.
    ("add", "", "adds r4, r5, r6", 1),
    ("move wide", "", "movw r4, #1000", 1),
    ("shift, saturate, extend", "", "lsls r4, r5, #3; ssat r4, #8, r5; sxtb16 r4, r5", 3),
    ("multiply", "", "mul r4, r5, r6", 1),
    ("multiply accumulate", "", "mla r4, r5, r6, r7; mls r4, r5, r6, r7", 2),
    ("long multiplies", "", "smull r4, r5, r6, r7; umull r4, r5, r6, r7; smlal r4, r5, r6, r7", 3),
    ("SMLAD chain", "", "smlad r4, r5, r6, r4; smlad r4, r5, r6, r4; smlad r4, r5, r6, r4", 3),
    ("SMMULR, SMLABB", "", "smmulr r4, r5, r6; smlabb r4, r5, r6, r4", 2),
    ("packing", "", "pkhbt r4, r5, r6, lsl #16; ror r4, r4, #8; sxtab16 r4, r5, r6", 3),
    # Table 3-1 and section 3.3.2: loads and stores.
    ("one load", "", "ldr r4, [r0]", 2),
    ("load, then use", "", "ldr r4, [r0]; adds r4, r4, #1", 3),
    ("two loads in a row", "", "ldr r4, [r5]; ldr r12, [r6]", 3),
    ("three loads in a row", "", "ldr r4, [r5]; ldr r12, [r6]; ldr r3, [r7, #4]", 4),
    ("narrow loads in a row", "", "ldrb r4, [r5]; ldrsh r12, [r6]; ldrsb r3, [r7, #4]", 4),
    ("load with register offset, load", "movs r4, #4", "ldr r12, [r5, r4]; ldr r3, [r6]", 3),
    ("dependent loads", ADDRESSES, "ldr r4, [r0]; ldr r12, [r4]", 4),
    ("chain of dependent loads", ADDRESSES, "ldr r4, [r0]; ldr r4, [r4]; ldr r4, [r4]", 6),
    ("loads with post-increment", "", "ldr r4, [r5], #4; ldr r12, [r5], #4; ldr r3, [r5], #4", 4),
    ("load, store", "movs r2, #4", "ldr r4, [r0, r2]; str r4, [r5, #20]", 3),
    ("load, store with register offset", "movs r2, #4", "ldr r4, [r0, r2]; str r2, [r5, r2]", 3),
    ("one store", "", "str r4, [r5, #20]", 1),
    ("stores in a row", "", "str r4, [r5, #20]; strb r4, [r5, #24]; strh r4, [r5, #26]", 3),
    ("store with register offset", "movs r2, #4", "str r4, [r5, r2]", 2),
    ("nothing overlaps after a store", "", "str r4, [r5, #20]; ldr r4, [r6]", 3),
    ("load double", "", "ldrd r2, r3, [r0]", 3),
    ("store double", "", "strd r2, r3, [r0]", 3),
    ("three-element LDM", "", "ldm r5, {r2, r3, r4}", 4),
    ("eight-element STM", "", "stm r5, {r2, r3, r4, r6, r7, r8, r9, r12}", 9),
    ("LDM overlaps with nothing", "", "ldr r4, [r5]; ldm r6, {r2, r3}", 5),
    ("push and pop", "", "push {r4-r7}; pop {r4-r7}", 10),
    # Table 3-1: branches, with P = 1 for a near target that is aligned.
    ("branch not taken", "cmp r5, r5", "bne 1f; nop; nop; nop; .p2align 2; 1:", 4),
    ("branch taken", "cmp r5, r5", "beq 1f; nop; nop; nop; .p2align 2; 1:", 2),
    ("compare and branch, not taken", "", "cbz r0, 1f; nop; 1:", 2),
    ("IT folds onto a 16-bit instruction", "", "cmp r5, r5; it eq; moveq r4, #1", 2),
    ("IT after a 32-bit instruction", "", "cmp.w r5, r5; it eq; moveq r4, #1", 3),
    # Table 3-1: 2 to 12 cycles by the operands.
    ("division by zero", "movs r4, #0; movs r2, #5", "udiv r3, r2, r4", 2),
    ("smaller by larger", "movs r4, #9; movs r2, #5", "udiv r3, r2, r4", 2),
    ("the longest division", "mvn r2, #0; movs r4, #1", "udiv r3, r2, r4", 12),
    ("a negative longest division", "mov r2, #0x80000000; movs r4, #1", "sdiv r3, r2, r4", 12),
]
M0PLUS: list[Case] = [
    # DDI 0484C, table 3-1.
    ("add, move, multiply", "", "adds r4, r5, r6; movs r2, #1; muls r4, r5, r4", 3),
    ("one load", "", "ldr r4, [r0]", 2),
    ("loads do not overlap", "", "ldr r4, [r5]; ldr r3, [r6]; ldrb r2, [r7]", 6),
    ("one store", "", "str r4, [r5, #20]", 2),
    ("three-element LDM", "", "ldm r5!, {r2, r3, r4}", 4),
    ("three-element STM", "", "stm r5!, {r2, r3, r4}", 4),
    ("push and pop", "", "push {r4-r7}; pop {r4-r7}", 10),
    ("branch not taken", "cmp r5, r5", "bne 1f; nop; nop; 1:", 3),
    ("branch taken", "cmp r5, r5", "beq 1f; nop; nop; 1:", 2),
    ("branch", "", "b 1f; nop; nop; 1:", 2),
]


@pytest.fixture(autouse=True)
def _programs() -> None:
    needs("unicorn", "capstone", "elftools")
    needs_compiler("gcc")


def _cycles(cases: Sequence[Case], cpu: str) -> list[int]:
    """What each sequence takes, all measured in one run: a function with it less one without."""
    functions, calls = [], []
    for number, (_, setup, sequence, _) in enumerate(cases):
        for name, text in ((f"with_{number}", sequence), (f"without_{number}", "")):
            functions.append(FUNCTION.format(
                name=name, setup=setup.replace(";", "\n"), sequence=text.replace(";", "\n")))
            calls.append(CALL.format(name=name))
    main = "\n".join(["push {r4, lr}", *calls, "movs r0, #0", "pop {r4, pc}"])
    result = emulate(assembly(main, "\n".join(functions)), [INPUT], cpu)
    cycles = {f.name: f.cycles or 0 for f in result.functions}
    return [cycles[f"with_{n}"] - cycles[f"without_{n}"] for n in range(len(cases))]


@pytest.mark.parametrize(("cpu", "cases"), [("cortex-m4", M4), ("cortex-m0plus", M0PLUS)])
def test_documented_timing(cpu: str, cases: list[Case]) -> None:
    measured = _cycles(cases, cpu)
    for case, cycles in zip(cases, measured, strict=True):
        print(f"{cpu:<14} {case[0]:<40} documented {case[3]:>3}  model {cycles:>3}")
    assert {c[0]: m for c, m in zip(cases, measured, strict=True)} == {c[0]: c[3] for c in cases}


def test_cortex_m3_multiplies_take_longer() -> None:
    """DDI 0337I, table 3-1: MLA 2, SMULL 3 to 5, SMLAL 4 to 7 cycles."""
    sequences = ("mul r4, r5, r6", "mla r4, r5, r6, r7", "smull r4, r5, r6, r7",
                 "smlal r4, r5, r6, r7")
    mul, mla, smull, smlal = _cycles([(s, "", s, 0) for s in sequences], "cortex-m3")
    assert (mul, mla) == (1, 2)
    assert 3 <= smull <= 5
    assert 4 <= smlal <= 7


def test_a_delay_loop_takes_three_cycles_a_turn() -> None:
    """SUBS and BNE: 1 + (1 + P) with P = 1, on cores with three stages or two."""
    times = 1000
    code = f"""
        movw r2, #{times}
        str r2, [r1]
        .p2align 2
        1: subs r2, #1
        bne 1b
        str r2, [r1]
        movs r0, #0
        bx lr"""
    for cpu in ("cortex-m3", "cortex-m4"):
        longer, shorter = (emulate(assembly(code.replace(f"#{times}", f"#{n}")), [INPUT], cpu)
                           for n in (2 * times, times))
        assert longer.cycles is not None
        assert shorter.cycles is not None
        assert longer.cycles - shorter.cycles == 3 * times
        assert longer.instructions - shorter.instructions == 2 * times


def test_dual_issue_of_the_cortex_m7() -> None:
    pair, chain = "adds r4, r5, #1; adds r6, r7, #1;", "adds r4, r4, #1; adds r4, r4, #1;"
    cases = [("pairs", "", 10 * pair, 0), ("chain", "", 10 * chain, 0)]
    pairs, chained = _cycles(cases, "cortex-m7")
    assert pairs == 10
    assert chained in (19, 20)


def test_loads_of_several_words_on_the_cortex_m7() -> None:
    """Two words a cycle, and one cycle more; nothing else issues beside them."""
    cases = [(f"ldm{n}", "", 10 * f"ldmia r0, {{{registers}}};", 0)
             for n, registers in ((2, "r4-r5"), (3, "r4-r6"), (6, "r4-r9"))]
    assert _cycles(cases, "cortex-m7") == [20, 30, 40]


def test_every_core_states_source_and_error() -> None:
    for cpu in CORES:
        model = cycle_model(cpu)
        assert model is not None
        assert "Technical Reference Manual" in model.source
        assert model.error
    assert cycle_model("cortex-m55") is None


def test_every_kind_of_instruction_has_a_cost() -> None:
    from tinyeff.simulator.instructions import KINDS

    for cpu in ("cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33"):
        model = cycle_model(cpu)
        assert model is not None
        missing = set(KINDS.values()) - set(model.cycles) - {"divide"}
        assert not missing, f"{cpu} has no cycles for {missing}"
