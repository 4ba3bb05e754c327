# SPDX-License-Identifier: MIT
"""Early exits: where an inference may end, in which order that puts operators, and who leaves.

A model with several heads is run head by head, and ends with the first that is sure of its answer:

    stem ---- stage 1 ---- stage 2 ---- head 2    outputs 0 and 1: exits 1 and 2,
                  \\            \\                  then the last head
                   head 0        head 1

Sources of the idea: Teerapittayanon et al., BranchyNet, ICPR 2016; Huang et al., Multi-Scale Dense
Networks for Resource Efficient Image Classification, ICLR 2018.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil

import numpy as np

from tinyeff.errors import UnsupportedError, UsageError
from tinyeff.ir import Array, Exit, Graph, Op, Quant
from tinyeff.ops import form_of, operator_of
from tinyeff.ops.operator import node_of

MARGIN = "margin:"
INT8_MIN, INT8_MAX = -128, 127


@dataclass(frozen=True)
class ExitRule:
    """What a user asks for: leave at `output` (a name, or a number in the model's order) where its
    largest value, or with `margin` that less the second largest, is at least the real `value`."""

    output: str
    value: Fraction
    margin: bool = False


def parse_exits(text: str) -> tuple[ExitRule, ...]:
    """The rules in 'exit1=0.9,exit2=margin:0.5'; UsageError with the part that makes no sense."""
    rules = []
    for part in text.split(","):
        name, equals, value = (word.strip() for word in part.rpartition("="))
        margin = value.startswith(MARGIN)
        number = value.removeprefix(MARGIN).strip()
        if not (name and equals and re.fullmatch(r"-?[0-9]{1,9}(\.[0-9]{1,12})?", number)):
            raise UsageError(f"--early-exit {text}: '{part.strip()}' is no exit; expected is the "
                             "name or number of an output and the value that its largest score "
                             "must reach, e.g. exit1=0.9 or 0=margin:0.5")
        rules.append(ExitRule(name, Fraction(number), margin))
    return tuple(rules)


def with_exits(graph: Graph, rules: Sequence[ExitRule]) -> Graph:
    """The graph with early exits, its operators ordered so that each comes as soon as it can.

    Exits are numbered in the order in which they are reached: the one that needs the fewest
    multiply-accumulates first. Raises UsageError where a rule fits no output, or can never be met.
    """
    if rules and graph.is_float:
        raise UnsupportedError(f"{graph.source.name} computes in float32; an early exit is decided "
                               "on int8 scores, so quantize it first (tinyeff quantize)")
    exits: list[Exit] = []
    for rule in rules:
        number = _number(graph, rule)
        if number in (e.output for e in exits):
            raise UsageError(f"--early-exit: output '{rule.output}' is named twice")
        exits.append(Exit(number, 0, _threshold(graph, number, rule), rule.margin))
    if rules and len(exits) == len(graph.outputs):
        raise UsageError(f"--early-exit names all {len(exits)} outputs of {graph.source.name}; one "
                         "is for the samples that no exit is sure of")
    result = ordered(graph, exits)
    for record in result.exits:
        name = graph.tensors[graph.outputs[record.output]].name
        if all(_is_view(graph, op) for op in result.ops[:record.after]):
            raise UsageError(f"--early-exit: output '{name}' is a model input; nothing is computed "
                             "for it, so that it can be sure of nothing")
        if all(_is_view(graph, op) for op in result.ops[record.after:]):
            raise UsageError(f"--early-exit: nothing is left to compute behind output '{name}'; "
                             "leaving there would save nothing")
    return result


def ordered(graph: Graph, exits: Sequence[Exit]) -> Graph:
    """The graph with these exits, in an order of operators and exits that reaches each as soon as
    can be; where an exit stands (`after`) is worked out here."""
    needs = {e.output: _needed(graph, graph.outputs[e.output]) for e in exits}
    work = [operator_of(op.kind).macs(node_of(graph, op)) for op in graph.ops]

    def cost(record: Exit) -> tuple[int, int]:
        needed = needs[record.output]
        return sum(work[op] for op in needed), len(needed)

    order: list[int] = []
    found: list[Exit] = []
    for record in sorted(exits, key=cost):
        order += sorted(needs[record.output] - {*order})
        found.append(replace(record, after=len(order)))
    order += sorted({*range(len(graph.ops))} - {*order})
    return replace(graph, ops=tuple(graph.ops[op] for op in order), exits=tuple(found))


def _number(graph: Graph, rule: ExitRule) -> int:
    """Which of the graph's outputs a rule means; UsageError where it is none that can be asked."""
    names = [graph.tensors[i].name for i in graph.outputs]
    if rule.output in names:
        number = names.index(rule.output)
    elif rule.output.isdecimal() and int(rule.output) < len(names):
        number = int(rule.output)
    else:
        listed = ", ".join(f"{n} '{name}'" for n, name in enumerate(names))
        raise UsageError(f"--early-exit: {graph.source.name} has no output '{rule.output}'; "
                         f"it has {listed}")
    tensor = graph.tensors[graph.outputs[number]]
    vector = tensor.elements == tensor.channels and tensor.elements > 1
    if tensor.dtype != "int8" or tensor.quant is None or not vector:
        raise UsageError(f"--early-exit: output '{tensor.name}' is {tensor.dtype} of shape "
                         f"{tensor.shape}; an exit is decided on int8 scores of two or more "
                         "classes")
    return number


def _needed(graph: Graph, tensor: int) -> set[int]:
    """The operators that a tensor depends on."""
    writers = graph.writers
    found: set[int] = set()
    waiting = [tensor]
    while waiting:
        op = writers.get(waiting.pop())
        if op is not None and op not in found:
            found.add(op)
            waiting += graph.ops[op].inputs
    return found


def _is_view(graph: Graph, op: Op) -> bool:
    return form_of(graph, op) == "view"


def _threshold(graph: Graph, number: int, rule: ExitRule) -> int:
    """The least int8 value, or difference of two, that stands for at least the rule's real one."""
    tensor = graph.tensors[graph.outputs[number]]
    assert tensor.quant is not None
    quant = tensor.quant
    base = 0 if rule.margin else quant.zero_point
    threshold = ceil(rule.value / Fraction(quant.scale)) + base
    most = INT8_MAX - INT8_MIN if rule.margin else INT8_MAX
    if threshold > most:
        what = "the margin" if rule.margin else "a score"
        raise UsageError(f"--early-exit {rule.output}={float(rule.value):g}: {what} of output "
                         f"'{tensor.name}' is at most {quant.scale * (most - base):g}, so that "
                         "nothing would ever leave there; give a smaller value")
    return max(threshold, 0 if rule.margin else INT8_MIN)


def real_threshold(record: Exit, quant: Quant) -> float:
    """The real value that the threshold of an exit stands for."""
    return quant.scale * (record.threshold - (0 if record.margin else quant.zero_point))


def describe_exit(graph: Graph, record: Exit) -> str:
    """An exit's rule in words."""
    tensor = graph.tensors[graph.outputs[record.output]]
    assert tensor.quant is not None
    what = "largest less second score" if record.margin else "largest score"
    return (f"{what} of '{tensor.name}' at least {record.threshold} "
            f"({real_threshold(record, tensor.quant):.6g})")


# The rule, on outputs ---------------------------------------------------------------------------


def exits_taken(exits: Sequence[Exit], outputs: Sequence[Array]) -> Array:
    """For each sample the number of the exit where it leaves, 0 where it leaves at none.

    `outputs` are all outputs of the model, (count, *shape) each.
    """
    taken = np.zeros(len(outputs[0]), np.int64)
    for number, record in reversed(list(enumerate(exits, 1))):
        scores = outputs[record.output].reshape(len(taken), -1).astype(np.int64)
        ranked = np.sort(scores, axis=1)
        sure = ranked[:, -1] - (ranked[:, -2] if record.margin else 0) >= record.threshold
        taken[sure] = number
    return taken


def first_exits(graph: Graph) -> tuple[int, ...]:
    """For each output the number of the first exit at which it has been computed; one more than
    there are exits where none has it."""
    writers = graph.writers
    return tuple(
        next((number for number, record in enumerate(graph.exits, 1)
              if writers.get(output, -1) < record.after), len(graph.exits) + 1)
        for output in graph.outputs)


def handed_over(graph: Graph, outputs: Sequence[Array], taken: Array) -> tuple[Array, ...]:
    """What a program gives whose samples leave at exits `taken`, (count,): `outputs` of the whole
    model, (count, *shape) each, those that were not computed filled with their zero point."""
    found = []
    for first, index, values in zip(first_exits(graph), graph.outputs, outputs, strict=True):
        quant = graph.tensors[index].quant
        left_out = ((taken > 0) & (taken < first)).reshape(-1, *[1] * (values.ndim - 1))
        found.append(np.where(left_out, np.array(quant.zero_point if quant else 0, values.dtype),
                              values))
    return tuple(found)


def last_output(exits: Sequence[Exit], outputs: int) -> int:
    """The output, of so many, that answers where no exit does: the first that is none."""
    heads = {record.output for record in exits}
    return next(n for n in range(outputs) if n not in heads)


def answers(exits: Sequence[Exit], outputs: Sequence[Array], taken: Array) -> Array:
    """The scores that each sample leaves with, (count, classes); the outputs are one per head.

    A sample that leaves at no exit has the scores of the first output that is none.
    """
    found = outputs[last_output(exits, len(outputs))].reshape(len(taken), -1).copy()
    for number, record in enumerate(exits, 1):
        scores = outputs[record.output].reshape(len(taken), -1)
        found[taken == number] = scores[taken == number]
    return found

