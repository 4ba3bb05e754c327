# SPDX-License-Identifier: MIT
"""LiteRT's reference kernels: the definition of what every generated program must compute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinyeff.errors import ModelFileError
from tinyeff.ir import Array
from tinyeff.simulator.stand_ins import needs_stand_ins, with_older_versions, with_stand_ins


class Reference:
    """Runs a flatbuffer in LiteRT with its reference (not optimized) kernels.

    Raises ModelFileError where LiteRT refuses the file.
    """

    def __init__(self, flatbuffer: bytes, name: str = "model") -> None:
        try:
            self._interpreter: Any = _interpreter(flatbuffer)
        except (ValueError, RuntimeError) as error:
            raise ModelFileError(f"{name}: LiteRT refuses the model: {error}") from error
        self._name = name
        self.inputs: list[dict[str, Any]] = self._interpreter.get_input_details()
        self.outputs: list[dict[str, Any]] = self._interpreter.get_output_details()

    def run(self, inputs: tuple[Array, ...]) -> None:
        """Compute all tensors for these inputs, given in the model's order and types."""
        for detail, value in zip(self.inputs, inputs, strict=True):
            self._interpreter.set_tensor(detail["index"], value)
        try:
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            raise ModelFileError(f"{self._name}: LiteRT cannot run the model: {error}") from error

    def tensor(self, index: int) -> Array:
        """A copy of the TFLite tensor `index` after `run`."""
        value: Array = np.array(self._interpreter.get_tensor(index))
        return value

    def tensors(self, indices: tuple[int, ...]) -> Mapping[int, Array]:
        """Copies of several tensors after `run`."""
        return {i: self.tensor(i) for i in indices}


def _interpreter(flatbuffer: bytes) -> Any:
    """LiteRT's interpreter with reference kernels, ready to run."""
    try:
        interpreter = _load(flatbuffer)
        complete = not needs_stand_ins(flatbuffer)
    except ValueError as error:
        if "Didn't find op" not in str(error):
            raise
        flatbuffer, complete = with_older_versions(flatbuffer), False
    if not complete:
        interpreter = _load(with_stand_ins(flatbuffer))
    interpreter.allocate_tensors()
    return interpreter


def _load(flatbuffer: bytes) -> Any:
    # Imported late: it costs a third of a second that planning need not pay.
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    return Interpreter(
        model_content=flatbuffer,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
