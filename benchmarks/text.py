# SPDX-License-Identifier: MIT
"""Tables as plain text."""

from __future__ import annotations

from collections.abc import Sequence


def print_table(title: str, rows: Sequence[Sequence[str]]) -> None:
    """Rows of cells, the first of them the head; all but the first column on the right."""
    widths = [max(len(row[c]) for row in rows) for c in range(len(rows[0]))]
    if title:
        print(f"\n{title}\n")
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(
            row[1:], widths[1:], strict=True))]
        print("  ".join(cells).rstrip())


def count(number: int | None) -> str:
    """With separators; "-" where it is not known."""
    return "-" if number is None else f"{number:,}"


def ratio(ours: float | None, theirs: float | None) -> str:
    """Theirs over ours: above 1 is won."""
    if not ours or not theirs:
        return "-"
    return f"{theirs / ours:.2f} {'won' if theirs > ours else 'lost'}"
