# SPDX-License-Identifier: MIT
"""What the rounding of one tensor does to the model's outputs, all others being float.

From the operator that writes the tensor on, the rest of the model is run in float with the tensor
as its quantization can hold it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from tinyeff.ir import Array, Graph, Quant
from tinyeff.ops import operator_of
from tinyeff.ops.operator import node_of
from tinyeff.quantizer.execution import Part, Values, inputs_of
from tinyeff.quantizer.observation import CHUNK_VALUES, Observation, chunks
from tinyeff.quantizer.ranges import AUTO, range_by, rules
from tinyeff.quantizer.scales import Range, fake, quant_of

CLEARLY = 0.25
"""On few samples errors differ by chance, and inputs that a narrow range cuts off are rarely among
them: another rule must have less than this part of the usual one's error."""

Progress = Callable[[int, int], None]


def output_error(found: tuple[Array, ...], expected: tuple[Array, ...]) -> float:
    """The mean squared error of all outputs, each relative to its mean square."""
    total = 0.0
    for a, b in zip(found, expected, strict=True):
        power = float(np.square(b, dtype=np.float64).mean())
        error = float(np.square(a.astype(np.float64) - b).mean())
        total += error / power if power > 0 else error
    return total


def before_squashing(graph: Graph) -> Graph:
    """The graph with the inputs of a final SOFTMAX or LOGISTIC as outputs.

    Behind these a few doubtful samples make up the error, and most tell nothing.
    """
    sources = {op.outputs[0]: op.inputs[0] for op in graph.ops
               if op.kind in ("SOFTMAX", "LOGISTIC") and op.inputs[0] not in graph.inputs}
    outputs = tuple(dict.fromkeys(sources.get(i, i) for i in graph.outputs))
    needed, kept = set(outputs), []
    for op in reversed(graph.ops):
        if needed & set(op.outputs):
            needed.update(op.inputs)
            kept.append(op)
    return replace(graph, ops=tuple(reversed(kept)), outputs=outputs)


@dataclass
class Search:
    """Errors at the outputs, on samples of which every activation is held."""

    graph: Graph
    values: Values

    @staticmethod
    def on(graph: Graph, samples: tuple[Array, ...], most: int) -> Search:
        """At most so many samples, evenly spread, and no more than memory allows."""
        graph = before_squashing(graph)
        size = sum(graph.tensors[i].elements for op in graph.ops for i in op.outputs)
        count = max(1, min(most, len(samples[0]), CHUNK_VALUES // max(1, size)))
        places = np.linspace(0, len(samples[0]) - 1, count).round().astype(np.int64)
        (values,) = chunks(graph, tuple(s[places] for s in samples))
        return Search(graph, values)

    def errors(self, index: int, quants: list[Quant]) -> list[float]:
        """The error at the outputs for each of these quantizations of a tensor.

        It is 0 for what comes after `before_squashing`.
        """
        if index not in self.values:
            return [0.0] * len(quants)
        position = next((n for n, op in enumerate(self.graph.ops) if index in op.outputs), -1)
        rest = self.graph.ops[position + 1:]
        direct = index in self.graph.outputs
        written = {i for op in rest for i in op.outputs}
        wanted = tuple(i for i in self.graph.outputs if i in written)
        expected = tuple(self.values[i] for i in wanted)
        part = Part(self.graph, rest, wanted) if index in inputs_of(self.graph, rest) else None
        result = []
        for quant in quants:
            values = fake(self.values[index], quant)
            error = output_error((values,), (self.values[index],)) if direct else 0.0
            if part is not None:
                found = part.run({**self.values, index: values})
                error += output_error(found, expected)
            result.append(error)
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
    graph: Graph, search: Search | None, method: str, members: dict[int, list[int]],
    seen: dict[int, Observation], progress: Progress,
) -> dict[int, str]:
    """For each group the rule whose range causes the least error at the outputs.

    `seen` must be of other samples than those of `search`, so that a range which fits its own
    samples only shows as such. Without `search` each group gets the method's first rule. Model
    inputs are as the data has them: their ends are known, and often meant to be exact.
    """
    names = rules(method)
    if search is None or len(names) == 1:
        chosen = dict.fromkeys(members, names[0])
    else:
        chosen = _searched(search, names, members, seen, progress)
    if method == AUTO:
        chosen.update((g, "minmax") for g, m in members.items() if set(m) & set(graph.inputs))
    return chosen


def _searched(
    search: Search, names: tuple[str, ...], members: dict[int, list[int]],
    seen: dict[int, Observation], progress: Progress,
) -> dict[int, str]:
    chosen = {}
    for number, (group, tensors) in enumerate(members.items()):
        quants = [quant_of(*group_range(tensors, name, seen)) for name in names]
        total = np.zeros(len(names))
        for i in tensors:
            total += search.errors(i, quants)
        total[0] *= CLEARLY  # the usual rule, unless another is clearly better
        chosen[group] = names[int(total.argmin())]
        progress(number + 1, len(members))
    return chosen
