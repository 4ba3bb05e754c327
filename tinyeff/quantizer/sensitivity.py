# SPDX-License-Identifier: MIT
"""What the rounding of one tensor does to the model's outputs, all others being float.

From the operator that writes the tensor on, the rest of the model is run in float with the tensor
as its quantization can hold it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from tinyeff.ir import Array, Graph, Op, Quant
from tinyeff.ops import operator_of
from tinyeff.ops.operator import node_of
from tinyeff.quantizer.execution import Part, Values
from tinyeff.quantizer.observation import CHUNK_VALUES, Observation, chunks
from tinyeff.quantizer.ranges import AUTO, range_by, rules
from tinyeff.quantizer.scales import Range, fake, quant_of

CLEARLY, CLEARLY_CLASSES = 0.4, 0.8
"""Another rule than the usual one must have less than this part of its error. A single value cut
off may cost more than all rounding and is rarely among few samples; but where outputs are classes,
what one sample can cost is bounded."""
FOLDS = 4
"""Samples are in so many parts: a range found without a part is tried out on that part."""

Progress = Callable[[int, int], None]


def sample_errors(
    found: tuple[Array, ...], expected: tuple[Array, ...], classes: tuple[bool, ...]
) -> Array:
    """For each sample the mean squared error of all outputs, each relative to its mean square.

    Where `classes` says that an output goes into a SOFTMAX, that of `softened` values.
    """
    total = np.zeros(len(expected[0]))
    for a, b, squashed in zip(found, expected, classes, strict=True):
        a, b = (softened(a, b), softened(b, b)) if squashed else (a, b)
        power = float(np.square(b, dtype=np.float64).mean())
        error = np.square(a.astype(np.float64) - b).reshape(len(b), -1).mean(1)
        total += error / power if power > 0 else error
    return total


def output_error(
    found: tuple[Array, ...], expected: tuple[Array, ...], classes: tuple[bool, ...]
) -> float:
    """The mean of `sample_errors`."""
    return float(sample_errors(found, expected, classes).mean())


def steady_error(errors: Array) -> float:
    """The mean of the errors of samples, so that none decides alone.

    It is the geometric mean of that of all samples and of that without the worst.
    """
    rest = np.delete(errors, errors.argmax()) if len(errors) > 1 else errors
    return float(np.sqrt(errors.mean() * rest.mean()))


def softened(values: Array, expected: Array) -> Array:
    """Probabilities of classes, less certain than the model's own, float64.

    What is far below the largest value matters little, but with the model's own probabilities a
    few doubtful samples would be all that counts. So values are divided first, by half of what the
    largest ones of `expected` are usually ahead of the second ones.
    """
    ordered = np.sort(expected.reshape(-1, expected.shape[-1]), axis=1)
    ahead = float(np.median(ordered[:, -1] - ordered[:, -2])) if ordered.shape[1] > 1 else 0.0
    logits = values.astype(np.float64) / max(1.0, ahead / 2)
    result: Array = np.exp(logits - logits.max(-1, keepdims=True))
    result /= result.sum(-1, keepdims=True)
    return result


def before_squashing(graph: Graph) -> tuple[Graph, tuple[bool, ...]]:
    """The graph with the inputs of a final SOFTMAX or LOGISTIC as outputs; which are a SOFTMAX's.

    Behind these a few doubtful samples make up the error, and most tell nothing.
    """
    writer = {op.outputs[0]: op for op in graph.ops
              if op.kind in ("SOFTMAX", "LOGISTIC") and op.inputs[0] not in graph.inputs}
    sources = {i: op.inputs[0] for i, op in writer.items()}
    classes = {sources.get(i, i): i in writer and writer[i].kind == "SOFTMAX"
               for i in graph.outputs}
    needed, kept = set(classes), []
    for op in reversed(graph.ops):
        if needed & set(op.outputs):
            needed.update(op.inputs)
            kept.append(op)
    cut = replace(graph, ops=tuple(reversed(kept)), outputs=tuple(classes))
    return cut, tuple(classes.values())


@dataclass
class Search:
    """Errors at the outputs, on samples of which every activation is held.

    `classes` are as in `output_error`; `folds` says for each sample to which part it belongs.
    """

    graph: Graph
    classes: tuple[bool, ...]
    values: Values
    folds: Array

    @staticmethod
    def on(graph: Graph, samples: tuple[Array, ...], most: int) -> Search:
        """At most so many samples, evenly spread, and no more than memory allows."""
        graph, classes = before_squashing(graph)
        size = sum(graph.tensors[i].elements for op in graph.ops for i in op.outputs)
        count = max(1, min(most, len(samples[0]), CHUNK_VALUES // max(1, size)))
        places = np.linspace(0, len(samples[0]) - 1, count).round().astype(np.int64)
        (values,) = chunks(graph, tuple(s[places] for s in samples))
        return Search(graph, classes, values, places % FOLDS)

    def errors(self, index: int, candidates: list[tuple[Quant, ...]]) -> list[float]:
        """The error at the outputs for each of these quantizations of a tensor.

        A candidate has one for all samples, or one for each part of them. Where the tensor is an
        output itself, its own error counts too.
        """
        if index not in self.values:  # behind the outputs that are looked at
            return [0.0] * len(candidates)
        rest = self._depending_on(index)
        written = {i for op in rest for i in op.outputs}
        wanted = tuple(i for i in self.graph.outputs if i in written)
        direct = index in self.graph.outputs
        part = Part(self.graph, rest, wanted) if wanted else None
        result = []
        for quants in candidates:
            values = self._as(self.values[index], quants)
            found = {**self.values, index: values} if direct else dict(self.values)
            if part is not None:
                found.update(zip(wanted, part.run({**self.values, index: values}), strict=True))
            result.append(self.difference(found))
        return result

    def difference(self, found: Values) -> float:
        """The error of these outputs."""
        outputs = self.graph.outputs
        return output_error(tuple(found[i] for i in outputs),
                            tuple(self.values[i] for i in outputs), self.classes)

    def _depending_on(self, index: int) -> tuple[Op, ...]:
        """The operators whose results change with a tensor."""
        changed, ops = {index}, []
        for op in self.graph.ops:
            if changed.intersection(op.inputs):
                changed.update(op.outputs)
                ops.append(op)
        return tuple(ops)

    def _as(self, values: Array, quants: tuple[Quant, ...]) -> Array:
        if len(quants) == 1:
            return fake(values, quants[0])
        result = np.empty_like(values)
        for fold, quant in enumerate(quants):
            result[self.folds == fold] = fake(values[self.folds == fold], quant)
        return result


def roots(graph: Graph, groups: dict[int, int]) -> dict[int, list[int]]:
    """For each group of shared scales the tensors that are not just copies within it."""
    found: dict[int, list[int]] = {}
    for i in graph.inputs:
        if i in groups:
            found.setdefault(groups[i], []).append(i)
    for op in graph.ops:
        for i in op.outputs:
            if i not in groups:
                continue
            moved = operator_of(op.kind).shares_scale and any(
                groups.get(x) == groups[i] for x in op.inputs)
            if not moved:
                found.setdefault(groups[i], []).append(i)
    return found


def macs_of(graph: Graph) -> int:
    """Multiply-accumulates and elementwise results of one inference: a measure of its time."""
    return sum(operator_of(op.kind).macs(node_of(graph, op))
               + 10 * sum(graph.tensors[i].elements for i in op.outputs) for op in graph.ops)


def group_range(members: list[int], rule: str, seen: dict[int, Observation]) -> Range:
    """What a rule says for a group: all of its members' ranges."""
    ranges = [range_by(rule, seen[i]) for i in members]
    return min(r[0] for r in ranges), max(r[1] for r in ranges)


def chosen_rules(
    search: Search | None, method: str, graph: Graph, members: dict[int, list[int]],
    seen: list[dict[int, Observation]], progress: Progress,
) -> dict[int, str]:
    """For each group the rule whose range causes the least error at the outputs.

    `seen` are observations, each of the samples outside of one part of those of `search`: a range
    that fits its own samples only shows as such. Without `search` each group gets the method's
    first rule. Model inputs are as the data has them: their ends are known, and often meant to be
    exact.
    """
    names = rules(method)
    chosen = dict.fromkeys(members, names[0])
    for number, (group, tensors) in enumerate(members.items()):
        if method == AUTO and set(tensors) & set(graph.inputs):
            chosen[group] = "grid"
        elif search is not None and len(names) > 1:
            total = np.zeros(len(names))
            candidates = [tuple(quant_of(*group_range(tensors, name, s)) for s in seen)
                          for name in names]
            for i in tensors:
                total += search.errors(i, candidates)
            total[0] *= CLEARLY_CLASSES if all(search.classes) else CLEARLY
            chosen[group] = names[int(total.argmin())]
        progress(number + 1, len(members))
    return chosen
