# SPDX-License-Identifier: MIT
"""tinyeff: from a Keras or TFLite model to bit-exact C for STM32 microcontrollers.

The chain, from a model file to C that runs on this machine:

    graph = tinyeff.simplify(tinyeff.read("kws.tflite"))
    target = tinyeff.Target()
    graph = tinyeff.select(graph, target)
    plan = tinyeff.plan(graph, target, tinyeff.Limits(sram_bytes=64 * 1024))
    program = tinyeff.lower(graph, plan)
    sources = tinyeff.emit(program, tinyeff.EmitOptions("kws"))   # {file name: text}
    outputs = tinyeff.simulate(program, inputs)                   # arrays of (count, *shape)
    result = tinyeff.verify(program, inputs)                      # against LiteRT, bit for bit

Names are loaded when they are first used: importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinyeff.emitter import EmitOptions, Sources
    from tinyeff.errors import (
        BoardError,
        DoesNotFitError,
        InternalError,
        Item,
        MismatchError,
        MissingProgramError,
        ModelFileError,
        TinyeffError,
        UnsupportedError,
        UsageError,
    )
    from tinyeff.ir import (
        Buffer,
        Graph,
        Limits,
        Op,
        Plan,
        Program,
        Quant,
        Segment,
        Target,
        Tensor,
        Variant,
    )
    from tinyeff.pipeline import (
        emit,
        lower,
        plan,
        quantize,
        read,
        select,
        simplify,
        simulate,
        verify,
    )

__version__ = "0.1.0"

_HOMES = {
    "pipeline": ("emit", "lower", "plan", "quantize", "read", "select", "simplify", "simulate",
                 "verify"),
    "emitter": ("EmitOptions", "Sources"),
    "ir": ("Buffer", "Graph", "Limits", "Op", "Plan", "Program", "Quant", "Segment", "Target",
           "Tensor", "Variant"),
    "errors": ("BoardError", "DoesNotFitError", "InternalError", "Item", "MismatchError",
               "MissingProgramError", "ModelFileError", "TinyeffError", "UnsupportedError",
               "UsageError"),
}
"""Module -> the public names that it holds."""

__all__ = [
    "BoardError",
    "Buffer",
    "DoesNotFitError",
    "EmitOptions",
    "Graph",
    "InternalError",
    "Item",
    "Limits",
    "MismatchError",
    "MissingProgramError",
    "ModelFileError",
    "Op",
    "Plan",
    "Program",
    "Quant",
    "Segment",
    "Sources",
    "Target",
    "Tensor",
    "TinyeffError",
    "UnsupportedError",
    "UsageError",
    "Variant",
    "emit",
    "lower",
    "plan",
    "quantize",
    "read",
    "select",
    "simplify",
    "simulate",
    "verify",
]


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"tinyeff.{module}"), name)
    raise AttributeError(f"module 'tinyeff' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
