# SPDX-License-Identifier: MIT
"""OR-Tools crashes in a process that has loaded TensorFlow before it; there it gets its own."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any


@cache
def tensorflow_came_first() -> bool:
    """True where TensorFlow was loaded before OR-Tools; ask before loading OR-Tools."""
    return "tensorflow" in sys.modules and "ortools" not in sys.modules


def out_of_reach_of_tensorflow(function: Callable[..., Any], *arguments: Any) -> Any:
    """`function(*arguments)`, both of which can be pickled, in a process where it may use OR-Tools.
    """
    if not tensorflow_came_first():
        return function(*arguments)
    root = str(Path(__file__).resolve().parent.parent.parent)
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-m", "tinyeff.planner.elsewhere"], stdout=subprocess.PIPE, check=True,
        input=pickle.dumps((function, arguments)),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)})
    return pickle.loads(done.stdout)


if __name__ == "__main__":
    called, given = pickle.load(sys.stdin.buffer)
    sys.stdout.buffer.write(pickle.dumps(called(*given)))
