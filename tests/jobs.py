# SPDX-License-Identifier: MIT
"""A job of tinyeff.worker that does what its task says, without TensorFlow."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from tinyeff.errors import Item, UnsupportedError
from tinyeff.worker import main


def job(folder: Path, task: dict[str, Any]) -> dict[str, Any]:
    """Report, refuse, raise, crash or never finish."""
    print("chatter on standard output")
    os.write(2, b"chatter of C++ on standard error \xff\n")
    match task["do"]:
        case "refuse":
            raise UnsupportedError("two things", (Item("LSTM", "x", "no"), Item("RNN", "y", "no")))
        case "raise":
            raise KeyError("first line\nsecond line")
        case "crash":
            sys.stdout.flush()
            os._exit(11)
        case "sleep":
            time.sleep(60)
    return {"folder": folder.name, "backend": os.environ["KERAS_BACKEND"]}


if __name__ == "__main__":
    main(job)
