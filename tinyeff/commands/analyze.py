# SPDX-License-Identifier: MIT
"""`tinyeff analyze`: what each layer costs."""

from __future__ import annotations

from typing import Annotated

import typer

from tinyeff.console.options import OutputOptions, PlanOptions


def analyze(
    model: Annotated[str, typer.Argument(
        metavar="MODEL", help="A model file, or a network of the zoo.")],
    output: OutputOptions,
    board: Annotated[str | None, typer.Option(
        metavar="BOARD", help="Take the times for this board's core and clock.")] = None,
    cpu: Annotated[str | None, typer.Option(
        metavar="CPU", help="Take the times for this core: cortex-m4 unless given.")] = None,
    clock: Annotated[float | None, typer.Option(
        metavar="MHZ", help="Of the core; 100 unless given.")] = None,
) -> int:
    """Show what each layer costs: work, bytes moved, least time, receptive field, memory."""
    from tinyeff.analysis import hints
    from tinyeff.console import costs

    terminal, options = output.terminal(), PlanOptions(board=board, cpu=cpu)
    target, chip = options.target(), options.chip()
    hertz = clock * 1e6 if clock is not None else float(chip.core_hz) if chip else None
    result = costs.analysis_of(model, target, hertz)
    terminal.result(costs.analysis_object(result))
    first, *rest = costs.analysis_lines(result)
    terminal.headline(first)
    for line in (*rest, *hints(result.graph)):
        terminal.say(line)
    terminal.say()
    terminal.say(costs.analysis_table(result, terminal.unicode))
    return 0
