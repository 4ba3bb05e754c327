# SPDX-License-Identifier: MIT
"""`tinyeff sim`: the generated C, run once on the host or on an emulated Cortex-M."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinyeff.commands.arguments import Preprocess, Seed
from tinyeff.console.options import OutputOptions, PlanOptions, ProfileOptions

if TYPE_CHECKING:
    from tinyeff.console.terminal import Terminal
    from tinyeff.device.boards import Device
    from tinyeff.emitter import Manifest, Sources
    from tinyeff.ir import Array


def sim(
    model: Annotated[str, typer.Argument(
        metavar="MODEL|DIR", help="A model, or a folder that codegen wrote.")],
    plan: PlanOptions,
    output: OutputOptions,
    emulator: ProfileOptions,
    file: Annotated[str | None, typer.Option(
        "--input", metavar="FILE", help="An .npy or .npz file; random input unless given.")] = None,
    preprocess: Preprocess = None,
    seed: Seed = 0,
    mask: Annotated[str | None, typer.Option(
        metavar="0110,…|FILE", help="Which patches to compute, row by row, where the code was "
        "planned with --patch-mask; all unless given.")] = None,
) -> int:
    """Build the generated C, run it once, and show what it computes."""
    from tinyeff.console import loading, outcome
    from tinyeff.pipeline import infer

    terminal, cpu = output.terminal(), plan.target("host").cpu
    emulator.check(cpu)
    manifest, sources = loading.generated(model, plan)
    loading.check_cpu(manifest, cpu, model)
    inputs, origin = loading.one_sample(manifest, file, preprocess, seed)
    masks = loading.mask_of(manifest, mask)
    inputs = (*inputs, *masks)
    if cpu != "host":
        return _emulated(terminal, manifest, sources, inputs, origin, cpu, emulator, plan.chip())
    batch = infer(sources, inputs)
    run = outcome.Run(manifest, cpu, origin, tuple(x[0] for x in batch.outputs),
                      int(batch.exits[0]), *(m[0] for m in masks))
    terminal.result(outcome.run_object(run))
    terminal.headline(outcome.run_headline(run))
    for line in outcome.run_lines(run):
        terminal.say(line)
    return 0


def _emulated(
    terminal: Terminal, manifest: Manifest, sources: Sources, inputs: tuple[Array, ...],
    origin: str, cpu: str, options: ProfileOptions, chip: Device | None,
) -> int:
    """`sim` on an emulated Cortex-M, with the memory and flash of a chip where one is named."""
    import numpy as np

    from tinyeff.console import emulation, outcome
    from tinyeff.console.folder import write_file
    from tinyeff.simulator.emulator import emulate
    from tinyeff.simulator.profile import folded_stacks

    result = emulate(sources, [x[0] for x in inputs], cpu, compiler=options.compiler,
                     engine=options.engine, memory=chip.memory if chip else None,
                     flash=chip.timing if chip else None, profile=options.profile or "layers")
    outputs = tuple(np.frombuffer(data, t.dtype).reshape(t.shape)
                    for t, data in zip(manifest.outputs, result.outputs, strict=True))
    masks = inputs[len(manifest.inputs):]
    run = outcome.Run(manifest, cpu, origin, outputs, result.exit, *(m[0] for m in masks))
    memory = options.profile == "memory"
    if options.flame is not None:
        folded = folded_stacks(manifest.name, result.layers)
        write_file(Path(options.flame), folded.encode("utf-8"))
    terminal.result({**outcome.run_object(run),
                     **emulation.emulation_object(result, manifest.name, memory, options.symbols)})
    terminal.headline(outcome.run_headline(run))
    for line in (*outcome.run_lines(run), *emulation.emulation_lines(result, memory)):
        terminal.say(line)
    if options.profile is not None:
        terminal.say()
        terminal.say(emulation.profile_table(result, manifest, terminal.unicode))
    if options.symbols:
        terminal.say()
        terminal.say(emulation.symbol_table(result, manifest))
    return 0
