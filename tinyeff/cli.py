# SPDX-License-Identifier: MIT
"""The command line: arguments, printing, files and exit codes.

    0 done, and it fits             2 wrong usage, or a file that cannot be read
    1 it does not fit, or differs   3 the model needs something that is not supported
    4 an outside program is missing 70 a bug in tinyeff     130 interrupted
"""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

import tinyeff
from tinyeff.console.options import OutputOptions, PlanOptions, takes_options
from tinyeff.errors import InternalError, TinyeffError, UnsupportedError

if TYPE_CHECKING:
    from tinyeff.console.terminal import Terminal

INTERRUPTED = 130
BUG = InternalError.exit_code
SCHEMA_VERSION = 1
DRAWING_WIDTH, DRAWING_HEIGHT = 100, 14
USAGE_ERRORS = cast(tuple[type[Exception], ...], typer.BadParameter.__bases__)
"""What the argument parser raises: its UsageError, whose module depends on typer's version."""

app = typer.Typer(
    name="tinyeff", add_completion=False, rich_markup_mode=None,
    help="From a Keras or TFLite model to bit-exact C for STM32 microcontrollers.",
)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code; `arguments` default to the program's."""
    given = _options_last(sys.argv[1:] if arguments is None else list(arguments)) or ["--help"]
    _configure(given)
    try:
        command = typer.main.get_command(app)
        code = command.main(given, prog_name="tinyeff", standalone_mode=False)
        sys.stdout.flush()
        return int(code or 0)
    except (KeyboardInterrupt, typer.Abort):
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Nobody reads on: keep Python from writing the rest at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        return _failed(error, "--json" in given, not {"-v", "--verbose"}.isdisjoint(given))


def _options_last(arguments: list[str]) -> list[str]:
    """Options of all commands may also stand before the command."""
    first = next((n for n, a in enumerate(arguments)
                  if a not in ("-v", "--verbose", "-q", "--quiet", "--json")), len(arguments))
    return [*arguments[first:], *arguments[:first]] if first < len(arguments) else []


def _configure(arguments: list[str]) -> None:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    level = logging.WARNING
    if "-q" in arguments or "--quiet" in arguments:
        level = logging.ERROR
    if "-v" in arguments or "--verbose" in arguments:
        level = logging.DEBUG
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr, force=True)
    logging.getLogger("tinyeff").setLevel(level)


def _failed(error: Exception, as_json: bool, verbose: bool) -> int:
    """Say why there is no result, and return the exit code."""
    code, message, items = BUG, "", []
    if isinstance(error, TinyeffError):
        code, message = error.exit_code, error.message
        items = [{"operator": i.operator, "tensor": i.tensor, "reason": i.reason}
                 for i in error.items]
    elif isinstance(error, USAGE_ERRORS):
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "tinyeff"
        code = 2
        message = f"{cast(Any, error).format_message()} (see {path} --help)"
    elif isinstance(error, OSError) and error.filename is not None:
        code, message = 2, f"{error.filename}: {error.strerror}"
    else:
        message = f"{type(error).__name__}: {error}"
    if as_json:
        failure = {"code": code, "message": message, "items": items}
        print(json.dumps({"schema_version": SCHEMA_VERSION, "error": failure}))
    print(f"tinyeff: error: {message}", file=sys.stderr)
    for item in error.items if isinstance(error, TinyeffError) else ():
        print(f"  {item}", file=sys.stderr)
    if code == BUG:
        print("This is a bug in tinyeff. Please report it with the command, the model if it may "
              "be shared, and what the command prints with -v.", file=sys.stderr)
        if verbose:
            traceback.print_exception(error)
    return code


def _version(wanted: bool) -> None:
    if wanted:
        print(f"tinyeff {tinyeff.__version__}")
        raise typer.Exit


@app.callback()
def _tinyeff(
    version: Annotated[bool, typer.Option(
        "--version", help="Print the version.", callback=_version, is_eager=True)] = False,
) -> None:
    """From a Keras or TFLite model to bit-exact C for STM32 microcontrollers."""


Model = Annotated[str, typer.Argument(
    metavar="MODEL", help="A .tflite, .h5 or .keras file, or a SavedModel folder.")]
Preprocess = Annotated[str | None, typer.Option(
    metavar="scale=S,offset=O", help="Applied to real values in data files: value * S + O.")]
Seed = Annotated[int, typer.Option(metavar="N", min=0, help="Seed of random input.")]


def _host_only(options: PlanOptions, command: str) -> str:
    """The CPU to run on, where only this machine will do."""
    cpu = options.target("host").cpu
    if cpu != "host":
        raise UnsupportedError(f"{command} --cpu {cpu}: generated code runs on this machine only; "
                               "leave --cpu out, or say --cpu host")
    return cpu


def _terminal(output: OutputOptions) -> Terminal:
    from tinyeff.console.terminal import Terminal

    return Terminal(output.json, output.verbose, output.quiet)


@app.command()
@takes_options
def plan(model: Model, plan: PlanOptions, output: OutputOptions) -> int:
    """Plan the memory of a model, and say whether it fits."""
    from tinyeff.console import report
    from tinyeff.pipeline import prepare
    from tinyeff.planner import draw

    limits, target, terminal = plan.limits(), plan.target(), _terminal(output)
    p = report.planned(prepare(model), target, limits)
    terminal.result(report.plan_object(p))
    terminal.headline(report.verdict_sentence(p), "bold green" if p.verdict.fits else "bold red")
    for line in (*report.blame(p), *report.summary(p)):
        terminal.say(line)
    if not output.json and not output.quiet:
        rows = len(p.graph.ops) if output.verbose else max(8, terminal.height - 10 - DRAWING_HEIGHT)
        terminal.say()
        terminal.say(report.layer_table(p, terminal.unicode, rows))
        terminal.say()
        terminal.say(draw(p.plan, p.graph, min(terminal.width, DRAWING_WIDTH), DRAWING_HEIGHT))
    return 0 if p.verdict.fits else 1


@app.command()
@takes_options
def codegen(
    model: Model,
    plan: PlanOptions,
    output: OutputOptions,
    directory: Annotated[str, typer.Option(
        "--output", "-o", metavar="DIR", help="The folder to write; made where it is missing.")],
    name: Annotated[str | None, typer.Option(
        metavar="NAME", help="Prefix of all names in C; made from the file's name unless given.",
    )] = None,
    labels: Annotated[str | None, typer.Option(
        metavar="FILE", help="Text file with the name of one class per line.")] = None,
    force: Annotated[bool, typer.Option(
        "--force", help="Overwrite generated files that were changed since.")] = False,
) -> int:
    """Generate C for a model: sources, build files, an example, and tinyeff.json."""
    from tinyeff.console import report
    from tinyeff.console.folder import check_writable, read_labels, write_folder
    from tinyeff.console.loading import compiled
    from tinyeff.emitter import EmitOptions, emit
    from tinyeff.emitter.naming import check_name, model_name

    terminal, folder = _terminal(output), Path(directory)
    name = check_name(model_name(Path(model).stem) if name is None else name)
    check_writable(folder, (), force)
    p, program = compiled(model, plan, "cortex-m4")
    names = read_labels(Path(labels), program.graph) if labels else ()
    sources = emit(program, EmitOptions(name, names, plan.recorded()))
    removed = write_folder(folder, sources, force)
    terminal.result({**report.plan_object(p), "name": name, "directory": directory,
                     "files": list(sources), "removed": list(removed)})
    terminal.headline(f"wrote {len(sources)} files to {directory}: {report.verdict_sentence(p)}")
    terminal.say(", ".join(sources))
    if removed:
        terminal.say(f"removed, no longer generated: {', '.join(removed)}")
    terminal.say(f"next: tinyeff sim {directory}")
    return 0


@app.command()
@takes_options
def sim(
    model: Annotated[str, typer.Argument(
        metavar="MODEL|DIR", help="A model, or a folder that codegen wrote.")],
    plan: PlanOptions,
    output: OutputOptions,
    file: Annotated[str | None, typer.Option(
        "--input", metavar="FILE", help="An .npy or .npz file; random input unless given.")] = None,
    preprocess: Preprocess = None,
    seed: Seed = 0,
) -> int:
    """Build the generated C, run it once, and show what it computes."""
    from tinyeff.console import loading, outcome
    from tinyeff.pipeline import simulate

    terminal, cpu = _terminal(output), _host_only(plan, "sim")
    manifest, sources = loading.generated(model, plan)
    inputs, origin = loading.one_sample(manifest.interface, file, preprocess, seed)
    outputs = tuple(x[0] for x in simulate(sources, inputs))
    run = outcome.Run(manifest, cpu, origin, outputs)
    terminal.result(outcome.run_object(run))
    terminal.headline(f"{manifest.model_name} ran on {cpu}")
    for line in outcome.run_lines(run):
        terminal.say(line)
    return 0


@app.command()
@takes_options
def verify(
    model: Model,
    plan: PlanOptions,
    output: OutputOptions,
    data: Annotated[str | None, typer.Option(
        "--data", metavar="FILE", help="An .npz or .npy file; random input unless given.")] = None,
    preprocess: Preprocess = None,
    count: Annotated[int | None, typer.Option(
        metavar="N", min=1, help="How many samples; 1 random one, or all of --data, unless given.",
    )] = None,
    seed: Seed = 0,
) -> int:
    """Compare the generated C with LiteRT, bit for bit, layer by layer."""
    from tinyeff.console import loading, outcome
    from tinyeff.simulator.verify import verify as compare

    terminal, cpu = _terminal(output), _host_only(plan, "verify")
    p, program = loading.compiled(model, plan, "host")
    inputs, origin = loading.samples(p.graph, data, preprocess, seed, count or 1)
    inputs = tuple(x[:count] for x in inputs)
    with terminal.progress("verifying") as progress:
        result = compare(program, inputs, progress=progress)
    terminal.result(outcome.verification_object(model, cpu, p.plan.arena_bytes, result))
    if result.difference is not None:
        terminal.headline(f"differs: {result.difference}", "bold red")
        return 1
    number = f"{result.samples} sample{'' if result.samples == 1 else 's'}"
    terminal.headline(f"exact: all {result.tensors} tensors, and the outputs of the release build, "
                      f"equal LiteRT's bit for bit on {number} ({origin})", "bold green")
    return 0


@app.command()
@takes_options
def evaluate(
    model: Model,
    plan: PlanOptions,
    output: OutputOptions,
    data: Annotated[str, typer.Option(
        "--data", metavar="FILE", help="An .npz file of samples, with labels or without.")],
    preprocess: Preprocess = None,
) -> int:
    """Count how often the generated C is right, and how often it agrees with LiteRT."""
    from tinyeff.console import loading, outcome
    from tinyeff.data import load_labels
    from tinyeff.pipeline import simulate
    from tinyeff.simulator.verify import reference_outputs

    terminal, cpu = _terminal(output), _host_only(plan, "evaluate")
    p, program = loading.compiled(model, plan, "host")
    inputs, _ = loading.samples(p.graph, data, preprocess, 0)
    labels = loading.labels_for(p.graph, data, len(inputs[0]), load_labels(data))
    found = simulate(program, inputs)
    with terminal.progress("LiteRT") as progress:
        expected = reference_outputs(p.graph, inputs, progress)
    result = outcome.compare(found, expected, labels)
    terminal.result(outcome.evaluation_object(model, cpu, result))
    first, *rest = outcome.evaluation_lines(result)
    terminal.headline(first)
    for line in rest:
        terminal.say(line)
    return 0


@app.command()
@takes_options
def quantize(
    model: Model,
    output: OutputOptions,
    data: Annotated[str, typer.Option(
        "--data", metavar="FILE", help="Calibration samples: an .npz or .npy file.")],
    file: Annotated[str, typer.Option(
        "--output", "-o", metavar="FILE", help="The int8 .tflite file to write.")],
    preprocess: Preprocess = None,
) -> int:
    """Quantize a float model to int8 with calibration data."""
    from tinyeff import data as samples
    from tinyeff.console.folder import write_file
    from tinyeff.pipeline import check_supported, quantize, read, simplify

    terminal = _terminal(output)
    graph = read(model)
    simple = simplify(graph)
    check_supported(simple)
    scaling = None if preprocess is None else samples.parse_preprocess(preprocess)
    calibration = samples.load_samples(simple, data, scaling)
    if simple.is_float:
        graph = quantize(graph, calibration)
    else:
        terminal.note(f"{model} is int8 already: written as it is")
    size, count = len(graph.source.flatbuffer), len(calibration[0])
    write_file(Path(file), graph.source.flatbuffer)
    terminal.result({"schema_version": SCHEMA_VERSION, "model": model, "output": file,
                     "file_bytes": size, "samples": count})
    terminal.headline(f"wrote {file}: {size:,} bytes, {count} calibration samples")
    terminal.say(f"next: tinyeff plan {file}")
    return 0


@app.command()
@takes_options
def doctor(output: OutputOptions) -> int:
    """List the programs and packages that tinyeff can use, and how to get what is missing."""
    from tinyeff.console.doctor import checks

    terminal, found = _terminal(output), list(checks())
    terminal.result({"schema_version": SCHEMA_VERSION, "tinyeff": tinyeff.__version__,
                     "checks": [asdict(check) for check in found]})
    for check in found:
        if check.version is not None:
            terminal.headline(f"  found  {check.name}: {check.version}", "green")
        else:
            terminal.headline(f"missing  {check.name}, for {check.needed_for}", "yellow")
            terminal.headline(f"         {check.fix}", "")
    return 0
