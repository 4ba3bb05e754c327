# SPDX-License-Identifier: MIT
"""Makes the example: a small network that tells six shapes apart, and images to try it on.

    python examples/make_example_model.py                     the files beside this script
    python examples/make_example_model.py --keras shapes.h5   the trained Keras model as well

Needs `pip install "tinyeff[keras]"`. Images are drawn, not downloaded, and every random number
has a seed: the same machine and versions give the same files.

The network is a small MobileNet: a strided convolution, four depthwise separable blocks (one with
a residual), a global average, a dense layer and a softmax. It takes grey values from 0 to 255.
A second one, shapes_exits_int8.tflite, has one more head halfway, for early exits.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

FOLDER = Path(__file__).resolve().parent
SIZE = 32
LABELS = ("disc", "ring", "square", "triangle", "cross", "star")
EVAL_IMAGES, EVAL_SEED = 144, 1
TRAIN_IMAGES, TRAIN_SEED = 9000, 2
CALIBRATION_IMAGES = 200
EPOCHS, BATCH = 24, 64
LEVELS = 16
"""Grey levels of an image: few, so that the file of images stays small."""

Images = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


def distance(label: str, u: Floats, v: Floats) -> Floats:
    """How far (u, v) lies outside the shape of radius 1, roughly; negative inside."""
    radius = np.hypot(u, v)
    bars = [np.maximum(np.abs(a) - 0.95, np.abs(b) - 0.25) for a, b in ((u, v), (v, u))]
    outside: dict[str, Floats] = {
        "disc": radius - 0.9,
        "ring": np.abs(radius - 0.75) - 0.2,
        "square": np.maximum(np.abs(u), np.abs(v)) - 0.75,
        "triangle": np.maximum(-v, np.abs(u) * 0.866 + v * 0.5) - 0.5,
        "cross": np.minimum(bars[0], bars[1]),
        "star": radius - (0.7 + 0.3 * np.cos(5 * np.arctan2(v, u))),
    }
    return outside[label]


def draw(rng: np.random.Generator, label: str) -> Images:
    """One image, (32, 32, 1): the shape in any size, place, angle and contrast, with noise."""
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    radius = rng.uniform(6.0, 13.0)
    room = (SIZE / 2 - radius) * 0.8
    x, y = x - rng.uniform(-room, room), y - rng.uniform(-room, room)
    angle = rng.uniform(0, 2 * np.pi)
    u = (np.cos(angle) * x + np.sin(angle) * y) / radius
    v = (np.cos(angle) * y - np.sin(angle) * x) / radius
    coverage = np.clip(0.5 - distance(label, u, v) * radius, 0, 1)
    contrast = rng.uniform(50, 180) * rng.choice([-1, 1])
    background = rng.uniform(max(0, -contrast), min(255, 255 - contrast))
    grey = background + contrast * coverage + rng.normal(0, rng.uniform(4, 30), coverage.shape)
    step = 255 / (LEVELS - 1)
    levels = np.round(np.clip(grey, 0, 255) / step) * step
    image: Images = levels.astype(np.uint8)[..., np.newaxis]
    return image


def make_images(seed: int, count: int) -> tuple[Images, npt.NDArray[np.int64]]:
    """(images, labels): (count, 32, 32, 1) and (count,), the classes taking turns."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % len(LABELS)
    return np.stack([draw(rng, LABELS[label]) for label in labels]), labels


def build_network(keras: Any, batch: int | None, early: bool = False) -> Any:
    """The float network; images in (batch, 32, 32, 1), class probabilities out.

    With `early` there is a first output of probabilities behind the second block.
    """
    layers = keras.layers

    def block(x: Any, channels: int, stride: int = 1) -> Any:
        skip = x
        x = layers.DepthwiseConv2D(3, stride, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.Conv2D(channels, 1, use_bias=False)(x)
        x = layers.BatchNormalization()(x)
        return layers.Add()([skip, x]) if skip.shape == x.shape else layers.ReLU()(x)

    image = layers.Input(batch_shape=(batch, SIZE, SIZE, 1), name="image")
    x = layers.Conv2D(8, 3, 2, padding="same", use_bias=False, name="stem")(image)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = block(x, 16)
    x = block(x, 24, stride=2)
    heads = [("early", x)] if early else []
    x = block(x, 24)
    heads.append(("shape", block(x, 48, stride=2)))
    outputs = [layers.Dense(len(LABELS), activation="softmax", name=name)(
        layers.GlobalAveragePooling2D()(end)) for name, end in heads]
    return keras.Model(image, outputs if early else outputs[0])


def train(keras: Any, early: bool = False) -> Any:
    """The trained network, for one image at a time; all heads learn together."""
    keras.utils.set_random_seed(TRAIN_SEED)
    model = build_network(keras, None, early)
    images, labels = make_images(TRAIN_SEED, TRAIN_IMAGES)
    steps = EPOCHS * TRAIN_IMAGES // BATCH
    rate = keras.optimizers.schedules.CosineDecay(4e-3, steps)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy",
                  metrics=["accuracy", "accuracy"] if early else ["accuracy"])
    model.fit(images / np.float32(255), [labels, labels] if early else labels, BATCH, EPOCHS,
              verbose=2)
    fixed = build_network(keras, 1, early)
    fixed.set_weights(model.get_weights())
    # It learned on 0 to 1 and shall take 0 to 255: the stem has no bias, so its weights absorb it.
    stem = fixed.get_layer("stem")
    stem.set_weights([stem.get_weights()[0] / np.float32(255)])
    return fixed


def quantized(tf: Any, model: Any) -> bytes:
    """The int8 flatbuffer that TensorFlow's converter makes of the network."""
    images, _ = make_images(TRAIN_SEED + 1, CALIBRATION_IMAGES)

    def samples() -> Iterator[list[npt.NDArray[np.float32]]]:
        for image in images:
            yield [image[np.newaxis].astype(np.float32)]

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def main() -> None:
    """Write the model, the images to evaluate it on, one image alone, and the labels."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder of the files")
    parser.add_argument("--keras", type=Path, help="write the trained Keras model here as well")
    arguments = parser.parse_args()

    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    model = train(tf.keras)
    images, labels = make_images(EVAL_SEED, EVAL_IMAGES)
    right = model.predict(images.astype(np.float32), batch_size=1, verbose=0).argmax(1) == labels
    print(f"float network: {right.sum()} of {len(labels)} right")
    if arguments.keras:
        model.save(arguments.keras)
    (arguments.output / "shapes_int8.tflite").write_bytes(quantized(tf, model))
    exits = quantized(tf, train(tf.keras, early=True))
    (arguments.output / "shapes_exits_int8.tflite").write_bytes(exits)
    np.savez_compressed(arguments.output / "shapes_eval.npz", x=images,
                        labels=labels.astype(np.int8))
    np.save(arguments.output / "triangle.npy", images[LABELS.index("triangle")])
    (arguments.output / "shapes_labels.txt").write_text("\n".join(LABELS) + "\n", newline="\n")


if __name__ == "__main__":
    main()
