# SPDX-License-Identifier: MIT
"""What a network costs beyond its counts: memory traffic, intensity, time by the roofline model.

Bytes are those of the int8 network, float graphs included: one per value, four per bias. Sources:
Ma et al. 2018 (ShuffleNetV2) for memory access cost and the four guidelines; Williams et al. 2009
for the roofline; Araujo et al. 2019 for receptive fields.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from tinyeff.ir import Graph, Op, Tensor
from tinyeff.ops import operator_of
from tinyeff.ops.operator import Node, node_of
from tinyeff.planner import sizes

Pair = tuple[int, int]

MATRIX = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "BATCH_MATMUL")
ELEMENTWISE = ("ADD", "SUB", "MUL", "RELU", "RELU6", "LOGISTIC", "HARD_SWISH", "MAXIMUM", "MINIMUM")
UNBALANCED = 1.25
"""A 1x1 convolution that moves so many times the bytes of a balanced one is worth a hint."""

MACS_PER_CYCLE = {"portable": Fraction(1, 2), "dsp": Fraction(2), "mve": Fraction(8)}
"""The most that a core's instructions can do: two 16-bit products (SMLAD), eight bytes (VMLADAVA).
Portable code loads and extends each operand for itself."""

BYTES_PER_CYCLE = {"portable": 4, "dsp": 4, "mve": 8}
"""The width of the core's data bus."""


@dataclass(frozen=True)
class Layer:
    """What one operator costs.

    `access_bytes` are the inputs, constants and outputs, each moved once; `intensity` is MACs per
    byte of these. `field` is the receptive field, rows and columns of the input that one value
    depends on (all of it counts as the image's size); `step` how far apart those of neighbours are.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    macs: int
    live_bytes: int
    access_bytes: int
    field: Pair
    step: Pair

    @property
    def intensity(self) -> float:
        """Multiply-accumulates per byte moved."""
        return self.macs / self.access_bytes if self.access_bytes else 0.0


@dataclass(frozen=True)
class Roofline:
    """The most that a core can do in a second: MACs, and bytes moved."""

    macs_per_second: float
    bytes_per_second: float

    @property
    def ridge(self) -> float:
        """MACs per byte below which memory, not arithmetic, takes the time."""
        return self.macs_per_second / self.bytes_per_second

    def seconds(self, layer: Layer) -> float:
        """The least time of a layer: max(MACs / peak, bytes / bandwidth)."""
        return max(layer.macs / self.macs_per_second, layer.access_bytes / self.bytes_per_second)


def roofline(path: str, clock_hz: float) -> Roofline:
    """The roofline of a kernel family ("portable", "dsp", "mve") at a clock."""
    return Roofline(float(MACS_PER_CYCLE[path] * Fraction(clock_hz)),
                    BYTES_PER_CYCLE[path] * clock_hz)


def analyze(graph: Graph) -> tuple[Layer, ...]:
    """The costs of each operator of a simplified graph, in execution order."""
    fields: dict[int, tuple[Pair, Pair]] = dict.fromkeys(graph.inputs, ((1, 1), (1, 1)))
    image = graph.tensors[graph.inputs[0]]
    whole = (max(image.rows, 1), image.pixels)
    layers = []
    for op in graph.ops:
        node = node_of(graph, op)
        field, step = _field(graph, op, fields, whole)
        for i in op.outputs:
            fields[i] = field, step
        moved = [*node.activations, *node.outputs]
        constants = [t for t in node.inputs if t is not None and t.is_constant]
        live = sum(map(sizes.size_bytes, moved))
        is_view = operator_of(op.kind).form_of(node) == "view"
        traffic = 0 if is_view else live + sum(map(_constant_bytes, constants))
        layers.append(Layer(op.name, op.kind, node.output.shape, _parameters(op, constants),
                            operator_of(op.kind).macs(node), live, traffic, field, step))
    return tuple(layers)


def _parameters(op: Op, constants: list[Tensor]) -> int:
    """Trained values: weights and biases; sizes, axes and scales of other operators are none."""
    return sum(t.elements for t in constants) if op.kind in MATRIX else 0


def _constant_bytes(tensor: Tensor) -> int:
    return tensor.elements * (4 if len(tensor.shape) <= 1 else 1)


def _field(
    graph: Graph, op: Op, fields: dict[int, tuple[Pair, Pair]], whole: Pair,
) -> tuple[Pair, Pair]:
    """Receptive field and step of an operator's outputs, the largest over its inputs."""
    node, operator = node_of(graph, op), operator_of(op.kind)
    form = operator.form_of(node)
    found: list[tuple[Pair, Pair]] = []
    activations = [i for i in op.inputs if i >= 0 and not graph.tensors[i].is_constant]
    for number, i in enumerate(activations):
        (rows, columns), (down, right) = fields[i]
        if form == "view":
            found.append(fields[i])
        elif form == "rows":
            window, beside = operator.window(node, number), operator.columns(node, number)
            steps = (max(down * window.step // window.divisor, 1),
                     max(right * beside.step // beside.divisor, 1))
            found.append(((rows + (window.count - 1) * down, columns + (beside.count - 1) * right),
                          steps))
        else:
            found.append((whole, (down, right)))
    if not found:
        return (1, 1), (1, 1)
    field = (min(max(f[0][0] for f in found), whole[0]), min(max(f[0][1] for f in found), whole[1]))
    return field, (max(f[1][0] for f in found), max(f[1][1] for f in found))


def patch_size(layer: Layer, pixels: int) -> Pair:
    """Rows and columns of the input that `pixels` x `pixels` values of a layer depend on."""
    return (layer.field[0] + (pixels - 1) * layer.step[0],
            layer.field[1] + (pixels - 1) * layer.step[1])


def access_bound(height: int, width: int, macs: int) -> float:
    """The fewest values that a 1x1 convolution of so many MACs can move: 2 sqrt(hwB) + B / hw.

    Reached where input and output have the same number of channels (Ma et al. 2018, equation 2).
    """
    area = height * width
    return 2 * math.sqrt(area * macs) + macs / area


def hints(graph: Graph) -> Iterator[str]:
    """What the four guidelines of ShuffleNetV2 have to say, the worst layer of each named."""
    nodes = [(op, node_of(graph, op)) for op in graph.ops]
    yield from _unbalanced(nodes)
    yield from _grouped(nodes)
    yield from _fragmented(graph)
    yield from _elementwise(nodes)


def _unbalanced(nodes: list[tuple[Op, Node[object]]]) -> Iterator[str]:
    """G1: equal channel width moves the fewest bytes."""
    found: list[tuple[float, Op, int, int]] = []
    for op, node in nodes:
        if op.kind == "CONV_2D" and node.input(1).shape[1:3] == (1, 1):
            _, height, width, out = node.output.shape
            depth = node.input(1).shape[3]
            if height * width == 1:
                continue
            moved = height * width * (depth + out) + depth * out
            ratio = moved / access_bound(height, width, height * width * depth * out)
            if ratio > UNBALANCED:
                found.append((ratio, op, depth, out))
    if found:
        ratio, op, depth, out = max(found, key=lambda f: f[0])
        yield (f"G1, equal channels move the fewest bytes: {len(found)} 1x1 convolutions move more "
               f"than {UNBALANCED:g} times the least; most of all '{op.name.split(';')[0]}', "
               f"{depth} to {out} channels: {ratio:.2f} times")


def _grouped(nodes: list[tuple[Op, Node[object]]]) -> Iterator[str]:
    """G2: many groups move more bytes for the same work."""
    groups = [(node.input(0).shape[3] // node.input(1).shape[3], op) for op, node in nodes
              if op.kind == "CONV_2D"]
    grouped = [(g, op) for g, op in groups if g > 1]
    if grouped:
        most, op = max(grouped, key=lambda g: g[0])
        yield (f"G2, groups raise the bytes per multiply-accumulate: {len(grouped)} convolutions "
               f"are grouped, '{op.name.split(';')[0]}' in {most}")


def _fragmented(graph: Graph) -> Iterator[str]:
    """G3: branches cost calls, and memory for what waits."""
    joins = [len(op.inputs) for op in graph.ops if op.kind == "CONCATENATION"]
    if joins:
        yield (f"G3, branches cost calls and memory: {len(joins)} concatenations join up to "
               f"{max(joins)} branches")


def _elementwise(nodes: list[tuple[Op, Node[object]]]) -> Iterator[str]:
    """G4: elementwise operators move bytes and compute next to nothing."""
    total = sum(_moved(node) for _, node in nodes)
    share = sum(_moved(node) for op, node in nodes if op.kind in ELEMENTWISE)
    count = sum(op.kind in ELEMENTWISE for op, _ in nodes)
    if total and share / total > 0.1:
        yield (f"G4, elementwise operators are not free: {count} of them move {share / total:.0%} "
               "of all activations")


def _moved(node: Node[object]) -> int:
    return sum(map(sizes.size_bytes, (*node.activations, *node.outputs)))
