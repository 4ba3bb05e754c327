# SPDX-License-Identifier: MIT
"""What a linked model takes in flash: its code, its tables, its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinyeff.simulator.elf import Symbol
from tinyeff.simulator.text import support_sources

EMULATOR_SOURCES = ("te_emulator_main.c", *support_sources())
EMULATOR_FUNCTIONS = ("main", "memcpy", "memmove", "memset", "memcmp")
"""What start-up and the compiler's library bring; a board's own program has them anyway."""


@dataclass(frozen=True)
class FlashUse:
    """Bytes of a linked model.

    `weight_bytes` are the arrays of <name>_weights.c: weights, biases, multipliers, tables of
    values. `table_bytes` are all other constants: the steps as data, and those of kernels.
    """

    code_bytes: int
    table_bytes: int
    weight_bytes: int


def in_flash(symbols: Sequence[Symbol]) -> list[Symbol]:
    """Functions and constants of the model, the largest first; the emulator's own left out."""
    found = [s for s in symbols
             if not s.writable and s.size_bytes and s.name not in EMULATOR_FUNCTIONS
             and s.source not in EMULATOR_SOURCES and not s.name.startswith("te_emulator")]
    return sorted(found, key=lambda s: (-s.size_bytes, s.name))


def flash_use(symbols: Sequence[Symbol], name: str) -> FlashUse:
    """How the bytes in flash of the model called `name` divide.

    Its arrays of weights are the only constants that several sources see, but for the kernels'.
    """
    sizes = {"code": 0, "tables": 0, "weights": 0}
    for s in in_flash(symbols):
        is_weights = not s.source and s.name.startswith(f"{name}_")
        sizes["code" if s.is_function else "weights" if is_weights else "tables"] += s.size_bytes
    return FlashUse(sizes["code"], sizes["tables"], sizes["weights"])
