# SPDX-License-Identifier: MIT
"""How much work the quantizer does, and which ways it tries."""

from __future__ import annotations

from dataclasses import dataclass

from tinyeff.errors import UsageError
from tinyeff.quantizer.ranges import AUTO, METHODS


@dataclass(frozen=True)
class Recipe:
    """One way to quantize: `method` of ranges, `equalization` 0 to 1, second-order rounding."""

    method: str = AUTO
    equalization: float = 1.0
    second_order: bool = True


@dataclass(frozen=True)
class Effort:
    """The recipes that are compared on samples held back, and how ranges are searched for.

    `search_samples` is on how many samples a range's error at the output is measured;
    `search_macs` limits that work (multiply-accumulates of all runs together).
    """

    recipes: tuple[Recipe, ...]
    search_samples: int
    search_macs: int


EFFORTS = {
    "fast": Effort((Recipe(second_order=False),), 0, 0),
    "default": Effort((Recipe(equalization=1.0), Recipe(equalization=0.0)), 64, 10**11),
    "high": Effort(tuple(Recipe(method, equalization, second_order)
                         for method in (AUTO, "minmax") for equalization in (1.0, 0.5, 0.0)
                         for second_order in (True, False)), 256, 10**12),
}


def effort_of(name: str, method: str) -> Effort:
    """The effort called `name`, with its ranges by `method` where that is not "auto".

    Raises UsageError for names that are not known.
    """
    if name not in EFFORTS:
        raise UsageError(f"effort '{name}' is not known; choose from {', '.join(EFFORTS)}")
    if method not in (AUTO, *METHODS):
        raise UsageError(f"method '{method}' is not known; choose from "
                         f"{', '.join((AUTO, *METHODS))}")
    effort = EFFORTS[name]
    if method == AUTO:
        return effort
    recipes = dict.fromkeys(
        Recipe(method, r.equalization, r.second_order) for r in effort.recipes)
    return Effort(tuple(recipes), effort.search_samples, effort.search_macs)
