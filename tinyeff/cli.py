# SPDX-License-Identifier: MIT
"""The command line: the commands of `tinyeff.commands` behind one door, and their exit codes.

    0 done, and it fits             2 wrong usage, or a file that cannot be read
    1 it does not fit, or differs   3 the model needs something that is not supported
    4 an outside program is missing 70 a bug in tinyeff     130 interrupted
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

import tinyeff
from tinyeff.commands.analyze import analyze
from tinyeff.commands.boards import boards
from tinyeff.commands.build import build
from tinyeff.commands.codegen import codegen
from tinyeff.commands.doctor import doctor
from tinyeff.commands.evaluate import evaluate
from tinyeff.commands.flash import flash
from tinyeff.commands.models import models
from tinyeff.commands.plan import plan
from tinyeff.commands.quantize import quantize
from tinyeff.commands.run import run
from tinyeff.commands.sim import sim
from tinyeff.commands.verify import verify
from tinyeff.console.failure import report_failure
from tinyeff.console.options import takes_options

INTERRUPTED = 130
COMMANDS = (plan, codegen, sim, verify, flash, run, evaluate, quantize, models, build, analyze,
            boards, doctor)
"""As --help lists them."""

app = typer.Typer(
    name="tinyeff", add_completion=False, rich_markup_mode=None,
    help="From a Keras or TFLite model to bit-exact C for STM32 microcontrollers.",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code; `arguments` default to the program's."""
    given = _normal(sys.argv[1:] if arguments is None else arguments)
    _configure(given)
    try:
        command = typer.main.get_command(app)
        code = command.main(given, prog_name="tinyeff", standalone_mode=False)
        sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except BrokenPipeError:
        # Nobody reads on: keep Python from writing the rest at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        return report_failure(error, "--json" in given, not {"-v", "--verbose"}.isdisjoint(given))
    if code == INTERRUPTED:
        print("interrupted", file=sys.stderr)
    return int(code or 0)


def _normal(arguments: Sequence[str]) -> list[str]:
    """Arguments as the parser takes them.

    Options of all commands may also stand before the command, and --profile without a value.
    """
    shared = ("-v", "--verbose", "-q", "--quiet", "--json")
    given = ["--profile=layers" if a == "--profile" else a for a in arguments]
    first = next((n for n, a in enumerate(given) if a not in shared), 0)
    return [*given[first:], *given[:first]] or ["--help"]


def _configure(arguments: list[str]) -> None:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    level = logging.WARNING
    if "-q" in arguments or "--quiet" in arguments:
        level = logging.ERROR
    if "-v" in arguments or "--verbose" in arguments:
        level = logging.DEBUG
    log = logging.getLogger("tinyeff")
    log.handlers[:] = [logging.StreamHandler(sys.stderr)]
    log.setLevel(level)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"tinyeff {tinyeff.__version__}")
        raise typer.Exit


@app.callback()
def _tinyeff(
    version: Annotated[bool, typer.Option(
        "--version", help="Print the version.", callback=_version, is_eager=True)] = False,
) -> None:
    """From a Keras or TFLite model to bit-exact C for STM32 microcontrollers."""


for _command in COMMANDS:
    app.command()(takes_options(_command))
