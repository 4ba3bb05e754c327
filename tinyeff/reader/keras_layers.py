# SPDX-License-Identifier: MIT
"""Keras layers of our own, which model files may name: they can be loaded without running code.

Convolutions that train with more weights than they need have `plain_weights`, which
`tinyeff.zoo.deploy` asks for: kernel and bias of the convolution that computes the same. Branches
of ordinary layers need no such class: `deploy` finds them by structure.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from tinyeff.ir import Array

NAMES = ("AdderConv2D", "DepthwiseOverConv2D", "DiracConv2D", "LearnedShift2D", "PositionBias",
         "ResponseNormalization", "TrivialConv2D")
PACKAGE = "tinyeff"


def distances(keys: tuple[int, int], stride: int = 1) -> Array:
    """(queries, keys) -> the number of their distance along rows and columns.

    Keys lie on a grid of `keys` (rows, columns), queries on every `stride`-th pixel of it. There
    are rows * columns distances.
    """
    def grid(step: int) -> Array:
        axes = (np.arange(0, n, step) for n in keys)
        return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2)

    apart = np.abs(grid(stride)[:, None] - grid(1)[None])
    numbers: Array = apart[..., 0] * keys[1] + apart[..., 1]
    return numbers


def layer_class(name: str) -> Any:
    """The Keras class called `name`, one of NAMES; arguments (filters, kernel_size=3, strides=1).

    "DiracConv2D": W = diag(a) I + diag(b) W / |W| (Zagoruyko and Komodakis 2017, equation 3).
    "TrivialConv2D": W + I, the shortcut in the kernel, not trained (Ding et al. 2021, table 7).
    "DepthwiseOverConv2D": a depthwise kernel over each window, then the convolution's own (DO-Conv,
    Cao et al. 2022, equation 3, with D_mul = rows * columns).
    "AdderConv2D": minus the sum of |x - w| over each window (Chen et al. 2020, equation 2); trains
    with that paper's gradients. Arguments (filters, kernel_size, strides, padding).
    "LearnedShift2D": arguments (reach, rounded); each channel moved by up to `reach` rows and
    columns that are learned, bilinear between pixels (Jeon and Kim 2018, equation 5). `rounded`
    moves by whole pixels and learns as if it did not (Chen et al. 2019c, section 3.2).
    "PositionBias": arguments (keys, stride); a learned number per head and distance of pixels, to
    scores (batch, heads, queries, keys) of keys on a grid of `keys` (rows, columns).
    "ResponseNormalization": arguments (radius, k, alpha, beta); x / (k + alpha * sum of x^2)^beta
    over the `radius` channels on either side (Krizhevsky et al. 2012, section 3.3).
    """
    return layer_classes()[name]


@cache
def layer_classes() -> dict[str, Any]:
    """Name -> class; made when first asked for, since Keras takes seconds to import."""
    import keras

    ops = keras.ops

    class Convolution(keras.layers.Layer):  # type: ignore[misc]
        """A "same" convolution whose kernel is computed from the weights."""

        def __init__(
            self, filters: int, kernel_size: int = 3, strides: int = 1, use_bias: bool = True,
            **kwargs: Any,
        ) -> None:
            super().__init__(**kwargs)
            self.filters, self.use_bias = filters, use_bias
            self.kernel_size, self.strides = (kernel_size,) * 2, (strides,) * 2
            self.padding, self.dilation_rate = "same", (1, 1)
            self.activation = keras.activations.linear

        def build(self, input_shape: Any) -> None:
            """Make the weights for inputs of `input_shape`."""
            self.make_weights((*self.kernel_size, int(input_shape[-1]), self.filters))
            if self.use_bias:
                self.bias = self.add_weight(shape=(self.filters,), initializer="zeros",
                                            name="bias")

        def call(self, inputs: Any) -> Any:
            """Convolve with the plain kernel."""
            y = ops.conv(inputs, self.plain_kernel(), self.strides, "same")
            return y + self.bias if self.use_bias else y

        def plain_weights(self) -> tuple[Any, Any]:
            """Kernel (rows, columns, in, out) and bias (out,) of the plain convolution."""
            bias = self.bias if self.use_bias else ops.zeros((self.filters,))
            return (ops.convert_to_numpy(self.plain_kernel()), ops.convert_to_numpy(bias))

        def get_config(self) -> dict[str, Any]:
            """What rebuilds the layer."""
            return {**super().get_config(), "filters": self.filters,
                    "kernel_size": self.kernel_size[0], "strides": self.strides[0],
                    "use_bias": self.use_bias}

    @keras.saving.register_keras_serializable(PACKAGE)
    class DiracConv2D(Convolution):
        def make_weights(self, shape: tuple[int, ...]) -> None:
            self.kernel = self.add_weight(shape=shape, initializer="he_normal", name="kernel")
            self.identity = self.add_weight(shape=shape[-1:], initializer="ones", name="identity")
            self.scale = self.add_weight(shape=shape[-1:], name="scale",
                                         initializer=keras.initializers.Constant(0.1))

        def plain_kernel(self) -> Any:
            norm = ops.sqrt(ops.sum(ops.square(self.kernel), (0, 1, 2)) + 1e-12)
            return dirac(self.kernel.shape) * self.identity + self.kernel / norm * self.scale

    @keras.saving.register_keras_serializable(PACKAGE)
    class TrivialConv2D(Convolution):
        def make_weights(self, shape: tuple[int, ...]) -> None:
            self.kernel = self.add_weight(shape=shape, initializer="he_normal", name="kernel")

        def plain_kernel(self) -> Any:
            return self.kernel + dirac(self.kernel.shape)

    @keras.saving.register_keras_serializable(PACKAGE)
    class DepthwiseOverConv2D(Convolution):
        def make_weights(self, shape: tuple[int, ...]) -> None:
            rows, columns, channels, filters = shape
            area = rows * columns
            self.kernel = self.add_weight(shape=(area, channels, filters),
                                          initializer="he_normal", name="kernel")
            # The identity: training starts as without it.
            self.over = self.add_weight(
                shape=(channels, area, area), name="over",
                initializer=lambda s, dtype=None: ops.tile(ops.eye(area)[None], (s[0], 1, 1)))

        def plain_kernel(self) -> Any:
            composed = ops.einsum("cpd,dcf->pcf", self.over, self.kernel)
            return ops.reshape(composed, (*self.kernel_size, *self.kernel.shape[1:]))

    @keras.saving.register_keras_serializable(PACKAGE)
    class LearnedShift2D(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self, reach: int = 1, rounded: bool = False, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.reach, self.rounded = reach, rounded
            self.strides, self.dilation_rate, self.padding = (1, 1), (1, 1), "same"
            self.activation = keras.activations.linear

        def build(self, input_shape: Any) -> None:
            self.groups = int(input_shape[-1])
            self.offsets = self.add_weight(
                shape=(self.groups, 2), name="offsets",
                initializer=keras.initializers.RandomUniform(-self.reach, self.reach))

        def call(self, inputs: Any) -> Any:
            return ops.depthwise_conv(inputs, self.plain_kernel()[..., None], 1, "same")

        def plain_kernel(self) -> Any:
            offsets = ops.clip(self.offsets, -self.reach, self.reach)
            kernel = self.taps(offsets)
            if self.rounded:
                kernel = kernel + ops.stop_gradient(self.taps(ops.round(offsets)) - kernel)
            return kernel

        def taps(self, offsets: Any) -> Any:
            """(rows, columns, channels): what each neighbour weighs, 1 in all per channel."""
            places = ops.arange(-self.reach, self.reach + 1, dtype="float32")[:, None]
            rows, columns = (ops.relu(1 - ops.abs(places - offsets[:, axis])) for axis in range(2))
            return rows[:, None] * columns[None]

        def plain_weights(self) -> tuple[Any, Any]:
            """Kernel (rows, columns, 1, channels) and bias of the plain depthwise convolution."""
            kernel = ops.convert_to_numpy(self.plain_kernel())
            return kernel[:, :, None], np.zeros(self.groups)

        def compute_output_shape(self, input_shape: Any) -> Any:
            return input_shape

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "reach": self.reach, "rounded": self.rounded}

    @keras.saving.register_keras_serializable(PACKAGE)
    class ResponseNormalization(keras.layers.Layer):  # type: ignore[misc]
        def __init__(
            self, radius: int = 2, k: float = 2.0, alpha: float = 1e-4, beta: float = 0.75,
            **kwargs: Any,
        ) -> None:
            super().__init__(**kwargs)
            self.settings = {"radius": radius, "k": k, "alpha": alpha, "beta": beta}

        def call(self, inputs: Any) -> Any:
            # Keras has no such operation, and TensorFlow's is what its converter knows.
            import tensorflow as tf

            s = self.settings
            return tf.nn.local_response_normalization(
                inputs, s["radius"], s["k"], s["alpha"], s["beta"])

        def compute_output_shape(self, input_shape: Any) -> Any:
            return input_shape

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), **self.settings}

    @keras.saving.register_keras_serializable(PACKAGE)
    class AdderConv2D(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self, filters: int, kernel_size: Any = 3, strides: Any = 1,
                     padding: str = "same", **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.filters, self.padding = filters, padding
            self.kernel_size, self.strides = (
                (n, n) if isinstance(n, int) else tuple(n) for n in (kernel_size, strides))

        def build(self, input_shape: Any) -> None:
            taps = self.kernel_size[0] * self.kernel_size[1] * int(input_shape[-1])
            self.kernel = self.add_weight(shape=(self.filters, taps), name="kernel",
                                          initializer=keras.initializers.RandomNormal(0.0, 1.0))

        def call(self, inputs: Any, training: bool | None = None) -> Any:
            windows = self.windows(inputs)
            apart = ops.abs(windows - self.kernel)
            if training:
                # Equations 5 and 6: differences for the kernel, clipped ones for the input, where
                # the derivative of |x - w| would be no more than a sign.
                kernel, stop = self.kernel, ops.stop_gradient
                far, near = stop(windows) - kernel, windows - stop(kernel)
                clipped = ops.clip(near, -1, 1)
                extra = far * far / 2 + near * stop(clipped)
                apart = stop(apart - extra) + extra
            # A mean and a factor, since int8 sums over many taps have no exact reference.
            y = ops.mean(apart, -1) * -float(self.kernel.shape[-1])
            return ops.reshape(y, (-1, *self.compute_output_shape(inputs.shape)[1:]))

        def windows(self, x: Any) -> Any:
            """(batch, pixels of the output, 1, taps)."""
            out = self.compute_output_shape(x.shape)[1:3]
            sides = [(0, 0), (0, 0), (0, 0), (0, 0)]
            if self.padding == "same":
                for axis, (n, k, s) in enumerate(zip(out, self.kernel_size, self.strides,
                                                     strict=True), 1):
                    total = max((n - 1) * s + k - x.shape[axis], 0)
                    sides[axis] = (total // 2, total - total // 2)
            x = ops.pad(x, sides) if any(map(any, sides)) else x
            ends = [(n - 1) * s + 1 for n, s in zip(out, self.strides, strict=True)]
            (rows, columns), (down, right) = self.kernel_size, self.strides
            taps = [x[:, i:i + ends[0]:down, j:j + ends[1]:right]
                    for i in range(rows) for j in range(columns)]
            if (*self.kernel_size, *self.strides) == (1, 1, 1, 1):
                taps = [x]  # nothing is cut out
            joined = ops.concatenate(taps, -1) if len(taps) > 1 else taps[0]
            return ops.reshape(joined, (-1, out[0] * out[1], 1, self.kernel.shape[-1]))

        def compute_output_shape(self, input_shape: Any) -> Any:
            if self.padding == "same":
                rows, columns = (-(-n // s) for n, s in zip(input_shape[1:3], self.strides,
                                                            strict=True))
            else:
                rows, columns = ((n - k) // s + 1 for n, k, s in zip(
                    input_shape[1:3], self.kernel_size, self.strides, strict=True))
            return (input_shape[0], rows, columns, self.filters)

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "filters": self.filters, "padding": self.padding,
                    "kernel_size": list(self.kernel_size), "strides": list(self.strides)}

    @keras.saving.register_keras_serializable(PACKAGE)
    class PositionBias(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self, keys: Any, stride: int = 1, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.keys, self.stride = tuple(keys), stride

        def build(self, input_shape: Any) -> None:
            self.numbers = self.add_weight(shape=(int(input_shape[1]), math.prod(self.keys)),
                                           initializer="zeros", name="numbers")

        def call(self, inputs: Any) -> Any:
            return inputs + ops.take(self.numbers, distances(self.keys, self.stride), 1)

        def compute_output_shape(self, input_shape: Any) -> Any:
            return input_shape

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "keys": list(self.keys), "stride": self.stride}

    def dirac(shape: Any) -> Any:
        rows, columns, channels, filters = shape
        eye = ops.eye(channels, filters)[None, None]
        return ops.pad(eye, ((rows // 2, rows - 1 - rows // 2),
                             (columns // 2, columns - 1 - columns // 2), (0, 0), (0, 0)))

    return {c.__name__: c for c in (
        AdderConv2D, DepthwiseOverConv2D, DiracConv2D, LearnedShift2D, PositionBias,
        ResponseNormalization, TrivialConv2D)}
