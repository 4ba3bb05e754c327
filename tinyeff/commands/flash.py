# SPDX-License-Identifier: MIT
"""`tinyeff flash`: a board's program, built, written and verified."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinyeff.console.failure import SCHEMA_VERSION
from tinyeff.console.options import OutputOptions


def flash(
    folder: Annotated[str, typer.Argument(
        metavar="DIR", help="A folder that codegen --board wrote.")],
    output: OutputOptions,
    programmer: Annotated[str | None, typer.Option(
        metavar="NAME", help="probe-rs, pyocd, st-flash, openocd or stm32loader; the first that "
        "is installed unless given.")] = None,
    probe: Annotated[str | None, typer.Option(
        metavar="SERIAL", help="Serial number of the debug probe, where several are plugged in.",
    )] = None,
    port: Annotated[str | None, typer.Option(
        metavar="auto|PATH", help="Serial port, for the chip's ROM bootloader.")] = None,
    timeout: Annotated[float, typer.Option(
        metavar="SECONDS", min=0.1, help="How long each program may take.")] = 180.0,
    dry_run: Annotated[bool, typer.Option(
        "--dry-run", help="Print the commands of the board's default program, and run nothing.",
    )] = False,
) -> int:
    """Build the program of a board, write it into its flash, and verify it."""
    import shlex

    from tinyeff.console.folder import read_folder, write_file
    from tinyeff.device import flash as flashing
    from tinyeff.device.image import board_of, build_image

    terminal, path = output.terminal(), Path(folder)
    _, sources = read_folder(path)
    board = board_of(sources, folder)
    wish = flashing.Wish(programmer, probe, port)
    plan = flashing.plan_flash if dry_run else flashing.choose_flash
    commands = plan(board, path, board.flash_origin, wish)
    value = {"schema_version": SCHEMA_VERSION, "board": board.name, "programmer": commands[0][0],
             "commands": [list(c) for c in commands], "dry_run": dry_run}
    if dry_run:
        terminal.result({**value, "flash_bytes": None})
        for command in commands:
            terminal.headline(shlex.join(command), "")
        return 0
    image = build_image(sources, folder)
    write_file(path / flashing.ELF, image.elf)
    write_file(path / flashing.BINARY, image.flash)
    terminal.note(f"writing {len(image.flash):,} bytes to {board.title} with {commands[0][0]}")
    flashing.flash(commands, timeout)
    terminal.result({**value, "flash_bytes": len(image.flash)})
    terminal.headline(f"flashed {board.title} with {commands[0][0]}: {len(image.flash):,} bytes, "
                      "verified", "bold green")
    terminal.say(f"next: tinyeff run {folder} --port auto")
    return 0
