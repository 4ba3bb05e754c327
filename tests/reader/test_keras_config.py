# SPDX-License-Identifier: MIT
"""Keras files are looked at before Keras may load them: code, custom classes, sizes, links."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.shared import needs, shared_path
from tinyeff.errors import ModelFileError, UnsupportedError
from tinyeff.reader import keras_config
from tinyeff.reader.keras_config import check_file

DENSE = {"module": "keras.layers", "class_name": "Dense", "registered_name": None,
         "config": {"name": "dense", "units": 3, "kernel_initializer": {
             "module": "keras.initializers", "class_name": "Zeros", "config": {}}}}


def model(*layers: Any) -> dict[str, Any]:
    return {"module": "keras.src.models.functional", "class_name": "Functional",
            "config": {"name": "model", "layers": list(layers)}}


def keras_file(folder: Path, config: Any, **members: bytes) -> Path:
    path = folder / "model.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", json.dumps(config))
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def hdf5_file(folder: Path, config: Any) -> Path:
    needs("h5py")
    import h5py

    path = folder / "model.h5"
    with h5py.File(path, "w") as file:
        if config is not None:
            file.attrs["model_config"] = json.dumps(config)
        file.create_group("model_weights")["kernel"] = np.zeros((3, 3), np.float32)
    return path


MAKERS = (keras_file, hdf5_file)


@pytest.mark.parametrize("make", MAKERS)
def test_plain_models_pass(tmp_path: Path, make: Any) -> None:
    check_file(make(tmp_path, model(DENSE, DENSE)), tmp_path)


def test_shared_models_pass(tmp_path: Path) -> None:
    needs("h5py")
    for name in ("vww_96", "ic_resnet8", "ad_autoencoder"):
        check_file(shared_path("models", f"{name}.h5"), tmp_path)


UNSAFE = [
    {"class_name": "Lambda", "config": {"name": "bad", "function": ["cHl0aG9u", None, None]}},
    {"class_name": "TFSMLayer", "config": {"name": "bad", "filepath": "/elsewhere"}},
    {"class_name": "TimeDistributed", "config": {"name": "outer", "layer": {
        "class_name": "Lambda", "config": {"name": "bad", "function": "x"}}}},
    {"class_name": "Activation", "config": {"name": "bad", "activation": {
        "class_name": "__lambda__", "config": {"value": "cHl0aG9u"}}}},
    {"module": "os", "class_name": "system", "config": {"name": "bad"}},
    {"module": "builtins", "class_name": "function", "config": "exec",
     "registered_name": "function"},
    {"module": "keras.config", "class_name": "enable_unsafe_deserialization", "config": {}},
    {"module": "keras.src.utils.module_utils", "class_name": "LazyModule", "config": {}},
    {"module": None, "class_name": "Mine", "registered_name": "package>Mine", "config": {}},
]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("layer", UNSAFE)
def test_code_and_foreign_classes_are_refused(tmp_path: Path, make: Any, layer: Any) -> None:
    with pytest.raises(UnsupportedError, match="1 of its layers"):
        check_file(make(tmp_path, model(DENSE, layer)), tmp_path)


def test_all_of_them_are_listed_with_their_layer(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError) as error:
        check_file(keras_file(tmp_path, model(UNSAFE[2], DENSE, UNSAFE[4])), tmp_path)
    assert [(i.operator, i.tensor) for i in error.value.items] == [
        ("Lambda", "bad"), ("system", "bad")]


def test_how_the_model_was_trained_does_not_matter(tmp_path: Path) -> None:
    config = model(DENSE) | {"compile_config": {"loss": {
        "module": "mine", "class_name": "Loss", "config": {}}}}
    check_file(keras_file(tmp_path, config), tmp_path)


def test_a_file_that_would_grow_beyond_measure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keras_config, "SMALL_BYTES", 1 << 20)
    path = keras_file(tmp_path, model(DENSE), bomb=b"\0" * (4 << 20))
    assert path.stat().st_size < 1 << 14
    with pytest.raises(ModelFileError, match="unpacked it would have"):
        check_file(path, tmp_path)


@pytest.mark.parametrize("make", MAKERS)
def test_a_description_beyond_measure(tmp_path: Path, make: Any) -> None:
    with pytest.raises(ModelFileError, match=r"its description has \d+ bytes"):
        check_file(make(tmp_path, model({"name": "x" * (1 << 25)})), tmp_path)


def test_weights_that_claim_more_than_the_file_holds(tmp_path: Path) -> None:
    needs("h5py")
    import h5py

    path = hdf5_file(tmp_path, model(DENSE))
    with h5py.File(path, "a") as file:
        file.create_dataset("huge", (1 << 20, 1 << 20), np.float32, chunks=(1024, 1024))
    with pytest.raises(ModelFileError, match="its weights claim 4398046511104 bytes"):
        check_file(path, tmp_path)
    inside = keras_file(tmp_path, model(DENSE), **{"model.weights.h5": path.read_bytes()})
    with pytest.raises(ModelFileError, match="its weights claim 4398046511104 bytes"):
        check_file(inside, tmp_path)


def test_links_to_other_files_are_not_followed(tmp_path: Path) -> None:
    needs("h5py")
    import h5py

    path = hdf5_file(tmp_path, model(DENSE))
    with h5py.File(path, "a") as file:
        file["link"] = h5py.ExternalLink("/etc/passwd", "/")
    with pytest.raises(ModelFileError, match="'link' is a link"):
        check_file(path, tmp_path)
    path = hdf5_file(tmp_path, model(DENSE))
    with h5py.File(path, "a") as file:
        file.create_dataset("raw", (4,), np.uint8, external=[("/etc/passwd", 0, 4)])
    with pytest.raises(ModelFileError, match="'raw' keeps its data in other files"):
        check_file(path, tmp_path)


def test_what_stands_in_several_places_or_is_no_array(tmp_path: Path) -> None:
    needs("h5py")
    import h5py

    path = hdf5_file(tmp_path, model(DENSE))
    with h5py.File(path, "a") as file:
        group = file.create_group("around")
        group["left"] = group["right"] = group
    with pytest.raises(ModelFileError, match="stands in several places"):
        check_file(path, tmp_path)
    path = hdf5_file(tmp_path, model(DENSE))
    with h5py.File(path, "a") as file:
        file["kind"] = np.dtype("f8")
    with pytest.raises(ModelFileError, match="'kind' is neither a group nor an array"):
        check_file(path, tmp_path)


def test_files_that_are_no_keras_models(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="weights without a model"):
        check_file(hdf5_file(tmp_path, None), tmp_path)
    with pytest.raises(ModelFileError, match="not that of a model"):
        check_file(keras_file(tmp_path, []), tmp_path)
    path = tmp_path / "other.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", "<xml/>")
    with pytest.raises(ModelFileError, match=r"without config\.json"):
        check_file(path, tmp_path)


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "\udc80", '{"a": 1e999999}x'])
def test_descriptions_that_are_not_json(tmp_path: Path, text: str) -> None:
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ModelFileError, match="not JSON"):
        check_file(path, tmp_path)


def test_archives_cut_short_or_with_flipped_bytes(tmp_path: Path) -> None:
    needs("h5py")
    path = keras_file(tmp_path, model(DENSE))
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(400):
        broken = bytearray(data)
        broken[rng.integers(len(data))] = rng.integers(256)
        path.write_bytes(bytes(broken))
        try:
            check_file(path, tmp_path)
        except (ModelFileError, UnsupportedError) as error:
            assert error.message  # noqa: PT017
