# SPDX-License-Identifier: MIT
"""Re-parameterisation: a trained network of branches becomes the plain one that computes the same.

What is linear in one tensor can be written as one convolution of it: a convolution, batch
normalization behind it (or of the tensor itself), convolutions in a row, and sums of these.
`deploy` looks for the largest such parts by structure alone (`rules.py`), so that it works on any
Keras model, loaded from a file or not: RepVGG (Ding et al. 2021, section 3.3), MobileOne (Vasu et
al. 2023, section 3.2), asymmetric and diverse branches (Ding et al. 2019, 2021b), ExpandNet (Guo et
al. 2020), DO-Conv (Cao et al. 2022), DiracNet (Zagoruyko and Komodakis 2017), and batch
normalization behind any convolution.

A convolution that would cost more than what it replaces is not made: a depthwise and a 1x1
convolution in a row stay two.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

import numpy as np

from tinyeff.ir import Array
from tinyeff.zoo.forms import NO_PADS, Form, PaddingForm, identity_form
from tinyeff.zoo.keras_model import keras_module
from tinyeff.zoo.rewriting import Maker, ModelGraph, rebuilt
from tinyeff.zoo.rules import RULES, explicit_pads


def deploy(model: Any) -> Any:
    """The plain network that computes what `model` computes in inference.

    Branches become one convolution, batch normalization disappears into the convolution before it.
    The result is a new keras.Model with the same inputs and outputs; `model` is left as it is.
    Float results agree to rounding (about 1e-6 of the largest value).

    Raises MissingProgramError where Keras is not installed.
    """
    keras, graph = keras_module(), ModelGraph(model)
    forms = _forms(graph)
    needed = _needed(graph, forms)
    taken: Counter[str] = Counter()
    replaced: dict[int, Maker] = {}
    for op in graph.operations:
        form = forms.get(op.outputs[0])
        if needed & set(op.outputs) and form is not None and form.changed:
            name = form.name or op.layer.name
            taken[name] += 1
            name = name if taken[name] == 1 else f"{name}_{taken[name]}"
            replaced[op.outputs[0]] = partial(_made, keras, form, name)
    return rebuilt(graph, replaced, needed)


def _forms(graph: ModelGraph) -> dict[int, Form]:
    """Tensor -> form, for all that some rule knows."""
    found: dict[int, Form] = {}

    def form_of(tensor: int) -> Form:
        form = found.get(tensor)
        # Each of its readers can take a padding in.
        if form is not None and (graph.readers[tensor] == 1 or isinstance(form, PaddingForm)):
            return form
        return identity_form(tensor, graph.tensors[tensor].shape)

    for op in graph.operations:
        if len(op.outputs) != 1 or not _is_map(graph.tensors[op.outputs[0]].shape):
            continue
        if not all(_is_map(graph.tensors[i].shape) for i in op.inputs):
            continue
        for rule in RULES:
            form = rule(op, form_of)
            if form is not None:
                found[op.outputs[0]] = form
                break
    chosen = {n: _chosen(form) for n, form in found.items() if form.parts}
    return {n: form for n, form in chosen.items() if form.is_worth_it}


def _chosen(form: Form) -> Form:
    """The form that reaches furthest back among those that cost nothing extra.

    A low rank is meant: two convolutions with a narrow tensor between stay two. So does a 1x1
    convolution before a pooling: as one it would hold a copy of the weights per pixel of a window.
    """
    through = form.through
    if through is None or not through.is_worth_it or through.narrow or through.is_larger:
        return form
    return _chosen(through)


def _is_map(shape: Any) -> bool:
    return len(shape) in (2, 4) and shape[-1] is not None


def _needed(graph: ModelGraph, forms: dict[int, Form]) -> set[int]:
    """The tensors that the plain network computes."""
    needed = set(graph.outputs)
    for op in reversed(graph.operations):
        if needed & set(op.outputs):
            form = forms.get(op.outputs[0])
            joined = form is not None and form.changed
            needed.update([form.source] if joined and form else op.inputs)
    return needed


def _made(keras: Any, form: Form, name: str, values: Any) -> Any:
    return _convolution(keras, form, values[form.source], name)


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
