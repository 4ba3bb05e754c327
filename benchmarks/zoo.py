# SPDX-License-Identifier: MIT
"""The planner's table for the whole zoo, at 96 x 96 and 224 x 224: `make bench`.

    python -m benchmarks.zoo [--sample] [--resolution R ...] [--cpu cortex-m4] [--jobs N]
                             [--json FILE] [NAME ...]

Each network as int8, deployed, by every strategy; bytes are the largest sum of live activations,
the input's included. Plans need shapes only, so that nothing is built, converted or calibrated.
--sample takes the first network of each family. A network whose stream plan peaks above its
per-layer plan is an error: exit code 1.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
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
SCHEMA_VERSION = 1
COLUMNS = ("network", "input", "MACs", *STRATEGIES, "saved", "extra MACs", "s")


@dataclass(frozen=True)
class Row:
    """Peak bytes of one network by strategy; `refused` is why the network does not take the size.

    `resolution` is None where the network has an input of its own.
    `seconds` is the time of all plans, `extra` what the patch plan computes twice, of all MACs.
    """

    name: str
    family: str
    resolution: int | None
    input: tuple[int, ...] = ()
    macs: int = 0
    peak: dict[str, int] | None = None
    arena: dict[str, int] | None = None
    extra: float = 0.0
    seconds: float = 0.0
    refused: str = ""

    @property
    def is_worse(self) -> bool:
        """Whether streaming peaks above the plan per layer."""
        return self.peak is not None and self.peak["stream"] > self.peak["per-layer"]


def planned(name: str, resolution: int | None, cpu: str) -> Row:
    """Plan one network of the zoo by every strategy."""
    family = CATALOG[name].family
    try:
        graph = select(zoo.graph(name, resolution=resolution), target_for(cpu))
    except UsageError as error:
        return Row(name, family, resolution, refused=error.message)
    begin = time.perf_counter()
    plans = {s: plan(graph, target_for(cpu), Limits(strategy=s)) for s in STRATEGIES}
    seconds, first, patch = time.perf_counter() - begin, plans["per-layer"], plans["patch"]
    return Row(name, family, resolution, graph.tensors[graph.inputs[0]].shape[1:], first.macs,
               {s: p.activation_bytes for s, p in plans.items()},
               {s: p.arena_bytes for s, p in plans.items()},
               patch.extra_macs / patch.macs if patch.macs else 0.0, seconds)


def cells(row: Row) -> tuple[str, ...]:
    """A row as text."""
    size = "x".join(map(str, row.input))
    assert row.peak is not None
    saved = 1 - row.peak["stream"] / row.peak["per-layer"]
    return (row.name, size, f"{row.macs / 1e6:,.1f} M", *(f"{row.peak[s]:,}" for s in STRATEGIES),
            f"{saved:.0%}", f"{row.extra:+.1%}", f"{row.seconds:.1f}")


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
    names: list[str], cpu: str, jobs: int, sizes: Sequence[int] = RESOLUTIONS
) -> Iterator[Row]:
    """A row per network and resolution, in order; networks of other inputs have one row."""
    work: list[tuple[str, int | None, str]] = [
        (name, size, cpu) for size in sizes for name in names if takes_squares(name)]
    work += [(name, None, cpu) for name in names if not takes_squares(name)]
    if jobs == 1:
        yield from (planned(*one) for one in work)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(planned, *zip(*work, strict=True))


def write(path: Path, cpu: str, found: Sequence[Row]) -> None:
    """Write the rows that there are as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"schema_version": SCHEMA_VERSION, "cpu": cpu,
                                "rows": [asdict(row) for row in found]}, indent=1),
                    encoding="utf-8")


def main() -> int:
    """Print the table; 1 where a stream plan is worse than the one per layer."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.zoo", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these; all unless given")
    parser.add_argument("--sample", action="store_true")
    parser.add_argument("--resolution", type=int, nargs="+", default=RESOLUTIONS)
    parser.add_argument("--cpu", default="cortex-m4")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    names = [zoo.architecture(name).name for name in given.names] or list(CATALOG)
    names = list(sampled(names)) if given.sample else names
    found: list[Row] = []
    for row in rows(names, given.cpu, given.jobs, given.resolution):
        found.append(row)
        print(f"{row.name} {row.resolution or ''} {row.seconds:.1f} s", file=sys.stderr, flush=True)
        if given.json:  # each time: it may take hours, and be interrupted
            write(given.json, given.cpu, found)
    shown = [row for row in found if row.peak]
    print_table("", [COLUMNS, *map(cells, shown)])
    for row in found:
        if row.refused:
            print(f"not at {row.resolution}: {row.refused}")
    worse = [f"{row.name} at {'x'.join(map(str, row.input))}" for row in found if row.is_worse]
    if worse:
        print(f"error: streaming needs more than per layer: {', '.join(worse)}", file=sys.stderr)
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
