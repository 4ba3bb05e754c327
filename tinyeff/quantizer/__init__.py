# SPDX-License-Identifier: MIT
"""From a float graph to an int8 graph, with calibration data."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from tinyeff.errors import UnsupportedError, UsageError
from tinyeff.ir import Array, Graph
from tinyeff.reader.flatbuffer import parse
from tinyeff.worker import run_job

__all__ = ["quantize"]

JOB = "tinyeff.quantizer.tensorflow_job"


def quantize(graph: Graph, samples: tuple[Array, ...]) -> Graph:
    """The int8 graph of a simplified float graph; an int8 graph is returned as it is.

    `samples` holds one float32 array of real values per model input, in the model's order, of
    shape (count, *input shape): the data that the ranges of all tensors are taken from. The result
    has int8 inputs and outputs; `graph.source.flatbuffer` of it is a standard int8 TFLite file,
    and it has yet to be simplified. Weights get a scale per output channel, activations one per
    tensor. The quantizer is that of TensorFlow's converter, working on `graph.source.flatbuffer`.

    Raises UsageError where the samples do not fit the inputs, UnsupportedError listing operators
    that stayed in float, MissingProgramError where TensorFlow is not installed.
    """
    if not graph.is_float:
        return graph
    _check(graph, samples)
    with tempfile.TemporaryDirectory(prefix="tinyeff-") as name:
        folder = Path(name)
        (folder / "float.tflite").write_bytes(graph.source.flatbuffer)
        for number, sample in enumerate(samples):
            np.save(folder / f"input_{number}.npy", np.ascontiguousarray(sample, np.float32))
        run_job(JOB, folder, {"inputs": len(samples)}, graph.source.name)
        flatbuffer = (folder / "int8.tflite").read_bytes()
    result = parse(flatbuffer, graph.source.name)
    before, after = _ends(graph), _ends(result)
    if before != after:
        raise UnsupportedError(f"{graph.source.name}: TensorFlow's quantizer changed the model's "
                               f"inputs and outputs from {before} to {after}")
    return result


def _ends(graph: Graph) -> list[tuple[str, tuple[int, ...]]]:
    """Name and shape of the inputs and outputs: what must survive, and in the same order."""
    tensors = [graph.tensors[i] for i in (*graph.inputs, *graph.outputs)]
    return [(t.name, t.shape) for t in tensors]


def _check(graph: Graph, samples: tuple[Array, ...]) -> None:
    name = graph.source.name
    if any(graph.tensors[i].dtype == "int8" for op in graph.ops for i in op.inputs):
        raise UnsupportedError(f"{name}: the model is quantized in part; quantize its float "
                               "original")
    if len(samples) != len(graph.inputs):
        raise UsageError(f"{name} has {len(graph.inputs)} inputs, calibration data was given for "
                         f"{len(samples)}")
    counts = {len(s) for s in samples}
    if len(counts) != 1 or 0 in counts:
        raise UsageError(f"{name}: every input needs the same number of calibration samples, at "
                         f"least one; given were {[len(s) for s in samples]}")
    for index, sample in zip(graph.inputs, samples, strict=True):
        tensor = graph.tensors[index]
        if sample.shape[1:] != tensor.shape:
            raise UsageError(f"calibration data for '{tensor.name}' has the shape {sample.shape}; "
                             f"expected is (count, {', '.join(map(str, tensor.shape))})")
        if not np.isfinite(sample).all():
            raise UsageError(f"calibration data for '{tensor.name}' holds values that are not "
                             "numbers or infinite")
