# SPDX-License-Identifier: MIT
"""Networks of keras.applications from Keras file to C: converted, quantized, planned, exact."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from tests.shared import CHECKOUT, needs
from tinyeff.data import random_inputs
from tinyeff.ir import Graph, Limits, Target
from tinyeff.pipeline import compile_graph, quantize, read, simplify, verify
from tinyeff.reader import check_supported

NETWORKS = {  # and the size of the image
    "MobileNet": 64, "MobileNetV2": 64, "MobileNetV3Small": 64, "MobileNetV3Large": 64,
    "EfficientNetB0": 64, "DenseNet121": 64, "NASNetMobile": 64, "ResNet50V2": 64, "Xception": 71,
}

IN_MAKE_TEST = (("MobileNet", "stream"),)
CASES = [pytest.param(n, s, marks=pytest.mark.slow if (n, s) in IN_MAKE_TEST else pytest.mark.all)
         for n in NETWORKS for s in ("per-layer", "stream", "patch")]


@cache
def quantized(name: str) -> Graph:
    """The int8 graph, calibrated with random images."""
    with TemporaryDirectory(prefix="tinyeff-") as folder:
        path = Path(folder) / "model.keras"
        subprocess.run([sys.executable, "-m", "tests.keras_applications", name,
                        str(NETWORKS[name]), str(path)], cwd=CHECKOUT, check=True,
                       capture_output=True)
        graph = simplify(read(path))
    shape = graph.tensors[graph.inputs[0]].shape
    images = np.random.default_rng(1).uniform(0, 255, (4, *shape)).astype(np.float32)
    result = simplify(quantize(graph, (images,)))
    check_supported(result)
    return result


@pytest.mark.parametrize(("name", "strategy"), CASES)
def test_exact(name: str, strategy: str) -> None:
    needs("tensorflow")
    graph = quantized(name)
    compiled = compile_graph(graph, Target(), Limits(strategy=strategy))
    found = verify(compiled.program, random_inputs(graph, 0))
    assert found.exact, found.difference
    assert found.tensors > 0.9 * len(graph.ops)
