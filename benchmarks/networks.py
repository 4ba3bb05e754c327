# SPDX-License-Identifier: MIT
"""The process in which Keras makes the networks that the quantizer is measured on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cifar import enlarged
from tinyeff.worker import main

BATCH = 32
TRAINING_BATCH = 64


def job(folder: Path, task: dict[str, Any]) -> dict[str, Any]:
    """Write <name>.keras for the network of `task`; images.npy, labels.npy are 32x32, 0 to 255.

    With a `maker` "random" it is a class of keras.applications whose weights are random and whose
    batch normalization has random factors and the statistics of the images; with "trained" one of
    the zoo, trained for `epochs` passes over the images and their mirror images. Inputs are the
    images times `scale` plus `offset`.
    """
    import keras

    images, labels = np.load(folder / "images.npy"), np.load(folder / "labels.npy")
    arguments, name, seed = task["arguments"], task["name"], task["seed"]
    keras.utils.set_random_seed(seed)
    if task["maker"] == "random":
        model = getattr(keras.applications, name)(weights=None, classifier_activation=None,
                                                  classes=10, **arguments)
        x = _scaled(enlarged(images[:BATCH], arguments["input_shape"][0])[:, 0], task)
        _normalize(keras, model, x)
        model.save(folder / f"{name}.keras")
        return {}
    from tinyeff import zoo

    model = zoo.build(name, seed=seed, classes=10, **arguments)
    x = _scaled(enlarged(images, arguments["resolution"])[:, 0], task)
    _train(keras, model, x, labels, task["epochs"], seed)
    zoo.deploy(model).save(folder / f"{name}.keras")
    return {}


def _scaled(images: Any, task: dict[str, Any]) -> Any:
    return images * np.float32(task["scale"]) + np.float32(task["offset"])


def _normalize(keras: Any, model: Any, images: Any) -> None:
    rng = np.random.default_rng(2)
    for layer in _normalizations(keras, model):
        channels = layer.gamma.shape[0]
        layer.gamma.assign(rng.uniform(0.5, 1.5, channels))
        layer.beta.assign(rng.normal(0, 0.3, channels))
        layer.momentum = 0.3
    for _ in range(6):
        model(images, training=True)


def _train(keras: Any, model: Any, images: Any, labels: Any, epochs: int, seed: int) -> None:
    """So many passes over the images, half of them mirrored: until they are known by heart.

    A network that is unsure of the images changes its mind at any noise, and what a quantizer
    keeps would be measured on chance.
    """
    rng = np.random.default_rng(seed)
    steps = epochs * -(-len(images) // TRAINING_BATCH)
    rate = keras.optimizers.schedules.CosineDecay(3e-3, steps, alpha=0.01)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss)
    for _ in range(epochs):
        mirrored = rng.random(len(images)) < 0.5
        x = np.where(mirrored[:, None, None, None], images[:, :, ::-1], images)
        model.fit(x, labels, batch_size=TRAINING_BATCH, verbose=0)
    for layer in _normalizations(keras, model):  # moving averages lag behind the weights
        layer.momentum = 0.9
    both = np.concatenate([images, images[:, :, ::-1]])[rng.permutation(2 * len(images))]
    for start in range(0, len(both), BATCH):
        model(both[start:start + BATCH], training=True)


def _normalizations(keras: Any, model: Any) -> list[Any]:
    return [layer for layer in model.layers
            if isinstance(layer, keras.layers.BatchNormalization)]


if __name__ == "__main__":
    main(job)
