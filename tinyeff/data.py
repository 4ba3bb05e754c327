# SPDX-License-Identifier: MIT
"""Data files: .npy, .npz and folders of images as the arrays that a model takes; random inputs.

Arrays of several samples have the shape (count, *input shape), batch dimension of the model
included, one array per model input in the model's order.
"""

from __future__ import annotations

import math
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from tinyeff import images
from tinyeff.errors import UsageError
from tinyeff.ir import Array, Graph, Preprocess, Tensor
from tinyeff.ops.quantize import quantized

LABELS = ("labels", "y")
"""Names under which an .npz holds the right answers."""

ANY_INPUT = "x"
"""The name of the one input's data where it is not named like the input."""

DAMAGE = (ValueError, OSError, EOFError, KeyError, MemoryError, NotImplementedError, RuntimeError,
          SyntaxError, TypeError, zipfile.BadZipFile, zlib.error)
"""What numpy and zipfile raise on damaged files."""


def parse_preprocess(text: str) -> Preprocess:
    """The value of --preprocess, 'scale=…,offset=…'; a factor may be a fraction such as 1/255.

    >>> parse_preprocess("scale=1/255,offset=-0.5")
    Preprocess(scale=0.00392156862745098, offset=-0.5)
    """
    values = {"scale": 1.0, "offset": 0.0}
    for part in filter(None, (p.strip() for p in text.split(","))):
        key, equals, value = (p.strip() for p in part.partition("="))
        above, _, below = value.partition("/")
        try:
            number = float(above) / float(below or 1)
        except (ValueError, ZeroDivisionError):
            number = math.nan
        if key not in values or not equals or not math.isfinite(number):
            raise UsageError(f"--preprocess {text!r}: '{part}' is not understood; expected is "
                             "scale=NUMBER,offset=NUMBER, either may be left out")
        values[key] = number
    return Preprocess(**values)


def random_inputs(graph: Graph, seed: int, count: int = 1) -> tuple[Array, ...]:
    """`count` random int8 samples; an array of (count, *shape) per model input.

    One generator, numpy.random.default_rng(seed), draws integers(-128, 128, shape, dtype=int8)
    sample by sample, and within a sample input by input in the model's order: the first sample of
    a one-input model is that very array, whatever `count` is.
    """
    rng = np.random.default_rng(seed)
    shapes = [graph.tensors[i].shape for i in graph.inputs]
    drawn = [[rng.integers(-128, 128, shape, dtype=np.int8) for shape in shapes]
             for _ in range(count)]
    return tuple(np.array([sample[n] for sample in drawn], np.int8).reshape(count, *shape)
                 for n, shape in enumerate(shapes))


def load_inputs(
    graph: Graph, path: Path | str, preprocess: Preprocess | None = None
) -> tuple[Array, ...]:
    """The samples of a data file as the model's int8 inputs; an array of (count, *shape) each.

    An int8 array is used as it is where the model's input is int8; any other holds real values,
    which `preprocess` scales and LiteRT's QUANTIZE rule rounds. Raises UsageError naming the file,
    the array and what is wrong with it.
    """
    inputs = []
    for index, name, values in _select(graph, Path(path)):
        tensor = graph.tensors[index]
        if values.dtype == np.int8 and tensor.dtype == "int8":
            inputs.append(values)
            continue
        if tensor.quant is None:
            raise UsageError(f"{path}: input '{tensor.name}' of {graph.source.name} is "
                             f"{tensor.dtype}; quantize the model first")
        real = _real(values, preprocess, f"{path}: {_title(name)}")
        inputs.append(quantized(real, tensor.quant))
    return _same_count(inputs, path)


def load_samples(
    graph: Graph, path: Path | str, preprocess: Preprocess | None = None
) -> tuple[Array, ...]:
    """The samples of a data file as real values, for calibration: float32, (count, *shape) each.

    Raises UsageError as `load_inputs` does.
    """
    return _same_count([_real(values, preprocess, f"{path}: {_title(name)}")
                        for _, name, values in _select(graph, Path(path))], path)


def load_labels(path: Path | str) -> Array | None:
    """The right answers in a data file as int64 of shape (count,), or None where it has none.

    Of a folder of images they are the numbers of its folders. Raises UsageError where there are
    two candidates or they are no class numbers.
    """
    if Path(path).is_dir():
        return images.labels(Path(path))
    arrays = _read(Path(path))
    found = [name for name in LABELS if name in arrays]
    if len(found) > 1:
        raise UsageError(f"{path}: both 'labels' and 'y' are there; keep one")
    if not found:
        return None
    values = arrays[found[0]]
    if values.ndim != 1 or values.dtype.kind not in "iuf" or not (values == np.floor(values)).all():
        raise UsageError(f"{path}: '{found[0]}' of shape {values.shape} and type {values.dtype}; "
                         "labels are class numbers in one dimension")
    return values.astype(np.int64)


def load_mask(text: str, rows: int, columns: int) -> Array:
    """A mask of patches, (rows, columns) of 0 and 1, from '0110,1111,…' or an .npy or .npz file.

    Raises UsageError where it is none, or has another number of values.
    """
    if text.endswith((".npy", ".npz")):
        values = next(iter(_read(Path(text)).values()), np.zeros(0))
    else:
        plain = re.sub(r"[\s,]", "", text)
        values = np.array([int(d) for d in plain] if re.fullmatch("[01]+", plain) else [])
    if values.size != rows * columns or values.dtype.kind not in "biuf":
        example = ",".join(["1" * columns] * rows)
        raise UsageError(f"--mask {text}: expected are {rows} x {columns} values, row by row, 0 "
                         f"for a patch to leave out, such as {example}, or an .npy file of them; "
                         f"these are {values.size}")
    mask: Array = (values.reshape(rows, columns) != 0).astype(np.uint8)
    return mask


def input_names(tensor: Tensor) -> tuple[str, ...]:
    """The names under which data for a model input is looked up.

    The converter turns `image` into `serving_default_image:0`; both are understood.
    """
    plain = re.sub(r"^serving_default_|:\d+$", "", tensor.name)
    return (tensor.name,) if plain == tensor.name else (tensor.name, plain)


def _read(path: Path) -> dict[str, Array]:
    """The arrays of an .npz by name, or the one of an .npy under the empty name."""
    if not path.is_file():
        raise UsageError(f"{path}: no such file; expected is an .npy or .npz file, or a "
                         "folder of images")
    try:
        with path.open("rb") as file:
            magic = file.read(6)
        if magic == b"\x93NUMPY":
            return {"": np.asarray(np.load(path, allow_pickle=False))}
        if magic[:4] == b"PK\x03\x04":
            with np.load(path, allow_pickle=False) as archive:
                return {name: np.asarray(archive[name]) for name in archive.files}
    except DAMAGE as error:
        raise UsageError(f"{path}: the file is damaged, or holds Python objects instead of numbers "
                         f"({error})") from error
    raise UsageError(f"{path}: not an .npy or .npz file (it begins with {magic!r})")


def _images(graph: Graph, folder: Path) -> dict[str, Array]:
    """The images of a folder, for a model with one input."""
    if len(graph.inputs) != 1:
        raise UsageError(f"{folder}: a folder of images is for a model with one input; this one "
                         f"has {len(graph.inputs)}")
    return {ANY_INPUT: images.read(folder, _inner(graph.tensors[graph.inputs[0]]))}


def _select(graph: Graph, path: Path) -> list[tuple[int, str, Array]]:
    """(tensor index, name of the array, samples of shape (count, *shape)) per model input."""
    arrays = _images(graph, path) if path.is_dir() else _read(path)
    labels = [name for name in LABELS if name in arrays and arrays[name].ndim == 1]
    candidates = {k: v for k, v in arrays.items() if k not in labels}
    chosen = []
    for index in graph.inputs:
        tensor = graph.tensors[index]
        name = _choose(tensor, candidates, len(graph.inputs), path)
        values = _samples(candidates[name], tensor)
        if values is None:
            raise UsageError(f"{path}: {_title(name)} has the shape {candidates[name].shape}; "
                             f"input '{tensor.name}' takes {_inner(tensor)}, with or without the "
                             "number of samples in front")
        if not len(values):
            raise UsageError(f"{path}: {_title(name)} holds no samples")
        chosen.append((index, name, values))
    return chosen


def _choose(tensor: Tensor, arrays: dict[str, Array], inputs: int, path: Path) -> str:
    for name in input_names(tensor):
        if name in arrays:
            return name
    if inputs == 1 and ANY_INPUT in arrays:
        return ANY_INPUT
    if inputs == 1 and list(arrays) == [""]:
        return ""
    fitting = [name for name, values in arrays.items() if _samples(values, tensor) is not None]
    if len(fitting) == 1 and fitting != [""]:
        return fitting[0]
    shown = ", ".join(f"{_title(n)} {arrays[n].shape}" for n in (fitting or arrays)) or "nothing"
    problem = "several arrays fit" if len(fitting) > 1 else "no array fits"
    if "" in arrays:
        problem = f"the model has {inputs} inputs, which takes an .npz with an array each; for"
    raise UsageError(f"{path}: {problem} input '{tensor.name}' of shape {tensor.shape} (there is "
                     f"{shown}); name the array '{input_names(tensor)[-1]}'")


def _title(name: str) -> str:
    return f"'{name}'" if name else "the array"


def _inner(tensor: Tensor) -> tuple[int, ...]:
    """The shape of one sample without the batch dimension."""
    return tensor.shape[1:] if len(tensor.shape) > 1 and tensor.shape[0] == 1 else tensor.shape


def _samples(values: Array, tensor: Tensor) -> Array | None:
    """The array as (count, *shape), or None where its shape does not fit."""
    inner = _inner(tensor)
    if values.shape == inner:
        return values.reshape(1, *tensor.shape)
    if values.shape[1:] in (inner, tensor.shape):
        return values.reshape(len(values), *tensor.shape)
    return None


def _real(values: Array, preprocess: Preprocess | None, what: str) -> Array:
    """The real values as float32, computed in double precision and rounded once."""
    if values.dtype.kind not in "biuf":
        raise UsageError(f"{what} has the type {values.dtype}; numbers are expected")
    p = preprocess or Preprocess()
    with np.errstate(over="ignore", invalid="ignore"):
        real = (values.astype(np.float64) * p.scale + p.offset).astype(np.float32)
    wrong = np.argwhere(~np.isfinite(real))
    if len(wrong):
        place: tuple[Any, ...] = tuple(int(n) for n in wrong[0])
        raise UsageError(f"{what} holds {values[place]} at {list(place)}: values must be finite "
                         "numbers")
    return real


def _same_count(inputs: list[Array], path: Path | str) -> tuple[Array, ...]:
    counts = [len(x) for x in inputs]
    if len(set(counts)) > 1:
        raise UsageError(f"{path}: the inputs have different numbers of samples: {counts}")
    return tuple(inputs)
