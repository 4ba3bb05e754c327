# SPDX-License-Identifier: MIT
"""The one way in which tests reach what is not in the repository: shared data, extras, programs.

A test skips with a reason where such a thing is missing. With TINYEFF_NO_SKIP=1 it fails instead,
so that a machine that is meant to have everything cannot pass by skipping.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
"""The root of the checkout that these tests belong to."""


def shared_root() -> Path:
    """The folder of shared models and data: TINYEFF_SHARED, else `shared` beside the checkout."""
    given = os.environ.get("TINYEFF_SHARED")
    return Path(given) if given else CHECKOUT.parent / "shared"


def missing(what: str) -> NoReturn:
    """Skip the running test because of `what`, or fail it where skipping is forbidden."""
    if os.environ.get("TINYEFF_NO_SKIP") == "1":
        pytest.fail(f"{what}, and TINYEFF_NO_SKIP=1 forbids skipping")
    pytest.skip(what)


def shared_path(*parts: str) -> Path:
    """A file or folder of the shared data, e.g. shared_path("models", "kws_dscnn_int8.tflite")."""
    path = shared_root().joinpath(*parts)
    if not path.exists():
        missing(f"{path} is not there (set TINYEFF_SHARED to the folder of shared models and data)")
    return path


def has(name: str) -> bool:
    """True where `name` is a program on the path or a Python module that can be imported."""
    return shutil.which(name) is not None or (
        "-" not in name and importlib.util.find_spec(name) is not None
    )


def needs(*names: str) -> None:
    """Skip or fail the running test unless every program or Python module of `names` is there."""
    for name in names:
        if not has(name):
            missing(f"{name} is not installed")
