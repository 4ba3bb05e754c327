# SPDX-License-Identifier: MIT
"""The generated code of the example model, committed so that a change of it is read as a diff.

Kernels are left out: they are copies of firmware/kernels, and so are all hashes in the manifest.
`python -m tests.golden_files` (or `make golden`) writes tests/golden anew.
"""

from __future__ import annotations

import json

from tests.shared import CHECKOUT
from tinyeff.pipeline import EmitOptions, compile_model, emit

FOLDER = CHECKOUT / "tests" / "golden"
EXAMPLES = CHECKOUT / "examples"


def generated() -> dict[str, str]:
    """{file name: text} of all that is generated for the example model, kernels included."""
    labels = (EXAMPLES / "shapes_labels.txt").read_text(encoding="utf-8").split()
    compiled = compile_model(EXAMPLES / "shapes_int8.tflite")
    return dict(emit(compiled.program, EmitOptions("shapes", tuple(labels))))


def golden(files: dict[str, str]) -> dict[str, str]:
    """What of the generated files is kept in tests/golden."""
    kept = {name: text for name, text in files.items() if not name.startswith("te")}
    manifest = json.loads(files["tinyeff.json"])
    manifest["files"] = sorted(manifest["files"])
    kept["tinyeff.json"] = json.dumps(manifest, indent=2) + "\n"
    return kept


def main() -> None:
    """Write the folder anew."""
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.iterdir():
        old.unlink()
    for name, text in golden(generated()).items():
        (FOLDER / name).write_bytes(text.encode("utf-8"))


if __name__ == "__main__":
    main()
