# SPDX-License-Identifier: MIT
"""Where accuracy is lost between a float model and its int8 form, and what to do about it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from tinyeff.ir import Array, Graph
from tinyeff.ops import operator_of
from tinyeff.quantizer import Quantized
from tinyeff.quantizer.attempt import Attempt, floats, int8_outputs
from tinyeff.quantizer.execution import Part
from tinyeff.quantizer.sensitivity import Search

SAMPLES = 16
"""On so many samples each layer's error at the output is measured."""
USEFUL_STEPS = 16
"""A channel that uses fewer of the 255 steps of its tensor is hardly there."""
MUCH_CUT_OFF = 0.01
LARGE_SHARE = 0.1
"""Of the whole error at the output: layers below are not worth a change."""
EXACT_DB = 200.0
"""The signal-to-noise ratio that stands for no error at all."""
FINE_DB = 40.0
"""With a signal-to-noise ratio above this at the output there is nothing to repair."""
SPREAD_WEIGHTS = 12.0
"""Times its root mean square that a channel's largest weight may be."""


@dataclass(frozen=True)
class Layer:
    """One operator's output: its range and what quantizing this layer alone does.

    `snr_db` compares it with float, all before it quantized as well. `activation_error` and
    `weight_error` are mean squared errors at the model's outputs, relative to their mean squares,
    when nothing but this layer's output, or weights, is quantized. `saturated` is the part of the
    values that the range cuts off, `effective_channels` how many use 16 steps or more.
    """

    number: int
    name: str
    kind: str
    rule: str
    low: float
    high: float
    scale: float
    zero_point: int
    snr_db: float
    saturated: float
    channels: int
    effective_channels: int
    activation_error: float
    weight_error: float
    advice: str = ""

    @property
    def error(self) -> float:
        """What the layer costs at the output."""
        return self.activation_error + self.weight_error


@dataclass(frozen=True)
class Diagnosis:
    """`layers` in the order of the model, model inputs first; `ranking` their places, worst first.

    `output_snr_db` is of the int8 model against the float one, on the calibration samples,
    `agreement` the part of them with the same largest output (None without classes). `recipe` says
    what was done; `trials` are the ways that were compared, best first, each with its
    signal-to-noise ratio on samples held back.
    """

    layers: tuple[Layer, ...]
    ranking: tuple[int, ...]
    output_snr_db: float
    agreement: float | None
    samples: int
    recipe: str
    trials: tuple[tuple[str, float], ...]
    warnings: tuple[str, ...]


def diagnose(
    quantized: Quantized, progress: Callable[[int, int], None] = lambda done, total: None
) -> Diagnosis:
    """Measure every layer of a quantized model by itself."""
    made = quantized.attempt
    search = Search.on(made.plain, quantized.samples, SAMPLES)
    layers: list[Layer] = []
    total = len(made.plain.inputs) + len(made.plain.ops)
    for i in made.plain.inputs:
        if i in made.calibration.quants:
            layers.append(_layer(made, search, i, "INPUT", len(layers)))
        progress(len(layers), total)
    for number, op in enumerate(made.plain.ops):
        if op.outputs[0] in made.calibration.quants:
            weight_error = _weight_error(made, search, number)
            layer = _layer(made, search, op.outputs[0], op.kind, len(layers))
            layers.append(replace(layer, weight_error=weight_error))
        progress(len(made.plain.inputs) + number + 1, total)
    whole = sum(layer.error for layer in layers)
    power, error, agreement = _outputs(made, quantized.samples)
    snr = decibels(power, error)
    advised = tuple(replace(layer, advice=_advice(made, layer, whole, snr)) for layer in layers)
    ranking = tuple(sorted(range(len(layers)), key=lambda n: -layers[n].error))
    trials = tuple((str(t.recipe), decibels(1.0, t.error)) for t in quantized.trials)
    return Diagnosis(advised, ranking, snr, agreement, len(quantized.samples[0]),
                     str(made.recipe), trials, quantized.warnings)


def decibels(power: float, error: float) -> float:
    """10 log10(power / error), within -EXACT_DB and EXACT_DB."""
    if error <= 0 or power <= 0:
        return EXACT_DB if error <= 0 else -EXACT_DB
    return min(max(10 * math.log10(power / error), -EXACT_DB), EXACT_DB)


def _layer(made: Attempt, search: Search, index: int, kind: str, number: int) -> Layer:
    quant, trace = made.calibration.quants[index], made.calibration.traces[index]
    tensor, peaks = made.plain.tensors[index], made.seen[index].peaks
    low, high = ((q - quant.zero_point) * quant.scale for q in (-128, 127))
    (error,) = search.errors(index, [(quant,)])
    return Layer(
        number=number, name=tensor.name, kind=kind, rule=made.rules[index], low=low, high=high,
        scale=quant.scale, zero_point=quant.zero_point,
        snr_db=decibels(trace.power, trace.error), saturated=trace.saturated,
        channels=tensor.channels,
        effective_channels=int((peaks >= USEFUL_STEPS * quant.scale).sum()),
        activation_error=error, weight_error=0.0)


def _weight_error(made: Attempt, search: Search, number: int) -> float:
    """The error at the outputs with only this operator's weights quantized."""
    weights = made.calibration.weights.get(number)
    if weights is None:
        return 0.0
    graph: Graph = made.calibration.with_weights(made.plain.ops[number], weights)
    rest = search.graph.ops[number:]
    written = {i for op in rest for i in op.outputs}
    wanted = tuple(i for i in search.graph.outputs if i in written)
    if not wanted:
        return 0.0
    found = Part(graph, rest, wanted).run(search.values)
    return search.difference({**search.values, **dict(zip(wanted, found, strict=True))})


def _outputs(made: Attempt, samples: tuple[Array, ...]) -> tuple[float, float, float | None]:
    expected, found = floats(made.plain, samples), int8_outputs(made.result, samples)
    power = sum(float(np.square(a, dtype=np.float64).sum()) for a in expected)
    error = sum(float(np.square(a.astype(np.float64) - b).sum())
                for a, b in zip(found, expected, strict=True))
    a, b = (x[0].reshape(len(x[0]), -1) for x in (found, expected))
    if a.shape[1] < 2 or expected[0].shape[-1] != a.shape[1]:
        return power, error, None
    return power, error, float((a.argmax(1) == b.argmax(1)).mean())


def _advice(made: Attempt, layer: Layer, whole: float, snr: float) -> str:
    """What to do about a layer, where that is worth it."""
    share = layer.error / whole if whole > 0 else 0.0
    if snr >= FINE_DB or share < LARGE_SHARE:
        return ""
    if layer.weight_error > layer.activation_error:
        return _weight_advice(made, layer)
    if layer.kind == "INPUT":
        return ("8 bits are coarse for this input: training with inputs rounded to 8 bits makes "
                "the model stand that")
    if layer.saturated > MUCH_CUT_OFF:
        return (f"its range cuts off {layer.saturated:.1%} of the values: try --method minmax, or "
                "more calibration samples")
    if 2 * layer.effective_channels < layer.channels:
        return (f"{layer.channels - layer.effective_channels} of {layer.channels} channels use "
                f"fewer than {USEFUL_STEPS} of 255 steps, and what is around them does not let "
                "them be scaled: an activation of ReLU and batch normalization in front would")
    fixed = layer.rule == "fixed"
    if fixed:
        return "TFLite fixes its scale; leave the operator out of the model if its order suffices"
    return ("one scale is coarse for these values: a smaller range (ReLU6, batch normalization "
            "without large factors, weight decay) or quantization-aware training helps")


def _weight_advice(made: Attempt, layer: Layer) -> str:
    if not made.recipe.second_order:
        return "its weights were rounded to nearest: try --effort default or high"
    op = next(op for op in made.plain.ops
              if made.plain.tensors[op.outputs[0]].name == layer.name)
    data = made.plain.tensors[op.inputs[1]].data
    axis = operator_of(op.kind).weight_axis
    assert data is not None and axis is not None
    rows = np.moveaxis(data, axis, 0).reshape(data.shape[axis], -1)
    size = np.sqrt(np.square(rows, dtype=np.float64).mean(1))
    spread = np.abs(rows).max(1) / np.where(size > 0, size, 1.0)
    if spread.max(initial=0.0) > SPREAD_WEIGHTS:
        return (f"the largest weight of channel {int(spread.argmax())} is {spread.max():.0f} times "
                "as large as usual there: clip or regularise weights in training")
    return "its weights need more than 8 bits here: quantization-aware training helps"
