# SPDX-License-Identifier: MIT
"""`tinyeff run`: one inference on a board."""

from __future__ import annotations

from typing import Annotated

import typer

from tinyeff.commands.arguments import Preprocess, Seed
from tinyeff.console.options import ConnectionOptions, OutputOptions
from tinyeff.errors import UsageError


def run(
    folder: Annotated[str, typer.Argument(
        metavar="DIR", help="A folder that codegen --board wrote, as it was flashed.")],
    output: OutputOptions,
    connection: ConnectionOptions,
    file: Annotated[str | None, typer.Option(
        "--input", metavar="FILE", help="An .npy or .npz file; random input unless given.")] = None,
    preprocess: Preprocess = None,
    seed: Seed = 0,
    bench: Annotated[bool, typer.Option(
        "--bench", help="Measure milliseconds, frames per second and the cycles of each layer.",
    )] = False,
) -> int:
    """Run the model once on a board, and show what it computes."""
    from tinyeff.console import board_report, loading, outcome
    from tinyeff.console.connection import board_folder, connected
    from tinyeff.device.link import machine

    connection.check()
    if bench and connection.emulate:
        raise UsageError("--bench is for a real board: an emulated one has no time of its own; "
                         f"tinyeff sim {folder} --cpu … --profile estimates cycles")
    terminal = output.terminal()
    manifest, _, build = board_folder(folder)
    inputs, origin = loading.one_sample(manifest, file, preprocess, seed)
    [data] = machine.samples_of(inputs)
    with connected(folder, manifest, build, connection) as (link, port):
        found = link.infer(data)
        measured = machine.bench(link, manifest, data) if bench else None
        identity, status = link.identity, link.status()
    result = outcome.Run(manifest, manifest.target.cpu, origin,
                         machine.outputs_of(manifest, found.output), found.run.status)
    ran = None if connection.emulate else found.run
    terminal.result(board_report.board_object(result, port, identity, status, ran, measured))
    terminal.headline(board_report.board_headline(result, identity))
    for line in (*outcome.run_lines(result),
                 *board_report.board_lines(status, ran, measured)):
        terminal.say(line)
    if measured is not None and measured.layers:
        terminal.say()
        terminal.say(board_report.layer_table(measured, result, terminal.unicode))
    return 0
