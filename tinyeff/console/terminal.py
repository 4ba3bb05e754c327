# SPDX-License-Identifier: MIT
"""Where a command's words go: results to standard output, all else to standard error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console, RenderableType

PIPE_WIDTH = 100
"""Columns where the output is no terminal and COLUMNS does not say."""
PIPE_HEIGHT = 42
"""Lines that a report should take where the output is no terminal."""

Progress = Callable[[int, int], None]
"""Called with how much is done, of how much."""


class Terminal:
    """Standard output and standard error of one command.

    With `as_json` standard output takes one JSON object and nothing else; with `quiet` only
    headlines and errors are printed. Colours obey NO_COLOR and are never written to a pipe.
    """

    def __init__(self, as_json: bool = False, verbose: bool = False, quiet: bool = False) -> None:
        self.as_json, self.verbose, self.quiet = as_json, verbose, quiet
        self._out, self._err = _console(stderr=False), _console(stderr=True)
        self.unicode = not self._out.options.ascii_only
        self.width = self._out.width
        self.height = self._out.height if self._out.is_terminal else PIPE_HEIGHT

    def headline(self, text: str, style: str = "bold") -> None:
        """The result in one line, for people."""
        if not self.as_json:
            self._out.print(text, style=style, soft_wrap=True, markup=False, highlight=False)

    def say(self, what: RenderableType = "") -> None:
        """The rest of the result, for people."""
        if not self.as_json and not self.quiet:
            self._out.print(what, soft_wrap=isinstance(what, str), markup=False, highlight=False)

    def result(self, value: Mapping[str, Any]) -> None:
        """The result, for programs."""
        if self.as_json:
            sys.stdout.write(json.dumps(value, ensure_ascii=True) + "\n")

    def note(self, text: str) -> None:
        """Something to know beside the result."""
        if not self.quiet:
            self._err.print(text, soft_wrap=True, markup=False, highlight=False)

    def error(self, text: str) -> None:
        """Why there is no result."""
        self._err.print(text, style="bold red", soft_wrap=True, markup=False, highlight=False)

    def detail(self, text: str) -> None:
        """A line below an error."""
        self._err.print(text, soft_wrap=True, markup=False, highlight=False)

    @contextmanager
    def progress(self, what: str) -> Iterator[Progress]:
        """A progress bar on standard error, where that is a terminal."""
        if not self._err.is_terminal or self.quiet:
            yield lambda done, total: None
            return
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bars

        columns = TextColumn(what, markup=False), BarColumn(), MofNCompleteColumn()
        with Bars(*columns, console=self._err, transient=True) as bars:
            task = bars.add_task(what, total=None)
            yield lambda done, total: bars.update(task, completed=done, total=total)


def _console(stderr: bool) -> Console:
    plain = bool(os.environ.get("NO_COLOR"))
    console = Console(stderr=stderr, color_system=None if plain else "auto")
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PIPE_WIDTH
    return console
