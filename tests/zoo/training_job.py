# SPDX-License-Identifier: MIT
"""A process that trains: distillation, and fine-tuning after deployment, on random data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tinyeff import zoo
from tinyeff.errors import UsageError
from tinyeff.reader.keras_layers import layer_class
from tinyeff.worker import main
from tinyeff.zoo.training import ends_in_softmax

TEMPERATURE, WEIGHT = 3.0, 0.5


def job(folder: Path, task: dict[str, Any]) -> dict[str, Any]:
    """What the helpers computed, beside what numpy says."""
    import keras

    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (16, 8, 8, 3)).astype(np.float32)
    y = rng.integers(0, 5, 16)
    student, teacher = _network(keras, "none"), _network(keras, "softmax")
    trainer = zoo.distiller(student, teacher, TEMPERATURE, WEIGHT)
    trainer.compile(keras.optimizers.SGD(0.05), jit_compile=False)
    expected = _loss(np.asarray(student(x)), np.log(np.asarray(teacher(x))), y)
    found = float(trainer.evaluate(x, y, batch_size=16, verbose=0))
    frozen = [np.array(w) for w in teacher.get_weights()]
    before = [np.array(w) for w in student.get_weights()]
    losses = trainer.fit(x, y, batch_size=16, epochs=12, verbose=0).history["loss"]
    settled = [np.array(w) for w in student.get_weights()]
    plain = zoo.fine_tune(student, x, y, epochs=2, batch_size=8, verbose=0)
    try:
        zoo.distiller(student, _network(keras, "none", 4))
        refused = ""
    except UsageError as error:
        refused = error.message
    return {
        "expected": expected, "found": found, "losses": [float(v) for v in losses],
        "teacher_moved": not _same(frozen, teacher.get_weights()),
        "student_moved": not _same(before, settled),
        "student_moved_by_fine_tuning": not _same(settled, student.get_weights()),
        "plain": [type(layer).__name__ for layer in plain.layers],
        "adder": _adder(),
        "shift": {str(rounded): _shift(keras, rounded) for rounded in (False, True)},
        "gradient_multiplier": _as_if_branched(keras),
        "softmax": [ends_in_softmax(student), ends_in_softmax(teacher)], "refused": refused,
    }


def _network(keras: Any, last: str, classes: int = 5) -> Any:
    layers = keras.layers
    return keras.Sequential([
        keras.Input((8, 8, 3)), layers.Conv2D(8, 3, use_bias=False), layers.BatchNormalization(),
        layers.ReLU(), layers.GlobalAveragePooling2D(),
        layers.Dense(classes, activation=None if last == "none" else last)])


def _loss(ours: Any, theirs: Any, y: Any) -> float:
    """H(y, Ps) + weight * T**2 * H(Pt at T, Ps at T), the mean over samples."""
    hard = -np.log(zoo.soften(ours, 1.0))[np.arange(len(y)), y]
    soft = -(zoo.soften(theirs, TEMPERATURE) * np.log(zoo.soften(ours, TEMPERATURE))).sum(-1)
    return float((hard + WEIGHT * TEMPERATURE ** 2 * soft).mean())


def _adder() -> dict[str, float]:
    """An adder layer: how far its output and gradients are from the equations of the paper."""
    import tensorflow as tf

    rng = np.random.default_rng(9)
    x = rng.normal(0, 1, (2, 3, 3, 2)).astype(np.float32)
    layer = layer_class("AdderConv2D")(4, 3, padding="valid")
    layer(x)
    kernel = rng.normal(0, 1, (4, 18)).astype(np.float32)
    layer.set_weights([kernel])
    apart = x.reshape(2, 1, 18) - kernel  # the window is the whole image
    inputs = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        y = layer(inputs, training=True)
    to_kernel, to_inputs = tape.gradient(y, [layer.kernel, inputs])
    wanted = -np.abs(apart).sum(-1)
    pairs = {"output": (np.asarray(layer(x)).reshape(2, 4), wanted),
             "trained_output": (np.asarray(y).reshape(2, 4), wanted),
             "kernel_gradient": (np.asarray(to_kernel), apart.sum(0)),
             "input_gradient": (np.asarray(to_inputs).reshape(2, 18),
                                np.clip(-apart, -1, 1).sum(1))}
    return {name: float(np.abs(a - b).max()) for name, (a, b) in pairs.items()}


def _shift(keras: Any, rounded: bool) -> dict[str, Any]:
    """A shift layer that is shown waves and the same waves moved: the offsets that it finds."""
    expected = np.array([[1, 0], [0, -1], [-1, 1], [0, 0]])
    rng = np.random.default_rng(11)
    slopes, phases = rng.uniform(-0.6, 0.6, (2, 16, 4)), rng.uniform(0, 6, (16, 1, 1, 4))
    rows, columns = (np.arange(-1, 11)[None, :, None, None] * slopes[0, :, None, None],
                     np.arange(-1, 11)[None, None, :, None] * slopes[1, :, None, None])
    wide = np.zeros((16, 12, 12, 4))
    wide[:, 1:-1, 1:-1] = np.sin(rows + columns + phases)[:, 1:-1, 1:-1]
    moved = np.stack([wide[:, 1 + r:11 + r, 1 + c:11 + c, i]
                      for i, (r, c) in enumerate(expected)], -1)
    layer = layer_class("LearnedShift2D")(1, rounded)
    model = keras.Sequential([keras.Input((10, 10, 4)), layer])
    layer.set_weights([np.where(expected, 0.1 * expected, 0.4)])
    model.compile(keras.optimizers.Adam(0.03), "mse", jit_compile=False)
    model.fit(wide[:, 1:-1, 1:-1], moved, batch_size=16, epochs=120, verbose=0)
    offsets = np.asarray(layer.offsets)
    return {"loss": float(model.evaluate(wide[:, 1:-1, 1:-1], moved, verbose=0)),
            "offsets": (np.round(offsets) if rounded else offsets).reshape(-1).tolist(),
            "expected": expected.reshape(-1).tolist()}


def _as_if_branched(keras: Any) -> dict[str, float]:
    """Scaled branches and one convolution, trained alike: how far their outputs are apart."""
    layers = keras.layers
    rng = np.random.default_rng(7)
    start = keras.Input((6, 6, 4))
    wide = layers.Conv2D(4, 3, padding="same", use_bias=False)(start)
    point = layers.Conv2D(4, 1, use_bias=False)(start)
    factors = [layers.DepthwiseConv2D(1, use_bias=False, trainable=i == 2) for i in range(3)]
    total = layers.Add()([f(x) for f, x in zip(factors, (wide, point, start), strict=True)])
    branched = keras.Model(start, layers.Flatten()(total))
    for factor in factors:
        factor.set_weights([rng.uniform(0.5, 1.5, (1, 1, 4, 1))])
    joined = next(x.get_weights()[0] for x in zoo.deploy(branched).layers if x.get_weights())
    x, y = rng.normal(0, 1, (8, 6, 6, 4)), rng.normal(0, 1, (8, 144))

    def trained(model: Any, optimizer: Any) -> Any:
        model.compile(optimizer, "mse", jit_compile=False)
        model.fit(x, y, batch_size=4, epochs=4, shuffle=False, verbose=0)
        return np.asarray(model(x))

    def plain(scales: Any) -> Any:
        layer = layers.Conv2D(4, 3, padding="same", use_bias=False)
        model = keras.Model(start, layers.Flatten()(layer(start)))
        optimizer = keras.optimizers.SGD(0.5, 0.9)
        if scales is not None:
            optimizer = zoo.as_if_branched(model, optimizer, scales)
        layer.set_weights([joined])
        return trained(model, optimizer)

    alike, otherwise = plain(zoo.branch_scales(branched)), plain(None)
    first = np.asarray(branched(x))
    wanted = trained(branched, keras.optimizers.SGD(0.5, 0.9))
    return {name: float(np.abs(values - wanted).max())
            for name, values in (("with", alike), ("without", otherwise), ("untrained", first))}


def _same(a: list[Any], b: list[Any]) -> bool:
    return all(np.array_equal(u, v) for u, v in zip(a, b, strict=True))


if __name__ == "__main__":
    main(job)
