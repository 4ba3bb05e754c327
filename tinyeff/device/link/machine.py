# SPDX-License-Identifier: MIT
"""A model on a board as a machine that runs samples, and how long it takes there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from tinyeff.device.link.client import Inference, Link
from tinyeff.device.link.messages import NOTES, BoardStatus, Flag, Status
from tinyeff.emitter import Manifest
from tinyeff.errors import BoardError, InternalError
from tinyeff.ir import Array, Tensor
from tinyeff.simulator.emulated import BEGIN
from tinyeff.simulator.host import Batch, TraceRecord, read_trace

BENCH_SECONDS = 1.0
"""A benchmark repeats the model for about so long."""
MOST_RUNS = 1000


def check_firmware(link: Link, manifest: Manifest, build: bytes, where: str) -> None:
    """Raise BoardError unless the board runs the very program in the folder `where`.

    `build` is the hash that the folder's own program would say.
    """
    found = link.identify()
    runs = f"the board runs {found.model} for {found.board} (tinyeff {found.version})"
    advice = f"flash it first: tinyeff flash {where}"
    if found.model_sha256.hex() != manifest.model_sha256:
        raise BoardError(f"{runs}, which is another model than {manifest.model_name} in {where}; "
                         f"{advice}")
    if found.build_sha256 != build:
        raise BoardError(f"{runs}, but not the code in {where}: same model, generated otherwise or "
                         f"for another board; {advice}")


class BoardProgram:
    """The program on a board; the twin of `HostProgram` and `EmulatedProgram`."""

    def __init__(
        self, link: Link, manifest: Manifest,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        self._link, self._manifest, self._progress = link, manifest, progress

    @property
    def can_trace(self) -> bool:
        """False where the firmware cannot show what it writes layer by layer."""
        return Flag.CAN_TRACE in self._link.identity.flags

    def run(self, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        """Outputs for a batch: each input is (count, *shape), each output (count, *shape)."""
        return self.infer(inputs).outputs

    def infer(self, inputs: tuple[Array, ...]) -> Batch:
        """As `run`, with the early exits that were taken."""
        found = [self._link.infer(data) for data in samples_of(inputs)]
        return Batch(self._stacked([f.output for f in found]),
                     np.array([f.run.status for f in found], np.int32))

    def run_traced(
        self, inputs: tuple[Array, ...], tensors: tuple[Tensor, ...]
    ) -> tuple[tuple[Array, ...], Iterator[TraceRecord]]:
        """As `run`, with every row of the graph's `tensors` that the program wrote, in order."""
        traces, outputs = [], []
        for data in samples_of(inputs):
            traces.append(BEGIN + self._link.trace(data, self._progress))
            outputs.append(self._link.infer(data).output)
        return self._stacked(outputs), read_trace(b"".join(traces), tensors)

    def _stacked(self, outputs: list[bytes]) -> tuple[Array, ...]:
        columns = [outputs_of(self._manifest, data) for data in outputs]
        return tuple(np.array(column) for column in zip(*columns, strict=True))


def samples_of(inputs: tuple[Array, ...]) -> list[bytes]:
    """Per sample the bytes of all inputs, one after another; each input is (count, *shape)."""
    return [b"".join(np.ascontiguousarray(x).tobytes() for x in sample)
            for sample in zip(*inputs, strict=True)]


def outputs_of(manifest: Manifest, data: bytes) -> tuple[Array, ...]:
    """The model's outputs in the bytes that a board has sent; each has its tensor's shape."""
    outputs, start = [], 0
    for tensor in manifest.outputs:
        part = data[start:start + tensor.size_bytes]
        outputs.append(np.frombuffer(part, tensor.dtype).reshape(tensor.shape))
        start += tensor.size_bytes
    if start != len(data):
        raise InternalError(f"the board sent {len(data)} bytes of output, the manifest has {start}")
    return tuple(outputs)


@dataclass(frozen=True)
class LayerCycles:
    """Cycles of one step of the model, in a run of the traced copy."""

    name: str
    kind: str
    macs: int
    cycles: int


@dataclass(frozen=True)
class Bench:
    """How long the model takes: cycles of the mean, the fastest and the slowest of `runs`.

    `layers` is empty where the firmware has no traced copy of the model.
    """

    runs: int
    cycles: float
    fewest: int
    most: int
    clock_hz: int
    layers: tuple[LayerCycles, ...]

    @property
    def milliseconds(self) -> float:
        """Of one inference."""
        return self.cycles / self.clock_hz * 1e3

    @property
    def frames_per_second(self) -> float:
        """How often the model could run, with nothing else to do."""
        return self.clock_hz / self.cycles


def bench(link: Link, manifest: Manifest, data: bytes, runs: int | None = None) -> Bench:
    """Measure the model on one input; as often as fits a second unless `runs` says.

    Raises BoardError where nothing on the board counts cycles.
    """
    status = link.status()
    if not status.counts_cycles:
        raise BoardError("nothing on this board counts cycles (an emulated board's counter may "
                         "read zero): --bench needs a real board; sim --profile estimates cycles")
    first = link.infer(data)
    trusted = BoardStatus.SYSTICK_CYCLES not in status.board
    layers, total = _layers(link, manifest, data, first, trusted)
    if layers and not trusted:
        # Its counter has 24 bits: only the traced copy looks at it often enough.
        return Bench(1, total, total, total, status.clock_hz, layers)
    seconds = max(first.run.cycles, 1) / status.clock_hz
    wanted = runs or max(1, min(MOST_RUNS, round(BENCH_SECONDS / seconds)))
    if Flag.REPEATABLE in link.identity.flags:
        found = [link.infer(data, count=wanted)]
    else:  # the input has to be sent for each run
        found = [first, *[link.infer(data) for _ in range(min(wanted, 3) - 1)]]
    count = sum(i.run.count for i in found)
    cycles = sum(i.run.cycles for i in found) / count
    if cycles == 0:
        raise BoardError("the board's counter of cycles stands still; --bench needs a real board")
    return Bench(count, cycles, min(i.run.fewest for i in found), max(i.run.most for i in found),
                 status.clock_hz, layers)


def _layers(
    link: Link, manifest: Manifest, data: bytes, release: Inference, trusted: bool
) -> tuple[tuple[LayerCycles, ...], int]:
    """Cycles by layer, and their sum.

    The traced copy takes the same time more at each call of a kernel; what all layers have too
    much against the release, where its cycles are to be trusted, is taken off in proportion to
    their calls.
    """
    if Flag.CAN_TRACE not in link.identity.flags:
        return (), 0
    _, counts = link.profile(data)
    total, calls = sum(c for c, _ in counts), sum(n for _, n in counts)
    excess = max(0.0, (total - release.run.cycles) / max(1, calls)) if trusted else 0.0
    layers = tuple(
        LayerCycles(step["name"], step["kind"], step["macs"], max(0, round(c - excess * n)))
        for step, (c, n) in zip(manifest.raw["plan"]["steps"], counts, strict=True))
    return layers, total


def notes(status: Status) -> list[str]:
    """What a user should know of the board: clocks that did not start."""
    return [text for bit, text in NOTES.items() if bit in status.board]
