# SPDX-License-Identifier: MIT
"""`tinyeff plan`: the memory of a model, and whether it fits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinyeff.console.options import OutputOptions, PlanOptions
from tinyeff.errors import UsageError

if TYPE_CHECKING:
    from tinyeff.console.report import Planned
    from tinyeff.console.terminal import Terminal

DRAWING_WIDTH, DRAWING_HEIGHT = 100, 14


def plan(
    models: Annotated[list[str], typer.Argument(
        metavar="MODEL...", help="A .tflite, .h5 or .keras file, or a SavedModel folder; several "
        "with --shared.")],
    plan: PlanOptions,
    output: OutputOptions,
    plot: Annotated[list[str] | None, typer.Option(
        metavar="FILE", help="Draw front.svg (arena against extra work) or memory.svg (buffers "
        "over time); .png and .pdf too. May be given twice.")] = None,
    shared: Annotated[bool, typer.Option(
        "--shared", help="Several models that run one after the other in one arena.")] = False,
) -> int:
    """Plan the memory of a model, and say whether it fits."""
    if shared:
        return _shared(models, plan, output, plot)
    if len(models) > 1:
        raise UsageError(f"plan takes one model, and {len(models)} are given; with --shared they "
                         "run one after the other in one arena")
    from tinyeff.console import plots, report
    from tinyeff.console.folder import write_file
    from tinyeff.exits import with_exits
    from tinyeff.pipeline import prepare
    from tinyeff.planner import reporting

    limits, target, terminal = plan.limits(), plan.target(), output.terminal()
    for file in plot or ():
        plots.picture_of(file)
    graph = with_exits(prepare(models[0]), plan.exits())
    with terminal.progress("searching") as progress, reporting(progress):
        p = report.with_front(report.planned(graph, target, limits))
    for file in plot or ():
        write_file(Path(file), plots.plot(p, file))
    terminal.result(report.plan_object(p))
    terminal.headline(report.verdict_sentence(p), "bold green" if p.verdict.fits else "bold red")
    for line in report.blame(p):
        terminal.headline(line, "")
    for line in report.summary(p):
        terminal.say(line)
    if not output.json and not output.quiet:
        _show(terminal, p, output.verbose)
    return 0 if p.verdict.fits else 1


def _shared(
    models: list[str], options: PlanOptions, output: OutputOptions, plot: list[str] | None
) -> int:
    """`plan --shared`: what several models need together."""
    from tinyeff.console import shared
    from tinyeff.pipeline import prepare

    limits, target, terminal = options.limits(), options.target(), output.terminal()
    for name, given in (("plot", plot), ("memory", options.memory),
                        ("early-exit", options.early_exit)):
        if given:
            raise UsageError(f"--{name} is for one model; plan --shared compares several in a "
                             "single arena")
    s = shared.shared([prepare(m) for m in models], target, replace(limits, memories=()))
    terminal.result(shared.shared_object(s))
    terminal.headline(shared.shared_sentence(s), "bold green" if s.fits else "bold red")
    for line in shared.shared_lines(s):
        terminal.say(line)
    terminal.say()
    terminal.say(shared.shared_table(s))
    return 0 if s.fits else 1


def _show(terminal: Terminal, p: Planned, whole: bool) -> None:
    """The layers, the front and a drawing of the memory; unless `whole`, as many as fit."""
    from tinyeff.console import report
    from tinyeff.planner import draw

    rows = len(p.graph.ops) if whole else max(8, terminal.height - 10 - DRAWING_HEIGHT)
    terminal.say()
    terminal.say(report.layer_table(p, terminal.unicode, rows, terminal.width))
    terminal.say()
    if len(p.front) > 1:
        terminal.say("what extra work buys (--max-overhead picks):")
        terminal.say(report.front_table(p))
        terminal.say()
    terminal.say(draw(p.plan, p.graph, min(terminal.width, DRAWING_WIDTH), DRAWING_HEIGHT))
