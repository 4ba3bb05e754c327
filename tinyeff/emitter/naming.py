# SPDX-License-Identifier: MIT
"""Names and literals of the generated C."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from tinyeff.errors import UsageError
from tinyeff.ir import OUTSIDE, Array

C_WORDS = frozenset(
    "auto break case char const continue default do double else enum extern float for goto if "
    "inline int long register restrict return short signed sizeof static struct switch typedef "
    "union unsigned void volatile while class delete new private public this try catch throw "
    "template operator namespace main".split()
)
STANDARD_HEADERS = frozenset(
    "assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal "
    "stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string tgmath "
    "threads time uchar wchar wctype".split()
)
"""A model of such a name would give a header that hides the one of the C library."""
LINE_WIDTH = 96


def model_name(text: str) -> str:
    """A C identifier made from a file name: 'kws-dscnn.int8' -> 'kws_dscnn_int8'."""
    name = re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_").lower()
    if not name or name[0].isdigit() or _is_taken(name):
        name = f"model_{name}".rstrip("_")
    return name


def _is_taken(name: str) -> bool:
    """True where the name is C's, the C library's or the kernels'."""
    return name in C_WORDS or name in STANDARD_HEADERS or name == "te" or name.startswith("te_")


def check_name(name: str) -> str:
    """The name itself; UsageError where it cannot start C identifiers of its own."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or _is_taken(name):
        raise UsageError(
            f"--name {name}: a model's name must be a C identifier of lower case letters, digits "
            "and _, starting with a letter, neither a C word nor the name of a standard header, "
            "and not te or anything that starts with te_"
        )
    return name


def check_memory(name: str) -> str:
    """The name of a memory itself; UsageError where it cannot be a part of C identifiers."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,31}", name) or name in ("arena", *OUTSIDE):
        raise UsageError(f"{name!r} cannot name a memory: a name is of up to 32 lower case "
                         "letters, digits and _, starts with a letter, and is not arena, input or "
                         "output")
    return name


def arena_parameters(names: Sequence[str]) -> list[str]:
    """What functions call the parts of the arena: 'arena', or 'arena_dtcm' where there are several.

    In capitals the same names begin the constants with their sizes.
    """
    return ["arena"] if len(names) == 1 else [f"arena_{name}" for name in names]


def string_literal(text: str) -> str:
    """A C string literal of any text (bytes beyond ASCII as octal escapes of their UTF-8)."""
    out = []
    for byte in text.encode("utf-8"):
        char = chr(byte)
        if char in '"\\?':
            out.append("\\" + char)
        elif 32 <= byte < 127:
            out.append(char)
        else:
            out.append(f"\\{byte:03o}")
    return '"' + "".join(out) + '"'


def comment_text(text: str) -> str:
    """Text that can stand in a C comment and on one line."""
    clean = re.sub(r"[^\x20-\x7e]", "?", text).replace("*/", "* /").replace("/*", "/ *")
    return clean if len(clean) <= 60 else clean[:57] + "..."


def number_lines(values: Array) -> list[str]:
    """The numbers of an array as lines of C, as many to a line as fit."""
    lines: list[str] = []
    line = ""
    for value in values.reshape(-1).tolist():
        text = "INT32_MIN," if value == -(2**31) else f"{value},"
        if line and len(line) + 1 + len(text) > LINE_WIDTH:
            lines.append(line)
            line = text
        else:
            line = f"{line} {text}" if line else text
    return [*lines, line] if line else lines


def float_literal(value: float) -> str:
    """A float32 value as C digits that read back to the same float32."""
    text = f"{value:.9g}"
    return text if any(c in text for c in ".en") else text + ".0"


def pretty_json(value: object) -> str:
    """JSON for files: sorted as given, indented, one trailing newline."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
