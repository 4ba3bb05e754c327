# SPDX-License-Identifier: MIT
"""`tinyeff boards`: which boards and chips there are."""

from __future__ import annotations

from typing import Annotated

import typer

from tinyeff.console.options import OutputOptions


def boards(
    output: OutputOptions,
    search: Annotated[str | None, typer.Argument(
        metavar="[SEARCH]", help="A part of a board's or chip's name, e.g. f746.")] = None,
) -> int:
    """List the boards, or look up boards and any STM32 by a part of their names."""
    from tinyeff.console import devices

    terminal = output.terminal()
    found = devices.find(search)
    terminal.result(devices.found_object(found))
    for line in devices.found_lines(found):
        terminal.say(line)
    return 0 if found.boards or found.chips else 1
