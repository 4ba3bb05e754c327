# SPDX-License-Identifier: MIT
"""Everything that can go wrong, as one tree.

TinyeffError                   exit code  what it means
├── UsageError                     2      an option, a path or a data file is wrong
│   └── ModelFileError             2      the model file cannot be read
├── UnsupportedError               3      the model needs what tinyeff does not do; lists it all
├── DoesNotFitError                1      nothing fits the limits given
├── MismatchError                  1      a comparison found a difference
├── BoardError                     1      a board, its port or its probe does not do what it should
├── MissingProgramError            4      an outside program or an extra is not installed
└── InternalError                 70      a checker found tinyeff itself at fault: please report

The library raises these; only the command line turns them into text and exit codes.
"""

from __future__ import annotations

from dataclasses import dataclass


def printable(text: str, kept: str = "") -> str:
    """The text with a mark in the place of what would steer a terminal or is no character.

    Names come from files that nobody has looked at. Characters of `kept` stay.
    """
    return "".join(c if c.isprintable() or c in kept else "\ufffd" for c in text)


@dataclass(frozen=True)
class Item:
    """One finding of several: which operator, which tensor, and the reason."""

    operator: str
    tensor: str
    reason: str

    def __str__(self) -> str:
        where = f"{self.operator} -> {self.tensor}" if self.tensor else self.operator
        return f"{where}: {self.reason}"


class TinyeffError(Exception):
    """Base of all errors raised on purpose; `message` is a sentence for the user."""

    exit_code = 70

    def __init__(self, message: str, items: tuple[Item, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.items = items


class UsageError(TinyeffError):
    """An option, a path or a data file is wrong."""

    exit_code = 2


class ModelFileError(UsageError):
    """The model file cannot be read."""


class UnsupportedError(TinyeffError):
    """The model needs something tinyeff does not do; `items` lists all of it."""

    exit_code = 3


class DoesNotFitError(TinyeffError):
    """Nothing fits the limits given."""

    exit_code = 1


class MismatchError(TinyeffError):
    """A comparison found a difference."""

    exit_code = 1


class BoardError(TinyeffError):
    """A board, its port or its probe does not do what it should; the message says what to try."""

    exit_code = 1


class MissingProgramError(TinyeffError):
    """An outside program or an optional package is missing; the message says how to get it."""

    exit_code = 4


class InternalError(TinyeffError):
    """A checker between two stages found tinyeff itself at fault."""
