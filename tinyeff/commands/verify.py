# SPDX-License-Identifier: MIT
"""`tinyeff verify`: the generated C against LiteRT, on the host, emulated or on a board."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from tinyeff.commands.arguments import Model, Preprocess, Seed
from tinyeff.console.options import ConnectionOptions, EmulatorOptions, OutputOptions, PlanOptions

if TYPE_CHECKING:
    from tinyeff.console.terminal import Terminal
    from tinyeff.simulator.verify import Verification


@dataclass(frozen=True)
class Samples:
    """Which samples are compared: of a file, or random ones."""

    data: str | None
    preprocess: str | None
    seed: int
    count: int | None


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
    from tinyeff.patch_mask import random_masks
    from tinyeff.simulator.verify import verify as compare

    if connection.given:
        return _verify_board(model, connection, output, Samples(data, preprocess, seed, count))
    terminal, cpu = output.terminal(), plan.target("host").cpu
    emulator.check(cpu)
    p, program = loading.compiled(model, plan, "host")
    inputs, origin = loading.samples(p.graph, data, preprocess, seed, count or 1)
    inputs = tuple(x[:count] for x in inputs)
    if program.patches is not None:
        inputs = (*inputs, random_masks(program.patches, seed, len(inputs[0])))
        origin += f", random masks of {program.patches.rows} x {program.patches.columns} patches"
    with terminal.progress("verifying") as progress:
        result = compare(program, inputs, cpu=cpu, compiler=emulator.compiler,
                         engine=emulator.engine, memory=plan.chip_memory(), progress=progress)
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
    left = f"; {_exits_sentence(result)}" if result.exits else ""
    where = f", computed by {machine}" if machine else ""
    terminal.headline(f"exact: {what} equal LiteRT's bit for bit on {number} ({origin}){where}"
                      f"{left}", "bold green")
    return 0


def _exits_sentence(result: Verification) -> str:
    """How many samples took which early exit."""
    *taken, none = result.exits
    counts = [f"{n} left at exit {k}" for k, n in enumerate(taken, 1)]
    return ", ".join([*counts, f"{none} at none"])


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
    terminal = output.terminal()
    manifest, sources, build = board_folder(folder)
    graph = loading.stored_graph(manifest, stored_model(manifest, sources))
    inputs, origin = loading.samples(graph, samples.data, samples.preprocess, samples.seed,
                                     samples.count or 1, manifest.preprocess)
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
