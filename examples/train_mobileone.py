# SPDX-License-Identifier: MIT
"""From an architecture to a microcontroller: MobileOne on CIFAR-10, in one go.

    python examples/train_mobileone.py                                 downloads CIFAR-10 (170 MB)
    python examples/train_mobileone.py --train a.npz --test b.npz --teacher resnet.h5

Trains a small MobileOne in branches, taught by a larger network; joins its branches; trains the
plain network a little more; quantizes it; plans its memory; and runs it on an emulated Cortex-M4.

Needs `pip install "tinyeff[keras,emulator]"`, a C compiler and arm-none-eabi-gcc (or the extra
`toolchain`). Data files hold `images`, uint8 of (count, 32, 32, 3), and `labels`. Without a teacher
(any Keras classifier of such images, values 0 to 255) a larger MobileOne is trained first.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import tinyeff
from tinyeff import zoo
from tinyeff.simulator.emulator import emulate
from tinyeff.targets import target_for

Array = npt.NDArray[Any]
SMALL = replace(zoo.architecture("mobileone_s1"), name="small_mobileone", depth=0.3)
"""MobileOne S1 with a third of its blocks."""
WIDTH, TEACHER_WIDTH = 0.25, 1.0
CLASSES = 10
BATCH = 64
CALIBRATION_IMAGES = 100
SHIFT = 4
"""Images are moved by up to so many pixels when training, and mirrored."""


@dataclass(frozen=True)
class Data:
    """Images of values 0 to 255, float32 (count, 32, 32, 3), and class numbers (count,)."""

    images: Array
    labels: Array


def load(path: str | None, count: int | None, test: bool) -> Data:
    """The first `count` images of a file, or of CIFAR-10 itself."""
    if path is None:
        from keras.datasets import cifar10

        images, labels = cifar10.load_data()[test]
    else:
        with np.load(path) as file:
            images, labels = file["images"], file["labels"]
    return Data(images[:count].astype(np.float32), labels.reshape(-1)[:count].astype(np.int64))


def augmented(data: Data, copies: int, seed: int) -> Data:
    """`copies` of each image, moved and mirrored at random."""
    rng = np.random.default_rng(seed)
    size = data.images.shape[1]
    padded = np.pad(data.images, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)), "reflect")
    images = []
    for _ in range(copies):
        for image in padded:
            y, x = rng.integers(0, 2 * SHIFT + 1, 2)
            part = image[y:y + size, x:x + size]
            images.append(part[:, ::-1] if rng.random() < 0.5 else part)
    return Data(np.stack(images), np.tile(data.labels, copies))


def train_teacher(data: Data, epochs: int) -> Any:
    """A larger network, trained on labels alone."""
    import keras

    teacher = zoo.build(SMALL, TEACHER_WIDTH, resolution=32, classes=CLASSES, seed=0)
    teacher.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                    metrics=["accuracy"], jit_compile=False)
    teacher.fit(data.images, data.labels, BATCH, epochs, verbose=2)
    return teacher


def accuracy(scores: Array, data: Data) -> str:
    """Right answers, for people."""
    right = int((scores.reshape(len(data.labels), -1).argmax(1) == data.labels).sum())
    return f"{right} of {len(data.labels)} right ({right / len(data.labels):.1%})"


def train(data: Data, teacher: Any, epochs: int, fine_epochs: int) -> tuple[Any, Any]:
    """The trained network of branches, and the plain one made of it."""
    # Values 0 to 255 go in as they are: batch normalization behind the first convolution scales.
    student = zoo.build(SMALL, WIDTH, resolution=32, classes=CLASSES, seed=1)
    trainer = zoo.distiller(student, teacher, temperature=4.0)
    # Compiling so many small layers for a few images takes longer than it saves.
    trainer.compile("adam", metrics=["accuracy"], jit_compile=False)
    trainer.fit(data.images, data.labels, BATCH, epochs, verbose=2)
    plain = zoo.fine_tune(student, data.images, data.labels, batch_size=BATCH, epochs=fine_epochs,
                          verbose=2)
    return student, plain


def show_plan(name: str, model: Any, folder: Path) -> tinyeff.Graph:
    """Save a Keras model, and print what it would need on a Cortex-M4; returns its graph."""
    file = folder / f"{name}.keras"
    model.save(file)
    graph = tinyeff.simplify(tinyeff.read(file))
    target = target_for("cortex-m4")
    selected = tinyeff.select(graph, target)
    for strategy in ("per-layer", "stream"):
        plan = tinyeff.plan(selected, target, tinyeff.Limits(strategy=strategy))
        print(f"{name + ',':10} {strategy + ':':10} {plan.arena_bytes:7,} bytes of SRAM, "
              f"{plan.macs:,} multiply-accumulates")
    return graph


def deploy(graph: tinyeff.Graph, data: Data, test: Data) -> bool:
    """Quantize, generate, run on this machine and emulated; True where the two agree."""
    graph = tinyeff.simplify(tinyeff.quantize(graph, (data.images[:CALIBRATION_IMAGES, None],)))
    target = target_for("cortex-m4")
    selected = tinyeff.select(graph, target)
    program = tinyeff.lower(selected, tinyeff.plan(selected, target, tinyeff.Limits()))
    quant = graph.tensors[graph.inputs[0]].quant
    assert quant is not None
    images = np.rint(test.images / quant.scale) + quant.zero_point
    inputs = np.clip(images, -128, 127).astype(np.int8)[:, None]
    scores = tinyeff.simulate(program, (inputs,))[0]
    print(f"int8:     {accuracy(scores, test)}")
    result = emulate(tinyeff.emit(program, tinyeff.EmitOptions("mobileone")), [inputs[0]],
                     "cortex-m4")
    same = bool(result.outputs[0] == scores[0].tobytes())
    print(f"emulated Cortex-M4: {result.instructions:,} instructions, arena "
          f"{result.arena_bytes:,} bytes, output {'as' if same else 'NOT as'} on this machine")
    return same


def main() -> int:
    """Take the whole way; 0 where the emulated code computed what it should."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--train", metavar="FILE", help="training images (.npz); else CIFAR-10")
    parser.add_argument("--test", metavar="FILE", help="test images (.npz); else CIFAR-10's")
    parser.add_argument("--teacher", metavar="FILE", help="a trained Keras classifier")
    parser.add_argument("--images", type=int, metavar="N", help="at most so many images")
    parser.add_argument("--copies", type=int, default=4, metavar="N",
                        help="moved and mirrored copies of each training image")
    parser.add_argument("--epochs", type=int, default=20, metavar="N")
    options = parser.parse_args()

    import keras

    keras.utils.set_random_seed(0)
    data = augmented(load(options.train, options.images, False), options.copies, 0)
    test = load(options.test, options.images, True)
    teacher = (train_teacher(data, options.epochs) if options.teacher is None
               else keras.saving.load_model(options.teacher, compile=False))
    student, plain = train(data, teacher, options.epochs, max(1, options.epochs // 5))
    for name, model in (("teacher", teacher), ("student", student), ("plain", plain)):
        print(f"{name + ':':9} {accuracy(np.asarray(model.predict(test.images, verbose=0)), test)}")
    with tempfile.TemporaryDirectory() as folder:
        show_plan("student", student, Path(folder))
        graph = show_plan("plain", plain, Path(folder))
    return 0 if deploy(graph, data, test) else 1


if __name__ == "__main__":
    raise SystemExit(main())
