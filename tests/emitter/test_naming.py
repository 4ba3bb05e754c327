# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest

from tinyeff.emitter import naming
from tinyeff.errors import UsageError


@pytest.mark.parametrize(("text", "name"), [
    ("kws-dscnn.int8", "kws_dscnn_int8"),
    ("96x96 Person", "model_96x96_person"),
    ("int", "model_int"),
    ("modèle", "mod_le"),
    ("...", "model"),
])
def test_model_name_is_an_identifier(text: str, name: str) -> None:
    assert naming.model_name(text) == name
    assert naming.check_name(name) == name


@pytest.mark.parametrize("name", ["", "Kws", "9lives", "while", "te_conv", "a-b", "a b"])
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="identifier"):
        naming.check_name(name)


def test_string_literals_survive_quotes_trigraphs_and_unicode() -> None:
    assert naming.string_literal('a"b\\') == '"a\\"b\\\\"'
    assert naming.string_literal("??/") == '"\\?\\?/"'
    assert naming.string_literal("é1") == '"\\303\\2511"'


def test_comments_cannot_be_closed_from_inside() -> None:
    assert "*/" not in naming.comment_text("evil */ int x; /*")
    assert "\n" not in naming.comment_text("two\nlines")


def test_number_lines_hold_every_value_once() -> None:
    values = np.array([-(2**31), *range(-200, 200)], np.int32)
    lines = naming.number_lines(values)
    assert max(map(len, lines)) <= naming.LINE_WIDTH
    read = [t for line in lines for t in line.replace(",", " ").split()]
    assert read[0] == "INT32_MIN"
    assert [int(t) for t in read[1:]] == list(range(-200, 200))


@pytest.mark.parametrize("value", [1.0, 0.1, 1e-20, 3e38, 0.00392156885])
def test_float_literals_read_back_exactly(value: float) -> None:
    exact = np.float32(value)
    text = naming.float_literal(float(exact))
    assert np.float32(text) == exact
    assert any(c in text for c in ".e")
