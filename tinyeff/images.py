# SPDX-License-Identifier: MIT
"""A folder of images as samples, its folders as classes."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import numpy as np

from tinyeff.errors import MissingProgramError, UsageError
from tinyeff.ir import Array

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".webp")
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""Of an image with so many channels."""
MOST = 1 << 28
"""Values of all images together."""
HOW_TO_GET = 'pip install "tinyeff[images]"'


def read(folder: Path, shape: tuple[int, ...]) -> Array:
    """The images of a folder as uint8 of shape (count, *shape), `shape` (rows, columns, channels).

    Images lie in the folder itself, or in folders within it, one for each class. An image of
    another size is stretched. Raises UsageError naming the file that cannot be read,
    MissingProgramError where Pillow is not installed.
    """
    if len(shape) != 3 or shape[2] not in MODES:
        raise UsageError(f"{folder}: a folder of images is for a model with an image of 1, 3 or 4 "
                         f"channels as its input; this one takes {shape}")
    found = [path for path, _ in _found(folder)]
    if len(found) * math.prod(shape) > MOST:
        raise UsageError(f"{folder}: {len(found)} images of {shape} are more than fit memory; some "
                         "hundred are enough")
    if importlib.util.find_spec("PIL") is None:
        raise MissingProgramError(f"{folder}: reading images needs Pillow, which is not "
                                  f"installed: {HOW_TO_GET}")
    return np.stack([_image(path, shape) for path in found])


def labels(folder: Path) -> Array | None:
    """The class of each image: the number of its folder in alphabetical order, as in Keras.

    None where the images lie in the folder itself.
    """
    found = [label for _, label in _found(folder)]
    return None if None in found else np.array(found, np.int64)


def _found(folder: Path) -> list[tuple[Path, int | None]]:
    """The images in order, each with the number of its folder."""
    folders = sorted(p for p in folder.iterdir() if p.is_dir() and _images(p))
    here: list[tuple[Path, int | None]] = [(path, None) for path in _images(folder)]
    if here and folders:
        raise UsageError(f"{folder}: there are images beside folders of images; keep one of both")
    if not here and not folders:
        raise UsageError(f"{folder}: no images in it, nor in its folders (looked for "
                         f"{', '.join(SUFFIXES)})")
    return here + [(path, n) for n, sub in enumerate(folders) for path in _images(sub)]


def _images(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())


def _image(path: Path, shape: tuple[int, ...]) -> Array:
    from PIL import Image  # only where images are read

    try:
        with Image.open(path) as image:
            converted = image.convert(MODES[shape[2]])
            if converted.size != (shape[1], shape[0]):
                converted = converted.resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
            return np.asarray(converted, np.uint8).reshape(shape)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UsageError(f"{path}: the image cannot be read: {error}") from error
