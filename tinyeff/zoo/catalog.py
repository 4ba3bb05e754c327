# SPDX-License-Identifier: MIT
"""All architectures by name."""

from __future__ import annotations

import difflib
import importlib
import pkgutil

from tinyeff.errors import UsageError
from tinyeff.zoo import tables
from tinyeff.zoo.architectures import Architecture


def _found() -> dict[str, Architecture]:
    modules = [importlib.import_module(f"{tables.__name__}.{m.name}")
               for m in pkgutil.iter_modules(tables.__path__)]
    found: dict[str, Architecture] = {}
    for module in modules:
        for architecture in module.ARCHITECTURES:
            assert architecture.name not in found, architecture.name
            found[architecture.name] = architecture
    return found


CATALOG: dict[str, Architecture] = _found()
"""Name -> architecture: all that the modules of tinyeff/zoo/tables list."""


def architecture_named(name: str) -> Architecture:
    """The architecture called `name`; UsageError tells the nearest names."""
    if name in CATALOG:
        return CATALOG[name]
    near = difflib.get_close_matches(name.lower().replace("-", "_"), CATALOG, 5, 0.5)
    hint = f"did you mean {', '.join(near)}?" if near else ""
    raise UsageError(" ".join(filter(None, [
        f"there is no architecture {name};", hint, "tinyeff models lists them all"])))
