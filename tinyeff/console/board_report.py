# SPDX-License-Identifier: MIT
"""What a board computed and how long it took, as lines, a table and a JSON object."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.table import Table
from rich.text import Text

from tinyeff.console.outcome import Run, output_sha256, run_object
from tinyeff.console.report import both
from tinyeff.device.link.machine import Bench
from tinyeff.device.link.messages import Identity, RunResult, Status
from tinyeff.ops.operator import describe_shape

BAR = 16


def board_object(
    run: Run, port: str, identity: Identity, status: Status, result: RunResult | None,
    bench: Bench | None,
) -> dict[str, Any]:
    """The JSON object of `tinyeff run`; without `result` where the board's time means nothing."""
    cycles = result.cycles if result is not None and status.counts_cycles else None
    value: dict[str, Any] = {
        **run_object(run), "port": port, "board": identity.board, "clock_hz": status.clock_hz,
        "instructions": None, "cycles": cycles, "stack_bytes": status.stack_bytes,
        "reset_reason": list(status.resets), "firmware": identity.version,
    }
    if bench is not None:
        value.update({
            "cycles": round(bench.cycles), "cycles_fewest": bench.fewest, "cycles_most": bench.most,
            "runs": bench.runs, "milliseconds": bench.milliseconds,
            "frames_per_second": bench.frames_per_second,
            "layers": [{"name": c.name, "kind": c.kind, "macs": c.macs, "instructions": None,
                        "cycles": c.cycles} for c in bench.layers],
        })
    return value


def board_headline(run: Run, identity: Identity) -> str:
    """The result in one line."""
    return (f"{run.manifest.model_name} on {identity.board}: arena "
            f"{both(run.manifest.arena_bytes)}, output_sha256 {output_sha256(run.outputs)}")


def board_lines(
    status: Status, result: RunResult | None, bench: Bench | None
) -> Iterator[str]:
    """Time and stack for people."""
    if bench is None and status.counts_cycles and result is not None and result.cycles:
        time_ms = result.cycles / status.clock_hz * 1e3
        yield f"time         {time_ms:.3f} ms = {result.cycles:,} cycles at {_hertz(status)}"
    if bench is not None:
        yield (f"time         {bench.milliseconds:.3f} ms = {bench.cycles:,.0f} cycles at "
               f"{_hertz(status)}: {bench.frames_per_second:,.1f} frames per second")
        yield f"runs         {bench.runs:,}, of {bench.fewest:,} to {bench.most:,} cycles"
    yield f"stack        {both(status.stack_bytes)} at most since the start"
    yield f"last reset   {', '.join(status.resets) or 'the chip does not say'}"


def _hertz(status: Status) -> str:
    return f"{status.clock_hz / 1e6:g} MHz"


def layer_table(bench: Bench, run: Run, unicode: bool) -> Table:
    """Cycles of each layer."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("layer", "output", "MACs", "cycles", "per MAC", "share"):
        right = title not in ("layer", "output", "share")
        table.add_column(title, justify="right" if right else "left", no_wrap=True)
    shapes = {s["name"]: tuple(s["output_shape"]) for s in run.manifest.raw["plan"]["steps"]}
    total, most = (f([c.cycles for c in bench.layers]) for f in (sum, max))
    for c in bench.layers:
        bar = ("█" if unicode else "#") * (-(-BAR * c.cycles // most) if most else 0)
        table.add_row(
            Text(c.name), describe_shape(shapes[c.name]), f"{c.macs:,}" if c.macs else "",
            f"{c.cycles:,}", f"{c.cycles / c.macs:.2f}" if c.macs else "",
            f"{c.cycles / total if total else 0:>5.1%} {bar}")
    return table
