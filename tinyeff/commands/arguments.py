# SPDX-License-Identifier: MIT
"""Single arguments that several commands take."""

from __future__ import annotations

from typing import Annotated

import typer

Model = Annotated[str, typer.Argument(
    metavar="MODEL", help="A .tflite, .h5 or .keras file, or a SavedModel folder.")]
Preprocess = Annotated[str | None, typer.Option(
    metavar="scale=S,offset=O", help="Applied to real values in data files: value * S + O.")]
Seed = Annotated[int, typer.Option(metavar="N", min=0, help="Seed of random input.")]

Width = Annotated[float | None, typer.Option(
    metavar="W", help="Multiplies the channels of every layer, e.g. 0.35.")]
Resolution = Annotated[int | None, typer.Option(
    metavar="R", help="Rows and columns of the image; the paper's unless given.")]
ClassCount = Annotated[int | None, typer.Option("--classes", metavar="N", help="Classes.")]
Channels = Annotated[int | None, typer.Option(
    metavar="N", help="Channels of the image, e.g. 1 for grey.")]
