# SPDX-License-Identifier: MIT
"""Options that several commands share, each defined once, and how their text is read."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer

from tinyeff.console.memories import all_memories, named_memories
from tinyeff.errors import UsageError

if TYPE_CHECKING:
    from tinyeff.console.terminal import Terminal
    from tinyeff.device.boards import Board, Device
    from tinyeff.exits import ExitRule
    from tinyeff.ir import Limits, Memory, Optimize, Target
    from tinyeff.simulator.memory_map import MemoryMap

Name = TypeVar("Name", bound=str)

STRATEGIES = ("auto", "per-layer", "patch", "stream")
INPUT_MEMORIES = ("resident", "streamed", "excluded")
OPTIMIZE: tuple[Optimize, ...] = ("speed", "balanced", "size")
COMPILERS = ("gcc", "zig")
ENGINES = ("unicorn", "qemu")
PROFILES = ("layers", "memory")
SUFFIXES = {"": 1, "k": 1024, "m": 1024 * 1024}


@dataclass(frozen=True)
class PlanOptions:
    """What the user grants a model, and for which CPU."""

    sram: Annotated[str | None, typer.Option(
        metavar="SIZE", help="SRAM for arena and stack, e.g. 256k (k = 1024).")] = None
    memory: Annotated[list[str] | None, typer.Option(
        metavar="NAME=SIZE", help="In place of --sram, one of several memories, the fastest first, "
        "e.g. --memory dtcm=128k --memory axi=512k; of a --board or --device the name is enough.",
    )] = None
    flash: Annotated[str | None, typer.Option(
        metavar="SIZE", help="Flash for weights, code and tables, e.g. 1m.")] = None
    board: Annotated[str | None, typer.Option(
        metavar="BOARD", help="A board, e.g. nucleo-f746zg: its core, memory and clock; "
        "tinyeff boards lists them.")] = None
    device: Annotated[str | None, typer.Option(
        metavar="CHIP", help="Any STM32, e.g. stm32f746ng, where there is no board.")] = None
    cpu: Annotated[str | None, typer.Option(
        metavar="CPU", help="host, cortex-m0plus, -m3, -m4, -m7, -m33 or -m55; cortex-m4 unless "
        "given, for sim, verify and evaluate host: the code of cortex-m4, run natively.")] = None
    strategy: Annotated[str, typer.Option(
        metavar="NAME", help=" | ".join(STRATEGIES) + "; auto: the least work.")] = "auto"
    input_memory: Annotated[str, typer.Option(
        metavar="WHERE", help="resident: the input counts; excluded: it lies in the caller's "
        "memory; streamed: row by row.")] = "resident"
    max_overhead: Annotated[str | None, typer.Option(
        metavar="PERCENT", help="Extra multiply-accumulates that are acceptable, e.g. 5%.")] = None
    optimize: Annotated[str, typer.Option(
        metavar="FOR", help="speed | balanced | size: how much flash a faster kernel may take.",
    )] = "balanced"

    early_exit: Annotated[str | None, typer.Option(
        metavar="OUTPUT=SCORE,...", help="Leave at an output whose largest score is at least "
        "this, e.g. exit1=0.9; margin:0.5 is its lead over the second.")] = None

    patch_mask: Annotated[str | None, typer.Option(
        metavar="ROWSxCOLUMNS", help="Compute the first operators in a grid of patches, e.g. 4x4, "
        "any of which a mask can leave out.")] = None

    def exits(self) -> tuple[ExitRule, ...]:
        """The early exits asked for; UsageError says which cannot be read."""
        from tinyeff.exits import parse_exits  # numpy: not needed for --help

        return () if self.early_exit is None else parse_exits(self.early_exit)

    def limits(self, program: Board | None = None) -> Limits:
        """The limits given; UsageError names the option that cannot be read.

        What is not given is what the chip has, or what a `program` for a board leaves of it.
        """
        from tinyeff.ir import Limits  # numpy: not needed for --help

        chip = self.chip()
        memories, flash = _there(chip, program)
        sram = max((m.size_bytes for m in memories), default=None)
        if self.memory and self.sram is not None:
            raise UsageError("--memory and --sram exclude each other: --sram is memory in one "
                             "piece")
        if self.memory:
            memories, sram = named_memories(self.memory, chip, memories), None
        else:
            sram = _granted(self.sram, "--sram", chip, sram)
            memories = memories if self.sram is None and len(memories) > 1 else ()
        return Limits(
            sram_bytes=sram,
            memories=memories,
            flash_bytes=_granted(self.flash, "--flash", chip, flash),
            strategy=one_of(self.strategy, STRATEGIES, "--strategy"),
            input_memory=one_of(self.input_memory, INPUT_MEMORIES, "--input-memory"),
            max_overhead=None if self.max_overhead is None else parse_fraction(
                self.max_overhead, "--max-overhead"),
            patch_grid=None if self.patch_mask is None else parse_grid(
                self.patch_mask, "--patch-mask"),
        )

    def target(self, default: str = "cortex-m4") -> Target:
        """The CPU to generate code for."""
        from tinyeff.targets import target_for

        chip = self.chip()
        if chip is not None and self.cpu not in (None, "host", chip.cpu):
            raise UsageError(f"--cpu {self.cpu}: {chip.title} has a {chip.cpu}; leave --cpu out, "
                             "or say --cpu host to run its code on this machine")
        return target_for(self.cpu or (chip.cpu if chip else default),
                          one_of(self.optimize, OPTIMIZE, "--optimize"))

    def chip(self) -> Device | None:
        """The board or chip that was named, if any; UsageError where both were."""
        if self.board is not None and self.device is not None:
            raise UsageError("--board and --device both name a chip; give one of them")
        if self.board is None and self.device is None:
            return None
        from tinyeff.device.boards import board_named, device_named

        return device_named(self.device) if self.board is None else board_named(self.board)

    def chip_memory(self) -> MemoryMap | None:
        """The memory map of the chip that was named, if any."""
        chip = self.chip()
        return chip.memory if chip else None

    def whole_board(self) -> Board | None:
        """The board to make a whole program for, if one was named."""
        from tinyeff.device.boards import board_named

        self.chip()
        return None if self.board is None else board_named(self.board)

    def recorded(self) -> dict[str, Any]:
        """The options that were given, for the manifest."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        return given | ({"memory": tuple(self.memory)} if self.memory else {})


@dataclass(frozen=True)
class EmulatorOptions:
    """How an emulated Cortex-M is built for and run."""

    compiler: Annotated[str | None, typer.Option(
        metavar="gcc|zig", help="Cross compiler: arm-none-eabi-gcc where present, else zig.",
    )] = None
    engine: Annotated[str | None, typer.Option(
        metavar="unicorn|qemu", help="What emulates the core: unicorn, for cortex-m55 qemu, unless "
        "given; qemu also knows cortex-m4 and -m7.")] = None

    def check(self, cpu: str) -> None:
        """Raise UsageError where an option makes no sense, or not on `cpu`."""
        if self.compiler is not None:
            one_of(self.compiler, COMPILERS, "--compiler")
        if self.engine is not None:
            one_of(self.engine, ENGINES, "--engine")
        for name, value in asdict(self).items():
            if value and cpu == "host":
                raise UsageError(f"--{name} is for an emulated Cortex-M: name one, for example "
                                 "--cpu cortex-m4")


@dataclass(frozen=True)
class ProfileOptions(EmulatorOptions):
    """What to measure on an emulated Cortex-M."""

    profile: Annotated[str | None, typer.Option(
        metavar="[=memory]", help="Show instructions and cycles of each layer; with =memory also "
        "loads and stores (slow).")] = None
    flame: Annotated[str | None, typer.Option(
        metavar="FILE", help="Write the profile as folded stacks, for speedscope or flamegraph.",
    )] = None
    symbols: Annotated[bool, typer.Option(
        "--symbols", help="Show flash bytes by function and layer.")] = False

    def check(self, cpu: str) -> None:
        """Raise UsageError where an option makes no sense, or not on `cpu`."""
        super().check(cpu)
        if self.profile is not None:
            one_of(self.profile, PROFILES, "--profile")


@dataclass(frozen=True)
class ConnectionOptions:
    """Which board runs the program of a folder."""

    port: Annotated[str | None, typer.Option(
        metavar="auto|PATH|URL", help="The board's serial port, or a URL of pyserial such as "
        "socket://host:port; auto finds the one board that is plugged in.")] = None
    emulate: Annotated[bool, typer.Option(
        "--emulate", help="Boot the image in an emulated board instead.")] = False
    timeout: Annotated[float, typer.Option(
        metavar="SECONDS", min=0.1, help="How long one inference on the board may take.")] = 60.0

    @property
    def given(self) -> bool:
        """True where a board is meant."""
        return self.emulate or self.port is not None

    def check(self) -> None:
        """Raise UsageError where both a port and an emulated board are named."""
        if self.emulate and self.port is not None:
            raise UsageError("--emulate and --port exclude each other: an emulated board has no "
                             "port")


@dataclass(frozen=True)
class OutputOptions:
    """How a command reports."""

    json: Annotated[bool, typer.Option(
        "--json", help="One JSON object on standard output, everything else on standard error.",
    )] = False
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the result.")] = False

    def terminal(self) -> Terminal:
        """Where the command's words go."""
        from tinyeff.console.terminal import Terminal  # rich: not needed for --help

        return Terminal(self.json, self.verbose, self.quiet)


def _there(chip: Device | None, program: Board | None) -> tuple[tuple[Memory, ...], int | None]:
    """Memories and flash of a chip, or what a program around the model leaves of a board's."""
    if program is not None:
        from tinyeff.device.layout import granted

        return granted(program)
    return all_memories(chip), chip.flash_bytes if chip else None


def _granted(text: str | None, option: str, chip: Device | None, there: int | None) -> int | None:
    """Bytes that `option` grants; all that the chip has unless given, and never more."""
    if text is None:
        return there
    size = parse_size(text, option)
    if chip is not None and there is not None and size > there:
        several = len(chip.rams) > 1 and option == "--sram"
        raise UsageError(f"{option} {text}: {chip.title} has {there} bytes ({there // 1024}k) of it"
                         f"{' in one piece; --memory names several' if several else ''}")
    return size


def parse_size(text: str, option: str) -> int:
    """Bytes from '262144', '256k' or '1m' (k = 1024); UsageError names `option`."""
    match = re.fullmatch(r"([0-9]{1,12})(\.[0-9]{1,6})?\s*([km]?)(?:ib)?",
                         text.strip().lower())
    if match:
        size = float(match[1] + (match[2] or "")) * SUFFIXES[match[3]]
        if size == int(size):
            return int(size)
    raise UsageError(f"{option} {text}: a size is a whole number of bytes, or a number with k "
                     "(1024 bytes) or m (1024 k), e.g. 256k")


def parse_fraction(text: str, option: str) -> float:
    """A fraction from '5%' or '0.05'; UsageError names `option`."""
    match = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)\s*(%?)", text.strip())
    if match:
        return float(match[1]) / (100 if match[2] else 1)
    raise UsageError(f"{option} {text}: expected is a percentage such as 5%, or a fraction such "
                     "as 0.05")


def parse_grid(text: str, option: str) -> tuple[int, int]:
    """Rows and columns from '4x4'; UsageError names `option`."""
    match = re.fullmatch(r"([1-9][0-9]?)x([1-9][0-9]?)", text.strip().lower())
    if match:
        return int(match[1]), int(match[2])
    raise UsageError(f"{option} {text}: expected are the rows and columns of a grid, such as 4x4")


def one_of(text: str, known: tuple[Name, ...], option: str) -> Name:
    """The one among `known` that `text` spells; UsageError lists them."""
    for name in known:
        if text == name:
            return name
    raise UsageError(f"{option} {text} is not known; use one of {', '.join(known)}")


def takes_options(function: Callable[..., int]) -> Callable[..., int]:
    """A command whose parameters of a dataclass type become one option per field."""
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, type[Any]] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(function).parameters.values():
        hint = hints[parameter.name]
        if is_dataclass(hint) and isinstance(hint, type):
            groups[parameter.name] = hint
            types = get_type_hints(hint, include_extras=True)
            parameters += [
                inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default,
                                  annotation=types[f.name]) for f in fields(hint)
            ]
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY,
                                                annotation=hint))

    @functools.wraps(function)
    def command(**given: Any) -> int:
        for name, group in groups.items():
            given[name] = group(**{f.name: given.pop(f.name) for f in fields(group)})
        return function(**given)

    vars(command)["__signature__"] = inspect.Signature(parameters)
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command
