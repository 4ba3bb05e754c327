# SPDX-License-Identifier: MIT
"""Why a command has no result: a sentence, a JSON object, an exit code; no traceback unasked."""

from __future__ import annotations

import json
import sys
import traceback
from typing import Any, cast

import typer

from tinyeff.errors import InternalError, Item, TinyeffError, printable

SCHEMA_VERSION = 1
BUG = InternalError.exit_code
USAGE_ERRORS = cast(tuple[type[Exception], ...], typer.BadParameter.__bases__)
"""What the argument parser raises: its UsageError, whose module depends on typer's version."""


def report_failure(error: Exception, as_json: bool, verbose: bool) -> int:
    """Say why there is no result, and return the exit code."""
    code, message = _described(error)
    items: tuple[Item, ...] = error.items if isinstance(error, TinyeffError) else ()
    if as_json:
        listed = [{"operator": i.operator, "tensor": i.tensor, "reason": i.reason} for i in items]
        failure = {"code": code, "message": message, "items": listed}
        print(json.dumps({"schema_version": SCHEMA_VERSION, "error": failure}))
    for line in (f"tinyeff: error: {message}", *(f"  {item}" for item in items)):
        print(printable(line, kept="\n"), file=sys.stderr)
    if code == BUG:
        print("This is a bug in tinyeff. Please report it with the command, the model if it may "
              "be shared, and what the command prints with -v.", file=sys.stderr)
        if verbose:
            traceback.print_exception(error)
    return code


def _described(error: Exception) -> tuple[int, str]:
    """Exit code and message."""
    if isinstance(error, TinyeffError):
        return error.exit_code, error.message
    if isinstance(error, USAGE_ERRORS):
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "tinyeff"
        return 2, f"{cast(Any, error).format_message().rstrip('.')} (see {path} --help)"
    if isinstance(error, OSError) and error.filename is not None:
        return 2, f"{error.filename}: {error.strerror}"
    return BUG, f"{type(error).__name__}: {error}"
