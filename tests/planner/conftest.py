# SPDX-License-Identifier: MIT
"""Registers the fake operator for every test of the planner."""

from __future__ import annotations

import pytest

from tests.planner.fakes import KIND, Fake
from tinyeff.ops import registry


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry(), KIND, Fake())
