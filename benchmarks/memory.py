# SPDX-License-Identifier: MIT
"""The memory of seven networks by every strategy, beside what others publish: `make bench`.

    python -m benchmarks.memory [--cpu cortex-m3] [--json]

Live activation bytes with the input image excluded, as MCUNetV2 and msf-CNN count. Portable kernels
(cortex-m3) need hardly any scratch memory; those for the DSP extension (cortex-m4) need up to 4 KB.
Models of ../shared/models or TINYEFF_SHARED that are not there are left out.

Sources of the peers' figures: Lin et al., MCUNetV2, NeurIPS 2021; Zheng et al., StreamNet, NeurIPS
2023; Huang et al., msf-CNN, 2025; Zheng et al., vMCU, MLSys 2024; ST's and MLPerf Tiny's published
results; TFLM and TinyEngine as measured with their default flags.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from benchmarks.mobilenet_v2 import mobilenet_v2
from benchmarks.text import print_table
from tinyeff import zoo
from tinyeff.ir import Graph, Limits, Plan
from tinyeff.pipeline import prepare
from tinyeff.planner import arrange, front, plan
from tinyeff.planner.bound import lower_bound
from tinyeff.reader import simplify
from tinyeff.selection import select
from tinyeff.targets import target_for

ROOT = Path(__file__).resolve().parent.parent
STRETCH = 0.05
COLUMNS = ("model", "per layer", "patch", "at", "stream +0%", "scratch", "bound", "stream <=5%",
           "at", "scratch", "smallest", "at", "arena", "s", "others")


@dataclass(frozen=True)
class Model:
    """A network, and the live activation bytes that others need for it."""

    name: str
    graph: Graph
    others: str


@dataclass(frozen=True)
class Row:
    """Bytes and extra MACs of one model; `seconds` is the time of all plans.

    `bound` are bytes that live in any plan at +0 %.
    """

    model: str
    per_layer: int
    patch: int
    patch_overhead: float
    stream: int
    stream_scratch: int
    bound: int
    stretch: int
    stretch_overhead: float
    stretch_scratch: int
    smallest: int
    smallest_overhead: float
    smallest_arena: int
    seconds: float
    others: str
    front: list[tuple[int, int, float]] = field(default_factory=list)


def models() -> list[Model]:
    """The networks that are there."""
    shared = Path(os.environ.get("TINYEFF_SHARED") or ROOT.parent / "shared") / "models"
    files = {
        "vww_96_int8": "TFLM 100,708; TinyEngine 60,728; X-CUBE-AI 39.6 to 63 KiB",
        "ic_resnet8_int8": "TFLM 54,996; TinyEngine 125,184; STEdgeAI 62.5 KiB",
        "kws_dscnn_int8": "TFLM 22,820",
    }
    found = [
        Model("mobilenet_v2_1.0_224", simplify(mobilenet_v2(224, 1.0)),
              "MCUNetV2 172 kB at +10%"),
        Model("mobilenet_v2_0.35_144", simplify(mobilenet_v2(144, 0.35)),
              "MCUNetV2 63 kB; StreamNet 66 kB"),
    ]
    found += [Model(name, prepare(shared / f"{name}.tflite"), others)
              for name, others in files.items() if (shared / f"{name}.tflite").exists()]
    found.append(Model("mcunet_in3_176", simplify(zoo.graph("mcunet_in3")),
                       "TinyEngine 260 kB; X-CUBE-AI 243 kB; vMCU 102.7 kB; msf-CNN 51.2 kB at "
                       "+169%"))
    if (shared / "mcunet_vww_int8.tflite").exists():
        found.append(Model("mcunet_vww_int8", prepare(shared / "mcunet_vww_int8.tflite"),
                           "TFLM 219,808; TinyEngine 93,992; msf-CNN 15.4 kB at +96%"))
    return found


def overhead(p: Plan) -> float:
    """Extra MACs as a fraction."""
    return p.extra_macs / p.macs if p.macs else 0.0


def row(model: Model, cpu: str) -> Row:
    """Plan one model by every strategy."""
    target, limits = target_for(cpu), Limits(input_memory="excluded")
    begin = time.perf_counter()
    graph = arrange(select(model.graph, target), target, replace(limits, strategy="stream"))
    whole, patch, stream = (
        plan(graph, target, Limits(strategy=s, input_memory="excluded"))
        for s in ("per-layer", "patch", "stream"))
    stretch = plan(graph, target, Limits(strategy="stream", input_memory="excluded",
                                         max_overhead=STRETCH))
    points = front(graph, target, limits, [whole, patch, stream])
    seconds = time.perf_counter() - begin
    last = points[-1]
    return Row(model.name, whole.activation_bytes, patch.activation_bytes, overhead(patch),
               stream.activation_bytes, stream.scratch_bytes,
               lower_bound(graph, "excluded").size_bytes, stretch.activation_bytes,
               overhead(stretch), stretch.scratch_bytes, last.activation_bytes, overhead(last),
               last.arena_bytes, seconds, model.others,
               [(p.arena_bytes, p.activation_bytes, overhead(p)) for p in points])


def cells(r: Row) -> tuple[str, ...]:
    """A row as text."""
    return (r.model, f"{r.per_layer:,}", f"{r.patch:,}", f"{r.patch_overhead:+.1%}",
            f"{r.stream:,}", f"{r.stream_scratch:,}", f"{r.bound:,}", f"{r.stretch:,}",
            f"{r.stretch_overhead:+.1%}", f"{r.stretch_scratch:,}", f"{r.smallest:,}",
            f"{r.smallest_overhead:+.1%}", f"{r.smallest_arena:,}", f"{r.seconds:.1f}", r.others)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cpu", default="cortex-m3")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--model", help="only this one")
    given = parser.parse_args()
    rows = [row(m, given.cpu) for m in models() if given.model in (None, m.name)]
    if given.json:
        print(json.dumps({"cpu": given.cpu, "models": [asdict(r) for r in rows]}))
        return
    print_table("", [COLUMNS, *map(cells, rows)])


if __name__ == "__main__":
    main()
