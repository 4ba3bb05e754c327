# SPDX-License-Identifier: MIT
"""A constant table of the generated C, in as few bytes as its numbers need.

Each column gets the smallest integer type that holds all its values; a column in which all values
are equal becomes a constant, from which the compiler leaves out what the model does not need.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TYPES = (("uint8_t", 0, 255), ("int8_t", -128, 127), ("uint16_t", 0, 65535),
         ("int16_t", -32768, 32767), ("int32_t", -(2 ** 31), 2 ** 31 - 1))
"""Smallest first. None is unsigned beyond int: arithmetic on all of them is that of int32_t."""

POINTER_BYTES = 4
"""On the cores that code is generated for."""


@dataclass(frozen=True)
class Row:
    """One entry: a number per column, or C text where the column says its type."""

    values: Mapping[str, int | str]
    comment: str = ""


@dataclass(frozen=True)
class Column:
    """`meaning` becomes a comment. `ctype` is given where the values are no numbers."""

    name: str
    meaning: str
    ctype: str = ""

    def size_bytes(self, ctype: str) -> int:
        """Bytes of a value of `ctype` on a 32-bit core."""
        return POINTER_BYTES if self.ctype else int(re.sub(r"\D", "", ctype)) // 8


class Table:
    """`te_<name>` is the type of its rows, `array` the array of them."""

    def __init__(self, name: str, array: str, columns: Sequence[Column],
                 rows: Sequence[Row]) -> None:
        self.name, self.array, self.rows = name, array, tuple(rows)
        self._columns = columns
        self.constants = {c.name: v for c in columns[1:] if (v := self._only_value(c)) is not None}
        kept = [(c, c.ctype or self._smallest(c)) for c in columns if c.name not in self.constants]
        # Large fields first: no byte is lost between them.
        self.fields = sorted(kept, key=lambda field: -field[0].size_bytes(field[1]))

    def __getitem__(self, access: str) -> str:
        """`access`, such as "in->count", or the constant's name where the column is none."""
        field = re.split(r"->|\.", access)[-1]
        if field not in (c.name for c in self._columns):
            raise KeyError(access)
        return self.constant_name(field) if field in self.constants else access

    def constant_name(self, field: str) -> str:
        """The name of the constant that stands for a column."""
        return f"{self.name}_{field}".upper()

    def meaning(self, field: str) -> str:
        """The comment on a column."""
        return next(c.meaning for c in self._columns if c.name == field)

    @property
    def size_bytes(self) -> int:
        """Bytes of the array on a 32-bit core."""
        sizes = [column.size_bytes(ctype) for column, ctype in self.fields]
        return len(self.rows) * -(-sum(sizes) // max(sizes)) * max(sizes)

    def _only_value(self, column: Column) -> int | str | None:
        values = {row.values[column.name] for row in self.rows}
        return values.pop() if len(values) == 1 and not column.ctype else None

    def _smallest(self, column: Column) -> str:
        values = [int(row.values[column.name]) for row in self.rows] or [0]
        return next(ctype for ctype, low, high in TYPES
                    if low <= min(values) and max(values) <= high)


class Pool:
    """Rows of a table that others refer to by number, equal ones once."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._numbers: dict[tuple[tuple[str, int | str], ...], int] = {}

    def number(self, comment: str = "", **values: int | str) -> int:
        """The number of the row with these values."""
        key = tuple(values.items())
        if key not in self._numbers:
            self._numbers[key] = len(self.rows)
            self.rows.append(Row(values, comment))
        return self._numbers[key]
