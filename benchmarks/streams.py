# SPDX-License-Identifier: MIT
"""What the plans of the memory table cost in instructions, against per layer: Cortex-M4, emulated.

    python -m benchmarks.streams [MODEL ...]

Each network runs per layer, and streamed within the bytes of live activations that are its aim:
`must` is reached with whole rows, `goal` with tiles between operators. The ratio is that of the
instructions beyond the plan's extra MACs; at most 10 % and 20 %. Without models: those of
benchmarks.memory that are int8.
"""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.measure import Run, count_run, measure
from benchmarks.memory import models
from benchmarks.text import count, print_table
from tinyeff.ir import Graph, Limits
from tinyeff.pipeline import Compiled, compile_graph
from tinyeff.planner.budget import output_bytes
from tinyeff.planner.stack import stack_bytes
from tinyeff.targets import target_for

CPU = "cortex-m4"
MOST = {"must": 0.10, "goal": 0.20}
"""Instructions beyond the extra MACs, as a fraction of per layer's."""


def aims() -> dict[str, dict[str, int]]:
    """Live activation bytes by network and aim."""
    path = Path(__file__).with_name("peers.toml")
    found: dict[str, dict[str, int]] = tomllib.loads(path.read_text(encoding="utf-8"))["memory"]
    return found


def streamed(name: str, graph: Graph, most_bytes: int) -> Run:
    """The streamed plan with the least work within `most_bytes` of activations, or the smallest."""
    least = found = planned(graph)
    granted = most_bytes + least.plan.scratch_bytes
    # A plan has so many bytes in all, of which scratch memory takes now more and now less.
    while granted > least.plan.arena_bytes:
        needed = granted + stack_bytes(least.graph, least.plan) + output_bytes(graph)
        found = planned(graph, needed)
        if found.plan.activation_bytes <= most_bytes:
            break
        found, granted = least, min(granted, found.plan.arena_bytes) - 1
    return count_run(name, found, CPU)


def planned(graph: Graph, sram_bytes: int | None = None) -> Compiled:
    """The streamed program, the smallest where no SRAM is named."""
    limits = Limits(sram_bytes, strategy="stream", input_memory="excluded")
    return compile_graph(graph, target_for(CPU), limits)


def lines(name: str, graph: Graph, most_bytes: Mapping[str, int]) -> Iterator[tuple[str, ...]]:
    """The rows of one network."""
    whole = measure(name, graph, CPU)
    for aim, most in MOST.items():
        run = streamed(name, graph, most_bytes[aim])
        extra = run.extra_macs / run.macs
        ratio = run.instructions / whole.instructions - 1 - extra
        yield (name, aim, count(most_bytes[aim]), count(run.activation_bytes),
               count(whole.instructions), count(run.instructions), f"{extra:.1%}", f"{ratio:+.1%}",
               "reached" if ratio <= most and run.activation_bytes <= most_bytes[aim] else "missed")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streams", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="names of networks")
    names = parser.parse_args().models
    known = aims()
    rows: list[tuple[str, ...]] = [("model", "aim", "bytes", "activations", "per layer",
                                    "streamed", "extra MACs", "beyond them", "")]
    for m in models():
        int8 = all(m.graph.tensors[i].dtype == "int8" for i in m.graph.inputs)
        if m.name in known and int8 and (not names or m.name in names):
            rows += lines(m.name, m.graph, known[m.name])
    print_table("Streamed plans on Cortex-M4: instructions against per layer", rows)


if __name__ == "__main__":
    main()
