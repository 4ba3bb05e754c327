# SPDX-License-Identifier: MIT
"""Which kernels are worth their flash."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.emitter.graphs import chain
from tinyeff.ir import Limits, Optimize, Target, Variant
from tinyeff.ops import operator_of
from tinyeff.ops.operator import Node
from tinyeff.pipeline import compile_graph
from tinyeff.selection import KIB, PRICES, worthwhile

SLOW = Variant("slow", cost=1000, const_bytes=100, code_bytes=500)
FAST = Variant("fast", cost=900, const_bytes=100, code_bytes=1500)
WIDE = Variant("wide", cost=800, const_bytes=100 + 64 * KIB, code_bytes=1500)


def names(kept: list[tuple[Variant, ...]]) -> list[str]:
    """Per operator the names of its variants, in order."""
    return [" ".join(v.name for v in variants) for variants in kept]


@pytest.mark.parametrize(("optimize", "left"), [
    ("speed", "slow fast wide"), ("balanced", "slow fast"), ("size", "slow fast"),
])
def test_the_faster_variant_has_to_earn_its_bytes(optimize: Optimize, left: str) -> None:
    """`fast` saves a tenth for a KiB, `wide` another tenth for 64 KiB."""
    cheap = replace(FAST, code_bytes=1400)
    assert names(worthwhile(["A"], [(SLOW, cheap, WIDE)], optimize)) == [left]


def test_code_that_several_operators_share_counts_once() -> None:
    """A third of 10 % is not worth a kernel; three operators together pay for it."""
    price = PRICES["size"]
    fast = replace(FAST, cost=850, code_bytes=500 + KIB)
    rest = Variant("other", cost=200)
    alone = worthwhile(["A", "B"], [(SLOW, fast), (replace(rest, cost=2000),)], "size")
    assert names(alone) == ["slow", "other"]
    assert 150 / (850 + 2000) < price < 450 / (3 * 850 + 200)
    together = worthwhile(["A"] * 3 + ["B"], [(SLOW, fast)] * 3 + [(rest,)], "size")
    assert names(together) == ["slow fast"] * 3 + ["other"]


def test_code_shared_between_kernels_stays_while_one_uses_it() -> None:
    fast = replace(FAST, code_bytes=500, shared_code=(("product", KIB),))
    user = Variant("fast", cost=9000, code_bytes=10, shared_code=(("product", KIB),))
    kept = worthwhile(["A", "B"], [(SLOW, fast), (user,)], "size")
    assert names(kept) == ["slow fast", "fast"]


def test_what_does_not_fit_gives_way_under_speed_too() -> None:
    variants = [(WIDE, FAST, SLOW)]
    assert names(worthwhile(["A"], variants, "speed", 70 * KIB)) == ["wide fast slow"]
    assert names(worthwhile(["A"], variants, "speed", 60 * KIB)) == ["fast slow"]
    assert names(worthwhile(["A"], variants, "speed", 1000)) == ["slow"]
    assert names(worthwhile(["A"], variants, "speed", 10)) == ["slow"]


def test_variants_that_differ_in_sram_only_go_together() -> None:
    """More scratch memory for the same code costs no flash, and is no step on the way to less."""
    roomy = replace(FAST, cost=880, scratch_bytes=4000)
    variants = [(SLOW, FAST, roomy)]
    assert worthwhile(["A"], variants, "speed") == variants
    assert worthwhile(["A"], variants, "speed", 1000) == [(SLOW,)]


def test_views_have_no_variants_and_equal_ones_stay() -> None:
    assert worthwhile(["RESHAPE", "A"], [(), (SLOW, SLOW)], "balanced") == [(), (SLOW, SLOW)]
    assert worthwhile([], [], "size") == []


@pytest.mark.parametrize("optimize", list(PRICES))
def test_programs_use_the_kernels_that_were_worth_it(
    optimize: Optimize, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A convolution with a second variant, faster by half, of 30 KiB of code."""
    kernel = operator_of("CONV_2D")
    plain = kernel.variants

    def two(node: Node[Any], target: Target) -> tuple[Variant, ...]:
        (one,) = plain(node, target)
        return one, replace(one, name="again", cost=one.cost // 2, code_bytes=30 * KIB)

    monkeypatch.setattr(kernel, "variants", two)

    def used(flash_bytes: int | None) -> set[str]:
        target = Target(optimize=optimize)
        plan = compile_graph(chain(), target, Limits(flash_bytes=flash_bytes)).plan
        assert plan.target.optimize == optimize
        return {v.name for v in plan.variants}

    assert used(None) == ({"portable"} if optimize == "size" else {"again"})
    assert used(8 * KIB) == {"portable"}
