# SPDX-License-Identifier: MIT
"""The shared models at each --optimize: exact, and as small as they shall be."""

from __future__ import annotations

import pytest

from tests.shared import needs, shared_path
from tests.simulator.test_models import MODELS, generated
from tinyeff import pipeline
from tinyeff.data import random_inputs
from tinyeff.emitter import EmitOptions, emit
from tinyeff.footprint import footprint
from tinyeff.ir import Limits, Optimize
from tinyeff.ops import winograd
from tinyeff.simulator.emulator import EmulationResult, emulate
from tinyeff.simulator.flash_use import flash_use, in_flash
from tinyeff.simulator.verify import verify
from tinyeff.targets import target_for

pytestmark = pytest.mark.slow
LIMIT_BYTES: dict[Optimize, int] = {
    "speed": 12 * 1024 + winograd.CODE_BYTES, "balanced": 12 * 1024, "size": 8 * 1024}
"""What code and tables may take; speed adds the one kernel that only it has."""

SMALL = MODELS[:4]
"""The models whose code is held to the limits."""


def emulated(model: str, cpu: str, optimize: Optimize, strategy: str = "auto") -> EmulationResult:
    """One inference; its outputs equal those of the host."""
    needs("unicorn", "capstone", "elftools", "arm-none-eabi-gcc")
    code = generated(model, cpu, strategy, optimize=optimize)
    result = emulate(code.sources, code.inputs, cpu, compiler="gcc")
    assert result.outputs == code.outputs
    assert result.arena_bytes_touched == result.arena_bytes == code.plan.arena_bytes
    return result


@pytest.mark.parametrize(("model", "strategy", "optimize"), [
    ("kws_dscnn_int8", "auto", "speed"), ("kws_dscnn_int8", "auto", "balanced"),
    *((model, "auto", "size") for model in SMALL), ("vww_96_int8", "per-layer", "balanced"),
])
def test_code_and_tables_are_small(model: str, strategy: str, optimize: Optimize) -> None:
    result = emulated(model, "cortex-m4", optimize, strategy)
    use = flash_use(result.symbols, "m")
    assert use.code_bytes + use.table_bytes <= LIMIT_BYTES[optimize]
    assert f"-O{'s' if optimize == 'size' else '2'}" in result.flags


@pytest.mark.all
@pytest.mark.parametrize("cpu", ["cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7",
                                 "cortex-m33"])
@pytest.mark.parametrize("optimize", ["speed", "size"])
@pytest.mark.parametrize("model", MODELS)
def test_every_core_computes_the_same(model: str, cpu: str, optimize: Optimize) -> None:
    result = emulated(model, cpu, optimize)
    use = flash_use(result.symbols, "m")
    assert model not in SMALL or cpu != "cortex-m4" or (
        use.code_bytes + use.table_bytes <= LIMIT_BYTES[optimize])


@pytest.mark.parametrize("model", SMALL[:1])
def test_weights_stand_in_flash_once_and_nothing_is_copied(model: str) -> None:
    """What the linked program holds of the model is read-only, and its arrays as they were said."""
    compiled = pipeline.compile_model(shared_path("models", f"{model}.tflite"),
                                      target_for("cortex-m4"), Limits())
    result = emulated(model, "cortex-m4", "balanced")
    foot, use = footprint(compiled.graph, compiled.plan), flash_use(result.symbols, "m")
    assert use.weight_bytes == foot.const_bytes
    said = foot.code_bytes + foot.table_bytes
    assert 0.85 <= said / (use.code_bytes + use.table_bytes) <= 1.25
    model_sources = ("m.c", "m_weights.c")
    assert not [s.name for s in result.symbols if s.writable and (
        s.source in model_sources or s.name.startswith(("m_", "te_")))
        and not s.name.startswith("te_emulator")]
    assert len({s.name for s in in_flash(result.symbols)}) == len(in_flash(result.symbols))


def test_the_host_runs_what_is_left_out_for_size() -> None:
    """Blocks of two pixels are gone under -Os."""
    program = pipeline.compile_model(shared_path("models", "ic_resnet8_int8.tflite"),
                                     target_for("host", "size"), Limits()).program
    result = verify(program, random_inputs(program.graph, 0, 1), flags=("-Os",))
    assert result.exact, result.difference


def test_emitting_says_the_level() -> None:
    program = pipeline.compile_model(shared_path("models", "ad_autoencoder_int8.tflite"),
                                     target_for("cortex-m4", "size"), Limits()).program
    sources = emit(program, EmitOptions("ad"))
    assert "optimized for size" in sources["ad.h"]
    assert "CFLAGS ?= -Os" in sources["Makefile"]
