# SPDX-License-Identifier: MIT
"""What tinyeff must know of an operator, and the helpers that operators share.

A module `tinyeff/ops/<kind>.py` defines one subclass of `Operator` and `OPERATOR = TheClass()`.
The registry (`tinyeff.ops`) finds it by itself. Nothing outside the module and its kernel in
firmware/kernels/ needs to know the operator.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from tinyeff import fixed_point
from tinyeff.ir import (
    Array,
    ConstArray,
    Graph,
    Kernel,
    Op,
    Quant,
    Target,
    Tensor,
    Variant,
    Window,
)

A = TypeVar("A")

EVERYTHING = (-math.inf, math.inf)


@dataclass(frozen=True, eq=False)
class Node(Generic[A]):
    """An operator with its tensors looked up; an absent optional input is None."""

    name: str
    attrs: A
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]

    def input(self, index: int) -> Tensor:
        """The input at `index`, which must be there."""
        tensor = self.inputs[index]
        assert tensor is not None, f"{self.name}: input {index} is absent"
        return tensor

    def optional(self, index: int) -> Tensor | None:
        """The input at `index`, or None where it is absent or the list is shorter."""
        return self.inputs[index] if index < len(self.inputs) else None

    @property
    def output(self) -> Tensor:
        """The first output."""
        return self.outputs[0]

    @property
    def activations(self) -> tuple[Tensor, ...]:
        """The inputs that are computed at run time, in order; kernels get rows of these."""
        return tuple(t for t in self.inputs if t is not None and not t.is_constant)


def node_of(graph: Graph, op: Op) -> Node[Any]:
    """`op` with its tensors of `graph`."""
    inputs = tuple(graph.tensors[i] if i >= 0 else None for i in op.inputs)
    return Node(op.name, op.attrs, inputs, tuple(graph.tensors[i] for i in op.outputs))


class Operator(ABC, Generic[A]):
    """All that is known of one kind of operator.

    `kind` is TFLite's name of it. `form` is how its kernel is called: "rows", "accumulate",
    "whole" (see te.h), or "view" where the output is the input's bytes under another shape and no
    code runs.
    """

    kind: ClassVar[str]
    version: ClassVar[int] = 3
    """The operator version that written files carry: one that LiteRT runs with int8 tensors."""
    form: ClassVar[str] = "rows"
    uint8: ClassVar[bool] = False
    """True where LiteRT's kernel for uint8 computes the same, 128 higher. What it rounds otherwise
    `read` must note in the attributes; the tensors of its node are uint8 then."""
    writes_indices: ClassVar[bool] = False
    """True where its outputs are indices, int32 or int64 without a scale."""

    shares_scale: ClassVar[bool] = False
    """True where TFLite wants its int8 inputs and outputs to have one scale and zero point."""
    output_quant: ClassVar[Quant | None] = None
    """The one quantization that TFLite allows its int8 output, if it has a say."""
    told_apart: ClassVar[tuple[float, float]] = EVERYTHING
    """Real inputs beyond these bounds give what the bounds give, as finely as an int8 output has
    it."""
    weight_axis: ClassVar[int | None] = None
    """The dimension of its constant weights (input 1) that may have a scale for each index."""
    data_input: ClassVar[int] = 0
    """Of an operator with weights the input that they are multiplied with; a bias may follow."""

    # Reading and writing the file -------------------------------------------------------------

    @abstractmethod
    def read(self, options: Any, node: Node[None]) -> A:
        """The attributes from TFLite's option table (an object of schema_py_generated, or None).

        Raises ValueError with a reason where the options make no sense.
        """

    @abstractmethod
    def write(self, node: Node[A]) -> Any:
        """The inverse of `read`; ValueError where TFLite has no way to say it."""

    # What it computes -------------------------------------------------------------------------

    @abstractmethod
    def output_shapes(self, node: Node[A]) -> tuple[tuple[int, ...], ...]:
        """The shapes that follow from inputs and attributes; ValueError where they do not match."""

    @abstractmethod
    def limits(self, node: Node[A]) -> Iterator[str]:
        """One sentence for each limit that this operator breaks, as the user will see it.

        Called for int8 graphs, and for float graphs that are planned as if int8: quantization
        must be looked at only where tensors have it (`is_int8`).
        """

    @abstractmethod
    def evaluate(self, node: Node[A], inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        """The integer reference: int8 arrays of the activations in, int8 arrays out."""

    def macs(self, node: Node[A]) -> int:
        """Multiply-accumulates, padded taps included; 0 for what is not a matrix product."""
        return 0

    # How it runs ------------------------------------------------------------------------------

    def form_of(self, node: Node[A]) -> str:
        """The form of this very node, where an operator has more than one."""
        return self.form

    def window(self, node: Node[A], activation: int) -> Window:
        """The rows of the activation that an output row needs (form "rows")."""
        return Window()

    def columns(self, node: Node[A], activation: int) -> Window:
        """The columns of the activation that an output column needs (form "rows")."""
        return Window()

    @abstractmethod
    def variants(self, node: Node[A], target: Target) -> tuple[Variant, ...]:
        """The kernels that can compute it on `target`; empty for form "view"."""

    @abstractmethod
    def lower(self, node: Node[A], variant: Variant) -> Kernel:
        """The kernel call: packed constants and parameters, in the order of the C struct.

        Where the variant is `flat` and the map contiguous, the node's tensors have been reshaped
        to one row of rows * pixels pixels.
        """

    # Tests ------------------------------------------------------------------------------------

    @abstractmethod
    def cases(self) -> Iterator[Graph]:
        """Small graphs, named by `source.name`, that between them reach every branch."""


def has_dsp(target: Target) -> bool:
    """True where kernels may use the DSP extension; a core with MVE has it as well."""
    return target.path in ("dsp", "mve")


def is_int8(*tensors: Tensor | None) -> bool:
    """True where all the tensors given are quantized to int8."""
    return all(t is not None and t.dtype == "int8" and t.quant is not None for t in tensors)


ACTIVATIONS: tuple[str, ...] = ("none", "relu", "relu_n1_to_1", "relu6", "tanh", "sign_bit")
"""Fused activations by TFLite's number."""

FUSED = ("none", "relu", "relu_n1_to_1", "relu6")
"""The fused activations that TFLite defines for int8."""


def activation_name(number: int) -> str:
    """The name of TFLite's fused activation."""
    if not 0 <= number < len(ACTIVATIONS):
        raise ValueError(f"fused activation {number} is not known")
    return ACTIVATIONS[number]


def activation_limits(activation: str, output: Tensor) -> Iterator[str]:
    """The limit sentences on the fused activation of an operator that writes `output`."""
    if activation not in FUSED:
        yield f"fused activation {activation} has no int8 form; use one of {', '.join(FUSED)}"
    else:
        yield from bound_limits(activation, output)


def bound_limits(activation: str, output: Tensor) -> Iterator[str]:
    """The limit sentence on the bounds of an activation, fused or on its own."""
    if output.quant is not None and not fixed_point.activation_fits(activation, output.quant):
        yield (f"its output scale {output.quant.scale:.9g} is so small that {activation} leaves "
               "32 bits; quantize the model again")


@dataclass(frozen=True)
class Padding:
    """Rows and columns of zero points around the image."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0

    @property
    def is_none(self) -> bool:
        return self == Padding()


SAME, VALID = 0, 1
"""TFLite's numbers of the padding schemes."""


def _axis_padding(
    scheme: int, size: int, kernel: int, stride: int, dilation: int
) -> tuple[int, int]:
    span = (kernel - 1) * dilation + 1
    if scheme == VALID:
        return 0, 0
    out = -(-size // stride)
    total = max((out - 1) * stride + span - size, 0)
    return total // 2, total - total // 2


def padding_of(
    scheme: int,
    image: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
) -> Padding:
    """TFLite's SAME or VALID as numbers; of an odd total the bottom and right get one more.

    All pairs are (height, width).
    """
    if scheme not in (SAME, VALID):
        raise ValueError(f"padding scheme {scheme} is not known")
    for what, pair in (("kernel", kernel), ("stride", stride), ("dilation", dilation)):
        if min(pair) < 1:
            raise ValueError(f"{what} {pair[0]}x{pair[1]} must be at least 1x1")
    top, bottom = _axis_padding(scheme, image[0], kernel[0], stride[0], dilation[0])
    left, right = _axis_padding(scheme, image[1], kernel[1], stride[1], dilation[1])
    return Padding(top, bottom, left, right)


def scheme_of(
    padding: Padding,
    image: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
) -> int:
    """TFLite's scheme that gives this padding; ValueError where only a separate PAD would."""
    for scheme in (VALID, SAME):
        if padding_of(scheme, image, kernel, stride, dilation) == padding:
            return scheme
    raise ValueError(f"{padding} is neither SAME nor VALID")


def windows_along(size: int, kernel: int, stride: int, dilation: int, pad: int) -> int:
    """How many windows fit along an axis of `size` with `pad` in total; ValueError where none."""
    count = (size + pad - (kernel - 1) * dilation - 1) // stride + 1
    if count < 1:
        raise ValueError(f"a kernel of {kernel} (dilation {dilation}) does not fit "
                         f"{size} + {pad} rows or columns")
    return count


def conv_multipliers(
    input_quant: Quant, weight_quant: Quant, output_quant: Quant, channels: int
) -> tuple[Array, Array]:
    """Per-channel (multipliers, shifts) as int64 arrays of a convolution's requantization."""
    scales = weight_quant.scales * (channels if len(weight_quant.scales) == 1 else 1)
    pairs = [
        fixed_point.quantize_multiplier(input_quant.scale * s / output_quant.scale) for s in scales
    ]
    return np.array([m for m, _ in pairs], np.int64), np.array([s for _, s in pairs], np.int64)


def uint8_multipliers(
    input_quant: Quant, weight_quant: Quant, output_quant: Quant, channels: int
) -> tuple[Array, Array]:
    """As `conv_multipliers`, for a convolution in uint8: weights have one scale for all channels.

    Source: GetQuantizedConvolutionMultipler of LiteRT, which multiplies the scales of input and
    weights in single precision.
    """
    product = float(np.float32(input_quant.scale) * np.float32(weight_quant.scale))
    multiplier, shift = fixed_point.quantize_multiplier(product / output_quant.scale)
    return np.full(channels, multiplier, np.int64), np.full(channels, shift, np.int64)


def accumulator_limit(bias: Array, weights: Array) -> str | None:
    """A sentence where an accumulator might leave int32 for some int8 input, else None.

    `bias` is per channel with the input zero point folded in, `weights` has channels first.
    The shift left of a requantization by more than 1 is covered by `shift_limit`.
    """
    reach = np.abs(bias.astype(np.int64)) + 128 * np.abs(
        weights.astype(np.int64).reshape(len(bias), -1)
    ).sum(1)
    worst = int(reach.max(initial=0))
    if worst > fixed_point.INT32_MAX:
        return (f"its accumulator can reach {worst}, beyond 32 bits, with the weights and biases "
                f"of channel {int(reach.argmax())}; quantize the model again")
    return None


def shift_limit(bias: Array, weights: Array, shifts: Array) -> str | None:
    """A sentence where `acc << shift` might leave int32 for some int8 input, else None."""
    reach = np.abs(bias.astype(np.int64)) + 128 * np.abs(
        weights.astype(np.int64).reshape(len(bias), -1)
    ).sum(1)
    # A shift by 31 already leaves int32; the zero point is added before the result is clamped.
    shifted = np.maximum(reach, 1) << np.clip(shifts, 0, 31)
    worst = int(shifted.max(initial=0))
    if worst > fixed_point.INT32_MAX + fixed_point.INT8_MIN:
        return (f"its accumulator times 2**shift can reach {worst}, beyond 32 bits, in channel "
                f"{int(shifted.argmax())}: input scale * weight scale / output scale is above 1")
    return None


UINT16_MAX = 65535


def fits_uint16(*numbers: int) -> bool:
    """True where parameters fit the 16 bits that the kernels of a fast path have for them."""
    return all(0 <= n <= UINT16_MAX for n in numbers)


def int32(values: Array | list[int]) -> ConstArray:
    """A constant array of int32_t."""
    return ConstArray("int32_t", np.asarray(values).astype(np.int32))


def int8(values: Array) -> ConstArray:
    """A constant array of int8_t, flattened in reading order."""
    return ConstArray("int8_t", np.ascontiguousarray(values).astype(np.int8).reshape(-1))


def describe_shape(shape: tuple[int, ...]) -> str:
    """'48x48x16' for (1, 48, 48, 16)."""
    inner = shape[1:] if len(shape) > 1 and shape[0] == 1 else shape
    return "x".join(str(n) for n in inner) or "scalar"


def elements_of(shape: tuple[int, ...]) -> int:
    """How many values a tensor of this shape holds."""
    return math.prod(shape)


def constant_ints(node: Node[Any], index: int, what: str) -> tuple[int, ...]:
    """The integers of the constant input `index`, flattened; `what` names them in the error.

    Raises ValueError where the input is missing or computed at run time.
    """
    tensor = node.optional(index)
    if tensor is None:
        raise ValueError(f"its {what} (input {index}) is missing")
    if tensor.data is None:
        raise ValueError(f"its {what} (input {index}, '{tensor.name}') is computed at run time; "
                         "only constants are supported")
    return tuple(int(v) for v in tensor.data.reshape(-1))


def check_constant_ints(node: Node[Any], index: int, what: str, values: tuple[int, ...]) -> None:
    """ValueError where the constant input `index`, if there, says anything but `values`.

    For `write`: a simplified operator may have attributes that its input no longer spells.
    """
    if node.optional(index) is not None and constant_ints(node, index, what) != values:
        raise ValueError(f"its {what} {list(values)} differs from its constant input {index}")
