# SPDX-License-Identifier: MIT
"""The stage that attaches to every operator the kernels that can compute it on a target.

Of kernels that differ in speed and flash, `Target.optimize` says which are worth their bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tinyeff.footprint import GROUP_BYTES, RUNNER_BYTES, step_bytes
from tinyeff.ir import Graph, Optimize, Target, Variant
from tinyeff.ops import operator_of
from tinyeff.ops.operator import node_of

PRICES = {"speed": 0.0, "balanced": 0.005, "size": 0.1}
"""Per --optimize: what a KiB of flash must save, as a fraction of the model's estimated cycles."""

KIB = 1024


def select(graph: Graph, target: Target, flash_bytes: int | None = None) -> Graph:
    """The graph with each operator's kernel variants for `target`.

    Left out are the faster variants that are not worth their flash by `target.optimize`, or that
    would take more than `flash_bytes` with the rest of the program.
    """
    if flash_bytes is not None:
        flash_bytes -= RUNNER_BYTES + sum(step_bytes(graph, op) + GROUP_BYTES for op in graph.ops)
    found = [operator_of(op.kind).variants(node_of(graph, op), target) for op in graph.ops]
    kinds = [op.kind for op in graph.ops]
    kept = worthwhile(kinds, found, target.optimize, flash_bytes)
    ops = tuple(replace(op, variants=v) for op, v in zip(graph.ops, kept, strict=True))
    return replace(graph, ops=ops)


def worthwhile(
    kinds: Sequence[str], variants: Sequence[tuple[Variant, ...]], optimize: Optimize,
    flash_bytes: int | None = None,
) -> list[tuple[Variant, ...]]:
    """What is left of the variants of operators of these kinds, in the order given, never nothing.

    Where even the least kernels and constants take more than `flash_bytes`, these are left. A
    kernel is known by its operator's kind and its name.
    """
    return _Selection(kinds, variants, PRICES[optimize], flash_bytes).run()


@dataclass(frozen=True)
class _Step:
    """Some operators give up their fastest variants: what it costs, and what it saves."""

    cut: tuple[int, ...]
    cycles: int
    saved_bytes: int

    @property
    def price(self) -> float:
        """Cycles per byte."""
        return self.cycles / self.saved_bytes


def _in_flash(variant: Variant) -> tuple[object, ...]:
    """What a variant puts there: those that differ in their use of SRAM only have it in common."""
    return variant.name, variant.const_bytes, variant.code_bytes, variant.shared_code


def _fastest_of_each(variants: Sequence[Variant]) -> list[Variant]:
    """The fastest of the variants that put the same into flash, the fastest of all first."""
    found: dict[tuple[object, ...], Variant] = {}
    for variant in sorted(variants, key=lambda v: v.cost):
        found.setdefault(_in_flash(variant), variant)
    return list(found.values())


class _Selection:
    """Begins with every operator at its fastest, and gives up what saves flash most cheaply.

    `cut[i]` says how many of operator i's variants, the fastest first, have been given up.
    """

    def __init__(self, kinds: Sequence[str], variants: Sequence[tuple[Variant, ...]],
                 price: float, flash_bytes: int | None) -> None:
        self._kinds = kinds
        self._variants = [_fastest_of_each(v) for v in variants]
        self._given = variants
        self._flash_bytes = flash_bytes
        cycles = sum(v[0].cost for v in self._variants if v)
        self._cycles_per_byte = price * cycles / KIB

    def run(self) -> list[tuple[Variant, ...]]:
        """Per operator what is left of its variants, in the order given."""
        cut: tuple[int, ...] = (0,) * len(self._variants)
        while step := min(self._steps(cut), key=lambda s: s.price, default=None):
            full = self._flash_bytes is not None and self._bytes(cut) > self._flash_bytes
            if step.price > self._cycles_per_byte and not full:
                break
            cut = step.cut
        left = [{_in_flash(v) for v in ranked[n:]}
                for ranked, n in zip(self._variants, cut, strict=True)]
        return [tuple(v for v in given if _in_flash(v) in kept)
                for given, kept in zip(self._given, left, strict=True)]

    def _steps(self, cut: tuple[int, ...]) -> Iterator[_Step]:
        """Ways to save bytes: one operator takes its next variant, or all drop the same kernel."""
        choices = [n for n, ranked in enumerate(self._variants) if cut[n] + 1 < len(ranked)]
        kernels = {self._kernel(n, cut) for n in choices}
        users = [{n} for n in choices]
        users += [{n for n in choices if self._kernel(n, cut) == kernel} for kernel in kernels]
        for group in users:
            after = tuple(k + (n in group) for n, k in enumerate(cut))
            saved = self._bytes(cut) - self._bytes(after)
            if saved > 0:
                yield _Step(after, self._cycles(after) - self._cycles(cut), saved)

    def _kernel(self, n: int, cut: tuple[int, ...]) -> tuple[str, str]:
        return self._kinds[n], self._variants[n][cut[n]].name

    def _chosen(self, cut: tuple[int, ...]) -> Iterator[tuple[str, Variant]]:
        for kind, ranked, n in zip(self._kinds, self._variants, cut, strict=True):
            if ranked:
                yield kind, ranked[n]

    def _cycles(self, cut: tuple[int, ...]) -> int:
        return sum(v.cost for _, v in self._chosen(cut))

    def _bytes(self, cut: tuple[int, ...]) -> int:
        """Bytes of constants, and of each kernel and shared function once."""
        code: dict[tuple[str, str], int] = {}
        for kind, v in self._chosen(cut):
            code[kind, v.name] = v.code_bytes
            code.update({("", name): size for name, size in v.shared_code})
        return sum(code.values()) + sum(v.const_bytes for _, v in self._chosen(cut))
