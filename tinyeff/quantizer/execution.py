# SPDX-License-Identifier: MIT
"""Float inference by LiteRT, of a whole graph or of a part of it.

Parts let one tensor at a time be changed, and hold in memory only what is still to be read.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from tinyeff.errors import ModelFileError
from tinyeff.ir import ABSENT, Array, Graph, Op
from tinyeff.reader.edit import keep_only
from tinyeff.reader.flatbuffer import serialize

Values = dict[int, Array]
"""By index of the graph's tensors, all samples: (count, *shape)."""


class Part:
    """Some operators of a float graph, ready to run: `inputs` and `outputs` index its tensors.

    Raises ModelFileError where LiteRT refuses it.
    """

    def __init__(self, graph: Graph, ops: tuple[Op, ...], outputs: tuple[int, ...]) -> None:
        self.inputs, self.outputs = inputs_of(graph, ops), outputs
        part = keep_only(replace(graph, inputs=self.inputs, outputs=outputs), ops)
        try:
            self._interpreter = _interpreter(serialize(part))
        except (ValueError, RuntimeError) as error:
            raise ModelFileError(f"{graph.source.name}: LiteRT refuses the model in float32, "
                                 f"which calibration needs: {error}") from error
        self._names = graph.source.name
        # The numbers of the part's tensors are those of the flatbuffer.
        self._places = tuple(part.inputs), tuple(part.outputs)

    def run(self, values: Values) -> tuple[Array, ...]:
        """The outputs for all samples, (count, *shape) each."""
        count = len(values[self.inputs[0]])
        given, wanted = self._places
        results: list[Array] = []
        for sample in range(count):
            for place, index in zip(given, self.inputs, strict=True):
                self._interpreter.set_tensor(place, values[index][sample])
            try:
                self._interpreter.invoke()
            except (ValueError, RuntimeError) as error:
                raise ModelFileError(f"{self._names}: LiteRT cannot run the model in float32: "
                                     f"{error}") from error
            found = [self._interpreter.get_tensor(place) for place in wanted]
            if not sample:
                results = [np.empty((count, *f.shape), f.dtype) for f in found]
            for result, value in zip(results, found, strict=True):
                result[sample] = value
        return tuple(results)


def inputs_of(graph: Graph, ops: tuple[Op, ...]) -> tuple[int, ...]:
    """The activations that operators read and do not write themselves, in order of first use."""
    written = {i for op in ops for i in op.outputs}
    read = (i for op in ops for i in op.inputs if i != ABSENT)
    return tuple(dict.fromkeys(
        i for i in read if i not in written and not graph.tensors[i].is_constant))


def _interpreter(flatbuffer: bytes) -> Any:
    """LiteRT's interpreter with its fastest kernels that take the model, ready to run."""
    # Imported late: it costs a third of a second that planning need not pay.
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter: Any
    try:
        with _silence():
            interpreter = Interpreter(model_content=flatbuffer, num_threads=1)
            interpreter.allocate_tensors()
    except RuntimeError:  # XNNPACK takes no int8 model with extreme scales
        interpreter = Interpreter(
            model_content=flatbuffer, num_threads=1,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
        interpreter.allocate_tensors()
    return interpreter


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """LiteRT's C++ announces on standard error which kernels it takes; that is no news."""
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # there is no standard error
        yield
        return
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
