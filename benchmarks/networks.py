# SPDX-License-Identifier: MIT
"""The process in which Keras makes the networks that the quantizer is measured on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from tinyeff.worker import main

BATCH = 32


def job(folder: Path, task: dict[str, Any]) -> dict[str, Any]:
    """Write <name>.keras for each network of `task`, whose images are images.npy, labels.npy.

    `random` lists classes of keras.applications with their arguments: weights are random, batch
    normalization has random factors and the statistics of the images. `trained` lists networks of
    the zoo, trained for `seconds` each.
    """
    import keras

    from tinyeff import zoo

    images, labels = np.load(folder / "images.npy"), np.load(folder / "labels.npy")
    for name, arguments in task["random"].items():
        keras.utils.set_random_seed(1)
        model = getattr(keras.applications, name)(weights=None, classifier_activation=None,
                                                  classes=10, **arguments)
        _normalize(keras, model, images[:BATCH])
        model.save(folder / f"{name}.keras")
    right = {}
    for name, arguments in task["trained"].items():
        keras.utils.set_random_seed(1)
        model = zoo.build(name, seed=1, classes=10, **arguments)
        right[name] = _train(keras, model, images, labels, task["seconds"])
        zoo.deploy(model).save(folder / f"{name}.keras")
    return {"right": right}


def _normalize(keras: Any, model: Any, images: Any) -> None:
    rng = np.random.default_rng(2)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            channels = layer.gamma.shape[0]
            layer.gamma.assign(rng.uniform(0.5, 1.5, channels))
            layer.beta.assign(rng.normal(0, 0.3, channels))
            layer.momentum = 0.3
    for _ in range(6):
        model(images, training=True)


def _train(keras: Any, model: Any, images: Any, labels: Any, seconds: float) -> float:
    """Train for that long; the part of the images that it then has right."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(2e-3), loss)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        model.fit(images, labels, batch_size=BATCH, verbose=0)
    for layer in model.layers:  # few steps: moving averages have not arrived
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.7
    for start in range(0, len(images) - BATCH + 1, BATCH):
        model(images[start:start + BATCH], training=True)
    return float((model.predict(images, verbose=0).argmax(1) == labels).mean())


if __name__ == "__main__":
    main(job)
