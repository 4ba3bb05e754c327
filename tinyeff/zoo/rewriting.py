# SPDX-License-Identifier: MIT
"""A functional Keras model as a list of operations, and how it is built anew with some replaced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tinyeff.zoo.keras_model import keras_module


@dataclass(frozen=True, eq=False)
class Operation:
    """A Keras layer or operation where it is used: `inputs` and `outputs` number tensors."""

    node: Any
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @property
    def layer(self) -> Any:
        """The Keras layer or operation."""
        return self.node.operation

    @property
    def kind(self) -> str:
        """Name of its class."""
        return type(self.layer).__name__


class ModelGraph:
    """The operations of a Keras model in execution order, over numbered tensors.

    `readers` counts how often a tensor is read; as an output of the model too.
    """

    def __init__(self, model: Any) -> None:
        keras = keras_module()
        # A Sequential model is a functional one too, once its inputs are known.
        if not hasattr(model, "_nodes_by_depth"):
            model = keras.Model(model.inputs, model.outputs, name=model.name)
        self.model = model
        self.tensors: list[Any] = []
        self._numbers: dict[int, int] = {}
        self.inputs = [self._number(x) for x in model.inputs]
        self.outputs = [self._number(x) for x in model.outputs]
        self.operations: list[Operation] = []
        depths = model._nodes_by_depth
        for depth in sorted(depths, reverse=True):
            for node in depths[depth]:
                if not node.is_input:
                    self.operations.append(Operation(
                        node, tuple(map(self._number, node.input_tensors)),
                        tuple(map(self._number, node.outputs))))
        self.readers = Counter([i for op in self.operations for i in op.inputs] + self.outputs)
        self.writers = {n: op for op in self.operations for n in op.outputs}

    def _number(self, tensor: Any) -> int:
        if id(tensor) not in self._numbers:
            self._numbers[id(tensor)] = len(self.tensors)
            self.tensors.append(tensor)
        return self._numbers[id(tensor)]

    def number(self, tensor: Any) -> int:
        """The number of a tensor that is there."""
        return self._numbers[id(tensor)]

    def consumers(self, tensor: int) -> list[Operation]:
        """The operations that read a tensor."""
        return [op for op in self.operations if tensor in op.inputs]


Maker = Callable[[Mapping[int, Any]], Any]
"""New tensor for an operation's output, from the new tensors by number."""


def rebuilt(
    graph: ModelGraph, replaced: Mapping[int, Maker], needed: set[int] | None = None
) -> Any:
    """A new model with the outputs in `replaced` made otherwise, all others as before.

    Only what writes a tensor of `needed` is made, everything unless given. Weights are copied; the
    model that the graph is of stays as it is.
    """
    keras = keras_module()
    values: dict[int, Any] = {
        n: keras.Input(batch_shape=x.shape, dtype=x.dtype, name=x.name)
        for n, x in zip(graph.inputs, graph.model.inputs, strict=True)}
    for op in graph.operations:
        if needed is not None and not needed & set(op.outputs):
            continue
        if op.outputs[0] in replaced:
            values[op.outputs[0]] = replaced[op.outputs[0]](values)
        else:
            values.update(zip(op.outputs, again(op, graph, values), strict=True))
    ends = ((graph.model._inputs_struct, graph.inputs), (graph.model._outputs_struct,
                                                         graph.outputs))
    inputs, outputs = (keras.tree.pack_sequence_as(structure, [values[n] for n in numbers])
                       for structure, numbers in ends)
    return keras.Model(inputs, outputs, name=graph.model.name)


def again(op: Operation, graph: ModelGraph, values: Mapping[int, Any],
          weights: list[Any] | None = None, **config: Any) -> list[Any]:
    """The same operation on new tensors; with a copy of its weights, or `weights`.

    `config` replaces entries of the layer's configuration.
    """
    layer = op.layer
    has_weights = hasattr(layer, "get_weights")
    copy = type(layer).from_config({**layer.get_config(), **config}) if has_weights else layer
    args, kwargs = op.node.arguments.fill_in(
        {id(x): values[graph.number(x)] for x in op.node.input_tensors})
    outputs = copy(*args, **kwargs)
    if has_weights:
        copy.set_weights(layer.get_weights() if weights is None else weights)
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]
