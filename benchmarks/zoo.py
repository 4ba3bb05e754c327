# SPDX-License-Identifier: MIT
"""The planner's table for the whole zoo, at 96 x 96 and 224 x 224: `make bench`.

    python -m benchmarks.zoo [--sample] [--resolution R ...] [--cpu cortex-m4] [--jobs N]
                             [--seconds S] [--json FILE] [NAME ...]

Each network as int8, deployed, by every strategy; bytes are the largest sum of live activations,
the input's included. Plans need shapes only, so that nothing is built, converted or calibrated.
--sample takes the first network of each family. What is not planned within --seconds is left out,
and said so. A network whose stream plan peaks above its per-layer plan is an error: exit code 1.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.text import print_table
from tinyeff import zoo
from tinyeff.errors import UsageError
from tinyeff.ir import Limits
from tinyeff.planner import plan
from tinyeff.selection import select
from tinyeff.targets import target_for
from tinyeff.zoo.catalog import CATALOG

RESOLUTIONS = (96, 224)
STRATEGIES = ("per-layer", "patch", "stream")
SECONDS = 600.0
SCHEMA_VERSION = 2
COLUMNS = ("network", "input", "MACs", *STRATEGIES, "saved", "extra MACs", "s")


@dataclass(frozen=True)
class Peak:
    """Bytes of a plan: live activations, and what is linked; `seconds` is how long it took."""

    activations: int
    arena: int
    macs: int
    extra_macs: int
    seconds: float


@dataclass(frozen=True)
class Row:
    """Peaks of one network by strategy, as many as were found in time.

    `resolution` is None where the network has an input of its own. `refused` is why it does not
    take the size, `failed` how its process ended before its time.
    """

    name: str
    family: str
    resolution: int | None
    input: tuple[int, ...] = ()
    peaks: dict[str, Peak] = field(default_factory=dict)
    refused: str = ""
    failed: str = ""

    @property
    def place(self) -> str:
        """The network and its size, to be named in a sentence."""
        return self.name if self.resolution is None else f"{self.name} at {self.resolution}"

    @property
    def seconds(self) -> float:
        """The time of all plans."""
        return sum(p.seconds for p in self.peaks.values())

    @property
    def late(self) -> tuple[str, ...]:
        """The strategies that took too long."""
        ended = self.refused or self.failed
        return () if ended else tuple(s for s in STRATEGIES if s not in self.peaks)

    @property
    def is_worse(self) -> bool:
        """Whether streaming peaks above the plan per layer."""
        peaks = self.peaks
        return "stream" in peaks and peaks["stream"].activations > peaks["per-layer"].activations


def planned(sender: Connection, name: str, resolution: int | None, cpu: str) -> None:
    """Plan one network of the zoo by every strategy; send its shape, then each peak when found."""
    try:
        graph = select(zoo.graph(name, resolution=resolution), target_for(cpu))
    except UsageError as error:
        sender.send(error.message)
        return
    sender.send(graph.tensors[graph.inputs[0]].shape[1:])
    for strategy in STRATEGIES:
        begin = time.perf_counter()
        found = plan(graph, target_for(cpu), Limits(strategy=strategy))
        sender.send((strategy, Peak(found.activation_bytes, found.arena_bytes, found.macs,
                                    found.extra_macs, time.perf_counter() - begin)))


def planned_within(seconds: float, cpu: str, name: str, resolution: int | None) -> Row:
    """The peaks of one network that a process of its own finds in time."""
    row = Row(name, CATALOG[name].family, resolution)
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=planned, args=(sender, name, resolution, cpu))
    process.start()
    sender.close()
    peaks: dict[str, Peak] = {}
    end = time.monotonic() + seconds
    try:
        while len(peaks) < len(STRATEGIES) and receiver.poll(max(end - time.monotonic(), 0)):
            message = receiver.recv()
            if isinstance(message, str):
                return replace(row, refused=message)
            if isinstance(message[0], str):
                peaks[message[0]] = message[1]
            else:
                row = replace(row, input=message)
        return replace(row, peaks=peaks)
    except EOFError:
        process.join()
        return replace(row, peaks=peaks, failed=f"ended with code {process.exitcode}")
    finally:
        process.kill()
        process.join()
        receiver.close()


def cells(row: Row) -> tuple[str, ...]:
    """A row as text; a question mark for what took too long."""
    size, peaks, unknown = "x".join(map(str, row.input)), row.peaks, "?"
    bytes_of = [f"{peaks[s].activations:,}" if s in peaks else unknown for s in STRATEGIES]
    saved = extra = unknown
    if "stream" in peaks:
        saved = f"{1 - peaks['stream'].activations / peaks['per-layer'].activations:.0%}"
    if "patch" in peaks and peaks["patch"].macs:
        extra = f"{peaks['patch'].extra_macs / peaks['patch'].macs:+.1%}"
    return (row.name, size, f"{peaks['per-layer'].macs / 1e6:,.1f} M", *bytes_of, saved, extra,
            f"{row.seconds:.1f}")


def sampled(names: Iterable[str]) -> Iterator[str]:
    """The first network of each family."""
    seen: set[str] = set()
    for name in names:
        family = CATALOG[name].family
        if family not in seen:
            yield name
        seen.add(family)


def takes_squares(name: str) -> bool:
    """Whether a network's resolution can be chosen."""
    shape = CATALOG[name].input_shape
    return len(shape) == 3 and shape[0] == shape[1]


def rows(
    names: list[str], cpu: str, jobs: int, sizes: Sequence[int] = RESOLUTIONS,
    seconds: float = SECONDS,
) -> Iterator[Row]:
    """A row per network and resolution, in order; networks of other inputs have one row."""
    work: list[tuple[str, int | None]] = [
        (name, size) for size in sizes for name in names if takes_squares(name)]
    work += [(name, None) for name in names if not takes_squares(name)]
    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(partial(planned_within, seconds, cpu), *zip(*work, strict=True))


def write(path: Path, cpu: str, found: Sequence[Row]) -> None:
    """Write the rows that there are as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"schema_version": SCHEMA_VERSION, "cpu": cpu,
                       "rows": [asdict(row) for row in found]}, indent=1)
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)  # an interruption leaves the rows before, never half of a file


def main() -> int:
    """Print the table; 1 where a stream plan is worse than the one per layer."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.zoo", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these; all unless given")
    parser.add_argument("--sample", action="store_true")
    parser.add_argument("--resolution", type=int, nargs="+", default=RESOLUTIONS)
    parser.add_argument("--cpu", default="cortex-m4")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each network; 600")
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    names = [zoo.architecture(name).name for name in given.names] or list(CATALOG)
    names = list(sampled(names)) if given.sample else names
    found: list[Row] = []
    for row in rows(names, given.cpu, given.jobs, given.resolution, given.seconds):
        found.append(row)
        print(f"{row.place}: {row.seconds:.1f} s", file=sys.stderr, flush=True)
        if given.json:  # each time: it may take hours, and be interrupted
            write(given.json, given.cpu, found)
    shown = [row for row in found if row.peaks]
    print_table("", [COLUMNS, *map(cells, shown)])
    for row in found:
        if row.refused:
            print(f"not at {row.resolution}: {row.refused}")
        if row.late:
            print(f"not within {given.seconds:.0f} s: {row.place}, {', '.join(row.late)}")
    worse = [row.place for row in found if row.is_worse]
    if worse:
        print(f"error: streaming needs more than per layer: {', '.join(worse)}", file=sys.stderr)
    failed = [f"{row.place} {row.failed}" for row in found if row.failed]
    if failed:
        print(f"error: {', '.join(failed)}", file=sys.stderr)
    return 1 if worse or failed else 0


if __name__ == "__main__":
    sys.exit(main())
