# SPDX-License-Identifier: MIT
"""Calls kernels directly, through the contract of te.h, and brings back what they computed.

The whole-model path never hands a kernel part of a row, rows with gaps between the pixels, rows at
odd addresses or a last call with fewer rows; this does. One program holds any number of calls. On
the host it is compiled with sanitizers, and the same program runs on an emulated Cortex-M.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tests import objects
from tests.shared import missing
from tests.simulator.programs import model
from tinyeff import resources
from tinyeff.emitter.lowering import flattened
from tinyeff.emitter.naming import number_lines
from tinyeff.errors import MissingProgramError
from tinyeff.ir import Array, ConstArray, Kernel, Tensor, Variant, Window
from tinyeff.ops import operator_of
from tinyeff.ops.operator import Node, Operator
from tinyeff.simulator.emulator import emulate
from tinyeff.simulator.host import WARNINGS, host_compiler

HERE = Path(__file__).resolve().parent
SANITIZERS = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
FORMS = {"rows": "HARNESS_ROWS", "accumulate": "HARNESS_ACCUMULATE", "whole": "HARNESS_WHOLE"}


@dataclass(frozen=True)
class How:
    """How a kernel is called; see harness_run in harness.h.

    `gap` widens every pixel pitch by so many bytes, `flat` hands the map over as one row, `over`
    is the number of the activation that the output lies over.
    """

    name: str
    rows_per_call: int | None = None
    tile: int = 0
    slack: int = 0
    misalign: int = 0
    gap: int = 0
    flat: bool = False
    over: int = -1


@dataclass(frozen=True, eq=False)
class Run:
    """One kernel over one whole tensor: `inputs` are the activations, outputs come back."""

    name: str
    operator: Operator[Any]
    node: Node[Any]
    variant: Variant
    inputs: tuple[Array, ...]
    how: How


def ways(operator: Operator[Any], node: Node[Any], variant: Variant) -> Iterator[How]:
    """All the ways in which this variant's contract lets it be called for this node."""
    yield How("whole_rows")
    form = operator.form_of(node)
    if form == "whole":
        yield How("misaligned", misalign=1)
        return
    yield How("single_columns", rows_per_call=1, tile=1, misalign=1)
    yield How("tiles_with_gaps", tile=3, slack=2, misalign=3, gap=5)
    if form == "accumulate":
        yield How("two_rows", rows_per_call=2, tile=2)
        return
    if variant.flat:
        yield How("flat", rows_per_call=1, flat=True)
        yield How("flat_tiles", rows_per_call=1, flat=True, tile=4, slack=1, misalign=2)
    if variant.consumes:
        for number, tensor in enumerate(node.activations):
            if _is_pointwise(operator, node, number, tensor):
                yield How(f"over_{number}", rows_per_call=1, over=number)
                if variant.flat:
                    yield How(f"flat_over_{number}", rows_per_call=1, over=number, flat=True)


def _is_pointwise(operator: Operator[Any], node: Node[Any], number: int, tensor: Tensor) -> bool:
    same = (tensor.rows, tensor.pixels) == (node.output.rows, node.output.pixels)
    return same and operator.window(node, number) == Window()


def runs_of(
    name: str, kind: str, node: Node[Any], variant: Variant, batches: Sequence[tuple[Array, ...]]
) -> Iterator[Run]:
    """Each way to call the variant, for each tuple of activations in `batches`."""
    operator = operator_of(kind)
    for how in ways(operator, node, variant):
        for number, inputs in enumerate(batches):
            yield Run(f"{name} {variant.name} {how.name} input {number}", operator, node, variant,
                      inputs, how)


# The program ------------------------------------------------------------------------------------


def program_sources(runs: Sequence[Run]) -> dict[str, str]:
    """The C files of a program that does all `runs`: kernels, headers, harness and data."""
    lowered = _lowered(runs)
    kernels = sorted({s for kernel in lowered for s in kernel.sources})
    files = {name: (HERE / name).read_text(encoding="utf-8")
             for name in ("harness.h", "harness.c", "harness_main.c")}
    for kernel in kernels:
        files |= _with_headers(f"{kernel}.c") | _with_headers(f"{kernel}.h")
    return {**files, "runs.c": _data_file(runs, lowered, kernels)}


def _with_headers(name: str) -> dict[str, str]:
    text = resources.kernel_source(name)
    files = {name: text}
    for header in re.findall(r'#include "(te[^"]*\.h)"', text):
        files |= _with_headers(header)
    return files


def _view(run: Run) -> Node[Any]:
    return flattened(run.node) if run.how.flat else run.node


def _lowered(runs: Sequence[Run]) -> list[Kernel]:
    """The kernel call of each run; what differs only in inputs and gap is lowered once."""
    known: dict[tuple[int, Variant, bool], Kernel] = {}
    kernels = []
    for run in runs:
        key = (id(run.node), run.variant, run.how.flat)
        if key not in known:
            known[key] = run.operator.lower(_view(run), run.variant)
        kernels.append(_widened(run, known[key]))
    return kernels


def _widened(run: Run, kernel: Kernel) -> Kernel:
    """The kernel call with every pixel pitch that it has as a parameter widened by the gap."""
    fields = dict(kernel.fields)
    for name, value in kernel.fields:
        is_constant = isinstance(fields.get(name.replace("_pitch", "_constant")), ConstArray)
        # A pitch of 0 says that all pixels share one; constants have no gaps.
        if name.endswith("_pitch") and not is_constant and isinstance(value, int) and value:
            fields[name] = value + run.how.gap
    return replace(kernel, fields=tuple(fields.items()))


def _gap(run: Run, kernel: Kernel, *names: str) -> int:
    """The gap, if one of the pitches called `names` is a parameter; else pixels are dense."""
    return run.how.gap if any(name in names for name, _ in kernel.fields) else 0


class _Writer:
    """Collects C text; equal arrays are written once."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._arrays: dict[tuple[str, bytes], str] = {}

    def array(self, ctype: str, values: Array) -> str:
        """The name of a constant array with these values."""
        key = (ctype, np.ascontiguousarray(values).tobytes())
        if key not in self._arrays:
            name = f"array_{len(self._arrays)}"
            self._arrays[key] = name
            self.lines += [f"static const {ctype} {name}[] = {{", *number_lines(values), "};"]
        return self._arrays[key]

    def params(self, number: int, kernel: Kernel) -> None:
        fields = [
            f".{name} = "
            f"{self.array(v.ctype, v.values) if isinstance(v, ConstArray) else v},"
            for name, v in kernel.fields
        ]
        self.lines += [f"static const {kernel.params} params_{number} = {{", *fields, "};"]


def _data_file(runs: Sequence[Run], lowered: Sequence[Kernel], kernels: Sequence[str]) -> str:
    out = _Writer()
    table, start = [], 0
    for number, (run, kernel) in enumerate(zip(runs, lowered, strict=True)):
        out.params(number, kernel)
        _write_tensors(out, number, run, kernel, start)
        table.append(_run_entry(number, run, kernel))
        start += sum(t.size_bytes for t in run.node.outputs)
    headers = ['#include "harness.h"', *(f'#include "{k}.h"' for k in kernels)]
    return "\n".join([
        *headers,
        f"int8_t harness_results[{max(start, 1)}];",
        f"const int32_t harness_results_bytes = {start};",
        *out.lines,
        "static const harness_run runs[] = {", *table, "};",
        "int harness_run_all(void)", "{",
        f"    for (int i = 0; i < {len(runs)}; i++) {{",
        "        const int error = harness_execute(&runs[i]);",
        "        if (error != 0) { return i * 256 + error; }",
        "    }", "    return 0;", "}", "",
    ])


def _window(window: Window) -> str:
    return f"{{{window.count}, {window.step}, {window.offset}, {window.divisor}}}"


def _write_tensors(out: _Writer, number: int, run: Run, kernel: Kernel, start: int) -> None:
    node, entries = _view(run), []
    positions = [i for i, t in enumerate(node.inputs) if t is not None and not t.is_constant]
    for i, (tensor, data) in enumerate(zip(node.activations, run.inputs, strict=True)):
        moves = run.operator.form_of(run.node) == "rows"
        rows = run.operator.window(node, i) if moves else Window()
        columns = run.operator.columns(node, i) if moves else Window()
        gap = _gap(run, kernel, "in_pitch", f"in{positions[i] + 1}_pitch")
        entries.append(f"{{{out.array('int8_t', data)}, {tensor.rows}, {tensor.pixels}, "
                       f"{tensor.channels}, {tensor.channels + gap}, "
                       f"{_window(rows)}, {_window(columns)}}},")
    out.lines += [f"static const harness_input inputs_{number}[] = {{", *entries, "};"]
    entries, gap = [], _gap(run, kernel, "out_pitch")
    for tensor in node.outputs:
        entries.append(f"{{harness_results + {start}, {tensor.rows}, {tensor.pixels}, "
                       f"{tensor.pixel_bytes}, {tensor.pixel_bytes + gap}}},")
        start += tensor.size_bytes
    out.lines += [f"static const harness_output outputs_{number}[] = {{", *entries, "};"]


def _run_entry(number: int, run: Run, kernel: Kernel) -> str:
    how, form = run.how, run.operator.form_of(run.node)
    function = f"&{kernel.function}" if form == "accumulate" else kernel.function
    fields = {
        "form": FORMS[form], form: function, "params": f"&params_{number}",
        "inputs": f"inputs_{number}", "outputs": f"outputs_{number}",
        "n_inputs": len(run.inputs), "n_outputs": len(run.node.outputs),
        "rows_per_call": how.rows_per_call or run.variant.rows_per_call,
        "tile": how.tile, "slack": how.slack, "misalign": how.misalign, "over": how.over,
        "scratch_bytes": run.variant.scratch_bytes, "state_bytes": run.variant.state_bytes,
    }
    return f"    {{{', '.join(f'.{name} = {value}' for name, value in fields.items())}}},"


# On the host ------------------------------------------------------------------------------------


def compiler() -> list[str]:
    """The host's C compiler; the test skips or fails where there is none."""
    try:
        return host_compiler()
    except MissingProgramError as error:
        missing(error.message)


def run_on_host(runs: Sequence[Run]) -> list[tuple[Array, ...]]:
    """The outputs of each run, computed by one program built with sanitizers.

    AssertionError with what the compiler or a sanitizer says.
    """
    with tempfile.TemporaryDirectory(prefix="tinyeff-harness-") as name:
        folder = Path(name)
        files = program_sources(runs)
        for path, text in files.items():
            (folder / path).write_text(text, encoding="utf-8", newline="\n")
        sources = [path for path in files if path.endswith(".c")]
        command = [*compiler(), "-std=c11", *WARNINGS, *SANITIZERS]
        built = objects.build(command, folder, sources, "runs.exe")
        assert built.returncode == 0, built.stderr[-4000:]
        done = subprocess.run([str(folder / "runs.exe")], capture_output=True, check=False)
        said = done.stderr.decode("utf-8", "replace")
        found = re.match(r"run (\d+)", said)
        which = runs[int(found[1])].name if found else ""
        assert done.returncode == 0, f"{which}\n{said[-4000:]}"
        return split_results(runs, done.stdout)


def split_results(runs: Sequence[Run], data: bytes) -> list[tuple[Array, ...]]:
    """The bytes of harness_results as the output arrays of each run."""
    results, start = [], 0
    for run in runs:
        arrays = []
        for tensor in run.node.outputs:
            part = np.frombuffer(data, tensor.dtype, tensor.elements, start)
            arrays.append(part.reshape(tensor.shape))
            start += tensor.size_bytes
        results.append(tuple(arrays))
    assert start == len(data), f"{len(data)} bytes of results where {start} are expected"
    return results


# On an emulated Cortex-M --------------------------------------------------------------------------

POOL_BYTES = 1 << 18
AS_A_MODEL = """
#include "harness.h"
#include "m.h"
int m_run(void *arena, const int8_t *input, int8_t *output)
{
    const int error = harness_run_all();
    (void)arena;
    (void)input;
    for (int32_t i = 0; i < harness_results_bytes; i++) {
        output[i] = harness_results[i];
    }
    return error;
}
"""


def run_on_arm(runs: Sequence[Run], cpu: str) -> list[tuple[Array, ...]]:
    """The outputs of each run, computed by the same program on an emulated core.

    The program poses as a model, so that the emulator needs to know nothing of it.
    """
    sources = program_sources(runs)
    del sources["harness_main.c"]
    sources["harness.c"] = f"#define HARNESS_POOL_BYTES {POOL_BYTES}\n" + sources["harness.c"]
    size = sum(t.size_bytes for run in runs for t in run.node.outputs)
    program = model(AS_A_MODEL, input_memory="excluded", output_bytes=size, files=sources)
    result = emulate(program, [np.zeros(4, np.int8)], cpu)
    return split_results(runs, result.outputs[0])
