# SPDX-License-Identifier: MIT
"""What an emulated Cortex-M counted, as lines, tables and a JSON object."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.table import Table
from rich.text import Text

from tinyeff.console.report import both
from tinyeff.emitter import Manifest
from tinyeff.ops.operator import describe_shape
from tinyeff.simulator.emulator import EmulationResult
from tinyeff.simulator.flash_use import flash_use, in_flash

BAR = 16


def emulation_object(
    result: EmulationResult, name: str, counted_memory: bool, symbols: bool
) -> dict[str, Any]:
    """What `tinyeff sim --cpu cortex-…` adds to the JSON object."""
    model = result.cycle_model
    value: dict[str, Any] = {
        "engine": result.engine,
        "compiler": result.compiler,
        "flags": list(result.flags),
        "instructions": result.instructions,
        "cycles": result.cycles,
        "cycle_model": None if model is None else {"source": model.source, "error": model.error},
        "arena_bytes_touched": result.arena_bytes_touched,
        "regions": [{"name": name, "arena_bytes": size, "arena_bytes_touched": touched}
                    for name, (size, touched) in result.regions.items()],
        "stack_bytes": result.stack_bytes,
        "stack_bound_bytes": result.stack_bound_bytes,
        "layers": [{"name": c.name, "kind": c.kind, "macs": c.macs,
                    "instructions": c.instructions, "cycles": c.cycles} for c in result.layers],
    }
    if counted_memory:
        value["accesses"] = {region: vars(counts) for region, counts in result.accesses.items()}
    if symbols:
        value["symbols"] = [{"name": s.name, "flash_bytes": s.size_bytes,
                             "kind": "code" if s.is_function else "constants"}
                            for s in in_flash(result.symbols)]
        value["flash"] = asdict(flash_use(result.symbols, name))
    return value


def emulation_lines(result: EmulationResult, counted_memory: bool) -> Iterator[str]:
    """The counts for people."""
    yield f"instructions {result.instructions:,}"
    if result.cycles is not None and result.cycle_model is not None:
        yield f"cycles       {result.cycles:,} (model: {result.cycle_model.error})"
    for name, (size, touched) in result.regions.items():
        whole = "all of it" if touched == size else f"of {size:,}"
        yield f"{name:<12} {both(touched)} touched, {whole}"
    bound = result.stack_bound_bytes
    most = "no bound is known" if bound is None else f"at most {bound:,} with any input"
    yield f"stack        {both(result.stack_bytes)}, {most}"
    yield f"compiler     {result.compiler}, {' '.join(result.flags)}"
    yield f"emulated by  {result.engine}"
    for region, a in result.accesses.items() if counted_memory else ():
        yield (f"{region:<12} {a.loads:,} loads of {a.load_bytes:,} bytes, {a.stores:,} stores of "
               f"{a.store_bytes:,} bytes")
    if result.unaligned:
        more = " ..." if len(result.unaligned) > 3 else ""
        yield f"unaligned accesses: {'; '.join(result.unaligned[:3])}{more}"


def profile_table(result: EmulationResult, manifest: Manifest, unicode: bool) -> Table:
    """Instructions and cycles of each layer."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("layer", "output", "MACs", "instructions", "per MAC", "cycles", "share"):
        right = title not in ("layer", "output", "share")
        table.add_column(title, justify="right" if right else "left", no_wrap=True)
    shapes = {s["name"]: tuple(s["output_shape"]) for s in manifest.raw["plan"]["steps"]}
    weights = [c.instructions if c.cycles is None else c.cycles for c in result.layers]
    most, total = max(weights, default=0), sum(weights)
    for c, weight in zip(result.layers, weights, strict=True):
        bar = ("█" if unicode else "#") * (-(-BAR * weight // most) if most else 0)
        ratio = c.instructions_per_mac
        table.add_row(
            Text(c.name), describe_shape(shapes[c.name]), f"{c.macs:,}" if c.macs else "",
            f"{c.instructions:,}", "" if ratio is None else f"{ratio:.2f}",
            "" if c.cycles is None else f"{c.cycles:,}",
            f"{weight / total if total else 0:>5.1%} {bar}",
        )
    return table


def symbol_table(result: EmulationResult, manifest: Manifest) -> Table:
    """Flash bytes of each function, and of the constants of each layer."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("flash bytes", justify="right")
    table.add_column("function, or constants of a layer")
    sizes: dict[str, int] = {}
    steps = [s["name"] for s in manifest.raw["plan"]["steps"]]
    for symbol in in_flash(result.symbols):
        name = symbol.name if symbol.is_function else _layer_of(symbol.name, manifest, steps)
        sizes[name] = sizes.get(name, 0) + symbol.size_bytes
    for name, size in sorted(sizes.items(), key=lambda item: (-item[1], item[0])):
        table.add_row(f"{size:,}", Text(name))
    use = flash_use(result.symbols, manifest.name)
    table.add_row(f"{sum(sizes.values()):,}", f"total: code {use.code_bytes:,} + tables "
                  f"{use.table_bytes:,} + weights {use.weight_bytes:,}", style="bold")
    return table


def _layer_of(symbol: str, manifest: Manifest, steps: list[str]) -> str:
    """The layer that a constant belongs to: names are [model_]layer_field."""
    plain = symbol.removeprefix(f"{manifest.name}_")
    return max((s for s in steps if plain.startswith(f"{s}_")), key=len, default=symbol)
