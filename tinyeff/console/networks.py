# SPDX-License-Identifier: MIT
"""The networks of the zoo as `tinyeff models` and `tinyeff build` show and write them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from tinyeff.console.folder import write_file
from tinyeff.console.report import SCHEMA_VERSION, kib
from tinyeff.errors import UsageError
from tinyeff.zoo.catalog import CATALOG, architecture_named

Progress = Callable[[int, int], None]
FEW = 3
"""Of so many networks or fewer the memory is planned in this process."""


@dataclass(frozen=True)
class Scale:
    """What a user asks of a network beyond its name; None is as in the paper."""

    width: float | None = None
    resolution: int | None = None
    classes: int | None = None
    channels: int | None = None


@dataclass(frozen=True)
class Memory:
    """Bytes of an int8 network on the target: flash (of the streamed plan), and two arenas."""

    flash_bytes: int
    stream_bytes: int
    per_layer_bytes: int


@dataclass(frozen=True)
class Entry:
    """A network of the zoo at some scale; `memory` is None where it was not asked for."""

    name: str
    family: str
    source: str
    input: tuple[int, ...]
    parameters: int
    parameters_deploy: int
    macs: int
    memory: Memory | None


def chosen(words: Sequence[str]) -> list[str]:
    """The networks that `words` name: each is a name, or a part of names or families."""
    if not words:
        return list(CATALOG)
    found: list[str] = []
    for word in words:
        part = _plain(word)
        names = [word] if word in CATALOG else [
            name for name, a in CATALOG.items() if part in _plain(name) or part in _plain(a.family)]
        if not names:
            architecture_named(word)  # raises, with the nearest names
        found += [name for name in names if name not in found]
    return found


def _plain(text: str) -> str:
    return "".join(c for c in text.lower() if c.isalnum())


def entries(
    names: Sequence[str], scale: Scale, cpu: str, memory: bool, progress: Progress,
) -> list[Entry]:
    """An entry per name, with its memory on `cpu` if asked for.

    A resolution is for networks that take square images; where several were chosen, the others
    keep their own input.
    """
    scales = [scale if len(names) == 1 else _fitting(name, scale) for name in names]
    if not memory:
        return [_entry(name, s, None) for name, s in zip(names, scales, strict=True)]
    planned: list[Memory] = []
    if len(names) <= FEW or (os.cpu_count() or 1) == 1:
        for name, s in zip(names, scales, strict=True):
            planned.append(plan_memory(name, s, cpu))
            progress(len(planned), len(names))
    else:
        with ProcessPoolExecutor() as pool:
            for result in pool.map(plan_memory, names, scales, [cpu] * len(names)):
                planned.append(result)
                progress(len(planned), len(names))
    return [_entry(name, s, m) for name, s, m in zip(names, scales, planned, strict=True)]


def _fitting(name: str, scale: Scale) -> Scale:
    shape = CATALOG[name].input_shape
    square = len(shape) == 3 and shape[0] == shape[1]
    return scale if square else Scale(scale.width, None, scale.classes, None)


def _entry(name: str, scale: Scale, memory: Memory | None) -> Entry:
    architecture = architecture_named(name)
    trained = architecture.network(**asdict(scale))
    plain = architecture.network(**asdict(scale), deployed=True)
    return Entry(name, architecture.family, architecture.source, trained.layers[0].shape,
                 trained.parameters, plain.parameters, plain.macs, memory)


def plan_memory(name: str, scale: Scale, cpu: str) -> Memory:
    """Flash and arenas of a network, quantized to int8, its input resident."""
    from tinyeff import zoo
    from tinyeff.footprint import footprint
    from tinyeff.ir import Limits
    from tinyeff.planner import plan
    from tinyeff.selection import select
    from tinyeff.targets import target_for

    target = target_for(cpu)
    graph = select(zoo.graph(name, **asdict(scale)), target)
    stream, per_layer = (plan(graph, target, Limits(strategy=s)) for s in ("stream", "per-layer"))
    return Memory(footprint(graph, stream).flash_bytes, stream.arena_bytes, per_layer.arena_bytes)


def models_object(found: Sequence[Entry], cpu: str) -> dict[str, Any]:
    """The JSON object of `tinyeff models`."""
    return {"schema_version": SCHEMA_VERSION, "cpu": cpu, "models": [_object(e) for e in found]}


def _object(entry: Entry) -> dict[str, Any]:
    memory = entry.memory
    return {
        "name": entry.name, "family": entry.family, "source": entry.source,
        "input": list(entry.input), "parameters": entry.parameters,
        "parameters_deploy": entry.parameters_deploy, "macs": entry.macs,
        "flash_bytes": memory and memory.flash_bytes,
        "sram_stream_bytes": memory and memory.stream_bytes,
        "sram_per_layer_bytes": memory and memory.per_layer_bytes,
    }


def models_table(found: Sequence[Entry]) -> Table:
    """A row per network, families together; with memory the counts are shortened."""
    memory = any(e.memory for e in found)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("name", no_wrap=True)
    table.add_column("input", no_wrap=True)
    for title in (("parameters", "MACs", "flash", "SRAM stream", "per layer") if memory else
                  ("parameters", "deployed", "MACs")):
        table.add_column(title, justify="right", no_wrap=True)
    family = ""
    for e in found:
        if e.family != family:
            family = e.family
            table.add_row(family, style="bold")
        row = [f"  {e.name}", "x".join(map(str, e.input))]
        if e.memory is None:
            row += [f"{e.parameters:,}", f"{e.parameters_deploy:,}", f"{e.macs:,}"]
        else:
            m = e.memory
            row += [f"{e.parameters_deploy:,}", f"{e.macs / 1e6:,.1f} M", kib(m.flash_bytes),
                    kib(m.stream_bytes), kib(m.per_layer_bytes)]
        table.add_row(*row)
    return table


def built(name: str, scale: Scale, deployed: bool, file: Path) -> dict[str, Any]:
    """Write the network `name`, or with `deployed` a trained file of that name, as a Keras file.

    Returns the JSON object of `tinyeff build`.
    """
    from tinyeff.worker import run_job

    if file.suffix != ".keras":
        raise UsageError(f"-o {file}: Keras wants a name that ends in .keras")
    task = _task(name, scale, deployed)
    with tempfile.TemporaryDirectory(prefix="tinyeff-") as folder:
        report = run_job("tinyeff.zoo.keras_job", Path(folder), task, name)
        write_file(file, (Path(folder) / "model.keras").read_bytes())
    return {"schema_version": SCHEMA_VERSION, "name": name, "output": str(file),
            "deployed": deployed, "values": report["after"], "values_before": report["before"]}


def _task(name: str, scale: Scale, deployed: bool) -> dict[str, Any]:
    path = Path(name)
    if name not in CATALOG and path.exists():
        if not deployed:
            raise UsageError(f"{name} is a file: with --deploy it becomes the plain network; to "
                             "build a network, give its name (tinyeff models)")
        if scale != Scale():
            raise UsageError(f"{name} is a trained file: its width, resolution, classes and "
                             "channels stay as they are")
        return {"path": str(path.resolve())}
    architecture_named(name).network(**asdict(scale))  # all that can be wrong is wrong here
    return {"build": {"name": name, **asdict(scale), "deployed": deployed}}


def build_lines(result: dict[str, Any]) -> Iterator[str]:
    """What was written, and what to do with it."""
    before, after = result["values_before"], result["values"]
    joined = f" (was {before:,})" if before != after else ""
    yield f"wrote {result['output']}: {after:,} values{joined}, moving statistics included"
    yield f"next: tinyeff plan {result['output']}"
