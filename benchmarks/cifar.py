# SPDX-License-Identifier: MIT
"""The shared CIFAR-10 images."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from tinyeff.ir import Array

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("TINYEFF_SHARED") or ROOT.parent / "shared")


def images(name: str) -> tuple[Array, Array]:
    """Those of "calibration" or "eval", float32 (count, 32, 32, 3), 0 to 255; and their labels."""
    with np.load(SHARED / "data" / f"cifar10_{name}.npz") as file:
        return file["images"].astype(np.float32), file["labels"].astype(np.int64)


def enlarged(x: Array, size: int) -> Array:
    """Images stretched to size x size, bilinear, with a batch dimension for each."""
    if size == x.shape[1]:
        return x[:, None]
    place = np.clip((np.arange(size) + 0.5) * x.shape[1] / size - 0.5, 0, x.shape[1] - 1)
    low = place.astype(np.int64)
    high, part = np.minimum(low + 1, x.shape[1] - 1), (place - low).astype(np.float32)
    rows = x[:, low] * (1 - part)[:, None, None] + x[:, high] * part[:, None, None]
    left, right = rows[:, :, low] * (1 - part)[:, None], rows[:, :, high] * part[:, None]
    result: Array = (left + right)[:, None]
    return result
