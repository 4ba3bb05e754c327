# SPDX-License-Identifier: MIT
"""The generated code of the example model is the one that was reviewed."""

from __future__ import annotations

import difflib

from tests.golden_files import FOLDER, generated, golden
from tests.shared import CHECKOUT


def test_generated_code_is_the_committed_one() -> None:
    expected = {f.name: f.read_bytes().decode("utf-8") for f in FOLDER.iterdir()}
    found = golden()
    assert sorted(found) == sorted(expected), "run `make golden` and read the diff"
    for name, text in found.items():
        diff = list(difflib.unified_diff(expected[name].splitlines(), text.splitlines(),
                                         f"committed {name}", f"generated {name}", lineterm=""))
        assert text == expected[name], "\n".join(
            [*diff[:40], "if that is what you meant to change, run `make golden`"])


def test_generated_kernels_are_the_files_of_the_checkout() -> None:
    kernels = {n: t for n, t in generated().items() if n.startswith("te_") or n == "te.h"}
    assert {"te.h", "te_softmax.c", "te_softmax.h"} <= set(kernels)
    for name, text in kernels.items():
        assert (CHECKOUT / "firmware" / "kernels" / name).read_bytes() == text.encode("utf-8")


def test_the_smallest_memory_is_streamed() -> None:
    text = (FOLDER / "shapes_stream.c").read_text(encoding="utf-8")
    assert ": stream */" in text
    assert ": stream */" not in (FOLDER / "shapes.c").read_text(encoding="utf-8")


def test_two_generations_are_byte_identical() -> None:
    assert generated() == generated()
