# SPDX-License-Identifier: MIT
"""docs/systems.md, written from the zoo: what is here of the systems that the literature names.

tests/systems.toml says what each system is here and what was published of it; counts are taken from
the zoo, their state from the tests that compare and run them. `python -m tests.systems_page` (or
`make golden`) writes the page anew.
"""

from __future__ import annotations

import csv
import importlib
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.shared import CHECKOUT
from tests.zoo.test_whole_way import FLOAT_ONLY, REST, SAMPLE, SECOND
from tinyeff import zoo
from tinyeff.zoo.catalog import CATALOG

PAGE = CHECKOUT / "docs" / "systems.md"
DATA = CHECKOUT / "tests" / "systems.toml"
KINDS = {"network": "network", "block": "block of tables", "pass": "pass over trained networks",
         "technique": "technique", "absent": "not here"}

INTRODUCTION = """\
# What is here of the literature's systems

This page is generated from the zoo and its tests: `make golden` writes it anew.

- **Here** names networks (`tinyeff models`), or the code in which the system stands.
- **Counts** says of how many of the networks the parameters and multiply-accumulates equal those of
  the authors' own models to the last digit (`tests/zoo/counts.csv`); of the others no exact counts
  are published.
- **Whole way** names networks that are built at a small size, deployed, quantized, planned with
  every strategy and run as generated C, equal to LiteRT bit for bit
  (`tests/zoo/test_whole_way.py`).
- The tables of counts are of networks as published, multiply-accumulates of their deployed form.
  Where printed numbers are rounded or count otherwise, [the zoo's page](zoo.md) says how.
"""


@dataclass(frozen=True)
class System:
    """A system or technique, and what it is here; `published` is by network, or of all of them."""

    group: str
    name: str
    kind: str
    networks: tuple[str, ...] = ()
    code: tuple[str, ...] = ()
    published: dict[str, str] | str = field(default_factory=dict)
    note: str = ""
    reason: str = ""


def systems() -> tuple[System, ...]:
    """All systems, in the order of the page; AssertionError where an entry cannot be right."""
    found = []
    for entry in tomllib.loads(DATA.read_text(encoding="utf-8"))["system"]:
        lists = {key: tuple(entry.get(key, ())) for key in ("networks", "code")}
        system = System(**{**entry, **lists})
        assert system.kind in KINDS, system
        assert (system.kind == "absent") == bool(system.reason), system
        assert system.kind == "absent" or system.networks or system.code, system
        assert set(system.networks) <= CATALOG.keys(), system
        if isinstance(system.published, dict):
            assert system.published.keys() <= set(system.networks), system
        for name in system.code:
            assert exists(name), f"{system.name}: there is no {name}"
        found.append(system)
    return tuple(found)


def exists(name: str) -> bool:
    """Whether `name` is a module, or something in one."""
    module, _, last = name.rpartition(".")
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        return hasattr(importlib.import_module(module), last)
    return True


def counted() -> set[str]:
    """The networks whose counts are compared with the authors' own models."""
    path = Path(__file__).parent / "zoo" / "counts.csv"
    with path.open(newline="", encoding="utf-8") as file:
        return {row["name"] for row in csv.DictReader(file)}


def page() -> str:
    """The text of docs/systems.md."""
    every, parts = systems(), [INTRODUCTION]
    for group in dict.fromkeys(s.group for s in every):
        members = [s for s in every if s.group == group]
        parts.append("\n".join([f"## {group}", "", "| system | here | counts | whole way |",
                                "|---|---|---|---|", *map(line, members), ""]))
        counts = [row for s in members for row in count_lines(s)]
        if counts:
            parts.append("\n".join([
                "| network | input | parameters | deployed | MACs | published |",
                "|---|---|---:|---:|---:|---|", *counts, ""]))
    return "\n".join(parts)


def line(system: System) -> str:
    """The row that says what a system is here."""
    if system.kind == "absent":
        return f"| {system.name} | not here: {system.reason} | | |"
    places = [f"`{name}`" for name in (*system.networks, *system.code)]
    if len(system.networks) > 1:
        places[:len(system.networks)] = [f"{len(system.networks)} networks"]
    here = ", ".join(places)
    if system.kind != "network":
        here = f"{KINDS[system.kind]}: {here}"
    if system.note:
        here += f"; {system.note}"
    exact = sum(name in counted() for name in system.networks)
    counts = f"{exact} of {len(system.networks)}" if system.networks else ""
    gone = {name for name, _ in (*SAMPLE, *REST, *SECOND)} - set(FLOAT_ONLY)
    runs = ", ".join(f"`{name}`" for name in system.networks if name in gone)
    return f"| {system.name} | {here} | {counts} | {runs} |"


def count_lines(system: System) -> Iterator[str]:
    """The counts of a system's networks beside what was published."""
    for name in system.networks:
        network, plain = zoo.network(name), zoo.network(name, deployed=True)
        published = (system.published if isinstance(system.published, str)
                     else system.published.get(name, ""))
        size = " x ".join(map(str, network.layers[0].shape))
        yield (f"| `{name}` | {size} | {network.parameters:,} | {plain.parameters:,} | "
               f"{plain.macs:,} | {published} |")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
