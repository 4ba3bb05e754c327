# SPDX-License-Identifier: MIT
"""What `tinyeff quantize` says: the diagnosis as a table, as JSON and as a page with plots."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table

from tinyeff.console.report import SCHEMA_VERSION
from tinyeff.errors import UsageError
from tinyeff.quantizer.diagnosis import EXACT_DB, Diagnosis, Layer

REPORTS = (".html", ".json")
LONGEST = 40
"""Characters of a layer's name in the summary."""
WORST = 5
"""So many layers are named in the summary."""


def quantization_object(
    model: str, output: str, size: int, count: int, warnings: tuple[str, ...],
    diagnosis: Diagnosis | None,
) -> dict[str, Any]:
    """The JSON object of `tinyeff quantize`; `report` is None without --report."""
    return {"schema_version": SCHEMA_VERSION, "model": model, "output": output,
            "file_bytes": size, "samples": count, "warnings": list(warnings),
            "report": None if diagnosis is None else report_object(diagnosis)}


def check_report(path: str | None) -> None:
    """UsageError unless the name of a report's file says what it is to be."""
    if path is not None and not path.endswith(REPORTS):
        raise UsageError(f"--report {path}: the name ends in neither .html (a page with plots) nor "
                         ".json")


def report_file(path: str, model: str, diagnosis: Diagnosis) -> bytes:
    """What is written to the report's file."""
    if path.endswith(".json"):
        return (json.dumps(report_object(diagnosis), indent=1) + "\n").encode()
    return report_page(Path(model).name, diagnosis).encode()


def report_object(diagnosis: Diagnosis) -> dict[str, Any]:
    """The diagnosis, for programs: layers in the order of the model, ranked by `ranking`."""
    value = {"schema_version": SCHEMA_VERSION, **asdict(diagnosis)}
    shares = _shares(diagnosis)
    for layer, share in zip(value["layers"], shares, strict=True):
        layer["share_of_error"] = share
    return value


def _shares(diagnosis: Diagnosis) -> list[float]:
    """Each layer's part of the error at the output."""
    whole = sum(layer.error for layer in diagnosis.layers)
    return [layer.error / whole if whole > 0 else 0.0 for layer in diagnosis.layers]


def report_lines(diagnosis: Diagnosis) -> Iterator[str]:
    """The result in words: how good the int8 model is, and what to do."""
    same = ("" if diagnosis.agreement is None
            else f", same class on {diagnosis.agreement:.2%} of the samples")
    yield (f"against float: {diagnosis.output_snr_db:.1f} dB signal to noise at the output{same} "
           f"({diagnosis.samples} calibration samples)")
    yield f"chosen: {diagnosis.recipe}"
    if diagnosis.trials:
        others = "; ".join(f"{snr:.1f} dB by {recipe}" for recipe, snr in diagnosis.trials[1:])
        yield (f"  on samples held back: {diagnosis.trials[0][1]:.1f} dB, against {others} "
               "(the usual way is kept unless another is clearly better)")
    shares = _shares(diagnosis)
    advised = [n for n in diagnosis.ranking if diagnosis.layers[n].advice][:WORST]
    for n in advised:
        layer = diagnosis.layers[n]
        yield (f"  #{n} {layer.kind} '{_short(layer.name)}', {shares[n]:.0%} of the error: "
               f"{layer.advice}")
    if not advised:
        yield "  nothing to repair: no layer stands out, or the error is small"


def _short(name: str) -> str:
    """Of the names that a converter has joined the first, or its end."""
    first = name.split(";")[0]
    return first if len(first) <= LONGEST else f"...{first[-LONGEST:]}"


def report_table(diagnosis: Diagnosis) -> Table:
    """One line per layer, in the order of the model."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("#", "layer", "range", "by", "SNR dB", "cut off", "channels", "of the error"):
        table.add_column(title, justify="left" if title in ("layer", "by") else "right",
                         no_wrap=True)
    shares = _shares(diagnosis)
    for layer, share in zip(diagnosis.layers, shares, strict=True):
        table.add_row(*_cells(layer), f"{share:.1%}")
    return table


def _cells(layer: Layer) -> tuple[str, ...]:
    return (str(layer.number), layer.kind, f"{layer.low:.4g} to {layer.high:.4g}", layer.rule,
            _decibels(layer), f"{layer.saturated:.2%}",
            f"{layer.effective_channels}/{layer.channels}")


def _decibels(layer: Layer) -> str:
    return "exact" if layer.snr_db >= EXACT_DB else f"{layer.snr_db:.1f}"


def report_page(model: str, diagnosis: Diagnosis) -> str:
    """The diagnosis as an HTML page in one piece, plots included."""
    from tinyeff import resources  # its Jinja is not needed unless a page is asked for

    environment = resources.templates().overlay(autoescape=True, keep_trailing_newline=False)
    shares = _shares(diagnosis)
    rows = [{"layer": layer, "share": share, "rank": diagnosis.ranking.index(layer.number) + 1,
             "cells": _cells(layer), "name": _short(layer.name)}
            for layer, share in zip(diagnosis.layers, shares, strict=True)]
    largest = max(shares, default=0.0) or 1.0
    highest = max((row.snr_db for row in diagnosis.layers if row.snr_db < EXACT_DB), default=1.0)
    plots = [
        _plot("Part of the error at the output", "weights dark, activations light", [
            (layer.weight_error / (layer.error or 1) * share / largest, share / largest,
             f"{share:.1%}") for layer, share in zip(diagnosis.layers, shares, strict=True)]),
        _plot("Signal to noise against float, dB", "everything before it quantized too", [
            (0.0, min(max(layer.snr_db, 0.0) / max(highest, 1.0), 1.0), _decibels(layer))
            for layer in diagnosis.layers]),
        _plot("Channels that use 16 steps or more", "of all channels", [
            (0.0, layer.effective_channels / max(layer.channels, 1),
             f"{layer.effective_channels}/{layer.channels}") for layer in diagnosis.layers]),
        _plot("Values cut off by the range", "full width is 1 %", [
            (0.0, min(layer.saturated / 0.01, 1.0), f"{layer.saturated:.3%}")
            for layer in diagnosis.layers]),
    ]
    return environment.get_template("quantization_report.html.j2").render(
        model=model, diagnosis=diagnosis, rows=rows, plots=plots,
        summary=list(report_lines(diagnosis)))


def _plot(title: str, note: str, bars: list[tuple[float, float, str]]) -> dict[str, Any]:
    """Bars of (dark part, whole, label), as parts of the width, drawn 18 pixels apart."""
    return {"title": title, "note": note, "height": 18 * len(bars) + 4, "bars": [
        {"y": 18 * n + 3, "dark": round(300 * dark, 1), "width": round(300 * whole, 1),
         "label": label, "number": n} for n, (dark, whole, label) in enumerate(bars)]}
