# SPDX-License-Identifier: MIT
"""`tinyeff plan`: the memory of a model, and whether it fits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinyeff.commands.arguments import Model
from tinyeff.console.options import OutputOptions, PlanOptions

if TYPE_CHECKING:
    from tinyeff.console.report import Planned
    from tinyeff.console.terminal import Terminal

DRAWING_WIDTH, DRAWING_HEIGHT = 100, 14


def plan(
    model: Model,
    plan: PlanOptions,
    output: OutputOptions,
    plot: Annotated[list[str] | None, typer.Option(
        metavar="FILE", help="Draw front.svg (arena against extra work) or memory.svg (buffers "
        "over time); .png and .pdf too. May be given twice.")] = None,
) -> int:
    """Plan the memory of a model, and say whether it fits."""
    from tinyeff.console import plots, report
    from tinyeff.console.folder import write_file
    from tinyeff.exits import with_exits
    from tinyeff.pipeline import prepare

    limits, target, terminal = plan.limits(), plan.target(), output.terminal()
    for file in plot or ():
        plots.picture_of(file)
    p = report.planned(with_exits(prepare(model), plan.exits()), target, limits)
    with terminal.progress("searching the front") as progress:
        p = report.with_front(p, progress)
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
