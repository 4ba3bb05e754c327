# SPDX-License-Identifier: MIT
"""Instructions, cycles and code size of the models beside those of others: `make bench`.

    python -m benchmarks.work [--json FILE] [--cpu cortex-m4 ...] [MODEL ...]

Emulated, random input, per layer where nothing else is said. Cycles come from a model of the core;
for boards it includes the wait states of flash. Others' figures are those of peers.toml.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.__main__ import default_models
from benchmarks.measure import Layer, Run, by_title, measure
from benchmarks.text import count, print_table, ratio
from tinyeff.device.boards import board_named
from tinyeff.ir import Graph
from tinyeff.ops import winograd
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.elementwise import ElementwiseAttrs
from tinyeff.ops.pooling import Pool2DAttrs
from tinyeff.pipeline import prepare
from tinyeff.reader.flatbuffer import with_flatbuffer

CPUS = ("cortex-m0plus", "cortex-m4", "cortex-m7", "cortex-m33")
BOARDS = ("nucleo-l4r5zi", "nucleo-h7a3zi-q")
LIMIT_BYTES = {"balanced": 12 * 1024, "speed": 12 * 1024 + winograd.CODE_BYTES, "size": 8 * 1024}
LIMITED = ("vww_96_int8", "ic_resnet8_int8", "kws_dscnn_int8", "ad_autoencoder_int8")
"""How many bytes code and tables may take, and for which models; the kernel that only speed has
comes on top."""

SCHEMA_VERSION = 1


def peers() -> dict[str, Any]:
    """The contents of peers.toml."""
    path = Path(__file__).with_name("peers.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))


def single_operators() -> Iterator[Graph]:
    """Operators that none of the models has, at a size that they often have."""
    g = GraphBuilder("mul_16x16x32")
    a, b = g.input((1, 16, 16, 32), 0.05, 3), g.input((1, 16, 16, 32), 0.03, -7)
    yield with_flatbuffer(g.graph(g.op("MUL", [a, b], ElementwiseAttrs(), 0.02, 1)))
    g = GraphBuilder("average_pool_2x2_16x16x32")
    x = g.input((1, 16, 16, 32), 0.05, 3)
    attrs = Pool2DAttrs(filter=(2, 2), stride=(2, 2))
    yield with_flatbuffer(g.graph(g.op("AVERAGE_POOL_2D", [x], attrs, 0.05, 3)))


def measured(graphs: Mapping[str, Graph], cpus: Sequence[str]) -> Iterator[Run]:
    """Every run that the tables show."""
    known = peers()["models"]
    for name, graph in graphs.items():
        for cpu in cpus:
            yield measure(name, graph, cpu)
        if "cortex-m4" in cpus:
            yield measure(name, graph, "cortex-m4", strategy="stream")
            yield measure(name, graph, "cortex-m4", optimize="speed")
            yield measure(name, graph, "cortex-m4", optimize="size")
        for board in (board_named(b) for b in BOARDS):
            if board.cpu in cpus and board.name in known.get(name, {}).get("cycles", {}):
                for optimize in ("balanced", "speed"):
                    yield measure(name, graph, board.cpu, optimize=optimize, board=board.name,
                                  flash=board.timing)


def model_table(runs: Sequence[Run], cpu: str, optimize: str = "balanced") -> None:
    """Whole models on one core."""
    rows = [("model", "MACs", "instructions", "per MAC", "cycles", "TFLM+CMSIS-NN", "TFLM / ours",
             "TinyEngine", "must", "goal", "moonshot")]
    known, on_m4 = peers()["models"], cpu == "cortex-m4"
    for r in runs:
        p = known.get(r.model, {}) if on_m4 else {}
        aims = [("reached " if r.instructions <= p[aim] else "missed ") + count(p[aim])
                if p else "-" for aim in ("must", "goal", "moonshot")]
        rows.append((r.model, count(r.macs), count(r.instructions),
                     f"{r.instructions / r.macs:.2f}" if r.macs else "-", count(r.cycles),
                     count(p.get("tflm")), ratio(r.instructions, p.get("tflm")),
                     p.get("tinyengine", "-"), *aims))
    print_table(f"Models on {cpu}: instructions of one inference, per layer, {optimize}", rows)


def kind_table(runs: Sequence[Run], cpu: str) -> None:
    """All layers of a kind, in all models."""
    rows = [("kind", "layers", "MACs", "instructions", "per MAC", "per output", "cycles")]
    for title, layers in by_title(runs).items():
        macs, work = sum(x.macs for x in layers), sum(x.instructions for x in layers)
        cycles = None if any(x.cycles is None for x in layers) else sum(
            x.cycles or 0 for x in layers)
        rows.append((title, str(len(layers)), count(macs), count(work),
                     f"{work / macs:.2f}" if macs else "-",
                     f"{work / sum(x.outputs for x in layers):.1f}", count(cycles)))
    print_table(f"Kinds of operators on {cpu}, all models", rows)


def operator_table(runs: Sequence[Run]) -> None:
    """The operators that have a goal."""
    rows = [("operator, Cortex-M4", "layers", "instructions per MAC or value", "least", "most",
             "TFLM+CMSIS-NN", "goal", "")]
    for entry in peers()["operators"]:
        found = [x for r in runs for x in r.layers if _matches(x, entry)]
        if not found:
            continue
        each = [x.instructions / _values(x, entry) for x in found]
        mean = sum(x.instructions for x in found) / sum(_values(x, entry) for x in found)
        rows.append((entry["title"], str(len(found)), f"{mean:.2f}", f"{min(each):.2f}",
                     f"{max(each):.2f}", entry["tflm"], f"{entry['goal']:.2f}",
                     "reached" if mean <= entry["goal"] else "missed"))
    print_table("Operators with a goal, all models", rows)


def _matches(layer: Layer, entry: Mapping[str, Any]) -> bool:
    low, high = entry.get("channels", (0, 1 << 30))
    kernel = tuple(entry.get("kernel", layer.kernel))
    return bool(layer.kind == entry["kind"] and low <= layer.channels <= high
                and layer.kernel == kernel)


def _values(layer: Layer, entry: Mapping[str, Any]) -> int:
    per = entry.get("per", "mac")
    return {"mac": layer.macs, "input": layer.inputs, "output": layer.outputs}[per]


def race_table(runs: Sequence[Run]) -> None:
    """Modelled cycles on boards against the best that is published."""
    rows = [("model", "board", "optimize", "instructions", "cycles", "cycles / instr.",
             "published", "published / ours")]
    known = peers()["models"]
    for r in runs:
        best = known[r.model]["cycles"][r.board]
        rows.append((r.model, r.board, r.optimize, count(r.instructions), count(r.cycles),
                     f"{(r.cycles or 0) / r.instructions:.2f}", count(best),
                     ratio(r.cycles, best)))
    print_table("The race: modelled cycles, flash wait states included, against X-CUBE-AI "
                "(autoencoder: Plumerai)", rows)


def size_table(runs: Sequence[Run]) -> None:
    """Code and tables, without weights."""
    rows = [("model", "strategy", "optimize", "code", "tables", "together", "limit", "",
             "weights")]
    for r in runs:
        total = r.code_bytes + r.table_bytes
        limit = LIMIT_BYTES[r.optimize] if r.model in LIMITED else None
        verdict = "" if limit is None else "within" if total <= limit else "above"
        rows.append((r.model, r.strategy, r.optimize, count(r.code_bytes), count(r.table_bytes),
                     count(total), count(limit), verdict, count(r.weight_bytes)))
    print_table("Flash on Cortex-M4, bytes (TFLM+CMSIS-NN: 28 to 53 KB of code, TinyEngine 12 to "
                "30, STEdgeAI 28 to 36)", rows)


def stream_table(runs: Sequence[Run]) -> None:
    """What streaming costs beyond its extra MACs."""
    rows = [("model", "activations", "streamed", "extra MACs", "instructions", "streamed",
             "overhead", "beyond MACs")]
    layered = {r.model: r for r in runs if r.strategy == "per-layer"}
    for r in (r for r in runs if r.strategy == "stream"):
        one = layered[r.model]
        extra = r.extra_macs / r.macs if r.macs else 0.0
        more = r.instructions / one.instructions - 1
        rows.append((r.model, count(one.activation_bytes), count(r.activation_bytes),
                     f"{extra:.1%}", count(one.instructions), count(r.instructions),
                     f"{more:+.1%}", f"{more - extra:+.1%}"))
    print_table("The smallest streamed plans on Cortex-M4: memory and instructions against per "
                "layer (at the aims for memory: python -m benchmarks.streams)", rows)


def print_tables(runs: Sequence[Run]) -> None:
    """All tables that `runs` have figures for."""
    plain = [r for r in runs if (r.board, r.strategy, r.optimize) == ("", "per-layer", "balanced")]
    on_m4 = [r for r in runs if r.cpu == "cortex-m4" and not r.board]
    for cpu in dict.fromkeys(r.cpu for r in plain):
        model_table([r for r in plain if r.cpu == cpu], cpu)
        kind_table([r for r in plain if r.cpu == cpu], cpu)
    if on_m4:
        fast = [r for r in on_m4 if (r.strategy, r.optimize) == ("per-layer", "speed")]
        model_table(fast, "cortex-m4", "speed")
        operator_table([r for r in plain if r.cpu == "cortex-m4"])
        size_table(on_m4)
        stream_table([r for r in on_m4 if r.optimize == "balanced"])
    if any(r.board for r in runs):
        race_table([r for r in runs if r.board])


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.work", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--cpu", action="append", choices=CPUS, help="default: all of them")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    options = parser.parse_args()
    graphs = {path.stem: prepare(path) for path in options.models or default_models()}
    if not options.models:
        graphs |= {g.source.name: g for g in single_operators()}
    runs = []
    for run in measured(graphs, options.cpu or CPUS):
        print(f"{run.key}: {run.instructions:,} instructions", file=sys.stderr)
        runs.append(run)
    if options.json:
        value = {"schema_version": SCHEMA_VERSION, "runs": [r.to_json() for r in runs]}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    print_tables(runs)


if __name__ == "__main__":
    main()
