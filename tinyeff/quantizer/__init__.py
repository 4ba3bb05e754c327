# SPDX-License-Identifier: MIT
"""From a float graph to an int8 graph, with calibration data.

    prepared -> compared -> observe -> equalized -> chosen_rules -> Calibration -> assemble

prepared      the float graph in the form in which it is quantized
compared      recipes tried on samples held back; the rest is done by the best of them
observe       what values each tensor takes
equalized     channels of one tensor given similar ranges
chosen_rules  a range for each tensor, by the error that it causes at the output
Calibration   weights refitted and rounded and biases corrected, operator by operator
assemble      the int8 graph
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from tinyeff.errors import UnsupportedError
from tinyeff.ir import Array, Graph, check_graph
from tinyeff.quantizer.attempt import Attempt, Trial, attempt, compared
from tinyeff.quantizer.prepared import prepared
from tinyeff.quantizer.samples import check, collected, warnings
from tinyeff.quantizer.sensitivity import Progress
from tinyeff.quantizer.settings import Effort, effort_of
from tinyeff.reader.flatbuffer import parse, serialize

__all__ = ["Quantized", "quantize", "quantize_and_explain"]

LOG = logging.getLogger("tinyeff")


@dataclass(frozen=True, eq=False)
class Quantized:
    """The int8 graph, how it was made, and what is doubtful about the calibration data.

    `trials` are the ways that were compared, best first; empty where there was one only.
    """

    graph: Graph
    attempt: Attempt
    trials: tuple[Trial, ...]
    samples: tuple[Array, ...]
    warnings: tuple[str, ...]


def quantize(
    graph: Graph, samples: tuple[Array, ...] | Iterable[object], *, effort: str = "default",
    method: str = "auto",
) -> Graph:
    """The int8 graph of a float graph; an int8 graph is returned as it is.

    `samples` is a tuple with one float32 array of real values per model input, in the model's
    order, of shape (count, *input shape), or any other iterable of samples. The result has int8
    inputs and outputs; `graph.source.flatbuffer` of it is a standard int8 TFLite file, and it has
    yet to be simplified. Weights get a scale per output channel, activations one per tensor.
    `effort` is "fast", "default" or "high"; `method` gives ranges by "minmax", "percentile", "mse"
    or "entropy", or by what is best for each tensor, "auto". Warnings about the data are logged.

    Raises UsageError where the samples do not fit the inputs, UnsupportedError for models that are
    quantized in part, ModelFileError where LiteRT cannot run the float model.
    """
    if not graph.is_float:
        return graph
    result = quantize_and_explain(graph, samples, effort=effort, method=method)
    for warning in result.warnings:
        LOG.warning("%s", warning)
    return result.graph


def quantize_and_explain(
    graph: Graph, samples: tuple[Array, ...] | Iterable[object], *, effort: str = "default",
    method: str = "auto", progress: Progress = lambda done, total: None,
) -> Quantized:
    """As `quantize`, with all that the diagnosis needs; `graph` must be a float one."""
    work = effort_of(effort, method)
    given = collected(graph, samples)
    check(graph, given)
    arrays = tuple(np.ascontiguousarray(s, np.float32) for s in given)
    # Most products are small: further threads only wait for each other, at four times the work.
    with threadpool_limits(1, user_api="blas"):
        return _quantized(graph, arrays, work, progress)


def _quantized(
    graph: Graph, arrays: tuple[Array, ...], work: Effort, progress: Progress
) -> Quantized:
    plain = prepared(graph)
    check_graph(plain, "preparing")
    if plain.inputs != () and len(plain.inputs) != len(graph.inputs):
        raise UnsupportedError(f"{graph.source.name}: some of its inputs are not used")
    trials = compared(plain, arrays, work, progress)
    recipe = trials[0].recipe if trials else work.recipes[0]
    made = attempt(plain, recipe, arrays, work, progress)
    check_graph(made.result, "quantizing")
    flatbuffer = serialize(made.result)
    result = parse(flatbuffer, graph.source.name)
    LOG.info("%s: quantized by %s, SHA-256 %s", graph.source.name, recipe,
             hashlib.sha256(flatbuffer).hexdigest())
    unknown = trials[0].unknown if trials else 1.0
    return Quantized(result, made, trials, arrays, tuple(warnings(plain, arrays, unknown)))
