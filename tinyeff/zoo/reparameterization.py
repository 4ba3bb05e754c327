# SPDX-License-Identifier: MIT
"""Re-parameterisation: a trained network of branches becomes the plain one that computes the same.

What is linear in one tensor can be written as one convolution of it: a convolution, batch
normalization behind it (or of the tensor itself), and sums of these (`forms.py`). `deploy` looks
for the largest such parts by structure alone, so that it works on any Keras model, loaded from a
file or not: RepVGG (Ding et al. 2021, section 3.3), MobileOne (Vasu et al. 2023, section 3.2), and
batch normalization behind any convolution.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from tinyeff.ir import Array
from tinyeff.zoo.forms import NO_PADS, RULES, Form, Operation, explicit_pads, identity_form
from tinyeff.zoo.keras_model import keras_module


def deploy(model: Any) -> Any:
    """The plain network that computes what `model` computes in inference.

    Branches become one convolution, batch normalization disappears into the convolution before it.
    The result is a new keras.Model with the same inputs and outputs; `model` is left as it is.
    Float results agree to rounding (about 1e-6 of the largest value).

    Raises MissingProgramError where Keras is not installed.
    """
    keras = keras_module()
    # A Sequential model is a functional one too, once its inputs are known.
    functional = model if hasattr(model, "_nodes_by_depth") else keras.Model(
        model.inputs, model.outputs, name=model.name)
    graph = _Graph(functional)
    forms = graph.forms()
    values = {n: keras.Input(batch_shape=x.shape, dtype=x.dtype, name=x.name)
              for n, x in zip(graph.inputs, model.inputs, strict=True)}
    needed = _needed(graph, forms)
    taken: Counter[str] = Counter()
    for op in graph.operations:
        if not needed & set(op.outputs):
            continue
        form = forms.get(op.outputs[0])
        if form is not None and form.changed:
            name = form.name or op.layer.name
            taken[name] += 1
            name = name if taken[name] == 1 else f"{name}_{taken[name]}"
            values[op.outputs[0]] = _convolution(keras, form, values[form.source], name)
        else:
            values.update(zip(op.outputs, _again(op, graph, values), strict=True))
    ends = ((functional._inputs_struct, graph.inputs), (functional._outputs_struct, graph.outputs))
    inputs, outputs = (keras.tree.pack_sequence_as(structure, [values[n] for n in numbers])
                       for structure, numbers in ends)
    return keras.Model(inputs, outputs, name=model.name)


class _Graph:
    """A functional Keras model as a list of operations over numbered tensors."""

    def __init__(self, model: Any) -> None:
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

    def _number(self, tensor: Any) -> int:
        if id(tensor) not in self._numbers:
            self._numbers[id(tensor)] = len(self.tensors)
            self.tensors.append(tensor)
        return self._numbers[id(tensor)]

    def number(self, tensor: Any) -> int:
        """The number of a tensor that is there."""
        return self._numbers[id(tensor)]

    def forms(self) -> dict[int, Form]:
        """Tensor -> form, for all that some rule knows."""
        found: dict[int, Form] = {}

        def form_of(tensor: int) -> Form:
            if tensor in found and self.readers[tensor] == 1:
                return found[tensor]
            return identity_form(tensor, self.tensors[tensor].shape)

        for op in self.operations:
            if len(op.outputs) != 1 or not _is_map(self.tensors[op.outputs[0]].shape):
                continue
            if not all(_is_map(self.tensors[i].shape) for i in op.inputs):
                continue
            for rule in RULES:
                form = rule(op, form_of)
                if form is not None:
                    found[op.outputs[0]] = form
                    break
        return {n: form for n, form in found.items() if form.parts}


def _is_map(shape: Any) -> bool:
    return len(shape) in (2, 4) and shape[-1] is not None


def _needed(graph: _Graph, forms: dict[int, Form]) -> set[int]:
    """The tensors that the plain network computes."""
    needed = set(graph.outputs)
    for op in reversed(graph.operations):
        if needed & set(op.outputs):
            form = forms.get(op.outputs[0])
            joined = form is not None and form.changed
            needed.update([form.source] if joined and form else op.inputs)
    return needed


def _convolution(keras: Any, form: Form, x: Any, name: str) -> Any:
    """The Keras tensor of a form, by one layer (and one of padding, where Keras has no name)."""
    layers, kernel, out = keras.layers, form.kernel, form.kernel.shape[-1]
    if form.dense:
        layer = layers.Dense(out, name=name)
        return _weighted(layer, x, kernel[0, 0], form.bias)
    size, padding = kernel.shape[:2], "valid"
    if form.pads != NO_PADS:
        probe = layers.DepthwiseConv2D(size, form.stride, "same", dilation_rate=form.dilation)
        if explicit_pads(probe, size, x.shape) == form.pads:
            padding = "same"
        else:
            x = layers.ZeroPadding2D(form.pads, name=f"{name}_pad")(x)
    if form.groups == x.shape[-1] and kernel.shape[2] == 1:
        layer = layers.DepthwiseConv2D(size, form.stride, padding, out // form.groups,
                                       dilation_rate=form.dilation, name=name)
        kernel = kernel.reshape((*size, form.groups, -1))
    else:
        layer = layers.Conv2D(out, size, form.stride, padding, dilation_rate=form.dilation,
                              groups=form.groups, name=name)
    return _weighted(layer, x, kernel, form.bias)


def _weighted(layer: Any, x: Any, kernel: Array, bias: Array) -> Any:
    y = layer(x)
    layer.set_weights([kernel.astype(np.float32), bias.astype(np.float32)])
    return y


def _again(op: Operation, graph: _Graph, values: dict[int, Any]) -> list[Any]:
    """The same operation on new tensors, with a copy of its weights."""
    layer = op.layer
    weighted = hasattr(layer, "get_weights")
    copy = type(layer).from_config(layer.get_config()) if weighted else layer
    args, kwargs = op.node.arguments.fill_in(
        {id(x): values[graph.number(x)] for x in op.node.input_tensors})
    outputs = copy(*args, **kwargs)
    if weighted:
        copy.set_weights(layer.get_weights())
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]
