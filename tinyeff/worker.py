# SPDX-License-Identifier: MIT
"""TensorFlow in a process of its own.

It takes seconds to start, talks on standard error from C++, and may crash on a damaged file: in
another process none of that reaches the user of tinyeff. A job is a module with the functions of
`main` below; it reads and writes files of one folder.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tinyeff.errors import (
    Item,
    MissingProgramError,
    ModelFileError,
    TinyeffError,
    UnsupportedError,
)

log = logging.getLogger("tinyeff")

RESULT = "result.json"
TIMEOUT_SECONDS = 3600
SETTINGS = {
    "CUDA_VISIBLE_DEVICES": "-1",  # a GPU is of no use here and slow to find
    "KERAS_BACKEND": "tensorflow",
    "PYTHONUTF8": "1",
    "TF_ENABLE_ONEDNN_OPTS": "0",  # the same result on every machine
    "TF_USE_LEGACY_KERAS": "0",
}
HOW_TO_GET = 'pip install "tinyeff[keras]"'
TAIL_LINES = 30
"""How much of a failed job's chatter is shown without -v."""


def run_job(module: str, folder: Path, task: dict[str, Any], subject: str) -> dict[str, Any]:
    """Run `module` as a job on `folder` and return what it reports.

    `task` must be JSON; `subject` is what the errors name (a model file). What TensorFlow prints
    is logged: as information, or as a warning where the job fails. Raises MissingProgramError
    where TensorFlow is not installed, else the job's own error.
    """
    if importlib.util.find_spec("tensorflow") is None:
        raise MissingProgramError(f"{subject}: this needs TensorFlow, which is not installed: "
                                  f"{HOW_TO_GET}")
    (folder / "task.json").write_text(json.dumps(task), encoding="utf-8")
    root = str(Path(__file__).resolve().parent.parent)
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    env = {**os.environ, **SETTINGS, "PYTHONPATH": os.pathsep.join(paths)}
    try:
        done = subprocess.run(
            [sys.executable, "-m", module, str(folder)], env=env, timeout=TIMEOUT_SECONDS,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, encoding="utf-8", errors="replace", check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ModelFileError(f"{subject}: TensorFlow has not finished after {TIMEOUT_SECONDS} "
                             "seconds; the file is probably damaged") from error
    return _report(folder, done.returncode, done.stdout, subject)


def _report(folder: Path, code: int, chatter: str, subject: str) -> dict[str, Any]:
    try:
        result: dict[str, Any] = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        result = {"error": "ModelFileError",
                  "message": f"TensorFlow ended with code {code} while reading it; the file is "
                             "probably damaged"}
    if "error" not in result:
        log.info("TensorFlow on %s:\n%s", subject, chatter)
        return result
    tail = chatter.strip().splitlines()[-TAIL_LINES:]
    if tail:
        log.warning("TensorFlow on %s:\n%s", subject, "\n".join(tail))
    items = tuple(Item(*item) for item in result.get("items", ()))
    kinds: dict[str, type[TinyeffError]] = {
        kind.__name__: kind for kind in (ModelFileError, MissingProgramError, UnsupportedError)}
    kind = kinds.get(result["error"], ModelFileError)
    raise kind(f"{subject}: {result['message']}", items)


def main(job: Callable[[Path, dict[str, Any]], dict[str, Any]]) -> None:
    """Run `job` as the process that `run_job` started: job(folder, task) -> report.

    Its TinyeffError travels back to the caller; any other exception means that TensorFlow cannot
    work with the file.
    """
    folder = Path(sys.argv[1])
    task = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    try:
        result = job(folder, task)
    except TinyeffError as error:
        items = [[i.operator, i.tensor, i.reason] for i in error.items]
        result = {"error": type(error).__name__, "message": error.message, "items": items}
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        result = {"error": "ModelFileError",
                  "message": f"TensorFlow cannot read it: {type(error).__name__}: {lines[0][:500]}"}
        print(error, file=sys.stderr)
    (folder / RESULT).write_text(json.dumps(result), encoding="utf-8")
