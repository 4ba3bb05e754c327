# SPDX-License-Identifier: MIT
"""What values the tensors of a float graph take on the calibration samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tinyeff.errors import UsageError
from tinyeff.ir import Array, Graph
from tinyeff.quantizer.execution import Part, Values, inputs_of
from tinyeff.quantizer.windows import windows_of, within

KEPT_VALUES = 1 << 17
"""Of each tensor so many values are kept, evenly spread; ranges and maxima are of all."""
FURTHEST = 12.0
"""Of Gumbel's beta: no channel gets more room. With 7, single images that calibration knows nothing
of cost networks with few positions up to 4 dB; with 20 none gained."""
CHUNK_VALUES = 1 << 26
"""Values of all tensors that are held at once."""


@dataclass(frozen=True, eq=False)
class Observation:
    """Of one tensor some of its values, with the least and the largest.

    Values beyond what the tensor's readers tell apart count as the bounds of that.

    `peaks` are the largest magnitudes per channel (its last dimension), `reach` what these may well
    be on other samples, by how they vary from sample to sample. `spread`
    is how far the least and the largest value vary between samples: their standard deviations.
    """

    values: Array
    peaks: Array
    reach: Array
    spread: tuple[float, float]


def observe(graph: Graph, samples: tuple[Array, ...]) -> dict[int, Observation]:
    """Observations of every float activation, model inputs included.

    Raises UsageError where the model computes values that are not finite.
    """
    wanted = [i for i in (*graph.inputs, *(i for op in graph.ops for i in op.outputs))
              if graph.tensors[i].dtype == "float32"]
    windows, count = windows_of(graph), len(samples[0])
    kept: dict[int, list[Array]] = {i: [] for i in wanted}
    peaks: dict[int, list[Array]] = {i: [] for i in wanted}
    ends: dict[int, list[Array]] = {i: [] for i in wanted}
    for values in chunks(graph, samples):
        for i in wanted:
            v = values[i]
            if not np.isfinite(v).all():
                raise UsageError(f"{graph.source.name}: '{graph.tensors[i].name}' becomes infinite "
                                 "or no number on the calibration data, in float32 already; check "
                                 "the data's scale (--preprocess) and the model")
            v = within(v, windows.get(i))
            channels = v.reshape(len(v), -1, graph.tensors[i].channels)
            peaks[i].append(np.maximum(channels.max(1), -channels.min(1)))
            rows = v.reshape(len(v), -1)
            ends[i].append(np.stack([rows.min(1), rows.max(1)]).astype(np.float64))
            kept[i].append(_some(v.reshape(-1), max(1, KEPT_VALUES * len(v) // count)))
    result = {}
    for i in wanted:
        low, high = np.concatenate(ends[i], axis=1).std(1).tolist()
        each = np.concatenate(peaks[i])
        peak = each.max(0)
        reach = _reach(each, peak, graph.tensors[i].elements // graph.tensors[i].channels)
        result[i] = Observation(np.concatenate(kept[i]), peak, reach, (low, high))
    return result


def _reach(each: Array, peak: Array, positions: int) -> Array:
    """How far the channels may well go on other samples; `each` are peaks by sample and channel.

    Peaks over many values follow Gumbel's distribution. Cutting off at mu + z beta costs beyond,
    in squares, about 2 beta^2 exp(-z) once in a sample, and finer steps win at every position: so
    large maps need less room than small ones.
    """
    beta = each.std(0, dtype=np.float64) * np.sqrt(6) / np.pi
    mu = each.mean(0, dtype=np.float64) - np.euler_gamma * beta
    gain = 12 * 255**2 * beta / np.maximum(positions * peak.astype(np.float64), 1e-300)
    z = np.clip(np.log(np.maximum(gain, 1.0)), 0.0, FURTHEST)
    result: Array = np.maximum(peak, mu + z * beta)
    return result


def _some(flat: Array, most: int) -> Array:
    """At most about `most` values, evenly spread, and the extremes."""
    if flat.size <= most:
        return flat.copy()
    step = -(-flat.size // most) | 1  # odd, so that it does not always meet the same channel
    return np.concatenate([flat[::step], [flat.min(), flat.max()]]).astype(np.float32)


def chunks(graph: Graph, samples: tuple[Array, ...]) -> Iterator[Values]:
    """Every activation for all samples, so many samples at a time as memory allows."""
    wanted = tuple(i for op in graph.ops for i in op.outputs)
    part = Part(graph, graph.ops, wanted)
    size = max(1, CHUNK_VALUES // max(1, sum(graph.tensors[i].elements for i in wanted)))
    for start in range(0, len(samples[0]), size):
        values = {i: s[start:start + size]
                  for i, s in zip(graph.inputs, samples, strict=True)}
        read = {i: values[i] for i in inputs_of(graph, graph.ops)}
        values.update(zip(wanted, part.run(read), strict=True))
        yield values
