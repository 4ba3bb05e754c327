# SPDX-License-Identifier: MIT
"""A process that compresses and rewrites small Keras networks, and measures what changed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from tests.zoo.jobs import flat, settle
from tinyeff import zoo
from tinyeff.errors import UsageError
from tinyeff.reader.keras_job import load_model
from tinyeff.reader.keras_layers import NAMES, layer_class
from tinyeff.worker import main
from tinyeff.zoo.blocks.residual import Bottleneck
from tinyeff.zoo.builder import Builder
from tinyeff.zoo.keras_model import keras_model

INPUT = (9, 8, 4)


def job(folder: Path, task: dict[str, Any]) -> dict[str, Any]:
    """All measurements, by name."""
    import keras

    keras.utils.set_random_seed(2)
    model = _network()
    rewritten = {
        "remove_residuals": zoo.remove_residuals(model),
        "prune_nothing": zoo.prune_channels(model, 0.0),
        "prune_quarter": zoo.prune_channels(model, 0.25, 2),
        "full_rank": zoo.factorize(model, 1.0),
        "low_rank": zoo.factorize(model, 0.5),
        "rank_1": zoo.factorize(model, rank=1),
        "two_classes": zoo.keep_classes(model, [7, 1]),
    }
    reports = {name: _measured(model, other) for name, other in rewritten.items()}
    reports["kernel_errors"] = {name: _kernel_errors(model, rewritten[name])
                                for name in ("full_rank", "low_rank", "rank_1")}
    reports["exact_low_rank"] = _measured(*_low_rank())
    reports["dead_channels"] = _measured(*_dead_channels())
    reports["errors"] = {name: _refused(model, name) for name in ("fraction", "energy", "classes")}
    for name in NAMES:
        if hasattr(layer_class(name), "plain_weights"):
            reports[name] = _own_layer(name, folder)
    for stride in (1, 2):
        reports[f"pointwise_then_3x3_stride_{stride}"] = _deployed(_in_a_row(stride))
    reports["separable"] = _deployed(_separable())
    reports["resnext"] = _resnext_forms()
    return reports


def _measured(model: Any, other: Any) -> dict[str, Any]:
    x = np.random.default_rng(5).normal(0, 1, (3, *model.input_shape[1:])).astype(np.float32)
    wanted, found = (np.asarray(m(x, training=False)) for m in (model, other))
    return {
        "difference": float(np.abs(wanted - found).max()) if wanted.shape == found.shape else None,
        "largest": float(np.abs(wanted).max()),
        "parameters": [int(m.count_params()) for m in (model, other)],
        "output": list(other.output_shape), "wanted": wanted.tolist(), "found": found.tolist(),
        "layers": Counter(type(layer).__name__ for layer in other.layers),
        "untouched": Counter(type(layer).__name__ for layer in model.layers)["Add"],
    }


def _kernel_errors(model: Any, other: Any) -> dict[str, float]:
    """Layer -> how far its kernel, or the product of the two it became, is from the old one."""
    errors = {}
    for layer in model.layers:
        if type(layer).__name__ not in ("Conv2D", "Dense"):
            continue
        kernel, found = layer.get_weights()[0], other.get_layer(layer.name).get_weights()[0]
        if found.shape != kernel.shape:
            found = other.get_layer(f"{layer.name}_low").get_weights()[0] @ found
        errors[layer.name] = float(np.linalg.norm(found - kernel))
    return errors


def _network() -> Any:
    """Residual blocks, then convolutions, depthwise, pooling and a classifier."""
    import keras

    layers = keras.layers
    start = keras.Input(INPUT)

    def convolved(x: Any, filters: int, size: int, act: bool = True) -> Any:
        x = layers.BatchNormalization()(layers.Conv2D(filters, size, padding="same")(x))
        return layers.ReLU()(x) if act else x

    x = convolved(start, 6, 3)
    for _ in range(2):
        y = convolved(convolved(convolved(x, 5, 3), 5, 3), 6, 1, act=False)
        x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.MaxPooling2D(2)(x)
    x = layers.ReLU()(layers.Add()([x, convolved(x, 6, 3, act=False)]))
    x = convolved(x, 16, 3)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same")(x)))
    x = layers.Activation("relu")(layers.Conv2D(24, 1)(x))
    x = layers.Dense(10)(layers.Dropout(0.1)(layers.GlobalAveragePooling2D()(x)))
    model = keras.Model(start, layers.Softmax()(x))
    settle(model, np.random.default_rng(1).normal(0, 1, (8, *INPUT)).astype(np.float32))
    return model


def _low_rank() -> tuple[Any, Any]:
    """A 1x1 convolution whose kernel has rank 3: two layers compute the same."""
    import keras

    start = keras.Input(INPUT)
    layer = keras.layers.Conv2D(20, 1, activation="relu")
    model = keras.Model(start, layer(keras.layers.Conv2D(24, 3)(start)))
    rng = np.random.default_rng(2)
    kernel = rng.normal(size=(24, 3)) @ rng.normal(size=(3, 20))
    layer.set_weights([kernel[None, None].astype(np.float32), rng.normal(size=20)])
    return model, zoo.factorize(model, 0.999999)


def _dead_channels() -> tuple[Any, Any]:
    """Half of the channels are zero: without them the network computes the same."""
    import keras

    layers = keras.layers
    start = keras.Input(INPUT)
    first = layers.Conv2D(8, 3)
    x = layers.DepthwiseConv2D(3, use_bias=False)(layers.ReLU()(first(start)))
    model = keras.Model(start, layers.Conv2D(5, 1)(x))
    kernel, bias = first.get_weights()
    kernel[..., ::2], bias[::2] = 0, 0
    first.set_weights([kernel, bias])
    return model, zoo.prune_channels(model, 0.5)


def _refused(model: Any, what: str) -> str:
    try:
        if what == "fraction":
            zoo.prune_channels(model, 1.0)
        elif what == "energy":
            zoo.factorize(model, 0.0)
        else:
            zoo.keep_classes(model, [3, 10])
    except UsageError as error:
        return error.message
    return ""


def _deployed(model: Any) -> dict[str, Any]:
    x = np.random.default_rng(1).normal(0, 1, (8, *INPUT)).astype(np.float32)
    settle(model, x)
    plain = zoo.deploy(model)
    wanted, found = (flat(m(x, training=False)) for m in (model, plain))
    return {"difference": float(np.abs(wanted - found).max()),
            "largest": float(np.abs(wanted).max()),
            "layers": [type(layer).__name__ for layer in plain.layers]}


def _own_layer(name: str, folder: Path) -> dict[str, Any]:
    """A layer of ours with random weights, saved, loaded and deployed."""
    import keras

    start = keras.Input(INPUT)
    layer = layer_class(name)(2) if name == "LearnedShift2D" else layer_class(name)(4, 3)
    model = keras.Model(start, keras.layers.ReLU()(keras.layers.BatchNormalization()(layer(start))))
    rng = np.random.default_rng(3)
    layer.set_weights([rng.normal(0, 0.5, w.shape) for w in layer.get_weights()])
    model.save(folder / "own.keras")
    return _deployed(load_model(folder / "own.keras", folder))


def _resnext_forms() -> dict[str, dict[str, float]]:
    """ResNeXt's block in its three forms with the same weights: parameters and difference."""
    forms, groups = {}, 4
    for form in ("grouped", "concatenated", "summed"):
        net = Builder((6, 7, 16), 1, "relu")
        Bottleneck(24, mid=8, groups=groups, form=form, s=2).apply(net, net.input)
        forms[form] = keras_model(net.network(form), seed=1)
    x = np.random.default_rng(4).normal(0, 1, (8, 6, 7, 16)).astype(np.float32)
    grouped = forms["grouped"]
    settle(grouped, x)
    wanted = np.asarray(grouped(x, training=False))
    reports = {}
    for form, model in forms.items():
        if form != "grouped":
            _spread(grouped, model, groups, form == "summed")
        found = np.asarray(model(x, training=False))
        reports[form] = {
            "parameters": sum(int(np.prod(v.shape)) for v in model.trainable_variables),
            "difference": float(np.abs(found - wanted).max()),
            "largest": float(np.abs(wanted).max())}
    return reports


def _spread(grouped: Any, model: Any, groups: int, summed: bool) -> None:
    """Give the paths of `model` the weights of the grouped convolutions' groups."""
    def numbered(of: Any, kind: str) -> list[Any]:
        found = [x for x in of.layers if x.name.startswith(kind)]
        return sorted(found, key=lambda x: int(x.name.rsplit("_", 1)[1]))

    kinds = ("conv", "norm")
    layers = {kind: numbered(model, kind) for kind in kinds}
    old = {kind: [x.get_weights() for x in numbered(grouped, kind)] for kind in kinds}
    for path in range(groups):
        for place in range(2):
            share = np.array_split(np.arange(8), groups)[path]
            kernel, = old["conv"][place]
            layers["conv"][2 * path + place].set_weights([kernel[..., share]])
            layers["norm"][2 * path + place].set_weights(
                [w[share] for w in old["norm"][place]])
    kernel, = old["conv"][2]
    shares = np.array_split(kernel, groups, 2) if summed else [kernel]
    for layer, share in zip(layers["conv"][2 * groups:], (*shares, old["conv"][3][0]), strict=True):
        layer.set_weights([share])
    for layer, weights in zip(layers["norm"][2 * groups:], old["norm"][2:], strict=True):
        layer.set_weights(weights)


def _in_a_row(stride: int) -> Any:
    """ExpandNet's three convolutions, and a skip around them that can be joined too."""
    import keras

    layers = keras.layers
    start = keras.Input(INPUT)
    x = layers.ZeroPadding2D(1)(start)
    x = layers.Conv2D(12, 1)(x)
    x = layers.Conv2D(16, 3, stride)(x)
    x = layers.Conv2D(4, 1)(x)
    y = layers.Conv2D(4, 1, stride, use_bias=False)(start)
    return keras.Model(start, layers.ReLU()(layers.Add()([x, layers.BatchNormalization()(y)])))


def _separable() -> Any:
    """Depthwise and 1x1 with nothing between, and a residual: one convolution would cost more."""
    import keras

    layers = keras.layers
    start = keras.Input(INPUT)
    x = layers.Conv2D(4, 1)(layers.DepthwiseConv2D(5, padding="same")(start))
    return keras.Model(start, layers.ReLU()(layers.Add()([start, layers.BatchNormalization()(x)])))


if __name__ == "__main__":
    main(job)
