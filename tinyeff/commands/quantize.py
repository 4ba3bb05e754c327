# SPDX-License-Identifier: MIT
"""`tinyeff quantize`: from a float model and samples to int8."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinyeff.commands.arguments import Model, Preprocess
from tinyeff.console.options import OutputOptions

if TYPE_CHECKING:
    from tinyeff.console.terminal import Terminal
    from tinyeff.quantizer.diagnosis import Diagnosis


def quantize(
    model: Model,
    output: OutputOptions,
    data: Annotated[str, typer.Option(
        "--data", metavar="FILE", help="Calibration samples: an .npz or .npy file, or a folder of "
        "images.")],
    file: Annotated[str, typer.Option(
        "--output", "-o", metavar="FILE", help="The int8 .tflite file to write.")],
    preprocess: Preprocess = None,
    effort: Annotated[str, typer.Option(
        metavar="NAME", help="fast | default | high: how much is tried.")] = "default",
    method: Annotated[str, typer.Option(
        metavar="NAME", help="auto | minmax | percentile | mse | entropy: how ranges are found; "
        "auto takes what is best for each tensor.")] = "auto",
    report: Annotated[str | None, typer.Option(
        metavar="FILE", help="Measure every layer, and write a page (.html) or JSON (.json).",
    )] = None,
) -> int:
    """Quantize a float model to int8 with calibration data."""
    from tinyeff import data as samples
    from tinyeff.console import quantization as words
    from tinyeff.console.folder import write_file
    from tinyeff.pipeline import check_supported, read, simplify
    from tinyeff.quantizer import quantize_and_explain
    from tinyeff.quantizer.diagnosis import diagnose
    from tinyeff.quantizer.settings import effort_of

    terminal = output.terminal()
    effort_of(effort, method)
    words.check_report(report)
    graph = read(model)
    simple = simplify(graph)
    check_supported(simple)
    scaling = None if preprocess is None else samples.parse_preprocess(preprocess)
    calibration = samples.load_samples(simple, data, scaling)
    diagnosis, warnings = None, tuple[str, ...]()
    if simple.is_float:
        with terminal.progress("quantizing") as progress:
            made = quantize_and_explain(graph, calibration, effort=effort, method=method,
                                        progress=progress)
        graph, warnings = made.graph, made.warnings
        for warning in warnings:
            terminal.note(f"warning: {warning}")
        if report is not None:
            with terminal.progress("measuring layers") as progress:
                diagnosis = diagnose(made, progress)
    else:
        terminal.note(f"{model} is int8 already: written as it is")
    size, count = len(graph.source.flatbuffer), len(calibration[0])
    write_file(Path(file), graph.source.flatbuffer)
    if diagnosis is not None and report is not None:
        write_file(Path(report), words.report_file(report, model, diagnosis))
    terminal.result(words.quantization_object(model, file, size, count, warnings, diagnosis))
    terminal.headline(f"wrote {file}: {size:,} bytes, {count} calibration samples")
    if diagnosis is not None:
        _show(terminal, diagnosis)
        terminal.say(f"report: {report}")
    terminal.say(f"next: tinyeff plan {file}")
    return 0


def _show(terminal: Terminal, diagnosis: Diagnosis) -> None:
    """How good the int8 model is, and each of its layers."""
    from tinyeff.console import quantization as words

    for line in words.report_lines(diagnosis):
        terminal.say(line)
    terminal.say()
    terminal.say(words.report_table(diagnosis))
    terminal.say()
