# SPDX-License-Identifier: MIT
"""Runs generated C on this machine, natively."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

import numpy as np

from tinyeff.emitter import MANIFEST, EmitOptions, Sources, emit, host_main, read_manifest
from tinyeff.errors import InternalError, MissingProgramError
from tinyeff.ir import Array, Program, Tensor

LOG = logging.getLogger("tinyeff")
WARNINGS = (
    "-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wcast-align "
    "-Wdouble-promotion -Wmissing-prototypes -Wvla -Werror"
).split()
"""The warnings under which all generated code must be clean (gcc and clang)."""
TIMEOUT_SECONDS = 600
TRACE = "TINYEFF_TRACE"
"""What is defined in a build that shows its tensors."""


def host_compiler() -> list[str]:
    """The command of a C compiler for this machine: $CC, cc, gcc, clang, else zig from PyPI."""
    chosen = os.environ.get("CC")
    if chosen:
        return chosen.split()
    for name in ("cc", "gcc", "clang"):
        path = shutil.which(name)
        if path:
            return [path]
    if find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "cc"]
    raise MissingProgramError(
        "no C compiler found (looked for $CC, cc, gcc, clang and zig): install one with your "
        'system\'s packages, or with pip install "tinyeff[toolchain]"'
    )


def write_sources(folder: Path, sources: Mapping[str, str]) -> None:
    """Write generated files as UTF-8 with line feeds, so that their hashes hold everywhere."""
    for name, text in sources.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("utf-8"))


@dataclass(frozen=True, eq=False)
class Batch:
    """What a program made of a batch: outputs of (count, *shape), and for each sample the number of
    the early exit that it took, 0 where it took none, of shape (count,)."""

    outputs: tuple[Array, ...]
    exits: Array


@dataclass(frozen=True, eq=False)
class TraceRecord:
    """Columns [x0, x1) of row `y` of a tensor, as the traced program wrote them for a sample."""

    sample: int
    tensor: int
    y: int
    x0: int
    x1: int
    data: Array


class HostProgram:
    """A generated program built for this machine; use it as a context manager.

    It is built from generated sources with their manifest, or from a program whose sources are
    generated here. `trace` builds with TINYEFF_TRACE; `flags` are added to the compiler's command,
    for example sanitizers. `release` is the release build of the same sources with the same flags:
    what tracing does not change, weights and kernels, is not compiled anew. Raises
    MissingProgramError where there is no compiler, InternalError with the compiler's output where
    the generated code does not compile.
    """

    def __init__(
        self,
        program: Program | Sources,
        *,
        trace: bool = False,
        flags: tuple[str, ...] = (),
        compiler: tuple[str, ...] = (),
        release: HostProgram | None = None,
    ) -> None:
        if isinstance(program, Program):
            program = emit(program, EmitOptions("model"))
        self.manifest = read_manifest(program[MANIFEST], MANIFEST)
        self._trace = trace
        self._folder = tempfile.TemporaryDirectory(prefix="tinyeff-", ignore_cleanup_errors=True)
        sources = {**program, "host_main.c": host_main(self.manifest)}
        try:
            self._build(sources, list(compiler) or host_compiler(), list(flags), release)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> HostProgram:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the temporary build."""
        self._folder.cleanup()

    def _build(self, sources: Mapping[str, str], compiler: list[str], flags: list[str],
               release: HostProgram | None) -> None:
        folder = Path(self._folder.name)
        write_sources(folder, sources)
        files = [n for n in sources if n.endswith(".c") and not n.endswith("_example.c")]
        objects = {n: (folder / n).with_suffix(".o") for n in files}
        if release is not None:
            built = Path(release._folder.name)
            objects |= {n: (built / n).with_suffix(".o") for n in files if TRACE not in sources[n]}
        command = [*compiler, "-std=c11", "-O2", *[f"-D{TRACE}"] * self._trace, *flags]

        def compile_one(name: str) -> None:  # one by one: zig makes one object of several files
            if not objects[name].exists():
                self._call([*command, "-c", name, "-o", str(objects[name])])

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(compile_one, files))
        self._binary = folder / ("run.exe" if os.name == "nt" else "run")
        self._call([*compiler, *flags, *map(str, objects.values()), "-o", str(self._binary)])

    def _call(self, command: list[str]) -> None:
        """Run a compiler's command."""
        LOG.debug("compiling: %s", " ".join(command))
        done = subprocess.run(command, cwd=self._folder.name, capture_output=True, text=True,
                              check=False, timeout=TIMEOUT_SECONDS)
        if done.returncode != 0:
            raise InternalError(f"the generated C does not compile with {command[0]}:\n"
                                f"{done.stderr[-4000:]}")
        if done.stderr:
            LOG.debug("%s", done.stderr)

    def run(self, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        """Outputs for a batch: each input is (count, *shape), each output (count, *shape)."""
        return self.infer(inputs).outputs

    def infer(self, inputs: tuple[Array, ...]) -> Batch:
        """As `run`, with the early exits that were taken.

        A mask of (count, rows, columns) may follow the inputs, where patches can be left out.
        """
        return self._run(inputs, None)

    def run_traced(
        self, inputs: tuple[Array, ...], tensors: tuple[Tensor, ...]
    ) -> tuple[tuple[Array, ...], Iterator[TraceRecord]]:
        """As `run`, with every row of the graph's `tensors` that the program wrote, in order."""
        trace = Path(self._folder.name) / "trace.bin"
        outputs = self._run(inputs, trace).outputs
        return outputs, read_trace(trace.read_bytes(), tensors)

    def _run(self, inputs: tuple[Array, ...], trace: Path | None) -> Batch:
        folder = Path(self._folder.name)
        count, inputs = len(inputs[0]), self.manifest.with_mask(inputs)
        flat = [np.ascontiguousarray(x).reshape(count, -1).view(np.uint8) for x in inputs]
        (folder / "inputs.bin").write_bytes(np.concatenate(flat, axis=1).tobytes())
        command = [str(self._binary), str(folder / "inputs.bin"), str(folder / "outputs.bin")]
        if trace is not None:
            command.append(str(trace))
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False,
                              timeout=TIMEOUT_SECONDS)
        if done.returncode != 0:
            raise InternalError(f"the generated program ended with {done.returncode}:\n"
                                f"{done.stderr[-4000:]}")
        data = np.frombuffer((folder / "outputs.bin").read_bytes(), np.uint8).reshape(count, -1)
        outputs, start = [], 0
        for tensor in self.manifest.outputs:
            part = np.ascontiguousarray(data[:, start:start + tensor.size_bytes])
            outputs.append(part.view(tensor.dtype).reshape(count, *tensor.shape))
            start += tensor.size_bytes
        exits = np.ascontiguousarray(data[:, start:]).view(np.int32).reshape(count)
        return Batch(tuple(outputs), exits)


def read_trace(raw: bytes, tensors: tuple[Tensor, ...]) -> Iterator[TraceRecord]:
    """The records of a trace; shapes: data is (x1 - x0, channels) of the tensor's type."""
    position, sample = 0, -1
    while position < len(raw):
        tensor, y, x0, x1, pitch = np.frombuffer(raw, np.int32, 5, position).tolist()
        position += 20
        if tensor < 0:  # an inference begins
            sample += 1
            continue
        record = tensors[tensor]
        body = np.frombuffer(raw, np.uint8, (x1 - x0) * pitch, position).reshape(-1, pitch)
        position += (x1 - x0) * pitch
        data = np.ascontiguousarray(body[:, :record.pixel_bytes]).view(record.dtype)
        yield TraceRecord(sample, tensor, y, x0, x1, data)
