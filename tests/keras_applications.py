# SPDX-License-Identifier: MIT
"""Builds a network of keras.applications: python -m tests.keras_applications NAME SIZE FILE.

Its weights are random. Batch normalization takes its statistics from random images, so that
values neither vanish nor grow on their way.
"""

from __future__ import annotations

import os
import sys

import numpy as np

OPTIONS = {"MobileNet": {"alpha": 0.25}, "MobileNetV2": {"alpha": 0.35}}


def main(name: str, size: str, path: str) -> None:
    """Write the Keras file."""
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    import keras

    keras.utils.set_random_seed(0)
    shape = (int(size), int(size), 3)
    network = getattr(keras.applications, name)(weights=None, input_shape=shape, classes=10,
                                                **OPTIONS.get(name, {}))
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    network(np.random.default_rng(0).uniform(0, 255, (8, *shape)).astype(np.float32),
            training=True)
    network.save(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
