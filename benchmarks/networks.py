# SPDX-License-Identifier: MIT
"""The process in which Keras makes the networks that the quantizer is measured on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cifar import enlarged
from tinyeff.worker import main

BATCH = 32


def job(folder: Path, task: dict[str, Any]) -> dict[str, Any]:
    """Write <name>.keras for the network of `task`; images.npy, labels.npy are 32x32, 0 to 255.

    With a `maker` "random" it is a class of keras.applications whose weights are random and whose
    batch normalization has random factors and the statistics of the images; with "trained" one of
    the zoo, trained for `epochs` passes over the images, flipped and shifted. Inputs are the images
    times `scale` plus `offset`.
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
    """So many passes over the images, each time flipped and shifted otherwise."""
    rng = np.random.default_rng(seed)
    steps = epochs * -(-len(images) // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(3e-3, steps, alpha=0.02)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss)
    for _ in range(epochs):
        model.fit(_moved(images, rng), labels, batch_size=BATCH, verbose=0)
    for layer in _normalizations(keras, model):  # moving averages lag behind the weights
        layer.momentum = 0.7
    for start in range(0, len(images) - BATCH + 1, BATCH):
        model(images[start:start + BATCH], training=True)


def _moved(images: Any, rng: np.random.Generator) -> Any:
    """Each image shifted by up to a sixteenth of its size, the border repeated, and half flipped.

    Without that, networks learn the images by heart and amplify any noise.
    """
    most = images.shape[1] // 16
    padded = np.pad(images, ((0, 0), (most, most), (most, most), (0, 0)), mode="edge")
    result = np.empty_like(images)
    for n, (dy, dx) in enumerate(rng.integers(0, 2 * most + 1, (len(images), 2))):
        part = padded[n, dy:dy + images.shape[1], dx:dx + images.shape[2]]
        result[n] = part[:, ::-1] if rng.random() < 0.5 else part
    return result


def _normalizations(keras: Any, model: Any) -> list[Any]:
    return [layer for layer in model.layers
            if isinstance(layer, keras.layers.BatchNormalization)]


if __name__ == "__main__":
    main(job)
