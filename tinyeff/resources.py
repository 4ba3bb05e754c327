# SPDX-License-Identifier: MIT
"""Where templates/ and firmware/ lie: inside the installed package, else beside it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tinyeff.errors import InternalError

if TYPE_CHECKING:
    import jinja2

PACKAGE = Path(__file__).resolve().parent


def folder(name: str) -> Path:
    """The folder `name` ("templates" or "firmware") with the files that tinyeff emits."""
    for parent in (PACKAGE, PACKAGE.parent):
        if (parent / name).is_dir():
            return parent / name
    raise InternalError(f"the folder {name}/ is missing beside {PACKAGE}; install tinyeff again")


def kernel_source(file_name: str) -> str:
    """The text of a file of firmware/kernels/."""
    return (folder("firmware") / "kernels" / file_name).read_text(encoding="utf-8")


def link_source(file_name: str) -> str:
    """The text of a file of firmware/link/."""
    return (folder("firmware") / "link" / file_name).read_text(encoding="utf-8")


@cache
def templates() -> jinja2.Environment:
    """What reads templates/; a name in one that has no value is an error.

    There is one, which keeps what it has compiled: that takes longer than all else in printing.
    """
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder("templates")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
