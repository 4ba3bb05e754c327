# SPDX-License-Identifier: MIT
"""docs/operators.md is what the registry says."""

from __future__ import annotations

import re

from tests import operators_page
from tinyeff.ops import operator_of, registry


def test_the_page_is_up_to_date() -> None:
    assert operators_page.PAGE.read_text(encoding="utf-8") == operators_page.page(), (
        "run `make golden`")


def test_every_operator_has_a_section() -> None:
    text = operators_page.PAGE.read_text(encoding="utf-8")
    assert re.findall(r"^## (\S+)$", text, re.MULTILINE) == list(registry())


def test_limits_are_found_through_helpers_parents_and_modules() -> None:
    found = list(operators_page.sentences(operator_of("PRELU")))
    assert any("its input is a constant" in s for s in found)  # its own
    assert any("it broadcasts … to …" in s for s in found)  # of its parent
    assert any("at most 4194304 is supported" in s for s in found)  # a constant of a module
    convolution = "\n".join(operators_page.sentences(operator_of("CONV_2D")))
    assert "its accumulator can reach …, beyond 32 bits" in convolution


def test_rules_on_memory_are_those_of_the_planner() -> None:
    assert operators_page.in_place(operator_of("RESHAPE")) == "its input's memory"
    assert operators_page.in_place(operator_of("RELU")) == "pixel by pixel"
    assert operators_page.in_place(operator_of("ARG_MAX")) == "no"
    assert operators_page.in_place(operator_of("AVERAGE_POOL_2D")) == "always, else row by row"
