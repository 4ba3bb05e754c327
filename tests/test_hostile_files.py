# SPDX-License-Identifier: MIT
"""Files made to harm, given to the command line: a sentence and exit 2 or 3, soon and in little
memory, and nothing of them is run."""

from __future__ import annotations

import base64
import json
import marshal
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.reader.damage import changed, int32, two_convolutions_file
from tests.reader.random_models import Builder
from tests.reader.test_damaged import bomb, graph, operator, tensor
from tests.shared import CHECKOUT, needs, shared_path
from tinyeff.ops.operator import SAME
from tinyeff.ops.quantize import QuantizeAttrs
from tinyeff.reader import serialize

pytestmark = pytest.mark.slow
SECONDS, BYTES = 10.0, 2 << 30
DENSE = {"module": "keras.layers", "class_name": "Dense", "config": {"name": "d", "units": 3}}


def many_operators(model: Any) -> None:
    first = model.subgraphs[0].operators[0]
    model.subgraphs[0].operators = [first] * 100_000



def tall(rows: int, pixels: int = 1, channels: int = 1) -> bytes:
    """A file without fault: three convolutions of a map of so many rows."""
    g = Builder("tall")
    x = g.input((1, rows, pixels, channels), 0.1)
    for _ in range(3):
        x = g.depthwise(x, 3, 1, SAME)
    return serialize(g.graph(x))


FLATBUFFERS: dict[str, Callable[[], bytes]] = {
    "cut short": lambda: two_convolutions_file()[:700],
    "2**31 values": lambda: changed(tensor(0, shape=int32(1, 2**31 - 1, 1, 1))),
    "2**93 values": lambda: changed(tensor(0, shape=int32(2**31 - 1, 2**31 - 1, 2**31 - 1))),
    "2**31 rows": lambda: changed(tensor(0, shape=int32(1, 2**29, 1, 3))),
    "a cycle": lambda: changed(operator(0, inputs=int32(6, 1, 2))),
    "reads itself": lambda: changed(operator(0, inputs=int32(3, 1, 2))),
    "100,000 operators": lambda: changed(many_operators),
    "100,000 inputs": lambda: changed(graph(inputs=np.zeros(100_000, np.int32))),
    "one table 20,000 times": lambda: bomb(20_000, 1_000_000, 1),
    "20,000 long scales": lambda: bomb(20_000, 1, 100_000),
    "2**27 rows": lambda: tall(1 << 27),
    "many rows": lambda: tall(1 << 15, 3, 5),
    "large maps": lambda: tall(1 << 13, 1 << 14, 3),
    "many operators": lambda: chain(5000),
    "offsets beyond the end": lambda: two_convolutions_file()[:40] + b"\xff\xff\xff\x7f" * 300,
}


def chain(count: int) -> bytes:
    """A file without fault: so many operators in a line."""
    g = Builder("chain")
    x = g.input((1, 2, 2, 1), 0.1)
    for number in range(count):
        x = g.op("QUANTIZE", [x], QuantizeAttrs(), 0.1 + number % 2 * 0.01)
    return serialize(g.graph(x))


def archive(config: Any, *members: tuple[str, bytes]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            text = config if isinstance(config, str) else json.dumps(config)
            file.writestr("config.json", text)
            for name, content in members:
                file.writestr(name, content)
    return write


def model(*layers: Any) -> dict[str, Any]:
    return {"module": "keras", "class_name": "Sequential",
            "config": {"name": "model", "layers": list(layers)}}


def harm() -> None:
    """What the Lambda layer would do."""
    import pathlib

    pathlib.Path("harmed").touch()


def code_layer() -> dict[str, Any]:
    code = base64.b64encode(marshal.dumps(harm.__code__)).decode()
    return {"module": "keras.layers", "class_name": "Lambda", "config": {
        "name": "lambda", "function": {"class_name": "__lambda__", "config": {
            "code": code, "defaults": None, "closure": None}}}}


def hdf5_without(part: str) -> Callable[[Path], None]:
    """The shared ResNet-8 with something missing, or in other hands."""
    def write(path: Path) -> None:
        import h5py

        path.write_bytes(shared_path("models", "ic_resnet8.h5").read_bytes())
        with h5py.File(path, "a") as file:
            if part == "model_config":
                del file.attrs["model_config"]
            elif part == "model_weights":
                del file["model_weights"]
            elif part == "links":
                file["away"] = h5py.ExternalLink("/etc/passwd", "/")
            elif part == "an end":
                group = file.create_group("around")
                group["left"] = group["right"] = group
            else:
                file.create_dataset("huge", (1 << 20, 1 << 20), np.float32, chunks=(1024, 1024),
                                    compression="gzip")
    return write


KERAS: dict[str, Callable[[Path], None]] = {
    "bomb.keras": archive(model(DENSE), ("model.weights.h5", b"\0" * (1 << 27))),
    "description.keras": archive('{"a": "' + "x" * (1 << 26) + '"}'),
    "deep.keras": archive('{"a":' * 100_000),
    "lists.keras": archive("[" + "[]," * (1 << 24) + "[]]"),
    "lambda.keras": archive(model(DENSE, code_layer())),
    "config.h5": hdf5_without("model_config"),
    "links.h5": hdf5_without("links"),
    "huge.h5": hdf5_without("nothing"),
    "around.h5": hdf5_without("an end"),
}


def run(path: Path) -> tuple[int, str, float, int]:
    """(exit code, what was said, seconds, most bytes) of `tinyeff plan` on a file."""
    start = time.monotonic()
    process = subprocess.Popen([sys.executable, str(CHECKOUT / "cli.py"), "plan", str(path)],
                               cwd=path.parent, text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    used = usage.ru_utime + usage.ru_stime
    return process.returncode, said, min(used, time.monotonic() - start), usage.ru_maxrss * 1024


def assert_refused(path: Path) -> None:
    code, said, seconds, most = run(path)
    assert code in (2, 3), said
    assert "Traceback" not in said
    assert path.name in said
    assert seconds < SECONDS, said
    assert most < BYTES


@pytest.mark.skipif(sys.platform == "win32", reason="os.wait4 is not there on Windows")
@pytest.mark.parametrize("name", FLATBUFFERS)
def test_flatbuffers(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(FLATBUFFERS[name]())
    assert_refused(path)


@pytest.mark.skipif(sys.platform == "win32", reason="os.wait4 is not there on Windows")
@pytest.mark.parametrize("name", KERAS)
def test_keras_files(name: str, tmp_path: Path) -> None:
    needs("tensorflow", "h5py")
    path = tmp_path / name
    KERAS[name](path)
    assert_refused(path)
    assert not (tmp_path / "harmed").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="os.wait4 is not there on Windows")
def test_missing_weights(tmp_path: Path) -> None:
    needs("tensorflow", "h5py")
    path = tmp_path / "weights.h5"
    hdf5_without("model_weights")(path)
    code, said, _, _ = run(path)  # Keras itself has to find out, which takes its time to start
    assert code == 2, said
    assert "Traceback" not in said
    assert "Keras" in said
