# SPDX-License-Identifier: MIT
"""`tinyeff build`: a network of the zoo, or the deployed form of a trained one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinyeff.commands.arguments import Channels, ClassCount, Resolution, Width
from tinyeff.console.options import OutputOptions


def build(
    name: Annotated[str, typer.Argument(
        metavar="NAME", help="A network (tinyeff models lists them); or with --deploy a file.")],
    output: OutputOptions,
    file: Annotated[str, typer.Option(
        "--output", "-o", metavar="FILE", help="The .keras file to write.")],
    width: Width = None,
    resolution: Resolution = None,
    classes: ClassCount = None,
    channels: Channels = None,
    deploy: Annotated[bool, typer.Option(
        "--deploy", help="The form that runs: branches joined, batch normalization folded. NAME "
        "may be a trained .keras or .h5 file.")] = False,
) -> int:
    """Build a network of the zoo as an untrained Keras model, or deploy a trained one."""
    from tinyeff.console import networks

    terminal = output.terminal()
    scale = networks.Scale(width, resolution, classes, channels)
    result = networks.built(name, scale, deploy, Path(file))
    terminal.result(result)
    first, *rest = networks.build_lines(result)
    terminal.headline(first)
    for line in rest:
        terminal.say(line)
    return 0
