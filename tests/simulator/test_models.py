# SPDX-License-Identifier: MIT
"""The five shared models, emulated: outputs as on the host, arenas as planned, engines agreed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from tests.shared import needs, shared_path
from tests.simulator.programs import needs_compiler
from tinyeff import pipeline
from tinyeff.device.boards import board_named
from tinyeff.emitter import EmitOptions, Sources, emit
from tinyeff.errors import InternalError
from tinyeff.footprint import footprint
from tinyeff.ir import Array, Limits, Optimize, Plan
from tinyeff.simulator.emulator import EmulationResult, emulate
from tinyeff.simulator.host import HostProgram
from tinyeff.targets import target_for

MODELS = ["kws_dscnn_int8", "ad_autoencoder_int8", "vww_96_int8", "ic_resnet8_int8",
          "mcunet_vww_int8"]
pytestmark = pytest.mark.slow


@dataclass(frozen=True, eq=False)
class Generated:
    """A model's generated code for one core, an input, and what the host computes from it."""

    sources: Sources
    plan: Plan
    inputs: tuple[Array, ...]
    outputs: tuple[bytes, ...]
    stack_bytes: int


@cache
def generated(model: str, cpu: str, strategy: str = "auto", memory: str = "resident",
               optimize: Optimize = "balanced") -> Generated:
    path = shared_path("models", f"{model}.tflite")
    limits = Limits(strategy=strategy, input_memory=memory)
    compiled = pipeline.compile_model(path, target_for(cpu, optimize), limits)
    rng = np.random.default_rng(0)
    tensors = [compiled.graph.tensors[i] for i in compiled.graph.inputs]
    inputs = tuple(rng.integers(-128, 128, t.shape, dtype=np.int8) for t in tensors)
    with HostProgram(compiled.program) as host:
        outputs = host.run(tuple(x[None] for x in inputs))
    sources = emit(compiled.program, EmitOptions("m"))
    return Generated(sources, compiled.plan, inputs, tuple(o.tobytes() for o in outputs),
                     footprint(compiled.graph, compiled.plan).stack_bytes)


@cache
def _emulated(model: str, cpu: str, compiler: str = "gcc", engine: str | None = None,
              profile: str = "none") -> EmulationResult:
    needs("unicorn", "capstone", "elftools")
    needs_compiler(compiler)
    code = generated(model, cpu)
    return emulate(code.sources, code.inputs, cpu, compiler=compiler, engine=engine,
                   profile=profile)


def _check(model: str, cpu: str, result: EmulationResult) -> None:
    code = generated(model, cpu)
    assert result.outputs == code.outputs
    assert result.arena_bytes == code.plan.arena_bytes
    assert result.arena_bytes_touched == code.plan.arena_bytes
    assert result.stack_bound_bytes is not None
    assert result.stack_bound_bytes <= code.stack_bytes


@pytest.mark.parametrize("cpu", ["cortex-m0plus", "cortex-m4"])
@pytest.mark.parametrize("model", MODELS)
def test_outputs_and_arena(model: str, cpu: str) -> None:
    _check(model, cpu, _emulated(model, cpu))


@pytest.mark.all
@pytest.mark.parametrize("cpu", ["cortex-m3", "cortex-m7", "cortex-m33"])
@pytest.mark.parametrize("model", MODELS)
def test_outputs_and_arena_on_the_other_cores(model: str, cpu: str) -> None:
    _check(model, cpu, _emulated(model, cpu))


@pytest.mark.all
@pytest.mark.parametrize("model", MODELS)
def test_outputs_and_arena_on_cortex_m55(model: str) -> None:
    needs("qemu-system-arm")
    _check(model, "cortex-m55", _emulated(model, "cortex-m55"))


@pytest.mark.all
@pytest.mark.parametrize("cpu", ["cortex-m0plus", "cortex-m4", "cortex-m33"])
@pytest.mark.parametrize("model", MODELS)
def test_outputs_and_arena_with_zig(model: str, cpu: str) -> None:
    _check(model, cpu, _emulated(model, cpu, "zig"))


@pytest.mark.all
@pytest.mark.parametrize("cpu", ["cortex-m4", "cortex-m7"])
@pytest.mark.parametrize("model", MODELS)
def test_unicorn_and_qemu_agree(model: str, cpu: str) -> None:
    needs("qemu-system-arm")
    unicorn, qemu = (_emulated(model, cpu, engine=name) for name in (None, "qemu"))
    assert abs(qemu.instructions - unicorn.instructions) <= unicorn.instructions / 1000
    assert qemu.outputs == unicorn.outputs
    assert qemu.stack_bytes == unicorn.stack_bytes


@pytest.mark.parametrize("engine", ["unicorn", "qemu"])
@pytest.mark.parametrize(
    ("strategy", "memory"),
    [("per-layer", "excluded"), ("patch", "resident"), ("stream", "excluded"),
     ("stream", "streamed")],
)
def test_strategies_and_places_of_the_input(strategy: str, memory: str, engine: str) -> None:
    needs("unicorn", "capstone", "elftools", "qemu-system-arm")
    needs_compiler("gcc")
    code = generated(MODELS[0], "cortex-m4", strategy, memory)
    result = emulate(code.sources, code.inputs, engine=engine, profile="layers")
    assert result.outputs == code.outputs
    assert result.arena_bytes_touched == result.arena_bytes == code.plan.arena_bytes
    assert sum(layer.instructions for layer in result.layers) == result.instructions
    assert result.stack_bound_bytes is not None
    assert result.stack_bytes <= result.stack_bound_bytes <= code.stack_bytes


@pytest.mark.parametrize("model", MODELS[:2])
def test_touched_bytes_are_those_of_the_plan(model: str) -> None:
    result, plan = _emulated(model, "cortex-m4"), generated(model, "cortex-m4").plan
    planned, activations = (np.zeros(plan.arena_bytes, bool) for _ in range(2))
    for buffer in plan.buffers:
        if buffer.region == "arena":
            place = slice(buffer.offset_bytes, buffer.offset_bytes + buffer.size_bytes)
            planned[place] = True
            activations[place] |= bool(buffer.tensors)
    assert not (result.arena_touched & ~planned).any()
    assert not (activations & ~result.arena_touched).any()


@pytest.mark.parametrize("model", MODELS[:2])
def test_an_arena_one_byte_smaller_is_caught(model: str) -> None:
    needs("unicorn", "capstone", "elftools")
    needs_compiler("gcc")
    code = generated(model, "cortex-m4")
    with pytest.raises(InternalError, match="up to 1 bytes above it"):
        emulate(code.sources, code.inputs, arena_bytes=code.plan.arena_bytes - 1)


@pytest.mark.parametrize("model", MODELS[:2])
def test_layers_add_up_and_have_their_macs(model: str) -> None:
    result, plan = _emulated(model, "cortex-m4", profile="layers"), generated(
        model, "cortex-m4").plan
    assert sum(layer.instructions for layer in result.layers) == result.instructions
    assert sum(layer.cycles or 0 for layer in result.layers) == result.cycles
    assert sum(layer.macs for layer in result.layers) == plan.macs
    assert all(layer.instructions > 0 for layer in result.layers)
    assert all((layer.instructions_per_mac or 1) > 0.2 for layer in result.layers)


def test_counts_repeat_to_the_digit() -> None:
    code = generated(MODELS[1], "cortex-m4")
    again = emulate(code.sources, code.inputs)
    first = _emulated(MODELS[1], "cortex-m4")
    assert (again.instructions, again.cycles) == (first.instructions, first.cycles)


@pytest.mark.parametrize("model", MODELS[:2])
def test_layers_are_the_same_in_both_engines(model: str) -> None:
    needs("qemu-system-arm")
    unicorn, qemu = (_emulated(model, "cortex-m4", engine=name, profile="layers").layers
                     for name in ("unicorn", "qemu"))
    assert [a.name for a in unicorn] == [b.name for b in qemu]
    for a, b in zip(unicorn, qemu, strict=True):
        assert abs(a.instructions - b.instructions) <= 32 + a.instructions / 1000


def test_cortex_m55_has_layers() -> None:
    needs("qemu-system-arm")
    result = _emulated(MODELS[1], "cortex-m55", profile="layers")
    assert sum(layer.instructions for layer in result.layers) == result.instructions
    assert all(layer.instructions > 0 for layer in result.layers)


@pytest.mark.parametrize("model", MODELS[:2])
def test_wait_states_cost_cycles_and_nothing_else(model: str) -> None:
    code, plain = generated(model, "cortex-m4"), _emulated(model, "cortex-m4", profile="layers")
    result = emulate(code.sources, code.inputs, flash=board_named("nucleo-l4r5zi").timing,
                     profile="layers")
    assert result.cycles is not None
    assert plain.cycles is not None
    assert 1.02 < result.cycles / plain.cycles < 1.5
    assert result.instructions == plain.instructions
    assert sum(layer.cycles or 0 for layer in result.layers) == result.cycles
