# SPDX-License-Identifier: MIT
"""A process that deploys small branched networks of every kind and measures what changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.zoo.jobs import flat, settle
from tinyeff import zoo
from tinyeff.reader.keras_job import load_model
from tinyeff.worker import main
from tinyeff.zoo.blocks.branched import branched
from tinyeff.zoo.builder import Builder
from tinyeff.zoo.keras_model import keras_model

CHANNELS = 16


def job(folder: Path, task: dict[str, Any]) -> dict[str, Any]:
    """Run all of task["blocks"], and the models that are written by hand."""
    from keras import layers

    reports = {name: _measured(_block(**kind), folder) for name, kind in task["blocks"].items()}
    by_hand = {"zero_padding": _zero_padding, "sequential": _sequential, "shared": _shared,
               "not_linear": _not_linear, "difference": _difference,
               "transition": _transition}
    return {**reports, **{name: _measured(make(layers), folder) for name, make in by_hand.items()}}


def _block(size: int, stride: int, groups: int, identity: bool, branches: int, kernel: int) -> Any:
    """One branched block between two activations, so that nothing around it is linear."""
    net = Builder((size, size, CHANNELS), 1, "relu")
    x = net.act(net.input)
    filters = None if groups == CHANNELS else CHANNELS if identity else 2 * CHANNELS
    x = branched(net, x, filters, kernel, stride, groups, branches)
    return keras_model(net.network("block"), seed=3)


def _zero_padding(layers: Any) -> Any:
    """A branch that pads for itself, as networks from PyTorch do: 1x1 and 3x3 with stride 2."""
    import keras

    x = keras.Input((8, 8, 4))
    a = layers.Conv2D(6, 3, 2, "valid", use_bias=False)(layers.ZeroPadding2D(1)(x))
    b = layers.Conv2D(6, 1, 2, "valid")(x)
    y = layers.Add()([layers.BatchNormalization()(a), layers.BatchNormalization()(b)])
    return keras.Model(x, layers.ReLU()(y))


def _sequential(layers: Any) -> Any:
    import keras

    return keras.Sequential([
        keras.Input((6, 6, 3)), layers.Conv2D(4, (3, 2), use_bias=False),
        layers.BatchNormalization(scale=False), layers.ReLU(), layers.Flatten(),
        layers.Dense(5), layers.BatchNormalization(center=False)])


def _shared(layers: Any) -> Any:
    """What is read twice must stay: the normalized map, and the sum of it with itself."""
    import keras

    x = keras.Input((6, 6, 3))
    y = layers.BatchNormalization()(layers.Conv2D(3, 3, padding="same")(x))
    z = layers.Add()([y, layers.BatchNormalization()(layers.Conv2D(3, 1)(y))])
    return keras.Model(x, [z, layers.ReLU()(y)])


def _not_linear(layers: Any) -> Any:
    """A sum over an activation, a residual connection and a normalization behind a ReLU."""
    import keras

    x = keras.Input((6, 6, 4))
    y = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    y = layers.BatchNormalization()(y)
    return keras.Model(x, layers.Add()([x, y]))


def _difference(layers: Any) -> Any:
    """FastViT's mixer: branches less the normalized map, scaled, added to the map itself."""
    import keras

    x = keras.Input((6, 6, 4))
    y = layers.ReLU()(x)
    branches = [layers.BatchNormalization()(layers.DepthwiseConv2D(k, padding="same")(y))
                for k in (3, 1)]
    mixed = layers.Add()([*branches, layers.BatchNormalization()(y)])
    mixed = layers.Subtract()([mixed, layers.BatchNormalization()(y)])
    start = keras.initializers.Constant(0.5)
    scaled = layers.DepthwiseConv2D(1, use_bias=False, depthwise_initializer=start)(mixed)
    return keras.Model(x, layers.ReLU()(layers.Add()([y, scaled])))


def _transition(layers: Any) -> Any:
    """DenseNet's: a 1x1 convolution, then means of windows."""
    import keras

    x = keras.Input((6, 6, 4))
    y = layers.Conv2D(4, 1, use_bias=False)(layers.ReLU()(x))
    return keras.Model(x, layers.ReLU()(layers.AveragePooling2D(2)(y)))


def _measured(model: Any, folder: Path) -> dict[str, Any]:
    """Deploy the model and the same model loaded from a file; count layers, compare outputs."""
    rng = np.random.default_rng(5)
    x = rng.normal(0, 1, (4, *model.input_shape[1:])).astype(np.float32)
    settle(model, x)
    model.save(folder / "trained.keras")
    loaded = load_model(folder / "trained.keras", folder)
    plain = zoo.deploy(loaded)
    wanted, found = (flat(m(x, training=False)) for m in (model, plain))
    return {"difference": float(np.abs(wanted - found).max()),
            "largest": float(np.abs(wanted).max()),
            "before": [type(layer).__name__ for layer in model.layers],
            "after": [type(layer).__name__ for layer in plain.layers],
            "names": [[t.name for t in m.inputs] for m in (model, plain)]}


if __name__ == "__main__":
    main(job)
