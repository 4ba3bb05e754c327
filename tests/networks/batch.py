# SPDX-License-Identifier: MIT
"""Many generated programs in one: compiled together, run once, on the host or emulated."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from tests.ops.harness import SANITIZERS, compiler
from tests.simulator.programs import model
from tinyeff.emitter import EmitOptions, Sources, emit
from tinyeff.emitter.naming import number_lines
from tinyeff.emitter.sources import CTYPES
from tinyeff.ir import Array, Optimize, Program, Tensor
from tinyeff.resources import folder
from tinyeff.simulator.emulator import emulate
from tinyeff.simulator.host import WARNINGS
from tinyeff.simulator.toolchain import model_flags

HERE = Path(__file__).parent
FLAGS = ("-std=c11", *SANITIZERS, "-O0", "-g0")  # compiling takes longer than running
WORKERS = 2


@dataclass(frozen=True, eq=False)
class Job:
    """A program and the inputs of one inference."""

    program: Program
    inputs: tuple[Array, ...]

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """What it computes."""
        return tuple(self.program.graph.tensors[i] for i in self.program.graph.outputs)


def run_on_host(jobs: Sequence[Job]) -> list[tuple[Array, ...]]:
    """The outputs of each job, with sanitizers. AssertionError with what one of them says."""
    with tempfile.TemporaryDirectory(prefix="tinyeff-networks-") as name:
        place = Path(name)
        kernels = _kernel_objects()
        files = _units(_write(place, _sources(jobs)), place)
        for file in ("batch.c", "batch.h"):
            (place / file).write_bytes((HERE / file).read_bytes())
        objects = _compiled(place, [*files, "batch.c"], (f"-I{folder('firmware')}/kernels",))
        used = [o for o in kernels if o.stem in _kernels(jobs)]
        command = [*compiler(), *SANITIZERS, *map(str, (*objects, *used)), "-o", "run.exe"]
        linked = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
        assert linked.returncode == 0, linked.stderr[-4000:]
        done = subprocess.run([str(place / "run.exe")], capture_output=True, check=False)
        said = done.stderr.decode("utf-8", "replace")
        last = re.findall(r"^case (\d+)$", said, re.MULTILINE)
        where = f"job {last[-1]}: {_describe(jobs[int(last[-1])])}" if last else ""
        assert done.returncode == 0, f"{where} ended with {done.returncode}\n{said[-4000:]}"
        return _split(jobs, done.stdout)


def run_on_arm(
    jobs: Sequence[Job], cpu: str, optimize: Optimize = "balanced"
) -> list[tuple[Array, ...]]:
    """The outputs of each job on an emulated core. The batch poses as one model."""
    files = dict(_sources(jobs))
    files["batch.h"] = (HERE / "batch.h").read_text(encoding="utf-8")
    kernels = Path(folder("firmware")) / "kernels"
    for source in sorted(_kernels(jobs)):
        files[f"{source}.c"] = (kernels / f"{source}.c").read_text(encoding="utf-8")
    files |= {h.name: h.read_text(encoding="utf-8") for h in kernels.glob("*.h")}
    size = sum(t.size_bytes for job in jobs for t in job.outputs)
    result = emulate(model(_as_a_model(jobs), input_memory="excluded", output_bytes=size,
                           files=files), [np.zeros(4, np.int8)], cpu,
                     flags=model_flags(optimize))
    return _split(jobs, result.outputs[0])


def _describe(job: Job) -> str:
    graph = job.program.graph
    return " ".join(op.kind for op in graph.ops) + f", {job.program.plan.strategy}"


def _kernels(jobs: Sequence[Job]) -> set[str]:
    return {s for job in jobs for step in job.program.steps for s in step.kernel.sources}


def _split(jobs: Sequence[Job], data: bytes) -> list[tuple[Array, ...]]:
    results, start = [], 0
    for job in jobs:
        arrays = []
        for tensor in job.outputs:
            part = np.frombuffer(data, tensor.dtype, tensor.elements, start)
            arrays.append(part.reshape(tensor.shape))
            start += tensor.size_bytes
        results.append(tuple(arrays))
    assert start == len(data), f"{len(data)} bytes of results where {start} are expected"
    return results


# The program --------------------------------------------------------------------------------------


def _sources(jobs: Sequence[Job]) -> dict[str, str]:
    """{file: text} of all models and of the table of cases; kernels are not among them."""
    files: dict[str, str] = {}
    table, headers, lines = list[str](), list[str](), list[str]()
    for number, job in enumerate(jobs):
        name = f"m{number}"
        sources = emit(job.program, EmitOptions(name))
        files |= {f: sources[f] for f in (f"{name}.h", f"{name}.c", f"{name}_weights.c")}
        headers.append(f'#include "{name}.h"')
        lines += _wrapper(name, job, sources)
        sizes = ", ".join(str(t.size_bytes) for t in job.outputs)
        table.append(f"    {{run_{name}, {name.upper()}_ARENA_BYTES, {len(job.outputs)}, "
                     f"{{{sizes}}}}},")
    files["cases.c"] = "\n".join([
        "#include <string.h>", '#include "batch.h"', *headers, *lines,
        "const batch_case batch_cases[] = {", *table, "};",
        f"const int32_t batch_count = {len(jobs)};", "",
    ])
    return files


def _wrapper(name: str, job: Job, sources: Sources) -> Iterator[str]:
    """A function that runs the model on its own inputs."""
    plan, outputs = job.program.plan, job.outputs
    for i, values in enumerate(job.inputs):
        yield f"static const int8_t {name}_in_{i}[] = {{"
        yield from number_lines(values)
        yield "};"
    many = len(job.inputs) > 1
    arguments = "".join(f", ({CTYPES[t.dtype]} *)outputs[{i}]" for i, t in enumerate(outputs))
    yield f"static int run_{name}(void *arena, void *const *outputs)"
    yield "{"
    if plan.input_memory == "excluded":
        inputs = "".join(f", {name}_in_{i}" for i in range(len(job.inputs)))
        yield f"    return {name}_run(arena{inputs}{arguments});"
    elif plan.input_memory == "resident":
        for i in range(len(job.inputs)):
            port = f"{name}_input_{i}" if many else f"{name}_input"
            yield f"    memcpy({port}(arena), {name}_in_{i}, sizeof({name}_in_{i}));"
        yield f"    return {name}_run(arena{arguments});"
    else:
        prefix = name.upper()
        yield f"    int status = {name}_begin(arena);"
        yield f"    for (int y = 0; y < {prefix}_INPUT_ROWS && status == 0; y++) {{"
        row = f"{name}_in_0 + y * {prefix}_INPUT_ROW_BYTES"
        yield f"        status = {name}_push_row(arena, {row});"
        yield "    }"
        yield f"    return status != 0 ? status : {name}_finish(arena{arguments});"
    yield "}"


def _as_a_model(jobs: Sequence[Job]) -> str:
    arena = max(job.program.plan.arena_bytes for job in jobs) + 16
    output = max(t.size_bytes for job in jobs for t in job.outputs)
    return f"""
#include <string.h>
#include "m.h"
#include "batch.h"
static _Alignas(32) uint8_t arena_of_all[{arena}];
static _Alignas(8) uint8_t outputs_of_one[BATCH_MOST_OUTPUTS][{-(-output // 8) * 8}];
int m_run(void *arena, const int8_t *input, int8_t *output)
{{
    (void)arena;
    (void)input;
    for (int32_t n = 0; n < batch_count; n++) {{
        const batch_case *c = &batch_cases[n];
        void *outputs[BATCH_MOST_OUTPUTS];
        memset(arena_of_all, 0x5a, sizeof(arena_of_all));
        for (int32_t i = 0; i < c->n_outputs; i++) {{
            outputs[i] = outputs_of_one[i];
        }}
        if (c->run(arena_of_all, outputs) != 0 || arena_of_all[c->arena_bytes] != 0x5a) {{
            return n + 1;
        }}
        for (int32_t i = 0; i < c->n_outputs; i++) {{
            memcpy(output, outputs[i], (size_t)c->output_bytes[i]);
            output += c->output_bytes[i];
        }}
    }}
    return 0;
}}
"""


# Compiling on the host ----------------------------------------------------------------------------


def _write(place: Path, files: dict[str, str]) -> list[str]:
    for name, text in files.items():
        (place / name).write_text(text, encoding="utf-8", newline="\n")
    return [name for name in files if name.endswith(".c")]


def _units(files: Sequence[str], place: Path) -> list[str]:
    """Each model and its weights as one file to compile."""
    units = []
    for name in files:
        weights = name.replace(".c", "_weights.c")
        if weights in files:
            unit = name.replace(".c", "_unit.c")
            (place / unit).write_text(f'#include "{name}"\n#include "{weights}"\n')
            units.append(unit)
        elif not name.endswith("_weights.c"):
            units.append(name)
    return units


def _compiled(place: Path, files: Sequence[str], flags: tuple[str, ...] = ()) -> list[Path]:
    """The object files, compiled a few files at a time."""
    def build(part: Sequence[str]) -> None:
        command = [*compiler(), *FLAGS, *WARNINGS, *flags, "-c", *part]
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-4000:]

    parts = [files[n:n + 16] for n in range(0, len(files), 16)]
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(build, parts))
    return [place / Path(f).with_suffix(".o").name for f in files]


@cache
def _kernel_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="tinyeff-kernels-")


@cache
def _kernel_objects() -> tuple[Path, ...]:
    """All kernels, compiled once for all batches."""
    place = Path(_kernel_folder().name)
    sources = sorted((Path(folder("firmware")) / "kernels").glob("*.c"))
    return tuple(_compiled(place, [str(s) for s in sources]))
