# SPDX-License-Identifier: MIT
"""The example is what its script makes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from examples import make_example_model as script
from tests.golden_files import EXAMPLES
from tests.shared import needs
from tinyeff.simulator.litert import Reference

MODEL = EXAMPLES / "shapes_int8.tflite"
MAX_BYTES = 60_000


def right_answers(model: Path) -> int:
    """How many of the evaluation images LiteRT's reference kernels classify right."""
    data = np.load(EXAMPLES / "shapes_eval.npz")
    reference = Reference(model.read_bytes())
    right = 0
    for image, label in zip(data["x"], data["labels"], strict=True):
        reference.run(((image[np.newaxis].astype(np.int16) - 128).astype(np.int8),))
        right += int(reference.tensor(reference.outputs[0]["index"]).argmax() == label)
    return right


def test_images_are_those_that_the_script_draws() -> None:
    data = np.load(EXAMPLES / "shapes_eval.npz")
    images, labels = script.make_images(script.EVAL_SEED, script.EVAL_IMAGES)
    np.testing.assert_array_equal(data["labels"], labels)
    # Drawing goes through sine and cosine, which differ in the last bit between machines.
    assert np.mean(data["x"] != images) < 0.001


def test_one_image_alone_is_a_triangle() -> None:
    data = np.load(EXAMPLES / "shapes_eval.npz")
    image = np.load(EXAMPLES / "triangle.npy")
    assert script.LABELS[data["labels"][3]] == "triangle"
    np.testing.assert_array_equal(image, data["x"][3])


def test_labels_are_those_of_the_script() -> None:
    text = (EXAMPLES / "shapes_labels.txt").read_text(encoding="utf-8")
    assert tuple(text.split()) == script.LABELS


def test_files_are_small_enough_for_the_repository() -> None:
    for name in ("shapes_int8.tflite", "shapes_exits_int8.tflite", "shapes_eval.npz"):
        assert (EXAMPLES / name).stat().st_size <= MAX_BYTES


def test_model_takes_grey_values_as_they_are() -> None:
    detail = Reference(MODEL.read_bytes()).inputs[0]
    assert detail["quantization"] == (1.0, -128)


def test_model_tells_shapes_apart() -> None:
    assert right_answers(MODEL) == 135


@pytest.mark.all
def test_script_makes_a_model_as_good(tmp_path: Path) -> None:
    needs("tensorflow")
    subprocess.run([sys.executable, script.__file__, "--output", str(tmp_path)], check=True)
    # Training differs between machines and versions, its outcome only a little.
    assert right_answers(tmp_path / MODEL.name) >= 126
