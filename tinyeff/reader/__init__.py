# SPDX-License-Identifier: MIT
"""Reading a model file into a graph, and simplifying it.

    read(path)             -> Graph    .tflite, .h5, .keras or a SavedModel folder
    simplify(graph)        -> Graph    what the converter left behind is folded away
    check_supported(graph) -> None     UnsupportedError listing all that stands in the way
"""

from __future__ import annotations

from pathlib import Path

from tinyeff.errors import ModelFileError, printable
from tinyeff.ir import Graph
from tinyeff.reader.check import check_supported
from tinyeff.reader.flatbuffer import parse, serialize, with_flatbuffer
from tinyeff.reader.keras_config import ZIP_SIGNATURE
from tinyeff.reader.simplify import simplify
from tinyeff.reader.tables import FILE_IDENTIFIER

__all__ = ["check_supported", "parse", "read", "serialize", "simplify", "with_flatbuffer"]

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
MAX_FILE_BYTES = 1 << 29
"""Reading takes up to three times as much memory, for a microcontroller's model a thousandth."""

KNOWN = "a .tflite file, a Keras model (.keras, .h5) or a SavedModel folder"


def read(path: Path | str) -> Graph:
    """The graph of a model file or folder, told apart by content, not by name.

    Keras models and SavedModel folders are converted by TensorFlow first, with batch 1. Raises
    ModelFileError where there is no readable model, UnsupportedError listing what tinyeff does
    not do, MissingProgramError where TensorFlow is needed and not installed.
    """
    path = Path(path)
    try:
        if _needs_tensorflow(path):
            from tinyeff.reader.keras import convert  # TensorFlow takes seconds to start

            return parse(convert(path), printable(path.name))
        return parse(path.read_bytes(), printable(path.name))
    except OSError as error:
        raise ModelFileError(f"{path}: the file cannot be read: {error.strerror}") from error


def _needs_tensorflow(path: Path) -> bool:
    """True for Keras models and SavedModels, False for flatbuffers, ModelFileError for the rest."""
    if path.is_dir():
        if not any((path / name).is_file() for name in ("saved_model.pb", "saved_model.pbtxt")):
            raise ModelFileError(f"{path}: a folder without saved_model.pb is no model; "
                                 f"expected is {KNOWN}")
        return True
    if not path.exists():
        raise ModelFileError(f"{path}: no such file; expected is {KNOWN}")
    if not path.is_file():
        raise ModelFileError(f"{path}: no regular file; expected is {KNOWN}")
    size = path.stat().st_size
    if not size:
        raise ModelFileError(f"{path}: the file is empty")
    if size > MAX_FILE_BYTES:
        raise ModelFileError(f"{path}: the file has {size} bytes; at most {MAX_FILE_BYTES} are "
                             "read")
    with path.open("rb") as file:
        head = file.read(512)
    if head[4:8] == FILE_IDENTIFIER:
        return False
    if head.startswith((HDF5_SIGNATURE, ZIP_SIGNATURE)):
        return True
    what = "a text file" if _is_text(head) else "not a model that tinyeff knows"
    raise ModelFileError(f"{path}: {what} (it begins with {head[:8]!r}); expected is {KNOWN}")


def _is_text(head: bytes) -> bool:
    text = head.decode("utf-8", "replace").rstrip("\ufffd")  # the last character may be cut
    return "\ufffd" not in text and all(c.isprintable() or c in "\r\n\t" for c in text)
