# SPDX-License-Identifier: MIT
"""Calibration data: what cannot be used is an error, what is doubtful a warning with the fact."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from tinyeff.errors import UnsupportedError, UsageError
from tinyeff.ir import Array, Graph

FEW = 16
"""Fewer samples than this are likely to miss values that occur later."""
LARGE = 1e4
"""Network inputs are rarely larger; such data lacks its scaling or holds broken values."""
MUCH_WORSE = 2.0
"""Samples that calibration did not see may have so many times the error of those that it saw."""
OUTLIER = 100.0
"""An extreme value so many times as large as 99 % of all is probably an error in the data."""


def collected(graph: Graph, samples: tuple[Array, ...] | Iterable[object]) -> tuple[Array, ...]:
    """Samples as one float32 array of shape (count, *shape) per input.

    A tuple of arrays is that already. Any other iterable yields samples: an array, or for several
    inputs a tuple or list of arrays, each with or without the batch dimension.
    """
    if isinstance(samples, tuple):
        return samples
    columns: list[list[Array]] = [[] for _ in graph.inputs]
    for number, sample in enumerate(samples):
        arrays = sample if isinstance(sample, (tuple, list)) else (sample,)
        if len(arrays) != len(columns):
            raise UsageError(f"{graph.source.name} has {len(columns)} inputs; calibration sample "
                             f"{number} has {len(arrays)} arrays")
        for column, index, array in zip(columns, graph.inputs, arrays, strict=True):
            column.append(_shaped(graph, index, np.asarray(array), number))
    return tuple(np.stack(c) if c else np.empty((0, *graph.tensors[i].shape), np.float32)
                 for c, i in zip(columns, graph.inputs, strict=True))


def _shaped(graph: Graph, index: int, array: Array, number: int) -> Array:
    tensor = graph.tensors[index]
    if array.shape not in (tensor.shape, tensor.shape[1:]):
        raise UsageError(f"calibration sample {number} for '{tensor.name}' has the shape "
                         f"{array.shape}; expected is {tensor.shape} or {tensor.shape[1:]}")
    return array.reshape(tensor.shape).astype(np.float32)


def check(graph: Graph, samples: tuple[Array, ...]) -> None:
    """Raise UsageError where the samples do not fit, UnsupportedError where the model does not."""
    name = graph.source.name
    if any(graph.tensors[i].dtype == "int8" for op in graph.ops for i in op.inputs if i >= 0):
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
        finite = np.isfinite(sample)
        if not finite.all():
            place = tuple(int(n) for n in np.argwhere(~finite)[0])
            raise UsageError(f"calibration data for '{tensor.name}' holds values that are not "
                             f"numbers or infinite: {sample[place]} in sample {place[0]} at "
                             f"{list(place[1:])}; remove or repair such samples")


def warnings(graph: Graph, samples: tuple[Array, ...], unknown: float = 1.0) -> Iterator[str]:
    """What is doubtful about samples that can be used, a sentence with the fact each.

    `unknown` is the error of samples that were held back as a multiple of the others' error.
    """
    count = len(samples[0])
    if count < FEW:
        yield (f"{count} calibration sample{'' if count == 1 else 's'}: values that only others "
               "have will be cut off; some hundred typical inputs are better")
    elif unknown > MUCH_WORSE:
        yield (f"calibrated with half of the {count} samples, the model has {unknown:.1f} times "
               "the error on the other half: some reach far beyond the rest, and more samples "
               "would show how far")
    for index, sample in zip(graph.inputs, samples, strict=True):
        title = f"calibration data for '{graph.tensors[index].name}'"
        low, high = float(sample.min()), float(sample.max())
        if low == high:
            yield (f"{title} is the one value {low:g} everywhere: nothing can be learned from it; "
                   "give typical inputs")
            continue
        flat = sample.reshape(count, -1)
        if count > 1 and (flat == flat[:1]).all():
            yield f"{title}: all {count} samples are the same; give inputs that differ"
        elif count > 1 and (same := count - len({row.tobytes() for row in flat})) > count // 2:
            yield f"{title}: {same} of {count} samples are copies of others"
        if max(-low, high) > LARGE:
            yield (f"{title} reaches from {low:g} to {high:g}, far more than networks are trained "
                   "with; is its scaling missing (--preprocess)?")
            continue
        usual = float(np.quantile(np.abs(flat), 0.99))
        if usual > 0 and max(-low, high) > OUTLIER * usual:
            yield (f"{title} holds {low:g} to {high:g}, while 99 % of its values are within "
                   f"{usual:g}: single broken values cost resolution for all others")
