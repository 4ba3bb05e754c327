# SPDX-License-Identifier: MIT
"""Quantizing by one recipe, and measuring what came out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tinyeff.errors import UnsupportedError
from tinyeff.ir import Array, Graph, Quant
from tinyeff.ops.dequantize import dequantized
from tinyeff.ops.quantize import quantized
from tinyeff.quantizer.assembly import assemble, broken_limits
from tinyeff.quantizer.calibration import Calibration, Rounding
from tinyeff.quantizer.equalization import equalized
from tinyeff.quantizer.execution import Part
from tinyeff.quantizer.observation import Observation, observe
from tinyeff.quantizer.ranges import AUTO, rules
from tinyeff.quantizer.scales import groups_of, quant_of
from tinyeff.quantizer.sensitivity import (
    FOLDS,
    Progress,
    Search,
    before_squashing,
    chosen_rules,
    group_range,
    macs_of,
    roots,
    sample_errors,
    steady_error,
)
from tinyeff.quantizer.settings import Effort, Recipe

MOST_DOUBLINGS = 64
RECIPE_CLEARLY = 0.95
"""Another recipe than the usual one must have less than this part of its error."""
LEAST_RUNS = 12
"""Ranges are chosen by the error at the output on so many samples, or not at all."""


@dataclass(frozen=True, eq=False)
class Attempt:
    """What a recipe gave: the int8 graph, and the float one (equalized) that it stands for.

    The activations of `plain` have the same numbers in `calibration` and `rules`.
    """

    recipe: Recipe
    result: Graph
    plain: Graph
    calibration: Calibration
    seen: dict[int, Observation]
    rules: dict[int, str]


def attempt(
    graph: Graph, recipe: Recipe, samples: tuple[Array, ...], effort: Effort, progress: Progress
) -> Attempt:
    """Quantize a prepared float graph by one recipe."""
    seen = observe(graph, samples)
    if recipe.equalization > 0:
        graph = equalized(graph, seen, recipe.equalization)
        seen = observe(graph, samples)
    groups, fixed = groups_of(graph)
    members = {g: m for g, m in roots(graph, groups).items() if g not in fixed}
    names = _rules(graph, recipe, samples, effort, members, seen, progress)
    quants = dict(fixed)
    for group, tensors in members.items():
        quants[group] = quant_of(*group_range(tensors, names[group], seen))
    by_tensor = {i: quants[groups[i]] for i in seen}
    result, calibration = _within_limits(graph, recipe, by_tensor, groups, samples, progress)
    rules = {i: names.get(groups[i], "fixed") for i in seen}
    return Attempt(recipe, result, graph, calibration, seen, rules)


def _rules(
    graph: Graph, recipe: Recipe, samples: tuple[Array, ...], effort: Effort,
    members: dict[int, list[int]], seen: dict[int, Observation], progress: Progress,
) -> dict[int, str]:
    if recipe.method != AUTO or not effort.search_samples or len(samples[0]) < LEAST_RUNS:
        return chosen_rules(None, recipe.method, graph, members, [seen], progress)
    tensors = sum(map(len, members.values()))
    runs = effort.search_macs // max(1, len(rules(AUTO)) * tensors * macs_of(graph) // 2)
    if runs < LEAST_RUNS:
        return chosen_rules(None, recipe.method, graph, members, [seen], progress)
    search = Search.on(graph, samples, min(runs, effort.search_samples))
    places = np.arange(len(samples[0])) % FOLDS
    others = [observe(graph, tuple(s[places != fold] for s in samples)) for fold in range(FOLDS)]
    return chosen_rules(search, recipe.method, graph, members, others, progress)


def _within_limits(
    graph: Graph, recipe: Recipe, quants: dict[int, Quant], groups: dict[int, int],
    samples: tuple[Array, ...], progress: Progress,
) -> tuple[Graph, Calibration]:
    """Round and assemble; where an operator's arithmetic cannot hold a scale, with a larger one.

    That happens where an output hardly varies although its inputs do.
    """
    how = Rounding(recipe.second_order, recipe.correct_bias, recipe.refit)
    calibration = Calibration(graph, quants, how)
    calibration.run(samples, progress)
    for _ in range(MOST_DOUBLINGS):
        result = assemble(graph, calibration.quants, calibration.weights)
        broken = broken_limits(result)
        if not broken:
            return result, calibration
        names = {result.tensors[i].name for i in broken}
        outputs = {groups[i] for i, t in enumerate(graph.tensors)
                   if i in quants and t.name in names}
        calibration.quants = {
            i: replace(q, scales=(2 * q.scale,)) if groups[i] in outputs else q
            for i, q in calibration.quants.items()}
    raise UnsupportedError(f"{graph.source.name}: in int8, with whatever scale, "
                           f"{'; '.join(sorted(broken.values()))}")


def floats(graph: Graph, samples: tuple[Array, ...]) -> tuple[Array, ...]:
    """The outputs of a float graph, (count, *shape) each."""
    part = Part(graph, graph.ops, graph.outputs)
    return part.run(dict(zip(graph.inputs, samples, strict=True)))


def int8_outputs(graph: Graph, samples: tuple[Array, ...]) -> tuple[Array, ...]:
    """The real values of an int8 graph's outputs, by LiteRT's fast kernels."""
    inputs = {}
    for index, sample in zip(graph.inputs, samples, strict=True):
        quant = graph.tensors[index].quant
        assert quant is not None
        inputs[index] = quantized(sample, quant)
    found = Part(graph, graph.ops, graph.outputs).run(inputs)
    tensors = [graph.tensors[i] for i in graph.outputs]
    return tuple(values if t.quant is None else dequantized(values, t.quant)
                 for values, t in zip(found, tensors, strict=True))


@dataclass(frozen=True)
class Trial:
    """A recipe on samples held back: `error` at the outputs, relative to their power.

    `unknown` is the mean error on these as a multiple of that on the samples that were calibrated
    with; `error` counts the worst sample less.
    """

    recipe: Recipe
    error: float
    unknown: float = 1.0


def compared(
    graph: Graph, samples: tuple[Array, ...], effort: Effort, progress: Progress
) -> tuple[Trial, ...]:
    """The effort's recipes made with every second sample and tried on the others, best first.

    The usual recipe, the first, stands first unless another is clearly better. Where one recipe
    is all there is, or too few samples are, nothing is compared: the result is empty.
    """
    if len(effort.recipes) == 1 or len(samples[0]) < 4:
        return ()
    first, second = (tuple(s[start::2] for s in samples) for start in (0, 1))
    plain, classes = before_squashing(graph)
    wanted = floats(plain, first), floats(plain, second)

    def trial(recipe: Recipe, work: Effort) -> Trial:
        made = attempt(graph, recipe, first, work, progress)
        result = before_squashing(made.result)[0]
        known, new = (sample_errors(int8_outputs(result, part), expected, classes)
                      for part, expected in zip((first, second), wanted, strict=True))
        unknown = float(new.mean() / known.mean()) if known.any() else 1.0
        return Trial(recipe, steady_error(new), unknown)

    unsearched = replace(effort, search_samples=0)  # ranges alone are compared below
    trials = _ranked([trial(recipe, unsearched) for recipe in effort.recipes])
    best = trials[0].recipe
    if effort.confirmed and best.method == AUTO:
        searched = trial(best, effort)
        simple = trial(replace(best, method="minmax"), effort)
        trials = _ranked([searched, simple, *trials[1:]])
    return tuple(trials)


def _ranked(trials: list[Trial]) -> list[Trial]:
    usual = trials[0]
    return sorted(trials, key=lambda t: t.error * (RECIPE_CLEARLY if t is usual else 1))
