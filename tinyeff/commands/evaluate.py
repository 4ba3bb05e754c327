# SPDX-License-Identifier: MIT
"""`tinyeff evaluate`: how often the generated C is right."""

from __future__ import annotations

from typing import Annotated

import typer

from tinyeff.commands.arguments import Model, Preprocess
from tinyeff.console.options import EmulatorOptions, OutputOptions, PlanOptions


def evaluate(
    model: Model,
    plan: PlanOptions,
    output: OutputOptions,
    emulator: EmulatorOptions,
    data: Annotated[str, typer.Option(
        "--data", metavar="FILE", help="An .npz file of samples, with labels or without, or a "
        "folder with a folder of images for each class.")],
    preprocess: Preprocess = None,
    original: Annotated[str | None, typer.Option(
        "--float", metavar="MODEL", help="The float model, to compare classes with.")] = None,
) -> int:
    """Count how often the generated C is right, as LiteRT says and as the float model does."""
    from tinyeff.console import loading, outcome
    from tinyeff.data import load_labels
    from tinyeff.pipeline import infer
    from tinyeff.simulator.verify import reference_outputs
    from tinyeff.work import exit_macs

    terminal, cpu = output.terminal(), plan.target("host").cpu
    emulator.check(cpu)
    p, program = loading.compiled(model, plan, "host")
    inputs, _ = loading.samples(p.graph, data, preprocess, 0)
    labels = loading.labels_for(p.graph, data, len(inputs[0]), load_labels(data))
    found = infer(program, inputs, cpu, emulator.compiler, emulator.engine, plan.chip_memory())
    with terminal.progress("LiteRT") as progress:
        expected = reference_outputs(p.graph, inputs, progress)
    real = None
    if original is not None:
        with terminal.progress("float model") as progress:
            real = loading.float_outputs(original, p.graph, data, preprocess, progress)
    exits = outcome.Exits(p.graph, exit_macs(p.graph, p.plan)) if p.graph.exits else None
    result = outcome.compare(found, expected, labels, real, exits)
    terminal.result(outcome.evaluation_object(model, cpu, result))
    first, *rest = outcome.evaluation_lines(result)
    terminal.headline(first)
    for line in rest:
        terminal.say(line)
    if result.exits:
        terminal.say(outcome.exit_table(result))
    if result.confusion is not None:
        terminal.say("samples by label (rows) and class found (columns):")
        terminal.say(outcome.confusion_table(result.confusion))
    return 0
