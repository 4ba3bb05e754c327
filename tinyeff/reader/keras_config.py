# SPDX-License-Identifier: MIT
"""A look into a Keras file before Keras itself may: its size, and the classes that it names.

A model file can name any Python class or carry Python bytecode (Lambda layers). Nothing of a file
is run, so that such models are refused here, whatever the installed Keras would do.
"""

from __future__ import annotations

import json
import lzma
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tinyeff.errors import Item, ModelFileError, UnsupportedError
from tinyeff.reader.keras_layers import NAMES, PACKAGE

MAX_BYTES = 1 << 31
"""What a file may hold when unpacked."""

ZIP_SIGNATURE = b"PK\x03\x04"
DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, NotImplementedError,
          RuntimeError, ValueError)
"""What zipfile raises on damaged archives."""

MAX_GROWTH = 256
SMALL_BYTES = 1 << 26
"""A file may unpack to so many times its size, or to this if that is more; Keras compresses
nothing itself."""

MAX_CONFIG_BYTES = 1 << 24
CHUNK_BYTES = 1 << 20
MAX_DEPTH = 200

CODE_CLASSES = frozenset({"Lambda", "__lambda__", "TFSMLayer", "TorchModuleWrapper", "JaxLayer",
                          "FlaxLayer", "TFOpLambda"})
"""Classes that run code from the file, or from elsewhere on the disk."""

MODULES = frozenset({"activations", "constraints", "dtype_policies", "initializers", "layers",
                     "models", "ops", "quantizers", "regularizers", "engine"})
"""The parts of Keras from which a model's description may name classes."""

OWN_CLASSES = frozenset(f"{PACKAGE}>{name}" for name in NAMES)
"""Layers that tinyeff itself adds to Keras' own."""


def check_file(path: Path, folder: Path) -> None:
    """Raise unless the .keras or .h5 file may be handed to Keras.

    `folder` takes a temporary copy of the weights. Raises ModelFileError for a file that is
    damaged or far too large, UnsupportedError listing layers that hold code.
    """
    config = _zip_config(path, folder) if is_zip(path) else _hdf5_config(path)
    items = tuple(_refused(config))
    if items:
        raise UnsupportedError(f"{len(items)} of its layers are Python code or custom classes, "
                               "which are not loaded; build the model from Keras layers", items)


def is_zip(path: Path) -> bool:
    """True for a .keras file, whatever its name."""
    with path.open("rb") as file:
        return file.read(len(ZIP_SIGNATURE)) == ZIP_SIGNATURE


def _zip_config(path: Path, folder: Path) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {i.filename: i.file_size for i in archive.infolist()}
            _check_growth("unpacked it would have", sum(sizes.values()), path)
            if "config.json" not in sizes:
                raise ModelFileError("a zip archive without config.json is no Keras model")
            _check_config_size(sizes["config.json"])
            text = archive.read("config.json")
            if "model.weights.h5" in sizes:
                weights = folder / "weights.h5"
                with archive.open("model.weights.h5") as source, weights.open("wb") as copy:
                    shutil.copyfileobj(source, copy, CHUNK_BYTES)
                _check_hdf5(weights)
    except DAMAGE as error:
        raise ModelFileError(f"the archive is damaged ({error})") from error
    return _json(text)


def _check_growth(what: str, size_bytes: int, path: Path) -> None:
    """ModelFileError where a file stands for far more than it holds."""
    most = min(MAX_BYTES, max(MAX_GROWTH * path.stat().st_size, SMALL_BYTES))
    if size_bytes > most:
        raise ModelFileError(f"{what} {size_bytes} bytes; of a file of {path.stat().st_size} at "
                             f"most {most} are read")


def _check_config_size(size_bytes: int) -> None:
    if size_bytes > MAX_CONFIG_BYTES:
        raise ModelFileError(f"its description has {size_bytes} bytes; at most "
                             f"{MAX_CONFIG_BYTES} are read")


def _hdf5_config(path: Path) -> Any:
    import h5py

    _check_hdf5(path)
    try:
        with h5py.File(path, "r") as file:
            text = file.attrs.get("model_config")
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise ModelFileError(f"the file is damaged or cut short ({error})") from error
    if text is None:
        raise ModelFileError("it holds weights without a model (no model_config); save the whole "
                             "model with model.save")
    if isinstance(text, (str, bytes)):
        _check_config_size(len(text))
    return _json(text)


def _check_hdf5(path: Path) -> None:
    """Raise ModelFileError for absurd sizes and for data that lies in other files."""
    import h5py

    seen: set[Any] = set()

    def walk(group: Any, depth: int) -> int:
        if depth > MAX_DEPTH:
            raise ModelFileError(f"its groups are nested more than {MAX_DEPTH} deep")
        place = h5py.h5o.get_info(group.id).addr
        if place in seen:
            raise ModelFileError(f"its group '{group.name}' stands in several places")
        seen.add(place)
        total = 0
        for name in group:
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise ModelFileError(f"'{name}' is a link to another place, which is not followed")
            item = group[name]
            if isinstance(item, h5py.Group):
                total += walk(item, depth + 1)
            elif not isinstance(item, h5py.Dataset):
                raise ModelFileError(f"'{name}' is neither a group nor an array of weights")
            elif item.external or item.is_virtual:
                raise ModelFileError(f"'{name}' keeps its data in other files")
            else:
                total += int(item.nbytes)
            _check_growth("its weights claim", total, path)
        return total

    try:
        with h5py.File(path, "r") as file:
            walk(file, 0)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise ModelFileError(f"the file is damaged or cut short ({error})") from error


def _json(text: Any) -> Any:
    try:
        config = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise ModelFileError(f"its description is not JSON ({error})") from error
    if not isinstance(config, dict):
        raise ModelFileError("its description is not that of a model")
    return config


def _refused(config: Any) -> Iterator[Item]:
    """Everything in a model's description that names code or a class outside of Keras."""
    waiting: list[tuple[Any, str]] = [(config, "")]
    while waiting:
        node, layer = waiting.pop()
        if isinstance(node, list):
            waiting += [(child, layer) for child in reversed(node)]
        if not isinstance(node, dict):
            continue
        inner = node.get("config")
        if isinstance(inner, dict) and isinstance(inner.get("name"), str):
            layer = inner["name"]
        name = node.get("class_name")
        if isinstance(name, str):
            reason = _class_problem(name, node)
            if reason:
                yield Item(name, layer, reason)
                continue  # what it is made of adds nothing
        waiting += [(child, layer) for key, child in reversed(node.items())
                    if key not in ("compile_config", "build_config")]


def _class_problem(name: str, node: dict[str, Any]) -> str | None:
    if name in CODE_CLASSES:
        return "a layer that runs code of its own"
    module = node.get("module")
    registered = node.get("registered_name")
    if registered in OWN_CLASSES:
        return None
    if module is None and not (isinstance(registered, str) and ">" in registered):
        return None  # Keras looks such a name up among its own classes only
    if isinstance(module, str):
        parts = [p for p in module.split(".") if p != "src"]
        if parts[0] in ("keras", "tf_keras") and (len(parts) == 1 or parts[1] in MODULES):
            return None
        if module == "builtins" and name in ("slice", "ellipsis"):
            return None
    return f"a class of its own ({module or registered})"
