# SPDX-License-Identifier: MIT
"""The process in which TensorFlow turns a Keras model or a SavedModel into a float flatbuffer."""

from __future__ import annotations

import importlib.util
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tinyeff.errors import ModelFileError, UnsupportedError
from tinyeff.reader.keras_config import check_file, is_zip
from tinyeff.reader.keras_layers import PACKAGE, layer_classes
from tinyeff.worker import main

FLATBUFFER = "model.tflite"
WITHOUT_GROUPS = ("DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D",
                  "Conv1DTranspose", "Conv2DTranspose")
"""Layers for which Keras 2 wrote `groups`, always 1, and Keras 3 takes no such argument."""


def job(folder: Path, task: dict[str, Any]) -> dict[str, Any]:
    """Convert task["path"] with batch 1; the report names inputs and outputs in their order."""
    path = Path(task["path"])
    if path.is_dir():
        function, names = _saved_model(path)
    else:
        function, names = _keras_model(load_model(path, folder))
    import tensorflow as tf

    concrete, keep_alive = function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], keep_alive)
    (folder / FLATBUFFER).write_bytes(converter.convert())
    return names


def load_model(path: Path, folder: Path) -> Any:
    """The Keras model of a file, which is looked at first: no code from it is run.

    `folder` is for files of the moment.
    """
    check_file(path, folder)
    return _load(_well_named(path, folder))


def _well_named(path: Path, folder: Path) -> Path:
    """The path, or a copy of the file under a name by which Keras knows its format."""
    suffixes = (".keras",) if is_zip(path) else (".h5", ".hdf5")
    if path.suffix in suffixes:
        return path
    return Path(shutil.copyfile(path, folder / f"model{suffixes[0]}"))


def _load(path: Path) -> Any:
    """The Keras model: by Keras 3 with shims for what Keras 2 wrote, else by tf_keras."""
    import keras

    try:
        return keras.saving.load_model(path, custom_objects=_shims(), compile=False,
                                       safe_mode=True)
    except Exception as error:
        if importlib.util.find_spec("tf_keras") is None:
            first = str(error).strip().splitlines()[:1]
            raise ModelFileError(
                f"Keras {keras.__version__} cannot load it: {type(error).__name__}: "
                f"{''.join(first)[:300]}; if it was written by Keras 2, tf_keras may load it: "
                "pip install tf_keras") from error
    import tf_keras

    return tf_keras.models.load_model(path, compile=False)


def _shims() -> dict[str, Any]:
    """Classes that take the arguments which Keras 2 wrote and Keras 3 refuses; and our own."""
    import keras

    def without_groups(base: Any) -> Any:
        class Shim(base):  # type: ignore[misc]
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                if kwargs.get("groups") == 1:
                    del kwargs["groups"]
                super().__init__(*args, **kwargs)

        return type(base.__name__, (Shim,), {})

    class InputLayer(keras.layers.InputLayer):  # type: ignore[misc]
        def __init__(self, **kwargs: Any) -> None:
            if "batch_input_shape" in kwargs:
                kwargs["batch_shape"] = kwargs.pop("batch_input_shape")
            if not kwargs.get("ragged", True):
                del kwargs["ragged"]
            super().__init__(**kwargs)

    shims = {name: without_groups(getattr(keras.layers, name)) for name in WITHOUT_GROUPS}
    ours = {f"{PACKAGE}>{name}": c for name, c in layer_classes().items()}
    return {**shims, **ours, "InputLayer": InputLayer}


Function = Callable[[], tuple[Any, Any]]


def _keras_model(model: Any) -> tuple[Function, dict[str, Any]]:
    if not getattr(model, "built", False) or not getattr(model, "inputs", None):
        raise UnsupportedError("the model does not know its input shape; call it once, or give it "
                               "an Input layer, before saving")
    inputs = _unique([x.name.split(":")[0] for x in model.inputs])
    # A Sequential model names no outputs; it has one.
    outputs = _unique([str(n) for n in getattr(model, "output_names", [model.layers[-1].name])])

    def function() -> tuple[Any, Any]:
        import tensorflow as tf

        specs = [tf.TensorSpec(_batch_1(x.shape, name), x.dtype, name=name)
                 for x, name in zip(model.inputs, inputs, strict=True)]
        structure = getattr(model, "_inputs_struct", None)

        def run(*values: Any) -> dict[str, Any]:
            given = values[0] if len(values) == 1 else list(values)
            if isinstance(structure, dict):
                given = tf.nest.pack_sequence_as(structure, list(values))
            results = tf.nest.flatten(model(given, training=False))
            return dict(zip(outputs, results, strict=True))

        # The converter freezes the variables that it finds in what it is given to keep alive; in a
        # Keras 3 model it finds none.
        holder = tf.Module()
        holder.held = [v if isinstance(v, tf.Variable) else v.value for v in model.variables]
        return tf.function(run).get_concrete_function(*specs), holder

    return function, {"inputs": inputs, "outputs": outputs}


def _saved_model(path: Path) -> tuple[Function, dict[str, Any]]:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    if "serving_default" not in loaded.signatures:
        raise UnsupportedError(f"the SavedModel has no signature 'serving_default' (it has: "
                               f"{', '.join(loaded.signatures) or 'none'}); export the model with "
                               "model.export")
    signature = loaded.signatures["serving_default"]
    given = signature.structured_input_signature[1]
    outputs = sorted(signature.structured_outputs)

    def function() -> tuple[Any, Any]:
        specs = {name: tf.TensorSpec(_batch_1(spec.shape, name), spec.dtype, name=name)
                 for name, spec in given.items()}

        def run(**values: Any) -> Any:
            return signature(**values)

        return tf.function(run).get_concrete_function(**specs), loaded

    return function, {"inputs": list(given), "outputs": outputs}


def _batch_1(shape: Sequence[int | None], name: str) -> list[int]:
    sizes = [None if n is None else int(n) for n in shape]
    if sizes and sizes[0] is None:
        sizes[0] = 1
    if None in sizes:
        raise UnsupportedError(f"input '{name}' has free dimensions {tuple(shape)}; only the batch "
                               "may be free: build the model with a fixed input shape")
    return [n for n in sizes if n is not None]


def _unique(names: list[str]) -> list[str]:
    """The names as TensorFlow allows them, a number appended where two are the same."""
    result: list[str] = []
    for name in names:
        plain = re.sub(r"[^A-Za-z0-9_.\-]", "_", name)
        plain = plain if plain[:1].isalnum() else f"t{plain}"
        result.append(plain if plain not in result else f"{plain}_{len(result)}")
    return result


if __name__ == "__main__":
    main(job)
