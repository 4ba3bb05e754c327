# SPDX-License-Identifier: MIT
"""A network of the zoo as a Keras model.

It consists of Keras' own layers, so that a saved model can be loaded anywhere; of those that Keras
has nothing like, `tinyeff/reader/keras_layers.py` has the classes.
"""

from __future__ import annotations

import math
from typing import Any

from tinyeff.errors import MissingProgramError
from tinyeff.worker import HOW_TO_GET
from tinyeff.zoo import layers as kinds
from tinyeff.zoo import token_layers as tokens
from tinyeff.zoo.layers import Kind, Network, Shape


def keras_module() -> Any:
    """The module keras; MissingProgramError where it is not installed."""
    try:
        import keras
    except ImportError as error:
        raise MissingProgramError("building networks needs TensorFlow, which is not installed: "
                                  f"{HOW_TO_GET}") from error
    return keras


def keras_model(network: Network, seed: int | None = None) -> Any:
    """The network as a keras.Model with freshly initialized weights.

    Inputs are (batch, rows, columns, channels). `seed` makes the weights the same each time.
    """
    keras = keras_module()
    if seed is not None:
        keras.utils.set_random_seed(seed)
    values: list[Any] = []
    names: dict[str, int] = {}
    for layer in network.layers:
        kind = type(layer.kind).__name__.lower()
        number = names[kind] = names.get(kind, 0) + 1
        inputs = [values[i] for i in layer.inputs]
        values.append(_apply(keras, layer.kind, inputs, layer.shape, f"{kind}_{number}"))
    outputs = [values[i] for i in network.outputs]
    return keras.Model(values[0], outputs[0] if len(outputs) == 1 else outputs,
                       name=network.name.replace(".", "_"))


def _apply(keras: Any, kind: Kind, inputs: list[Any], shape: Shape, name: str) -> Any:
    """The Keras tensor of a layer called `name`, of output `shape`, on the tensors `inputs`."""
    layers = keras.layers
    match kind:
        case kinds.Input():
            return keras.Input(kind.shape, name="input")
        case kinds.Conv():
            return layers.Conv2D(
                kind.filters, kind.kernel, kind.stride, kind.padding, groups=kind.groups,
                dilation_rate=kind.dilation, use_bias=kind.bias, name=name,
                kernel_initializer="he_normal")(inputs[0])
        case kinds.Depthwise():
            return layers.DepthwiseConv2D(
                kind.kernel, kind.stride, kind.padding, use_bias=kind.bias, name=name,
                depthwise_initializer="he_normal")(inputs[0])
        case kinds.Dense():
            return layers.Dense(kind.units, use_bias=kind.bias, name=name)(inputs[0])
        case kinds.Norm():
            return layers.BatchNormalization(name=name)(inputs[0])
        case kinds.Activation():
            return layers.Activation(kind.function, name=name)(inputs[0])
        case kinds.MaxPool():
            return layers.MaxPooling2D(kind.kernel, kind.stride, kind.padding, name=name)(inputs[0])
        case kinds.AveragePool():
            return layers.AveragePooling2D(kind.kernel, kind.stride, kind.padding,
                                           name=name)(inputs[0])
        case kinds.GlobalPool():
            return layers.GlobalAveragePooling2D(keepdims=kind.keep, name=name)(inputs[0])
        case kinds.Add() | kinds.Multiply() | kinds.Concat():
            joined = {"Add": layers.Add, "Multiply": layers.Multiply, "Concat": layers.Concatenate}
            return joined[type(kind).__name__](name=name)(inputs)
        case kinds.Flatten():
            return layers.Flatten(name=name)(inputs[0])
        case kinds.Dropout():
            return layers.Dropout(kind.rate, name=name)(inputs[0])
        case kinds.Slice():
            return inputs[0][..., kind.first:kind.last]
        case kinds.PadChannels():
            # Channels last, but said to come first: what is padded are columns and channels.
            return layers.ZeroPadding2D(((0, 0), (0, kind.more)), data_format="channels_first",
                                        name=name)(inputs[0])
        case kinds.Shuffle():
            return _shuffled(keras, kind.groups, inputs[0], shape, name)
    return _rarer(keras, kind, inputs, shape, name)


def _rarer(keras: Any, kind: Kind, inputs: list[Any], shape: Shape, name: str) -> Any:
    """The layers that few networks have."""
    layers, x = keras.layers, inputs[0]
    match kind:
        case kinds.Affine():
            return layers.Rescaling(kind.scale, kind.offset, name=name)(x)
        case kinds.ChannelScale():
            # The only one of Keras' layers with one factor per channel and nothing else.
            start = keras.initializers.Constant(kind.initial)
            return layers.DepthwiseConv2D(1, use_bias=False, depthwise_initializer=start,
                                          name=name)(x)
        case kinds.Offset():
            return _offset(keras, kind, x, name)
        case kinds.Pad():
            return layers.ZeroPadding2D(kind.size, name=name)(x)
        case kinds.Crop():
            sides = tuple(((n - m) // 2, n - m - (n - m) // 2)
                          for n, m in zip(x.shape[1:3], shape[:2], strict=True))
            return layers.Cropping2D(sides, name=name)(x)
        case kinds.Upsample():
            how = "bilinear" if kind.smooth else "nearest"
            return layers.UpSampling2D(kind.factor, interpolation=how, name=name)(x)
        case kinds.TransposedConv():
            return layers.Conv2DTranspose(kind.filters, kind.factor, kind.factor,
                                          use_bias=kind.bias, name=name)(x)
    return _of_tokens(keras, kind, inputs, shape, name)


def _of_tokens(keras: Any, kind: Kind, inputs: list[Any], shape: Shape, name: str) -> Any:
    """The layers of attention and of additions."""
    layers, x = keras.layers, inputs[0]
    match kind:
        case tokens.Attention():
            return _attention(keras, kind, inputs, shape, name)
        case tokens.LinearAttention():
            return _linear_attention(keras, kind, x, shape, name)
        case tokens.Folded():
            return layers.Reshape(shape, name=name)(x)
        case tokens.ToHeads():
            rows, columns, channels = x.shape[1:]
            split = (rows * columns, kind.heads, channels // kind.heads)
            x = layers.Reshape(split, name=f"{name}_split")(x)
            return layers.Permute((2, 3, 1) if kind.exchanged else (2, 1, 3), name=name)(x)
        case tokens.FromHeads():
            x = layers.Permute((2, 1, 3), name=f"{name}_exchange")(x)
            return layers.Reshape(shape, name=name)(x)
        case tokens.Product():
            return keras.ops.matmul(*inputs)
        case tokens.Permuted():
            return layers.Permute(tuple(i + 1 for i in kind.axes), name=name)(x)
        case tokens.Subtract():
            return layers.Subtract(name=name)(inputs)
        case tokens.Standardized():
            # Layers where Keras' operations would take names that other layers have.
            ops, times = keras.ops, layers.Multiply
            mean = ops.mean(x, -1, keepdims=True)
            centred = layers.Subtract(name=f"{name}_centred")([x, mean])
            squared = times(name=f"{name}_squared")([centred, centred])
            variance = layers.Rescaling(1.0, kind.epsilon, name=f"{name}_variance")(
                ops.mean(squared, -1, keepdims=True))
            return times(name=name)([centred, ops.rsqrt(variance)])
        case tokens.Gains():
            return layers.DepthwiseConv2D(1, depthwise_initializer="ones", name=name)(x)
    return _own(kind, x, name)


def _own(kind: Kind, x: Any, name: str) -> Any:
    """The layers that Keras has nothing like."""
    from tinyeff.reader.keras_layers import layer_class

    match kind:
        case kinds.ResponseNorm():
            return layer_class("ResponseNormalization")(
                kind.size // 2, kind.k, kind.alpha, kind.beta, name=name)(x)
        case tokens.PositionBias():
            return layer_class("PositionBias")(kind.keys, kind.stride, name=name)(x)
        case tokens.Adder():
            return layer_class("AdderConv2D")(kind.filters, kind.kernel, kind.stride, kind.padding,
                                              name=name)(x)
    raise AssertionError(kind)


def _offset(keras: Any, kind: kinds.Offset, x: Any, name: str) -> Any:
    """Zeros enter on one side, as many pixels leave on the other."""
    (up, down), (left, right) = ((max(-n, 0), max(n, 0)) for n in (kind.rows, kind.columns))
    # What lies `rows` below comes up: zeros enter at the bottom, the first rows leave.
    x = keras.layers.ZeroPadding2D(((up, down), (left, right)), name=f"{name}_pad")(x)
    return keras.layers.Cropping2D(((down, up), (right, left)), name=name)(x)


def _attention(
    keras: Any, kind: tokens.Attention, inputs: list[Any], shape: Shape, name: str
) -> Any:
    """Heads are rows of one matrix of queries, since key and value are shared."""
    query, key, value = inputs
    d, keys = int(key.shape[-1]), int(key.shape[1]) * int(key.shape[2])
    reshape = keras.layers.Reshape
    rows = reshape((math.prod(shape[:2]) * kind.heads, d), name=f"{name}_queries")(query)
    columns = reshape((keys, d), name=f"{name}_keys")(key)
    values = reshape((keys, int(value.shape[-1])), name=f"{name}_values")(value)
    scores = keras.layers.Dot((2, 2), name=f"{name}_scores")([rows, columns])
    scores = keras.layers.Rescaling(d**-0.5, name=f"{name}_scale")(scores)
    weights = keras.layers.Softmax(name=f"{name}_softmax")(scores)
    y = keras.layers.Dot((2, 1), name=f"{name}_mix")([weights, values])
    return reshape(shape, name=name)(y)


def _linear_attention(
    keras: Any, kind: tokens.LinearAttention, x: Any, shape: Shape, name: str
) -> Any:
    """TensorFlow Lite divides no int8: what divides is multiplied by its inverse root, twice."""
    layers, d, pixels = keras.layers, kind.d, math.prod(shape[:2])
    x = layers.Reshape((pixels, kind.heads(x.shape), 3 * d), name=f"{name}_split")(x)
    x = layers.Permute((2, 1, 3), name=f"{name}_heads")(x)
    query = layers.ReLU(name=f"{name}_queries")(x[..., :d])
    key = layers.ReLU(name=f"{name}_keys")(x[..., d:2 * d])
    key = layers.Permute((1, 3, 2), name=f"{name}_exchange")(key)
    y = keras.ops.matmul(query, keras.ops.matmul(key, x[..., 2 * d:]))
    total = keras.ops.matmul(query, keras.ops.mean(key, -1, keepdims=True))
    total = layers.Rescaling(float(pixels), kind.epsilon, name=f"{name}_total")(total)
    root = keras.ops.rsqrt(total)
    y = layers.Multiply(name=f"{name}_once")([y, root])
    y = layers.Multiply(name=f"{name}_twice")([y, root])
    return layers.Reshape(shape, name=name)(layers.Permute((2, 1, 3), name=f"{name}_back")(y))


def _shuffled(keras: Any, groups: int, x: Any, shape: Shape, name: str) -> Any:
    """Channels as (groups, members), exchanged; three dimensions beside the batch are enough."""
    pixels, channels = math.prod(shape[:-1]), shape[-1]
    x = keras.layers.Reshape((pixels, groups, channels // groups), name=f"{name}_split")(x)
    x = keras.layers.Permute((1, 3, 2), name=f"{name}_exchange")(x)
    return keras.layers.Reshape(shape, name=f"{name}_join")(x)
