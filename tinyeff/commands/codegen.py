# SPDX-License-Identifier: MIT
"""`tinyeff codegen`: C, build files and an example for a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinyeff.commands.arguments import Model, Preprocess
from tinyeff.console.options import OutputOptions, PlanOptions, one_of


def codegen(
    model: Model,
    plan: PlanOptions,
    output: OutputOptions,
    directory: Annotated[str, typer.Option(
        "--output", "-o", metavar="DIR", help="The folder to write; made where it is missing.")],
    name: Annotated[str | None, typer.Option(
        metavar="NAME", help="Prefix of all names in C; made from the file's name unless given.",
    )] = None,
    labels: Annotated[str | None, typer.Option(
        metavar="FILE", help="Text file with the name of one class per line.")] = None,
    preprocess: Preprocess = None,
    layout: Annotated[str | None, typer.Option(
        metavar="SHAPE", help="library | cmake | platformio | zephyr | arduino: the model alone, "
        "for a project of your own. Unless given: library, with --board a whole program.")] = None,
    force: Annotated[bool, typer.Option(
        "--force", help="Overwrite generated files that were changed since.")] = False,
) -> int:
    """Generate C for a model, with build files and an example."""
    from tinyeff.console import report
    from tinyeff.console.folder import check_writable, read_labels, write_folder
    from tinyeff.console.loading import compiled
    from tinyeff.data import parse_preprocess
    from tinyeff.device.project import board_program
    from tinyeff.emitter import LAYOUTS, EmitOptions, arrange, emit
    from tinyeff.emitter.naming import check_name, model_name

    terminal, folder = output.terminal(), Path(directory)
    name = check_name(model_name(Path(model).stem) if name is None else name)
    one_of(layout or "library", LAYOUTS, "--layout")
    scaling = None if preprocess is None else parse_preprocess(preprocess)
    check_writable(folder, (), force)
    board = None if layout else plan.whole_board()
    p, program = compiled(model, plan, "cortex-m4", board)
    names = read_labels(Path(labels), program.graph) if labels else ()
    sources = emit(program, EmitOptions(name, names, plan.recorded(), scaling))
    if board is not None:
        sources = board_program(sources, board, program.graph.source.flatbuffer)
    sources = arrange(sources, layout or "library")
    removed = write_folder(folder, sources, force)
    terminal.result({**report.plan_object(p), "name": name, "directory": directory,
                     "files": list(sources), "removed": list(removed)})
    terminal.headline(f"wrote {len(sources)} files to {directory}: {report.verdict_sentence(p)}")
    terminal.say(", ".join(sources))
    if removed:
        terminal.say(f"removed, no longer generated: {', '.join(removed)}")
    terminal.say(f"next: tinyeff run {directory} --emulate" if board else
                 f"next: tinyeff sim {directory}")
    return 0
