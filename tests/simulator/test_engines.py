# SPDX-License-Identifier: MIT
"""Unicorn and QEMU on the same programs, and MVE, which only QEMU has."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from tests.shared import needs
from tests.simulator.programs import compilers, needs_compiler, resident
from tinyeff.device.boards import board_named
from tinyeff.errors import InternalError, UnsupportedError, UsageError
from tinyeff.simulator import unicorn_engine, unicorn_worker
from tinyeff.simulator.emulator import emulate

SORT = """
    int8_t *a = (int8_t *)arena + 64;
    uint32_t state = 1;
    for (int i = 0; i < 400; i++) {
        state = state * 1664525u + 1013904223u;
        a[i] = (int8_t)(state >> 24);
    }
    for (int i = 1; i < 400; i++) {
        for (int j = i; j > 0 && a[j - 1] > a[j]; j--) {
            int8_t t = a[j]; a[j] = a[j - 1]; a[j - 1] = t;
        }
    }
    for (int i = 0; i < 4; i++) output[i] = a[133 * i];"""

VECTORS = """
    int8x16_t sum = vdupq_n_s8(0);
    for (int i = 0; i < 4; i++) sum = vaddq_s8(sum, vld1q_s8((int8_t *)arena + 16 * i));
    vst1q_p_s8(output, sum, vctp8q(4));"""


@pytest.fixture(autouse=True)
def _programs() -> None:
    needs("qemu-system-arm", "unicorn", "capstone", "elftools")
    needs_compiler("gcc")


@pytest.mark.parametrize("cpu", ["cortex-m4", "cortex-m7"])
def test_engines_agree(cpu: str) -> None:
    sources = resident(SORT, arena_bytes=464)
    unicorn = emulate(sources, [bytes(4)], cpu, engine="unicorn")
    qemu = emulate(sources, [bytes(4)], cpu, engine="qemu")
    assert unicorn.instructions > 300_000
    assert qemu.instructions == unicorn.instructions
    assert qemu.outputs == unicorn.outputs
    assert qemu.stack_bytes == unicorn.stack_bytes
    assert qemu.arena_bytes_touched == unicorn.arena_bytes_touched == 464
    assert (qemu.cycles, qemu.engine) == (None, "qemu")


@compilers
def test_cortex_m55_runs_vector_instructions(compiler: str) -> None:
    needs_compiler(compiler)
    data = np.arange(64, dtype=np.int8)
    sources = resident(VECTORS, before="#include <arm_mve.h>\n", input_bytes=64)
    result = emulate(sources, [data], "cortex-m55", compiler=compiler)
    assert np.frombuffer(result.outputs[0], np.int8).tolist() == [96, 100, 104, 108]
    assert result.instructions < 60


@pytest.mark.parametrize(("cpu", "hole"), [("cortex-m4", "90"), ("cortex-m55", "18")])
def test_faults_in_qemu_name_function_and_line(cpu: str, hole: str) -> None:
    body = "\n" * 10 + f"*(volatile int *)0x{hole}000000 = 1;"
    with pytest.raises(InternalError) as caught:
        emulate(resident(body), [bytes(4)], cpu, engine="qemu")
    assert "stopped in m_run (m.c:16" in caught.value.message
    assert f"access to unmapped memory at 0x{hole}000000" in caught.value.message


def test_undefined_instruction_in_qemu() -> None:
    with pytest.raises(InternalError, match="undefined instruction"):
        emulate(resident('__asm volatile("udf #0");'), [bytes(4)], engine="qemu")


def test_what_an_engine_cannot_do_is_said() -> None:
    sources = resident("output[0] = 0;")
    with pytest.raises(UsageError, match="engine qemu cannot profile memory"):
        emulate(sources, [bytes(4)], engine="qemu", profile="memory")
    with pytest.raises(UnsupportedError, match="unicorn has no cortex-m55"):
        emulate(sources, [bytes(4)], "cortex-m55", engine="unicorn")


def test_counting_works_without_the_short_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version of unicorn may hide what the fast callbacks need: slower, same counts."""
    sources = resident(SORT, arena_bytes=464)
    usual = emulate(sources, [bytes(4)], flash=board_named("nucleo-l4r5zi").timing)

    def in_this_process(
        header: dict[str, Any], blobs: list[bytes], timeout_seconds: float
    ) -> tuple[dict[str, Any], list[bytes]]:
        stream = io.BytesIO()
        unicorn_worker.send(stream, *unicorn_worker.answer(header, blobs))
        return unicorn_worker.receive(io.BytesIO(stream.getvalue()))

    monkeypatch.setattr(unicorn_engine, "_exchange", in_this_process)
    monkeypatch.setattr(unicorn_worker.Machine, "_library", lambda self: None)
    slower = emulate(sources, [bytes(4)], flash=board_named("nucleo-l4r5zi").timing)
    assert (slower.instructions, slower.cycles) == (usual.instructions, usual.cycles)
    assert slower.functions == usual.functions
