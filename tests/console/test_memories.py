# SPDX-License-Identifier: MIT
"""How memories are named on the command line, and what a chip has unless they are."""

from __future__ import annotations

import pytest

from tinyeff.console.options import PlanOptions
from tinyeff.device.boards import board_named
from tinyeff.errors import UsageError
from tinyeff.ir import Memory

KIB = 1024
H743 = (Memory("dtcm", 128 * KIB), Memory("d1_sram", 512 * KIB))


def test_memories_are_taken_in_the_order_given() -> None:
    limits = PlanOptions(memory=["axi=512k", "ccm=64k"]).limits()
    assert limits.memories == (Memory("axi", 512 * KIB), Memory("ccm", 64 * KIB))
    assert limits.sram_bytes is None


def test_a_chip_knows_its_memories_and_their_order() -> None:
    named = PlanOptions(device="stm32h743zi", memory=["d1_sram", "dtcm"]).limits()
    assert (named.memories, named.sram_bytes) == (H743, None)
    part = PlanOptions(device="stm32h743zi", memory=["d1_sram=100k"]).limits()
    assert part.memories == (Memory("d1_sram", 100 * KIB),)


def test_of_several_memories_the_largest_alone_is_the_first_choice() -> None:
    limits = PlanOptions(device="stm32h743zi").limits()
    assert (limits.sram_bytes, limits.memories) == (512 * KIB, H743)
    assert PlanOptions(device="stm32h743zi", sram="64k").limits().memories == ()
    assert PlanOptions(board="nucleo-f746zg").limits().memories == ()


def test_a_program_around_the_model_takes_of_the_first_memory() -> None:
    board = board_named("nucleo-h743zi2")
    limits = PlanOptions(board=board.name).limits(board)
    assert limits.memories[0].size_bytes < 128 * KIB
    assert limits.memories[1] == H743[1]
    assert PlanOptions(board=board.name, memory=["dtcm"]).limits(board).memories == (
        limits.memories[:1])


@pytest.mark.parametrize(("options", "named"), [
    (PlanOptions(memory=["dtcm=1k"], sram="1k"), "--memory and --sram exclude each other"),
    (PlanOptions(memory=["dtcm"]), "--memory dtcm: say how large it is"),
    (PlanOptions(memory=["dtcm=lots"]), r"--memory dtcm.*lots.*256k"),
    (PlanOptions(memory=["DTCM=1k"]), "--memory DTCM=1k: 'DTCM' cannot name a memory"),
    (PlanOptions(memory=["input=1k"]), "cannot name a memory"),
    (PlanOptions(memory=["a=1k", "a=2k"]), "a is named twice"),
    (PlanOptions(memory=["axi"], device="stm32h743zi"), r"the chip has dtcm \(128k\), d1_sram"),
    (PlanOptions(memory=["axi=1k"], device="stm32h743zi"), "has no memory axi; it has dtcm"),
    (PlanOptions(memory=["dtcm=129k"], device="stm32h743zi"), r"has 131072 bytes \(128k\)"),
    (PlanOptions(sram="600k", device="stm32h743zi"), "in one piece; --memory names several"),
])
def test_what_makes_no_sense_is_said(options: PlanOptions, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        options.limits()
