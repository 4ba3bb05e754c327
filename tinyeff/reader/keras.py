# SPDX-License-Identifier: MIT
"""Keras models and SavedModels as float flatbuffers, by TensorFlow's own converter."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff.errors import ModelFileError
from tinyeff.reader.tables import FILE_IDENTIFIER
from tinyeff.worker import run_job

JOB = "tinyeff.reader.keras_job"


def convert(path: Path) -> bytes:
    """A float TFLite flatbuffer of a .keras or .h5 file or a SavedModel folder, with batch 1.

    Inputs and outputs keep the model's order and names; of a SavedModel, those of the signature
    `serving_default`, in alphabetical order. No code from the file is run. Raises ModelFileError
    where Keras cannot load the file, UnsupportedError for Lambda and custom layers and for free
    dimensions, MissingProgramError where TensorFlow is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="tinyeff-") as name:
        folder = Path(name)
        report = run_job(JOB, folder, {"path": str(path.resolve())}, path.name)
        flatbuffer = (folder / "model.tflite").read_bytes()
    return arrange(flatbuffer, report["inputs"], report["outputs"], path.name)


def arrange(flatbuffer: bytes, inputs: list[str], outputs: list[str], name: str) -> bytes:
    """The flatbuffer with its inputs and outputs in the order, and under the names, given.

    The converter orders them as it likes and names them after its own functions; its signature
    tells which is which.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(flatbuffer, 0))
    graph = model.subgraphs[0]
    (signature,) = model.signatureDefs
    graph.inputs = _ordered(graph, signature.inputs, inputs, name)
    graph.outputs = _ordered(graph, signature.outputs, outputs, name)
    builder = flatbuffers.Builder(len(flatbuffer))
    builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
    return bytes(builder.Output())


def _ordered(graph: Any, mapped: Any, names: list[str], name: str) -> Any:
    indices = {entry.name.decode(): entry.tensorIndex for entry in mapped or ()}
    if sorted(indices) != sorted(names):
        raise ModelFileError(f"{name}: of the inputs or outputs {', '.join(names)} TensorFlow's "
                             f"converter kept {', '.join(indices)}; every one must be used")
    for title, index in indices.items():
        graph.tensors[index].name = title
    return np.array([indices[n] for n in names], np.int32)
