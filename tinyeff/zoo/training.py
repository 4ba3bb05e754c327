# SPDX-License-Identifier: MIT
"""From an architecture to a trained model, on Keras' own training loop.

    student = zoo.build("mobileone_s0", width=0.5, resolution=32, classes=10)
    trainer = zoo.distiller(student, teacher, temperature=4.0)
    trainer.compile("adam", metrics=["accuracy"], jit_compile=False)
    trainer.fit(images, labels, epochs=10)          # trains `student`
    plain = zoo.fine_tune(student, images, labels)  # deployed, then trained a little more
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyeff.errors import UsageError
from tinyeff.ir import Array
from tinyeff.zoo.keras_model import keras_module
from tinyeff.zoo.reparameterization import deploy


def soften(logits: Array, temperature: float) -> Array:
    """Probabilities of logits (..., classes) at a temperature: softmax(logits / temperature).

    >>> import numpy as np
    >>> soften(np.array([100.0, 10.0, 1.0]), 100.0).round(4).tolist()
    [0.5624, 0.2286, 0.209]
    """
    scaled = np.asarray(logits, np.float64) / temperature
    powers = np.exp(scaled - scaled.max(-1, keepdims=True))
    result: Array = powers / powers.sum(-1, keepdims=True)
    return result


def ends_in_softmax(model: Any) -> bool:
    """True where a model's outputs are probabilities, by its last layer."""
    last = model.layers[-1]
    return type(last).__name__ == "Softmax" or getattr(
        getattr(last, "activation", None), "__name__", "") == "softmax"


def distiller(
    student: Any, teacher: Any, temperature: float = 4.0, weight: float = 1.0,
) -> Any:
    """A keras.Model whose `fit` trains `student` to be right and to resemble `teacher`.

    The loss is H(labels, student) + weight * temperature**2 * H(teacher, student), the second of
    both outputs softened by the temperature (Hinton et al. 2015); the square keeps its gradients
    as large as those of the first. Labels are class numbers. Both models take the same inputs;
    each may end in logits or in a softmax. `teacher` is not trained. Compile the result without a
    loss.

    Raises UsageError where the outputs differ in shape or a number makes no sense.
    """
    keras = keras_module()
    if temperature <= 0 or weight < 0:
        raise UsageError(f"temperature {temperature:g} must be above 0, weight {weight:g} not "
                         "below 0")
    if tuple(student.output_shape) != tuple(teacher.output_shape):
        raise UsageError(f"the student's output is {student.output_shape[1:]}, the teacher's "
                         f"{teacher.output_shape[1:]}; they must have the same classes")
    ops = keras.ops
    base: Any = keras.Model

    def logits(model: Any, outputs: Any) -> Any:
        if not ends_in_softmax(model):
            return outputs
        return ops.log(ops.clip(outputs, 1e-7, 1.0))  # logits but for a constant

    class Distiller(base):  # type: ignore[misc]
        """Trains `student`; calling it is calling the student."""

        def __init__(self) -> None:
            super().__init__(name=f"{student.name}_distiller")
            self.student = student

        def call(self, inputs: Any, training: Any = None) -> Any:
            return self.student(inputs, training=training)

        def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None,
                         sample_weight: Any = None, training: bool = True) -> Any:
            theirs = ops.softmax(logits(teacher, teacher(x, training=False)) / temperature)
            ours = logits(student, y_pred)
            hard = keras.losses.sparse_categorical_crossentropy(y, ours, from_logits=True)
            soft = -ops.sum(theirs * ops.log_softmax(ours / temperature), axis=-1)
            each = hard + weight * temperature ** 2 * soft
            if sample_weight is not None:
                each = each * sample_weight
            return ops.mean(each)

    return Distiller()


def fine_tune(
    model: Any, x: Any, y: Any = None, learning_rate: float = 1e-4, **fit: Any,
) -> Any:
    """The deployed form of `model`, trained a little more on (x, y) with class numbers as labels.

    Deployment moves no output, but a plain network can be trained on for the data it will see.
    `fit` goes to Keras' `fit` (epochs, batch_size, validation_data, ...). `model` stays as it is.
    """
    keras = keras_module()
    plain = deploy(model)
    plain.compile(optimizer=keras.optimizers.SGD(learning_rate, momentum=0.9),
                  loss=keras.losses.SparseCategoricalCrossentropy(
                      from_logits=not ends_in_softmax(plain)),
                  metrics=["accuracy"], jit_compile=False)
    plain.fit(x, y, **fit)
    return plain
