# SPDX-License-Identifier: MIT
"""The generated code of the example model, committed so that a change of it is read as a diff.

It is what the README's `tinyeff codegen` writes, and `shapes_stream.c` the same in the
smallest memory, which is streamed.
Kernels are left out: they are copies of firmware/kernels, and so are all hashes in the manifest.
`python -m tests.golden_files` (or `make golden`) writes tests/golden anew.
"""

from __future__ import annotations

import json

from tests.shared import CHECKOUT
from tinyeff.ir import Limits
from tinyeff.pipeline import EmitOptions, compile_model, emit
from tinyeff.targets import target_for

FOLDER = CHECKOUT / "tests" / "golden"
EXAMPLES = CHECKOUT / "examples"
SRAM_BYTES = 256 * 1024


def generated(sram_bytes: int | None = SRAM_BYTES) -> dict[str, str]:
    """{file name: text} of all that is generated for the example model, kernels included."""
    labels = (EXAMPLES / "shapes_labels.txt").read_text(encoding="utf-8").split()
    compiled = compile_model(EXAMPLES / "shapes_int8.tflite", target_for("cortex-m4"),
                             Limits(sram_bytes=sram_bytes))
    return dict(emit(compiled.program, EmitOptions("shapes", tuple(labels))))


def golden() -> dict[str, str]:
    """What is kept in tests/golden."""
    files = generated()
    kept = {name: text for name, text in files.items() if not name.startswith("te")}
    manifest = json.loads(files["tinyeff.json"])
    manifest["files"] = sorted(manifest["files"])
    kept["tinyeff.json"] = json.dumps(manifest, indent=2) + "\n"
    kept["shapes_stream.c"] = generated(sram_bytes=None)["shapes.c"]
    return kept


def main() -> None:
    """Write the folder anew."""
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.iterdir():
        old.unlink()
    for name, text in golden().items():
        (FOLDER / name).write_bytes(text.encode("utf-8"))


if __name__ == "__main__":
    main()
