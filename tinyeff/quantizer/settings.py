# SPDX-License-Identifier: MIT
"""How much work the quantizer does, and which ways it tries."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tinyeff.errors import UsageError
from tinyeff.quantizer.ranges import AUTO, METHODS


@dataclass(frozen=True)
class Recipe:
    """One way to quantize: `method` of ranges, `equalization` 0 to 1, second-order rounding.

    With `refit` weights are made for the inputs that earlier operators, as quantized, really give,
    with `correct_bias` biases too.
    """

    method: str = AUTO
    equalization: float = 1.0
    second_order: bool = True
    refit: bool = True
    correct_bias: bool = True

    def __str__(self) -> str:
        """What is done, in words."""
        if self == PLAIN:
            return "plain: least and largest values, nothing corrected"
        words = [f"ranges {self.method}", f"equalization {self.equalization:g}",
                 "second-order rounding" if self.second_order else "rounding to nearest"]
        if self.refit:
            words.append("weights refitted")
        return ", ".join(words if self.correct_bias else [*words, "biases as they are"])


PLAIN = Recipe("minmax", 0.0, second_order=False, refit=False, correct_bias=False)
"""The least that can be done. It is always compared with, so that nothing cleverer is worse."""


@dataclass(frozen=True)
class Effort:
    """The recipes that are compared on samples held back, and how ranges are searched for.

    `search_samples` is on how many samples a range's error at the output is measured;
    `search_macs` limits that work (multiply-accumulates of all runs together). With `confirmed`
    the ranges that were found must prove themselves on samples held back.
    """

    recipes: tuple[Recipe, ...]
    search_samples: int
    search_macs: int
    confirmed: bool = False


EFFORTS = {
    "fast": Effort((Recipe(second_order=False, refit=False), PLAIN), 0, 0),
    "default": Effort((Recipe(), Recipe(refit=False), Recipe(equalization=0.0), PLAIN),
                      64, 10**11),
    "high": Effort((*(Recipe(equalization=equalization, second_order=second_order, refit=refit)
                      for equalization in (1.0, 0.5, 0.0)
                      for second_order, refit in ((True, True), (True, False), (False, False))),
                    PLAIN), 256, 10**12, confirmed=True),
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
    recipes = dict.fromkeys(replace(r, method=method) for r in effort.recipes)
    return replace(effort, recipes=tuple(recipes), confirmed=False)
