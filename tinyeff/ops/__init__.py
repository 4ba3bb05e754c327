# SPDX-License-Identifier: MIT
"""One module per operator; this registry finds those that define OPERATOR by itself."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import Any

from tinyeff.ir import Graph, Op
from tinyeff.ops.operator import Operator, node_of


@cache
def registry() -> dict[str, Operator[Any]]:
    """Every operator by its kind (TFLite's name), in alphabetical order."""
    operators: dict[str, Operator[Any]] = {}
    for info in sorted(pkgutil.iter_modules(__path__), key=lambda i: i.name):
        operator = getattr(importlib.import_module(f"{__name__}.{info.name}"), "OPERATOR", None)
        if operator is not None:
            operators[operator.kind] = operator
    return operators


def operator_of(kind: str) -> Operator[Any]:
    """The operator of `kind`; KeyError where it is not known."""
    return registry()[kind]


def form_of(graph: Graph, op: Op) -> str:
    """How the operator is called: "rows", "accumulate", "whole", or "view" where no code runs."""
    return operator_of(op.kind).form_of(node_of(graph, op))
