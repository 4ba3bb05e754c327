# SPDX-License-Identifier: MIT
"""What the documents name exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.shared import CHECKOUT

DOCUMENTS = sorted([*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/**/*.md")])
FOLDERS = ("tinyeff", "templates", "firmware", "tests", "examples", "docs", "benchmarks", ".ci")


def paths_named(text: str) -> Iterator[str]:
    """Paths in backticks that lie in a folder of this project."""
    for quoted in re.findall(r"`([^`\n]+)`", text):
        if quoted.split("/")[0] in FOLDERS and "/" in quoted and not re.search(r"[<>* ]", quoted):
            yield quoted


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_paths_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    missing = [name for name in paths_named(text) if not (CHECKOUT / name).exists()]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_links_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", text)
    local = [t for t in targets if not t.startswith(("http:", "https:"))]
    assert [t for t in local if not (document.parent / t).exists()] == []


def test_every_decision_is_listed() -> None:
    folder = CHECKOUT / "docs" / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")
    pages = {f.name for f in folder.glob("*.md")} - {"README.md"}
    assert pages == set(re.findall(r"\]\(([^)]+)\)", index))


def test_documents_name_paths() -> None:
    """The checks above look at something."""
    architecture = (CHECKOUT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert len(set(paths_named(architecture))) > 20
