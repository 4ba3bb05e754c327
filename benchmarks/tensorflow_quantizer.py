# SPDX-License-Identifier: MIT
"""The process in which TensorFlow's converter quantizes a float flatbuffer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tinyeff.ir import Array
from tinyeff.worker import main


def job(folder: Path, task: dict[str, Any]) -> dict[str, Any]:
    """Calibrate float.tflite with input_<n>.npy and write int8.tflite.

    These are the steps that TFLiteConverter takes after it has made a float flatbuffer of a Keras
    model; taking them here lets any float flatbuffer in.
    """
    import tensorflow as tf
    from tensorflow.lite.python.convert import mlir_quantize
    from tensorflow.lite.python.optimize.calibrator import (
        Calibrator,
        add_intermediate_tensors,
    )

    inputs = [np.load(folder / f"input_{n}.npy", mmap_mode="r") for n in range(task["inputs"])]

    def samples() -> Iterator[list[Array]]:
        for sample in zip(*inputs, strict=True):
            yield [np.array(x) for x in sample]

    model = add_intermediate_tensors((folder / "float.tflite").read_bytes())
    calibrated = Calibrator(model).calibrate(samples)
    quantized = mlir_quantize(calibrated, input_data_type=tf.int8, output_data_type=tf.int8)
    (folder / "int8.tflite").write_bytes(quantized)
    return {}


if __name__ == "__main__":
    main(job)
