# SPDX-License-Identifier: MIT
"""The networks that the quantizer is measured on, made once and kept outside of the checkout."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cifar import enlarged, images
from tinyeff.console.folder import write_file
from tinyeff.ir import Array, Graph
from tinyeff.reader import parse, read
from tinyeff.worker import run_job

CACHE = Path(os.environ.get("TINYEFF_CACHE") or Path(tempfile.gettempdir()) / "tinyeff-benchmarks")
VERSION = 1
"""Of what `benchmarks.networks` does: another number, and everything is made anew."""


@dataclass(frozen=True)
class Network:
    """`maker` is "random" or "trained", `name` a class of keras.applications or of the zoo."""

    maker: str
    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    scale: float = 1 / 127.5
    offset: float = -1.0
    epochs: int = 0
    seed: int = 1

    def inputs(self, pictures: Array) -> Array:
        """CIFAR-10 images as the network takes them, (count, 1, size, size, 3)."""
        size = self.arguments.get("resolution") or self.arguments["input_shape"][0]
        result: Array = enlarged(pictures, size) * np.float32(self.scale) + np.float32(self.offset)
        return result


def made(network: Network, cache: Path = CACHE) -> Graph:
    """The float graph, from the cache or made by Keras with the calibration images."""
    task = {**asdict(network), "version": VERSION}
    key = hashlib.sha256(json.dumps(task, sort_keys=True).encode()).hexdigest()[:12]
    path = cache / f"{network.name}-{key}.tflite"
    if not path.exists():
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for title, array in zip(("images", "labels"), images("calibration"), strict=True):
                np.save(folder / f"{title}.npy", array)
            run_job("benchmarks.networks", folder, task, network.name)
            flatbuffer = read(folder / f"{network.name}.keras").source.flatbuffer
        cache.mkdir(parents=True, exist_ok=True)
        write_file(path, flatbuffer)
    return parse(path.read_bytes(), network.name)
