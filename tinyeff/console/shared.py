# SPDX-License-Identifier: MIT
"""Several models in one arena: what they need together, as lines and as a JSON object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.table import Table
from rich.text import Text

from tinyeff.console.report import (
    SCHEMA_VERSION,
    Planned,
    granted_words,
    kib,
    needs_sentence,
    plan_object,
    planned,
)
from tinyeff.footprint import shared_code_bytes
from tinyeff.ir import Graph, Limits, Target
from tinyeff.planner.budget import output_bytes


@dataclass(frozen=True, eq=False)
class Shared:
    """Models that run one after the other in one arena; their outputs are kept beside each other.

    Sizes are in bytes; `flash_bytes` has each kernel once.
    """

    models: tuple[Planned, ...]
    limits: Limits
    flash_bytes: int

    @property
    def arena_bytes(self) -> int:
        """The arena of the model that needs most."""
        return max(p.plan.arena_bytes for p in self.models)

    @property
    def stack_bytes(self) -> int:
        """The stack of the model that needs most."""
        return max(p.footprint.stack_bytes for p in self.models)

    @property
    def output_bytes(self) -> int:
        """The outputs of all models."""
        return sum(p.footprint.output_bytes for p in self.models)

    @property
    def sram_bytes(self) -> int:
        """All that the models need of SRAM."""
        return self.arena_bytes + self.stack_bytes + self.output_bytes

    @property
    def missing_sram_bytes(self) -> int:
        """What is needed beyond the SRAM granted."""
        granted = self.limits.sram_bytes
        return 0 if granted is None else max(self.sram_bytes - granted, 0)

    @property
    def missing_flash_bytes(self) -> int:
        """What is needed beyond the flash granted."""
        granted = self.limits.flash_bytes
        return 0 if granted is None else max(self.flash_bytes - granted, 0)

    @property
    def fits(self) -> bool:
        """True where nothing is missing."""
        return not self.missing_sram_bytes and not self.missing_flash_bytes


def shared(graphs: Sequence[Graph], target: Target, limits: Limits) -> Shared:
    """Plan each model in what the outputs of the others leave of the SRAM granted."""
    outputs = [output_bytes(graph) for graph in graphs]
    found = []
    for graph, own in zip(graphs, outputs, strict=True):
        sram = limits.sram_bytes
        rest = None if sram is None else max(sram - sum(outputs) + own, 0)
        found.append(planned(graph, target, replace(limits, sram_bytes=rest)))
    apart = sum(p.footprint.flash_bytes for p in found)
    return Shared(tuple(found), limits,
                  apart - shared_code_bytes([(p.graph, p.plan) for p in found]))


def shared_object(s: Shared) -> dict[str, Any]:
    """The JSON object of `tinyeff plan --shared`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "shared": True,
        "fits": s.fits,
        "arena_bytes": s.arena_bytes,
        "separate_arena_bytes": sum(p.plan.arena_bytes for p in s.models),
        "stack_bytes": s.stack_bytes,
        "output_bytes": s.output_bytes,
        "sram_bytes": s.sram_bytes,
        "flash_bytes": s.flash_bytes,
        "separate_flash_bytes": sum(p.footprint.flash_bytes for p in s.models),
        "missing_sram_bytes": s.missing_sram_bytes,
        "missing_flash_bytes": s.missing_flash_bytes,
        "limits": {"sram_bytes": s.limits.sram_bytes, "flash_bytes": s.limits.flash_bytes},
        "models": [plan_object(p) for p in s.models],
    }


def shared_sentence(s: Shared) -> str:
    """Whether all fit, and if not, by how much."""
    needs = f"{kib(s.sram_bytes)} of SRAM, {kib(s.flash_bytes)} of flash for {len(s.models)} models"
    return needs_sentence(needs, granted_words(s.limits), s.missing_sram_bytes,
                          s.missing_flash_bytes)


def shared_lines(s: Shared) -> Iterator[str]:
    """The figures behind the verdict, a line each."""
    largest = max(s.models, key=lambda p: p.plan.arena_bytes)
    yield (f"arena  {s.arena_bytes:>11,} bytes, those of {largest.graph.source.name}; in arenas of "
           f"their own {sum(p.plan.arena_bytes for p in s.models):,}")
    yield (f"SRAM   {s.sram_bytes:>11,} bytes = arena {s.arena_bytes:,} + stack "
           f"{s.stack_bytes:,} + outputs {s.output_bytes:,}")
    apart = sum(p.footprint.flash_bytes for p in s.models)
    yield (f"flash  {s.flash_bytes:>11,} bytes, kernels that several models use counted once; in "
           f"programs of their own {apart:,}")


def shared_table(s: Shared) -> Table:
    """A row per model: what it would need alone."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("model", no_wrap=True)
    for title in ("arena", "outputs", "flash alone", "strategy"):
        table.add_column(title, justify="left" if title == "strategy" else "right", no_wrap=True)
    for p in s.models:
        table.add_row(Text(p.graph.source.name), f"{p.plan.arena_bytes:,}",
                      f"{p.footprint.output_bytes:,}", f"{p.footprint.flash_bytes:,}",
                      p.plan.strategy)
    return table
