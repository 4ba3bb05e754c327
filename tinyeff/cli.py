# SPDX-License-Identifier: MIT
"""The command line: arguments, printing, files and exit codes.

    0 done, and it fits             2 wrong usage, or a file that cannot be read
    1 it does not fit, or differs   3 the model needs something that is not supported
    4 an outside program is missing 70 a bug in tinyeff     130 interrupted
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import tinyeff
from tinyeff.console.failure import SCHEMA_VERSION, report_failure
from tinyeff.console.options import (
    ConnectionOptions,
    EmulatorOptions,
    OutputOptions,
    PlanOptions,
    ProfileOptions,
    one_of,
    takes_options,
)
from tinyeff.errors import UsageError

if TYPE_CHECKING:
    from tinyeff.console.terminal import Terminal
    from tinyeff.device.boards import Device
    from tinyeff.emitter import Manifest, Sources
    from tinyeff.ir import Array
    from tinyeff.simulator.verify import Verification

INTERRUPTED = 130
DRAWING_WIDTH, DRAWING_HEIGHT = 100, 14

app = typer.Typer(
    name="tinyeff", add_completion=False, rich_markup_mode=None,
    help="From a Keras or TFLite model to bit-exact C for STM32 microcontrollers.",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code; `arguments` default to the program's."""
    given = _normal(sys.argv[1:] if arguments is None else arguments)
    _configure(given)
    try:
        command = typer.main.get_command(app)
        code = command.main(given, prog_name="tinyeff", standalone_mode=False)
        sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except BrokenPipeError:
        # Nobody reads on: keep Python from writing the rest at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        return report_failure(error, "--json" in given, not {"-v", "--verbose"}.isdisjoint(given))
    if code == INTERRUPTED:
        print("interrupted", file=sys.stderr)
    return int(code or 0)


def _normal(arguments: Sequence[str]) -> list[str]:
    """Arguments as the parser takes them.

    Options of all commands may also stand before the command, and --profile without a value.
    """
    shared = ("-v", "--verbose", "-q", "--quiet", "--json")
    given = ["--profile=layers" if a == "--profile" else a for a in arguments]
    first = next((n for n, a in enumerate(given) if a not in shared), 0)
    return [*given[first:], *given[:first]] or ["--help"]


def _configure(arguments: list[str]) -> None:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    level = logging.WARNING
    if "-q" in arguments or "--quiet" in arguments:
        level = logging.ERROR
    if "-v" in arguments or "--verbose" in arguments:
        level = logging.DEBUG
    log = logging.getLogger("tinyeff")
    log.handlers[:] = [logging.StreamHandler(sys.stderr)]
    log.setLevel(level)


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


@dataclass(frozen=True)
class Samples:
    """Which samples a command takes: of a file, or random ones."""

    data: str | None
    preprocess: str | None
    seed: int
    count: int | None


def _terminal(output: OutputOptions) -> Terminal:
    from tinyeff.console.terminal import Terminal

    return Terminal(output.json, output.verbose, output.quiet)


@app.command()
@takes_options
def plan(
    model: Model,
    plan: PlanOptions,
    output: OutputOptions,
    plot: Annotated[list[str] | None, typer.Option(
        metavar="FILE", help="Draw front.svg (arena against extra work) or memory.svg (buffers "
        "over time); .png and .pdf too. May be given twice.")] = None,
) -> int:
    """Plan the memory of a model, and say whether it fits."""
    from tinyeff.console import plots, report
    from tinyeff.console.folder import write_file
    from tinyeff.pipeline import prepare
    from tinyeff.planner import draw

    limits, target, terminal = plan.limits(), plan.target(), _terminal(output)
    for file in plot or ():
        plots.picture_of(file)
    p = report.planned(prepare(model), target, limits)
    with terminal.progress("searching the front") as progress:
        p = report.with_front(p, progress)
    for file in plot or ():
        write_file(Path(file), plots.plot(p, file))
    terminal.result(report.plan_object(p))
    terminal.headline(report.verdict_sentence(p), "bold green" if p.verdict.fits else "bold red")
    for line in report.blame(p):
        terminal.headline(line, "")
    for line in report.summary(p):
        terminal.say(line)
    if not output.json and not output.quiet:
        rows = len(p.graph.ops) if output.verbose else max(8, terminal.height - 10 - DRAWING_HEIGHT)
        terminal.say()
        terminal.say(report.layer_table(p, terminal.unicode, rows, terminal.width))
        terminal.say()
        if len(p.front) > 1:
            terminal.say("what extra work buys (--max-overhead picks):")
            terminal.say(report.front_table(p))
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
    layout: Annotated[str | None, typer.Option(
        metavar="SHAPE", help="library | cmake | platformio | zephyr | arduino: the model alone, "
        "for a project of your own. Unless given: library, with --board a whole program.")] = None,
    force: Annotated[bool, typer.Option(
        "--force", help="Overwrite generated files that were changed since.")] = False,
) -> int:
    """Generate C for a model, with build files and an example."""
    from tinyeff.console import report
    from tinyeff.console.folder import check_writable, read_labels, write_folder
    from tinyeff.console.loading import compiled
    from tinyeff.device.project import board_program
    from tinyeff.emitter import LAYOUTS, EmitOptions, arrange, emit
    from tinyeff.emitter.naming import check_name, model_name

    terminal, folder = _terminal(output), Path(directory)
    name = check_name(model_name(Path(model).stem) if name is None else name)
    one_of(layout or "library", LAYOUTS, "--layout")
    check_writable(folder, (), force)
    board = None if layout else plan.whole_board()
    p, program = compiled(model, plan.beside_program(board), "cortex-m4")
    names = read_labels(Path(labels), program.graph) if labels else ()
    sources = emit(program, EmitOptions(name, names, plan.recorded()))
    if board is not None:
        sources = board_program(sources, board, program.graph.source.flatbuffer)
    sources = arrange(sources, layout or "library")
    removed = write_folder(folder, sources, force)
    terminal.result({**report.plan_object(p), "name": name, "directory": directory,
                     "files": list(sources), "removed": list(removed)})
    terminal.headline(f"wrote {len(sources)} files to {directory}: {report.verdict_sentence(p)}")
    terminal.say(", ".join(sources))
    if removed:
        terminal.say(f"removed, no longer generated: {', '.join(removed)}")
    terminal.say(f"next: tinyeff run {directory} --emulate" if board else
                 f"next: tinyeff sim {directory}")
    return 0


@app.command()
@takes_options
def sim(
    model: Annotated[str, typer.Argument(
        metavar="MODEL|DIR", help="A model, or a folder that codegen wrote.")],
    plan: PlanOptions,
    output: OutputOptions,
    emulator: ProfileOptions,
    file: Annotated[str | None, typer.Option(
        "--input", metavar="FILE", help="An .npy or .npz file; random input unless given.")] = None,
    preprocess: Preprocess = None,
    seed: Seed = 0,
) -> int:
    """Build the generated C, run it once, and show what it computes."""
    from tinyeff.console import loading, outcome
    from tinyeff.pipeline import simulate

    terminal, cpu = _terminal(output), plan.target("host").cpu
    emulator.check(cpu)
    manifest, sources = loading.generated(model, plan)
    loading.check_cpu(manifest, cpu, model)
    inputs, origin = loading.one_sample(manifest.interface, file, preprocess, seed)
    if cpu != "host":
        return _emulated(terminal, manifest, sources, inputs, origin, cpu, emulator, plan.chip())
    run = outcome.Run(manifest, cpu, origin, tuple(x[0] for x in simulate(sources, inputs)))
    terminal.result(outcome.run_object(run))
    terminal.headline(outcome.run_headline(run))
    for line in outcome.run_lines(run):
        terminal.say(line)
    return 0


def _emulated(
    terminal: Terminal, manifest: Manifest, sources: Sources, inputs: tuple[Array, ...],
    origin: str, cpu: str, options: ProfileOptions, chip: Device | None,
) -> int:
    """`sim` on an emulated Cortex-M, with the memory and flash of a chip where one is named."""
    import numpy as np

    from tinyeff.console import emulation, outcome
    from tinyeff.console.folder import write_file
    from tinyeff.simulator.emulator import emulate
    from tinyeff.simulator.profile import folded_stacks

    result = emulate(sources, [x[0] for x in inputs], cpu, compiler=options.compiler,
                     engine=options.engine, memory=chip.memory if chip else None,
                     flash=chip.timing if chip else None, profile=options.profile or "layers")
    outputs = tuple(np.frombuffer(data, t.dtype).reshape(t.shape)
                    for t, data in zip(manifest.outputs, result.outputs, strict=True))
    run, memory = outcome.Run(manifest, cpu, origin, outputs), options.profile == "memory"
    if options.flame is not None:
        folded = folded_stacks(manifest.name, result.layers)
        write_file(Path(options.flame), folded.encode("utf-8"))
    terminal.result({**outcome.run_object(run),
                     **emulation.emulation_object(result, manifest.name, memory, options.symbols)})
    terminal.headline(outcome.run_headline(run))
    for line in (*outcome.run_lines(run), *emulation.emulation_lines(result, memory)):
        terminal.say(line)
    if options.profile is not None:
        terminal.say()
        terminal.say(emulation.profile_table(result, manifest, terminal.unicode))
    if options.symbols:
        terminal.say()
        terminal.say(emulation.symbol_table(result, manifest))
    return 0


@app.command()
@takes_options
def verify(
    model: Model,
    plan: PlanOptions,
    output: OutputOptions,
    emulator: EmulatorOptions,
    connection: ConnectionOptions,
    data: Annotated[str | None, typer.Option(
        "--data", metavar="FILE", help="An .npz or .npy file; random input unless given.")] = None,
    preprocess: Preprocess = None,
    count: Annotated[int | None, typer.Option(
        metavar="N", min=1, help="How many samples; 1 random one, or all of --data, unless given.",
    )] = None,
    seed: Seed = 0,
) -> int:
    """Compare the generated C with LiteRT, tensor by tensor.

    With --port or --emulate, MODEL is a folder that codegen --board wrote: what is compared is what
    the board computes.
    """
    from tinyeff.console import loading, outcome
    from tinyeff.simulator.verify import verify as compare

    if connection.given:
        return _verify_board(model, connection, output, Samples(data, preprocess, seed, count))
    terminal, cpu = _terminal(output), plan.target("host").cpu
    emulator.check(cpu)
    p, program = loading.compiled(model, plan, "host")
    inputs, origin = loading.samples(p.graph, data, preprocess, seed, count or 1)
    inputs = tuple(x[:count] for x in inputs)
    with terminal.progress("verifying") as progress:
        result = compare(program, inputs, cpu=cpu, compiler=emulator.compiler,
                         engine=emulator.engine, progress=progress)
    terminal.result(outcome.verification_object(model, cpu, p.plan.arena_bytes, result))
    return _verdict(terminal, result, origin, "" if cpu == "host" else f"an emulated {cpu}")


def _verdict(terminal: Terminal, result: Verification, origin: str, machine: str) -> int:
    """Say what a comparison found; the exit code."""
    if result.difference is not None:
        terminal.headline(f"differs: {result.difference}", "bold red")
        return 1
    number = f"{result.samples} sample{'' if result.samples == 1 else 's'}"
    what = (f"all {result.tensors} tensors, and the outputs of the release build," if result.layers
            else "the outputs")
    where = f", computed by {machine}" if machine else ""
    terminal.headline(f"exact: {what} equal LiteRT's bit for bit on {number} ({origin}){where}",
                      "bold green")
    return 0


def _verify_board(
    folder: str, connection: ConnectionOptions, output: OutputOptions, samples: Samples
) -> int:
    """`verify` of what a board computes."""
    from tinyeff.console import loading, outcome
    from tinyeff.console.connection import board_folder, connected
    from tinyeff.device.link.machine import BoardProgram
    from tinyeff.device.link.sources import stored_model
    from tinyeff.simulator.verify import compare

    connection.check()
    terminal = _terminal(output)
    manifest, sources, build = board_folder(folder)
    graph = loading.stored_graph(manifest, stored_model(manifest, sources))
    inputs, origin = loading.samples(graph, samples.data, samples.preprocess, samples.seed,
                                     samples.count or 1)
    inputs = tuple(x[:samples.count] for x in inputs)
    with (connected(folder, manifest, build, connection) as (link, port),
          terminal.progress("bytes of trace") as progress):
        machine = BoardProgram(link, manifest, progress)
        result = compare(graph, inputs, machine, machine if machine.can_trace else None)
        board = link.identity.board
    terminal.result({**outcome.verification_object(folder, manifest.target.cpu,
                                                   manifest.arena_bytes, result),
                     "board": board, "port": port})
    return _verdict(terminal, result, origin, f"the board {board} ({port})")


@app.command()
@takes_options
def flash(
    folder: Annotated[str, typer.Argument(
        metavar="DIR", help="A folder that codegen --board wrote.")],
    output: OutputOptions,
    programmer: Annotated[str | None, typer.Option(
        metavar="NAME", help="probe-rs, pyocd, st-flash, openocd or stm32loader; the first that "
        "is installed unless given.")] = None,
    probe: Annotated[str | None, typer.Option(
        metavar="SERIAL", help="Serial number of the debug probe, where several are plugged in.",
    )] = None,
    port: Annotated[str | None, typer.Option(
        metavar="auto|PATH", help="Serial port, for the chip's ROM bootloader.")] = None,
    timeout: Annotated[float, typer.Option(
        metavar="SECONDS", min=0.1, help="How long each program may take.")] = 180.0,
    dry_run: Annotated[bool, typer.Option(
        "--dry-run", help="Print the commands of the board's default program, and run nothing.",
    )] = False,
) -> int:
    """Build the program of a board, write it into its flash, and verify it."""
    import shlex

    from tinyeff.console.folder import read_folder, write_file
    from tinyeff.device import flash as flashing
    from tinyeff.device.image import board_of, build_image

    terminal, path = _terminal(output), Path(folder)
    _, sources = read_folder(path)
    board = board_of(sources, folder)
    wish = flashing.Wish(programmer, probe, port)
    plan = flashing.plan_flash if dry_run else flashing.choose_flash
    commands = plan(board, path, board.flash_origin, wish)
    value = {"schema_version": SCHEMA_VERSION, "board": board.name, "programmer": commands[0][0],
             "commands": [list(c) for c in commands], "dry_run": dry_run}
    if dry_run:
        terminal.result({**value, "flash_bytes": None})
        for command in commands:
            terminal.headline(shlex.join(command), "")
        return 0
    image = build_image(sources, folder)
    write_file(path / flashing.ELF, image.elf)
    write_file(path / flashing.BINARY, image.flash)
    terminal.note(f"writing {len(image.flash):,} bytes to {board.title} with {commands[0][0]}")
    flashing.flash(commands, timeout)
    terminal.result({**value, "flash_bytes": len(image.flash)})
    terminal.headline(f"flashed {board.title} with {commands[0][0]}: {len(image.flash):,} bytes, "
                      "verified", "bold green")
    terminal.say(f"next: tinyeff run {folder} --port auto")
    return 0


@app.command()
@takes_options
def run(
    folder: Annotated[str, typer.Argument(
        metavar="DIR", help="A folder that codegen --board wrote, as it was flashed.")],
    output: OutputOptions,
    connection: ConnectionOptions,
    file: Annotated[str | None, typer.Option(
        "--input", metavar="FILE", help="An .npy or .npz file; random input unless given.")] = None,
    preprocess: Preprocess = None,
    seed: Seed = 0,
    bench: Annotated[bool, typer.Option(
        "--bench", help="Measure milliseconds, frames per second and the cycles of each layer.",
    )] = False,
) -> int:
    """Run the model once on a board, and show what it computes."""
    from tinyeff.console import board_report, loading, outcome
    from tinyeff.console.connection import board_folder, connected
    from tinyeff.device.link import machine

    connection.check()
    if bench and connection.emulate:
        raise UsageError("--bench is for a real board: an emulated one has no time of its own; "
                         f"tinyeff sim {folder} --cpu … --profile estimates cycles")
    terminal = _terminal(output)
    manifest, _, build = board_folder(folder)
    inputs, origin = loading.one_sample(manifest.interface, file, preprocess, seed)
    [data] = machine.samples_of(inputs)
    with connected(folder, manifest, build, connection) as (link, port):
        found = link.infer(data)
        measured = machine.bench(link, manifest, data) if bench else None
        identity, status = link.identity, link.status()
    result = outcome.Run(manifest, manifest.target.cpu, origin,
                         machine.outputs_of(manifest, found.output))
    ran = None if connection.emulate else found.run
    terminal.result(board_report.board_object(result, port, identity, status, ran, measured))
    terminal.headline(board_report.board_headline(result, identity))
    for line in (*outcome.run_lines(result),
                 *board_report.board_lines(status, ran, measured)):
        terminal.say(line)
    if measured is not None and measured.layers:
        terminal.say()
        terminal.say(board_report.layer_table(measured, result, terminal.unicode))
    return 0


@app.command()
@takes_options
def evaluate(
    model: Model,
    plan: PlanOptions,
    output: OutputOptions,
    emulator: EmulatorOptions,
    data: Annotated[str, typer.Option(
        "--data", metavar="FILE", help="An .npz file of samples, with labels or without, or a "
        "folder with a folder of images for each class.")],
    preprocess: Preprocess = None,
    original: Annotated[str | None, typer.Option(
        "--float", metavar="MODEL", help="The float model, to compare classes with.")] = None,
) -> int:
    """Count how often the generated C is right, as LiteRT says and as the float model does."""
    from tinyeff.console import loading, outcome
    from tinyeff.data import load_labels
    from tinyeff.pipeline import simulate
    from tinyeff.simulator.verify import reference_outputs

    terminal, cpu = _terminal(output), plan.target("host").cpu
    emulator.check(cpu)
    p, program = loading.compiled(model, plan, "host")
    inputs, _ = loading.samples(p.graph, data, preprocess, 0)
    labels = loading.labels_for(p.graph, data, len(inputs[0]), load_labels(data))
    found = simulate(program, inputs, cpu, emulator.compiler, emulator.engine)
    with terminal.progress("LiteRT") as progress:
        expected = reference_outputs(p.graph, inputs, progress)
    real = None
    if original is not None:
        with terminal.progress("float model") as progress:
            real = loading.float_outputs(original, p.graph, data, preprocess, progress)
    result = outcome.compare(found, expected, labels, real)
    terminal.result(outcome.evaluation_object(model, cpu, result))
    first, *rest = outcome.evaluation_lines(result)
    terminal.headline(first)
    for line in rest:
        terminal.say(line)
    if result.confusion is not None:
        terminal.say("samples by label (rows) and class found (columns):")
        terminal.say(outcome.confusion_table(result.confusion))
    return 0


@app.command()
@takes_options
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

    terminal = _terminal(output)
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
        for line in words.report_lines(diagnosis):
            terminal.say(line)
        terminal.say()
        terminal.say(words.report_table(diagnosis))
        terminal.say()
        terminal.say(f"report: {report}")
    terminal.say(f"next: tinyeff plan {file}")
    return 0


Width = Annotated[float | None, typer.Option(
    metavar="W", help="Multiplies the channels of every layer, e.g. 0.35.")]
Resolution = Annotated[int | None, typer.Option(
    metavar="R", help="Rows and columns of the image; the paper's unless given.")]
ClassCount = Annotated[int | None, typer.Option("--classes", metavar="N", help="Classes.")]
Channels = Annotated[int | None, typer.Option(
    metavar="N", help="Channels of the image, e.g. 1 for grey.")]


@app.command()
@takes_options
def models(
    output: OutputOptions,
    names: Annotated[list[str] | None, typer.Argument(
        metavar="[NAME]...", help="Names, or parts of names or families; all unless given.",
    )] = None,
    width: Width = None,
    resolution: Resolution = None,
    classes: ClassCount = None,
    channels: Channels = None,
    memory: Annotated[bool, typer.Option(
        "--memory", help="Plan each of them too: flash and SRAM. Takes a second each.",
    )] = False,
    cpu: Annotated[str, typer.Option(metavar="CPU", help="For --memory.")] = "cortex-m4",
) -> int:
    """List the networks of the zoo, with exact counts of parameters and work."""
    from tinyeff.console import networks
    from tinyeff.targets import target_for

    terminal = _terminal(output)
    target_for(cpu)
    scale = networks.Scale(width, resolution, classes, channels)
    with terminal.progress("planning") as progress:
        found = networks.entries(networks.chosen(names or ()), scale, cpu, memory, progress)
    terminal.result(networks.models_object(found, cpu))
    terminal.say(networks.models_table(found))
    return 0


@app.command()
@takes_options
def build(
    name: Annotated[str, typer.Argument(
        metavar="NAME", help="A network (tinyeff models lists them); or with --deploy a file.")],
    output: OutputOptions,
    file: Annotated[str, typer.Option(
        "--output", "-o", metavar="FILE", help="The .keras file to write.")],
    width: Width = None,
    resolution: Resolution = None,
    classes: ClassCount = None,
    channels: Channels = None,
    deploy: Annotated[bool, typer.Option(
        "--deploy", help="The form that runs: branches joined, batch normalization folded. NAME "
        "may be a trained .keras or .h5 file.")] = False,
) -> int:
    """Build a network of the zoo as an untrained Keras model, or deploy a trained one."""
    from tinyeff.console import networks

    terminal = _terminal(output)
    scale = networks.Scale(width, resolution, classes, channels)
    result = networks.built(name, scale, deploy, Path(file))
    terminal.result(result)
    first, *rest = networks.build_lines(result)
    terminal.headline(first)
    for line in rest:
        terminal.say(line)
    return 0


@app.command()
@takes_options
def analyze(
    model: Annotated[str, typer.Argument(
        metavar="MODEL", help="A model file, or a network of the zoo.")],
    output: OutputOptions,
    board: Annotated[str | None, typer.Option(
        metavar="BOARD", help="Take the times for this board's core and clock.")] = None,
    cpu: Annotated[str | None, typer.Option(
        metavar="CPU", help="Take the times for this core: cortex-m4 unless given.")] = None,
    clock: Annotated[float | None, typer.Option(
        metavar="MHZ", help="Of the core; 100 unless given.")] = None,
) -> int:
    """Show what each layer costs: work, bytes moved, least time, receptive field, memory."""
    from tinyeff.analysis import hints
    from tinyeff.console import costs

    terminal, options = _terminal(output), PlanOptions(board=board, cpu=cpu)
    target, chip = options.target(), options.chip()
    hertz = clock * 1e6 if clock is not None else float(chip.core_hz) if chip else None
    result = costs.analysis_of(model, target, hertz)
    terminal.result(costs.analysis_object(result))
    first, *rest = costs.analysis_lines(result)
    terminal.headline(first)
    for line in (*rest, *hints(result.graph)):
        terminal.say(line)
    terminal.say()
    terminal.say(costs.analysis_table(result, terminal.unicode))
    return 0


@app.command()
@takes_options
def boards(
    output: OutputOptions,
    search: Annotated[str | None, typer.Argument(
        metavar="[SEARCH]", help="A part of a board's or chip's name, e.g. f746.")] = None,
) -> int:
    """List the boards, or look up boards and any STM32 by a part of their names."""
    from tinyeff.console import devices

    terminal = _terminal(output)
    found = devices.find(search)
    terminal.result(devices.found_object(found))
    for line in devices.found_lines(found):
        terminal.say(line)
    return 0 if found.boards or found.chips else 1


@app.command()
@takes_options
def doctor(output: OutputOptions) -> int:
    """List what tinyeff can use here, and how to get what is missing."""
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
