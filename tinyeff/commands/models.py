# SPDX-License-Identifier: MIT
"""`tinyeff models`: the networks of the zoo."""

from __future__ import annotations

from typing import Annotated

import typer

from tinyeff.commands.arguments import Channels, ClassCount, Resolution, Width
from tinyeff.console.options import OutputOptions


def models(
    output: OutputOptions,
    names: Annotated[list[str] | None, typer.Argument(
        metavar="[NAME]...", help="Names, or parts of names or families; all unless given.",
    )] = None,
    width: Width = None,
    resolution: Resolution = None,
    classes: ClassCount = None,
    channels: Channels = None,
    memory: Annotated[bool, typer.Option(
        "--memory", help="Plan each of them too: flash and SRAM. Takes seconds each, many "
        "minutes for all.",
    )] = False,
    cpu: Annotated[str, typer.Option(metavar="CPU", help="For --memory.")] = "cortex-m4",
) -> int:
    """List the networks of the zoo, with exact counts of parameters and work."""
    from tinyeff.console import networks
    from tinyeff.targets import target_for

    terminal = output.terminal()
    target_for(cpu)
    scale = networks.Scale(width, resolution, classes, channels)
    with terminal.progress("planning") as progress:
        found = networks.entries(networks.chosen(names or ()), scale, cpu, memory, progress)
    terminal.result(networks.models_object(found, cpu))
    terminal.say(networks.models_table(found))
    return 0
