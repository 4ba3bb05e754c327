# SPDX-License-Identifier: MIT
"""What running a model gave: outputs, hashes, comparisons, as lines and as JSON objects."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from rich.table import Table

from tinyeff.console.report import SCHEMA_VERSION, both
from tinyeff.emitter import Manifest
from tinyeff.exits import answers, exits_taken, handed_over, last_output
from tinyeff.ir import Array, Graph, Tensor
from tinyeff.ops.operator import describe_shape
from tinyeff.simulator.host import Batch
from tinyeff.simulator.verify import Verification

ALL_VALUES = 16
"""Outputs of at most so many values are printed in full."""
TOP = 5
MOST_CLASSES = 20
"""A confusion table on the terminal has at most so many rows; JSON has all."""
JSON_VALUES = 65536
"""Larger outputs are left out of the JSON object; their hash is there."""


@dataclass(frozen=True, eq=False)
class Run:
    """One inference: `outputs` are those of the manifest, in its order; `exit` is the number of the
    early exit that it took, 0 where it took none. `mask` has a value per patch where patches can be
    left out."""

    manifest: Manifest
    cpu: str
    input: str
    outputs: tuple[Array, ...]
    exit: int = 0
    mask: Array | None = None

    @property
    def left_out_macs(self) -> int:
        """Multiply-accumulates of the patches that the mask leaves out."""
        patches = self.manifest.patches
        if patches is None or self.mask is None:
            return 0
        return sum(n for n, on in zip(patches.macs, self.mask.ravel(), strict=True) if not on)


def output_sha256(outputs: tuple[Array, ...]) -> str:
    """SHA-256 of all outputs in the model's order, as they lie in memory."""
    digest = hashlib.sha256()
    for output in outputs:
        digest.update(np.ascontiguousarray(output).tobytes())
    return digest.hexdigest()


def run_object(run: Run) -> dict[str, Any]:
    """The JSON object of `tinyeff sim` on this machine."""
    manifest = run.manifest
    return {
        "schema_version": SCHEMA_VERSION,
        "model": manifest.model_name,
        "cpu": run.cpu,
        "strategy": manifest.strategy,
        "input": run.input,
        "output_sha256": output_sha256(run.outputs),
        "arena_bytes": manifest.arena_bytes,
        **_exit_object(run),
        **_mask_object(run),
        "outputs": [_output_object(t, values)
                    for t, values in zip(manifest.outputs, run.outputs, strict=True)],
    }


def _exit_object(run: Run) -> dict[str, Any]:
    """Which exit was taken, and the work up to it; nothing where the model has none."""
    if not run.manifest.exits:
        return {}
    return {"exit": run.exit, "exit_macs": run.manifest.exit_macs[run.exit - 1]}


def _mask_object(run: Run) -> dict[str, Any]:
    """Which patches were computed, and the work of the run; nothing where none can be left out."""
    if run.mask is None:
        return {}
    return {"mask": run.mask.tolist(),
            "macs": run.manifest.exit_macs[run.exit - 1] - run.left_out_macs}


def _output_object(tensor: Tensor, values: Array) -> dict[str, Any]:
    quant = tensor.quant
    return {
        "name": tensor.name, "shape": list(tensor.shape), "dtype": tensor.dtype,
        "scale": quant.scale if quant else None, "zero_point": quant.zero_point if quant else None,
        "values": values.reshape(-1).tolist() if values.size <= JSON_VALUES else None,
    }


def run_headline(run: Run) -> str:
    """The result in one line."""
    return (f"{run.manifest.model_name} on {run.cpu}: arena {both(run.manifest.arena_bytes)}, "
            f"output_sha256 {output_sha256(run.outputs)}")


def run_lines(run: Run) -> Iterator[str]:
    """Input and outputs, for people."""
    manifest = run.manifest
    yield f"input: {run.input}"
    if manifest.exits:
        yield _exit_line(run)
    if run.mask is not None:
        whole = manifest.exit_macs[run.exit - 1]
        yield (f"patches: {int(run.mask.sum())} of {run.mask.size}, {whole - run.left_out_macs:,} "
               f"of {whole:,} multiply-accumulates")
    for number, (tensor, values) in enumerate(zip(manifest.outputs, run.outputs, strict=True)):
        yield f"output '{tensor.name}', {tensor.dtype} {describe_shape(tensor.shape)}"
        yield from _value_lines(tensor, values.reshape(-1), manifest.labels if not number else ())


def _exit_line(run: Run) -> str:
    *_, whole = work = run.manifest.exit_macs
    if not run.exit:
        return f"no early exit: all {whole:,} multiply-accumulates"
    name, macs = run.manifest.outputs[run.manifest.exits[run.exit - 1].output].name, work[
        run.exit - 1]
    return (f"exit {run.exit}, '{name}': {macs:,} of {whole:,} multiply-accumulates "
            f"({macs / max(whole, 1):.1%}); outputs behind it are zeros")


def _value_lines(tensor: Tensor, values: Array, labels: tuple[str, ...]) -> Iterator[str]:
    """All values where they are few, else the largest: the top classes of a classifier."""
    classes = values.size == tensor.channels
    few = values.size <= ALL_VALUES
    order = range(values.size) if few else np.argsort(-values.astype(np.int64), kind="stable")[:TOP]
    best = int(values.argmax())
    if not few:
        yield f"  the {TOP} largest of {values.size} values:"
    for index in order:
        name = f"  {labels[index]}" if classes and len(labels) == values.size else ""
        mark = "  <- largest" if few and classes and values.size > 1 and index == best else ""
        yield f"  [{index}] {values[index]:>5}{_real(tensor, int(values[index]))}{name}{mark}"


def _real(tensor: Tensor, value: int) -> str:
    if tensor.quant is None:
        return ""
    return f"  = {tensor.quant.scale * (value - tensor.quant.zero_point):.6g}"


def verification_object(model: str, cpu: str, arena_bytes: int, v: Verification) -> dict[str, Any]:
    """The JSON object of `tinyeff verify`."""
    d = v.difference
    return {
        "schema_version": SCHEMA_VERSION, "model": model, "cpu": cpu, "arena_bytes": arena_bytes,
        "exact": v.exact, "samples": v.samples, "tensors": v.tensors, "layers": v.layers,
        **({"exits": list(v.exits)} if v.exits else {}),
        "difference": None if d is None else {
            "sample": d.sample, "tensor": d.tensor, "operator": d.operator,
            "position": list(d.position), "expected": d.expected, "found": d.found,
            "differing": d.differing, "elements": d.elements,
        },
    }


@dataclass(frozen=True)
class Evaluation:
    """How a model did: `exact` of `samples` have LiteRT's outputs, `same` have its class.

    `correct` counts samples whose class is the label, `reference_correct` the same for LiteRT;
    None without labels. `float_same` have the float model's class, `float_correct` counts what the
    float model has right; None without it. `confusion` counts samples by label (rows) and class
    found (columns); None without labels.
    """

    samples: int
    same: int
    exact: int
    correct: int | None
    reference_correct: int | None
    float_same: int | None = None
    float_correct: int | None = None
    confusion: Array | None = None
    exits: tuple[ExitShare, ...] = ()

    @property
    def mean_macs(self) -> float:
        """Multiply-accumulates of a sample, on average."""
        return sum(e.samples * e.macs for e in self.exits) / self.samples


@dataclass(frozen=True)
class ExitShare:
    """The samples that left at one output: how many, how many of them are right (None without
    labels), and the multiply-accumulates of each. `number` is that of the exit, 0 for none."""

    number: int
    output: str
    macs: int
    samples: int
    correct: int | None


def compare(
    found: Batch, expected: tuple[Array, ...], labels: Array | None,
    real: Array | None = None, exits: Exits | None = None,
) -> Evaluation:
    """Compare the generated C's outputs with LiteRT's; per output (count, *shape), int8.

    `real` is the first output of the float model. The class is the place of the first of the
    largest values of the first output, or the only value of an ARG_MAX; where it is neither, only
    equal outputs are the same. With `exits` it is that of the output with which a sample leaves;
    `expected` are all outputs, of which LiteRT leaves by the same rule.
    """
    count, equal = len(found.exits), np.ones(len(found.exits), bool)
    ours, theirs = found.outputs[0], expected[0]
    if exits is not None:
        taken = exits_taken(exits.graph.exits, expected)
        ours = answers(exits.graph.exits, found.outputs, found.exits)
        theirs = answers(exits.graph.exits, expected, taken)
        expected = handed_over(exits.graph, expected, taken)
        equal &= taken == found.exits
    for mine, other in zip(found.outputs, expected, strict=True):
        equal &= (mine == other).reshape(count, -1).all(1)
    classes, wanted = (_classes(x.reshape(count, -1)) for x in (ours, theirs))
    vector = 1 < ours.shape[-1] == ours[0].size
    return Evaluation(
        samples=count,
        same=int(((classes == wanted) if vector else equal).sum()),
        exact=int(equal.sum()),
        correct=None if labels is None else int((classes == labels).sum()),
        reference_correct=None if labels is None else int((wanted == labels).sum()),
        **_against_float(classes, labels, None if real is None else _classes(
            real.reshape(count, -1))),
        confusion=None if labels is None or not vector else _confusion(
            classes, labels, ours.shape[-1]),
        exits=() if exits is None else tuple(_shares(exits, found.exits, classes, labels)),
    )


@dataclass(frozen=True)
class Exits:
    """The early exits of a graph, and the multiply-accumulates up to each, and last those of all.
    """

    graph: Graph
    macs: tuple[int, ...]


def _shares(
    exits: Exits, taken: Array, classes: Array, labels: Array | None
) -> Iterator[ExitShare]:
    """What left at each exit, and last at none."""
    records = exits.graph.exits
    for number in (*range(1, len(records) + 1), 0):
        here = taken == number
        output = records[number - 1].output if number else last_output(records, len(
            exits.graph.outputs))
        yield ExitShare(number, exits.graph.tensors[exits.graph.outputs[output]].name,
                        exits.macs[number - 1], int(here.sum()),
                        None if labels is None else int((classes == labels)[here].sum()))


def _against_float(
    classes: Array, labels: Array | None, real: Array | None
) -> dict[str, int | None]:
    if real is None:
        return {}
    return {"float_same": int((classes == real).sum()),
            "float_correct": None if labels is None else int((real == labels).sum())}


def _confusion(classes: Array, labels: Array, count: int) -> Array:
    """Samples by label and class, (count, count)."""
    return np.bincount(labels * count + classes, minlength=count * count).reshape(count, count)


def confusion_table(confusion: Array) -> Table:
    """Samples by label (a line each) and class found (a column each)."""
    table = Table(box=None, pad_edge=False)
    table.add_column("label", justify="right", style="bold")
    for n in range(min(len(confusion), MOST_CLASSES)):
        table.add_column(str(n), justify="right")
    table.add_column("right", justify="right")
    for n, row in enumerate(confusion[:MOST_CLASSES].tolist()):
        share = f"{row[n] / sum(row):.1%}" if sum(row) else "-"
        table.add_row(str(n), *map(str, row[:MOST_CLASSES]), share)
    return table


def _classes(values: Array) -> Array:
    """The class of each sample, from values of (count, elements)."""
    is_index = values.dtype != np.int8 and values.shape[1] == 1
    classes: Array = values[:, 0] if is_index else values.argmax(1)
    return classes


def evaluation_object(model: str, cpu: str, e: Evaluation) -> dict[str, Any]:
    """The JSON object of `tinyeff evaluate`."""
    return {
        "schema_version": SCHEMA_VERSION, "model": model, "cpu": cpu, "samples": e.samples,
        "top1": None if e.correct is None else e.correct / e.samples,
        "correct": e.correct,
        "reference_correct": e.reference_correct,
        "agreement": e.same / e.samples,
        "exact": e.exact / e.samples,
        "float_agreement": None if e.float_same is None else e.float_same / e.samples,
        "float_correct": e.float_correct,
        "confusion": None if e.confusion is None else e.confusion.tolist(),
        **_exits_object(e),
    }


def _exits_object(e: Evaluation) -> dict[str, Any]:
    if not e.exits:
        return {}
    return {"mean_macs": e.mean_macs, "exits": [asdict(share) for share in e.exits]}


def exit_table(e: Evaluation) -> Table:
    """A row for each exit: what left there, what of it is right, and what it cost."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("exit", "output", "samples", "share", "right", "MACs", "of all"):
        table.add_column(title, justify="left" if title == "output" else "right", no_wrap=True)
    whole = e.exits[-1].macs
    for s in e.exits:
        right = "-" if s.correct is None or not s.samples else f"{s.correct / s.samples:.2%}"
        table.add_row(str(s.number) if s.number else "none", s.output, str(s.samples),
                      f"{s.samples / e.samples:.1%}", right, f"{s.macs:,}",
                      f"{s.macs / max(whole, 1):.1%}")
    return table


def evaluation_lines(e: Evaluation) -> Iterator[str]:
    """The same for people, the result first."""
    if e.correct is not None:
        yield f"top-1 {e.correct / e.samples:.2%}: {e.correct} of {e.samples} samples are right"
        yield f"LiteRT: {e.reference_correct} of {e.samples} right"
    if e.float_correct is not None:
        yield f"float model: {e.float_correct} of {e.samples} right"
    if e.float_same is not None:
        yield (f"agreement with the float model {e.float_same / e.samples:.2%}: {e.float_same} of "
               f"{e.samples} samples")
    yield f"agreement with LiteRT {e.same / e.samples:.2%}: {e.same} of {e.samples} samples"
    same = "outputs and exits" if e.exits else "outputs"
    yield f"{same} equal bit for bit: {e.exact} of {e.samples} samples"
    if e.exits:
        whole = max(e.exits[-1].macs, 1)
        yield (f"mean work: {e.mean_macs:,.0f} of {whole:,} multiply-accumulates "
               f"({1 - e.mean_macs / whole:.1%} saved)")
