# SPDX-License-Identifier: MIT
"""What running a model gave: outputs, hashes, comparisons, as lines and as JSON objects."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.table import Table

from tinyeff.console.report import SCHEMA_VERSION, both
from tinyeff.emitter import Manifest
from tinyeff.ir import Array, Tensor
from tinyeff.ops.operator import describe_shape
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
    """One inference: `outputs` are those of the manifest, in its order."""

    manifest: Manifest
    cpu: str
    input: str
    outputs: tuple[Array, ...]


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
        "outputs": [_output_object(t, values)
                    for t, values in zip(manifest.outputs, run.outputs, strict=True)],
    }


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
    for number, (tensor, values) in enumerate(zip(manifest.outputs, run.outputs, strict=True)):
        yield f"output '{tensor.name}', {tensor.dtype} {describe_shape(tensor.shape)}"
        yield from _value_lines(tensor, values.reshape(-1), manifest.labels if not number else ())


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


def compare(
    found: tuple[Array, ...], expected: tuple[Array, ...], labels: Array | None,
    real: Array | None = None,
) -> Evaluation:
    """Compare the generated C's outputs with LiteRT's; per output (count, *shape), int8.

    `real` is the first output of the float model.

    The class is the place of the first of the largest values of the first output, or the only
    value of an ARG_MAX; where it is neither, only equal outputs are the same.
    """
    count = len(found[0])
    equal = np.ones(count, bool)
    for ours, theirs in zip(found, expected, strict=True):
        equal &= (ours == theirs).reshape(count, -1).all(1)
    classes, wanted = (_classes(x[0].reshape(count, -1)) for x in (found, expected))
    vector = 1 < found[0].shape[-1] == found[0][0].size
    return Evaluation(
        samples=count,
        same=int(((classes == wanted) if vector else equal).sum()),
        exact=int(equal.sum()),
        correct=None if labels is None else int((classes == labels).sum()),
        reference_correct=None if labels is None else int((wanted == labels).sum()),
        **_against_float(classes, labels, None if real is None else _classes(
            real.reshape(count, -1))),
        confusion=None if labels is None or not vector else _confusion(
            classes, labels, found[0].shape[-1]),
    )


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
    }


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
    yield f"outputs equal bit for bit: {e.exact} of {e.samples} samples"
