# SPDX-License-Identifier: MIT
"""Tables: the narrowest fields, constants for what is the same everywhere, and their true size."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.emitter.graphs import chain
from tests.shared import needs
from tinyeff.emitter import EmitOptions, emit
from tinyeff.emitter.table import TYPES, Column, Pool, Row, Table
from tinyeff.emitter.tables import Tables
from tinyeff.ir import Limits, Target
from tinyeff.pipeline import compile_graph
from tinyeff.simulator.host import write_sources

COLUMNS = (Column("first", "always there"), Column("second", "a number"),
           Column("text", "an address", "const void *"))


def table(*rows: tuple[int, int]) -> Table:
    return Table("thing", "things", COLUMNS,
                 [Row({"first": a, "second": b, "text": "&x"}) for a, b in rows])


def test_what_is_the_same_everywhere_is_a_constant() -> None:
    found = table((1, 7), (1, 7))
    assert found.constants == {"second": 7}
    assert [(c.name, ctype) for c, ctype in found.fields] == [
        ("text", "const void *"), ("first", "uint8_t")]
    assert found["t->second"] == "THING_SECOND"
    assert found["things[t->first].first"] == "things[t->first].first"
    with pytest.raises(KeyError):
        found["t->third"]


@given(st.lists(st.integers(-(2 ** 31), 2 ** 31 - 1), min_size=2, max_size=4, unique=True))
def test_fields_are_as_narrow_as_their_numbers_allow(values: list[int]) -> None:
    found = table(*((0, value) for value in values))
    ranges = {name: range(low, high + 1) for name, low, high in TYPES}
    (ctype,) = [ctype for column, ctype in found.fields if column.name == "second"]
    assert all(value in ranges[ctype] for value in values)
    narrower = [name for name in ranges if len(ranges[name]) < len(ranges[ctype])]
    assert not any(all(value in ranges[name] for value in values) for name in narrower)


def test_equal_rows_of_a_pool_share_a_number() -> None:
    pool = Pool()
    assert [pool.number(a=1), pool.number(a=2), pool.number(a=1)] == [0, 1, 0]
    assert [row.values for row in pool.rows] == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("strategy", ["per-layer", "stream"])
def test_tables_take_the_bytes_that_they_say(tmp_path: Path, strategy: str) -> None:
    needs("arm-none-eabi-gcc", "arm-none-eabi-nm")
    limits = Limits(strategy=strategy)
    program = compile_graph(chain(), Target(), limits).program
    write_sources(tmp_path, emit(program, EmitOptions("chain")))
    subprocess.run(["arm-none-eabi-gcc", "-mthumb", "-mcpu=cortex-m4", "-O2", "-std=c11", "-c",
                    "chain.c"], cwd=tmp_path, check=True)
    listing = subprocess.run(["arm-none-eabi-nm", "-S", "chain.o"], cwd=tmp_path, check=True,
                             capture_output=True, text=True).stdout
    tables = Tables(program)
    arrays = {"kernels", *(t.array for t in tables.printed)}
    sizes = {name: int(size, 16) for size, name in re.findall(r" (\w+) r (\w+)$", listing, re.M)}
    assert sum(size for name, size in sizes.items() if name in arrays) <= tables.size_bytes
    assert {name: size for name, size in sizes.items() if name in ("places", "stages")} == {
        "places": tables.place.size_bytes, "stages": tables.stage.size_bytes}
