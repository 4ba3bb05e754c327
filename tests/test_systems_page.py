# SPDX-License-Identifier: MIT
"""docs/systems.md is what the zoo and its tests say."""

from __future__ import annotations

import pytest

from tests import systems_page
from tinyeff.zoo.catalog import CATALOG


@pytest.mark.slow
def test_the_page_is_up_to_date() -> None:
    assert systems_page.PAGE.read_text(encoding="utf-8") == systems_page.page(), "run `make golden`"


def test_every_network_belongs_to_a_system() -> None:
    named = [name for system in systems_page.systems() for name in system.networks]
    assert sorted(named) == sorted(CATALOG)


def test_code_that_is_not_there_is_noticed() -> None:
    assert systems_page.exists("tinyeff.zoo.reparameterization.deploy")
    assert systems_page.exists("tinyeff.zoo")
    assert not systems_page.exists("tinyeff.zoo.reparameterization.dissolve")
