# SPDX-License-Identifier: MIT
"""`tinyeff analyze`: what each layer costs, as a table, a plot and a JSON object."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from tinyeff import zoo
from tinyeff.analysis import Layer, Roofline, analyze, hints, roofline
from tinyeff.console.report import SCHEMA_VERSION, both, kib
from tinyeff.errors import UsageError
from tinyeff.ir import Graph, Target
from tinyeff.ops.operator import describe_shape
from tinyeff.pipeline import prepare
from tinyeff.zoo.catalog import CATALOG

BAR = 10
CLOCK_HZ = 100_000_000


@dataclass(frozen=True, eq=False)
class Analysis:
    """A graph, the costs of its layers, and the roofline that their times are taken from."""

    model: str
    graph: Graph
    layers: tuple[Layer, ...]
    cpu: str
    clock_hz: float
    roof: Roofline

    @property
    def seconds(self) -> float:
        """The least time of one inference."""
        return sum(map(self.roof.seconds, self.layers))


def analysis_of(model: str, target: Target, clock_hz: float | None) -> Analysis:
    """The analysis of a model file, or of a network of the zoo by its name."""
    in_zoo = model in CATALOG and not Path(model).exists()
    graph = zoo.graph(model) if in_zoo else prepare(model)
    clock = CLOCK_HZ if clock_hz is None else clock_hz
    if clock <= 0:
        raise UsageError(f"--clock {clock / 1e6:g}: expected is a number of MHz above 0")
    return Analysis(model, graph, analyze(graph), target.cpu, clock, roofline(target.path, clock))


def analysis_object(a: Analysis) -> dict[str, Any]:
    """The JSON object of `tinyeff analyze`."""
    return {
        "schema_version": SCHEMA_VERSION, "model": a.model, "cpu": a.cpu, "clock_hz": a.clock_hz,
        "macs_per_second": a.roof.macs_per_second, "bytes_per_second": a.roof.bytes_per_second,
        "parameters": sum(x.parameters for x in a.layers), "macs": sum(x.macs for x in a.layers),
        "access_bytes": sum(x.access_bytes for x in a.layers), "seconds": a.seconds,
        "hints": list(hints(a.graph)),
        "layers": [{
            "name": x.name, "kind": x.kind, "output_shape": list(x.output_shape),
            "parameters": x.parameters, "macs": x.macs, "live_bytes": x.live_bytes,
            "access_bytes": x.access_bytes, "intensity": x.intensity,
            "receptive_field": list(x.field), "step": list(x.step),
            "seconds": a.roof.seconds(x),
        } for x in a.layers],
    }


def analysis_lines(a: Analysis) -> Iterator[str]:
    """The whole network in a few lines."""
    macs, moved = sum(x.macs for x in a.layers), sum(x.access_bytes for x in a.layers)
    yield (f"{sum(x.parameters for x in a.layers):,} parameters, {macs:,} multiply-accumulates, "
           f"{kib(moved)} moved, {macs / max(moved, 1):.1f} multiply-accumulates per byte")
    peak = max((x.live_bytes for x in a.layers), default=0)
    yield f"inputs and outputs of a layer take up to {both(peak)}"
    bound = sum(x.intensity < a.roof.ridge for x in a.layers if x.access_bytes)
    yield (f"at least {a.seconds * 1000:.2f} ms on {a.cpu} at {a.clock_hz / 1e6:g} MHz (roofline: "
           f"{a.roof.macs_per_second / 1e6:g} M multiply-accumulates, "
           f"{a.roof.bytes_per_second / 1e6:g} MB per second); {bound} layers wait for memory")


def analysis_table(a: Analysis, unicode: bool) -> Table:
    """A row per layer; the bars plot the bytes of its inputs and outputs."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for title in ("#", "layer", "output", "params", "MACs", "moved", "MACs/B", "field", "ms",
                  "memory"):
        left = title in ("layer", "output", "memory")
        table.add_column(title, justify="left" if left else "right", no_wrap=True)
    most = max((x.live_bytes for x in a.layers), default=0)
    for number, x in enumerate(a.layers):
        bar = ("█" if unicode else "#") * (-(-BAR * x.live_bytes // most) if most else 0)
        peak = x.live_bytes == most
        table.add_row(*map(Text, (
            str(number), x.kind, describe_shape(x.output_shape),
            f"{x.parameters:,}" if x.parameters else "", f"{x.macs:,}" if x.macs else "",
            kib(x.access_bytes), f"{x.intensity:.1f}" if x.macs else "", _field(x),
            f"{a.roof.seconds(x) * 1000:.3f}",
            f"{bar} peak" if peak else bar)),
            style="bold" if peak else None)
    return table


def _field(layer: Layer) -> str:
    rows, columns = layer.field
    return f"{rows}" if rows == columns else f"{rows}x{columns}"
