# SPDX-License-Identifier: MIT
"""Early exits: the rule on int8 scores, the order of operators, plans, and C against LiteRT."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.device.rig import Board, HostFirmware
from tests.device.test_link import link_to
from tests.exit_graphs import branchy
from tests.objects import SANITIZERS
from tests.shared import needs
from tinyeff.cli import main
from tinyeff.console.outcome import Exits
from tinyeff.console.outcome import compare as evaluated
from tinyeff.data import random_inputs
from tinyeff.device.link.machine import BoardProgram
from tinyeff.emitter import EmitOptions, emit
from tinyeff.errors import InternalError, UnsupportedError, UsageError
from tinyeff.exits import (
    ExitRule,
    answers,
    exits_taken,
    first_exits,
    handed_over,
    parse_exits,
    with_exits,
)
from tinyeff.ir import Array, Exit, Graph, Limits, Quant, check_graph
from tinyeff.pipeline import Compiled, compile_graph, infer, verify
from tinyeff.planner import validate
from tinyeff.planner.order import OrderSearch, branch_by_branch, with_order
from tinyeff.reader import simplify
from tinyeff.selection import select
from tinyeff.simulator.emulator import emulate
from tinyeff.simulator.host import WARNINGS, HostProgram
from tinyeff.simulator.verify import EXIT, compare, reference_outputs
from tinyeff.targets import target_for
from tinyeff.work import exit_macs, segment_macs

WAYS = (("per-layer", "resident"), ("patch", "resident"), ("stream", "resident"),
        ("stream", "streamed"), ("per-layer", "excluded"), ("stream", "excluded"))
SAMPLES = 8


def scores_of(graph: Graph, seed: int = 0) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """Random samples, and LiteRT's outputs for them."""
    inputs = random_inputs(graph, seed, SAMPLES)
    return inputs, reference_outputs(graph, inputs)


def median_rules(graph: Graph, outputs: tuple[Array, ...], margin: bool = False) -> list[ExitRule]:
    """For each output a threshold that about half of the samples reach."""
    rules = []
    for number, index in enumerate(graph.outputs):
        quant = graph.tensors[index].quant
        assert quant is not None
        ranked = np.sort(outputs[number].reshape(SAMPLES, -1).astype(int), axis=1)
        base = ranked[:, -2] if margin else quant.zero_point
        real = Fraction(quant.scale) * int(np.median(ranked[:, -1] - base))
        rules.append(ExitRule(str(number), real, margin))
    return rules


def leaving(seed: int, margin: bool = False) -> tuple[Graph, tuple[Array, ...]]:
    """A network with an exit at each head but the last, and samples that leave everywhere."""
    graph = simplify(branchy(seed))
    inputs, outputs = scores_of(graph, seed)
    rules = median_rules(graph, outputs, margin)
    for last in range(len(rules)):
        try:
            return with_exits(graph, rules[:last] + rules[last + 1:]), inputs
        except UsageError:  # this head is not the last one
            continue
    raise AssertionError


def compiled(graph: Graph, strategy: str = "per-layer", memory: str = "resident",
             cpu: str = "cortex-m4") -> Compiled:
    return compile_graph(graph, target_for(cpu), Limits(strategy=strategy, input_memory=memory))


# The rule --------------------------------------------------------------------------------------


def test_thresholds_are_the_least_scores_that_are_large_enough() -> None:
    graph = simplify(branchy(2))
    for quant, text, threshold in [
        (Quant((1 / 256,), (-128,)), "0.5", 0), (Quant((1 / 256,), (-128,)), "0.50001", 1),
        (Quant((1 / 256,), (-128,)), "margin:0.5", 128), (Quant((0.1,), (9,)), "0.3", 12),
        (Quant((float(np.float32(0.1)),), (9,)), "0.3", 12), (Quant((0.1,), (9,)), "-3", -20),
        (Quant((1 / 256,), (-128,)), "-7", -128), (Quant((1 / 256,), (-128,)), "margin:-1", 0),
    ]:
        tensors = list(graph.tensors)
        tensors[graph.outputs[2]] = replace(tensors[graph.outputs[2]], quant=quant)
        found = with_exits(replace(graph, tensors=tuple(tensors)), parse_exits(f"2={text}"))
        assert found.exits[0].threshold == threshold, (quant, text)


@settings(max_examples=60)
@given(st.integers(-128, 127), st.integers(0, 255), st.booleans(), st.integers(0, 9))
def test_the_rule_on_scores(threshold: int, lead: int, margin: bool, seed: int) -> None:
    """numpy's rule, against one written without arrays."""
    rng = np.random.default_rng(seed)
    outputs = tuple(rng.integers(-128, 128, (6, 1, 4), dtype=np.int8) for _ in range(3))
    exits = (Exit(1, 3, lead if margin else threshold, margin), Exit(0, 5, threshold))
    taken = exits_taken(exits, outputs)
    for n in range(6):
        expected = 0
        for number, e in reversed(list(enumerate(exits, 1))):
            best, second = sorted(map(int, outputs[e.output][n].ravel()), reverse=True)[:2]
            if (best - second if e.margin else best) >= e.threshold:
                expected = number
        assert taken[n] == expected
        head = [2, 1, 0][expected]
        assert np.array_equal(answers(exits, outputs, taken)[n], outputs[head][n].ravel())


@pytest.mark.parametrize(("text", "says"), [
    ("0.9", "'0.9' is no exit"), ("0=", "'0=' is no exit"), ("=0.9", "'=0.9' is no exit"),
    ("0=often", "'0=often' is no exit"), ("0=margin:", "is no exit"), ("", "'' is no exit"),
    ("0=0.5,", "'' is no exit"), ("nowhere=0.5", "no output 'nowhere'; it has 0 't"),
    ("7=0.5", "no output '7'"), ("2=1", "nothing would ever leave there"),
    ("2=margin:1", "is at most 0.996094"), ("2=0.5,2=0.6", "named twice"),
    ("0=0,1=0,2=0", "all 3 outputs"),
])
def test_rules_that_make_no_sense_are_refused(text: str, says: str) -> None:
    graph = simplify(branchy(2))
    with pytest.raises(UsageError, match=r"--early-exit") as error:
        with_exits(graph, parse_exits(text))
    assert says in error.value.message


def test_maps_and_float_models_have_no_exits() -> None:
    graph = simplify(branchy(2))
    with pytest.raises(UsageError, match="scores of two or more classes"):
        with_exits(replace(graph, outputs=(*graph.outputs, graph.ops[0].outputs[0])),
                   parse_exits("3=0.5"))
    early = replace(graph, ops=graph.ops[:8], outputs=(graph.ops[0].outputs[0], graph.outputs[2]))
    with pytest.raises(UsageError, match="nothing is left to compute behind output"):
        with_exits(early, parse_exits("1=0.5"))
    tensors = tuple(replace(t, dtype="float32") for t in graph.tensors)
    with pytest.raises(UnsupportedError, match="tinyeff quantize"):
        with_exits(replace(graph, tensors=tensors), parse_exits("0=0.5"))


# Order and plans -------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_an_exit_comes_as_soon_as_it_can(seed: int) -> None:
    graph, _ = leaving(seed)
    plain = simplify(branchy(seed))
    check_graph(graph, "ordering")
    assert sorted(op.name for op in graph.ops) == sorted(op.name for op in plain.ops)
    writers = {i: n for n, op in enumerate(graph.ops) for i in op.outputs}
    for before, record in pairwise((Exit(0, 0, 0), *graph.exits)):
        needed, waiting = set(), [graph.outputs[record.output]]
        while waiting:
            op = writers.get(waiting.pop())
            if op is not None:
                needed.add(op)
                waiting += graph.ops[op].inputs
        assert {*range(before.after, record.after)} <= needed <= {*range(record.after)}


@pytest.mark.parametrize("seed", range(8))
def test_another_order_keeps_what_stands_before_an_exit(seed: int) -> None:
    graph, _ = leaving(seed)
    graph = select(graph, target_for("cortex-m4"))
    orders = [*branch_by_branch(graph), OrderSearch(graph, "resident").best()]
    for order in filter(None, orders):
        other = with_order(graph, order)
        check_graph(other, "ordering")
        for record in graph.exits:
            assert {op.name for op in other.ops[:record.after]} == {
                op.name for op in graph.ops[:record.after]}


@pytest.mark.parametrize("seed", [1])
def test_no_segment_reaches_across_an_exit(seed: int) -> None:
    graph, _ = leaving(seed)
    for strategy, memory in WAYS:
        found = compiled(graph, strategy, memory)
        for record in graph.exits:
            assert all(not s.first < record.after < s.last for s in found.plan.segments)
        total = found.plan.macs + found.plan.extra_macs
        assert sum(segment_macs(found.graph, found.plan)) == total
        assert exit_macs(found.graph, found.plan)[-1] == total


def test_the_validator_refuses_exits_inside_segments() -> None:
    graph, _ = leaving(1)
    plain = replace(graph, exits=())
    found = compiled(plain, "stream")
    long = next(s for s in found.plan.segments if s.last - s.first > 1)
    cut = replace(graph.exits[0], after=long.first + 1)
    with pytest.raises(InternalError, match="lies within a segment"):
        validate(replace(found.graph, exits=(cut,)), found.plan)


def test_the_checker_refuses_exits_out_of_order() -> None:
    graph, _ = leaving(1)
    with pytest.raises(InternalError, match="exit 1 is behind 99 of"):
        check_graph(replace(graph, exits=(replace(graph.exits[0], after=99),)), "a test")
    with pytest.raises(InternalError, match="exit 1 is reached before its output"):
        check_graph(replace(graph, exits=(replace(graph.exits[0], after=1),)), "a test")


# Code ------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("way", "margin"), [(WAYS[3], False), (WAYS[2], True)])
def test_code_leaves_where_litert_says(way: tuple[str, str], margin: bool) -> None:
    """The release build, with sanitizers; some samples leave, some do not."""
    graph, inputs = leaving(1 if margin else 2, margin)
    with HostProgram(compiled(graph, *way).program, flags=(*WARNINGS, *SANITIZERS)) as host:
        result = compare(graph, inputs, host, None)
    assert result.difference is None, str(result.difference)
    taken = exits_taken(graph.exits, reference_outputs(graph, inputs))
    counts = np.bincount(taken, minlength=len(graph.exits) + 1).tolist()
    assert result.exits == (*counts[1:], counts[0])


@pytest.mark.all
@settings(max_examples=60, deadline=None)
@given(st.integers(100, 10_000), st.sampled_from(WAYS), st.booleans(),
       st.sampled_from(["cortex-m4", "cortex-m0plus"]))
def test_random_networks_leave_where_litert_says(
    seed: int, way: tuple[str, str], margin: bool, cpu: str
) -> None:
    graph, inputs = leaving(seed, margin)
    result = verify(compiled(graph, *way, cpu=cpu).program, inputs,
                    flags=(*WARNINGS, *SANITIZERS))
    assert result.difference is None, str(result.difference)


@pytest.mark.all
@pytest.mark.parametrize("cpu", ["cortex-m4", "cortex-m0plus"])
@pytest.mark.parametrize("way", WAYS)
def test_emulated_cores_leave_where_litert_says(way: tuple[str, str], cpu: str) -> None:
    needs("unicorn", "capstone", "elftools", "arm-none-eabi-gcc")
    graph, inputs = leaving(2)
    assert verify(compiled(graph, *way, cpu=cpu).program, inputs, cpu=cpu).exact


@pytest.mark.slow
def test_what_is_left_out_is_zero_and_the_exit_is_told() -> None:
    graph, inputs = leaving(2)
    outputs = reference_outputs(graph, inputs)
    taken = exits_taken(graph.exits, outputs)
    assert {*taken.tolist()} == {0, 1, 2}
    batch = infer(compiled(graph).program, inputs)
    assert np.array_equal(batch.exits, taken)
    expected = handed_over(graph, outputs, taken)
    for found, wanted in zip(batch.outputs, expected, strict=True):
        assert np.array_equal(found, wanted)
    first = first_exits(graph)
    for number, index in enumerate(graph.outputs):
        quant = graph.tensors[index].quant
        assert quant is not None
        for n in np.flatnonzero((taken > 0) & (taken < first[number])):
            assert (batch.outputs[number][n] == quant.zero_point).all()


@pytest.mark.slow
def test_verify_finds_a_wrong_exit() -> None:
    """Code that tests another threshold than it should."""
    graph, inputs = leaving(2)
    found = compiled(graph)
    wrong = replace(found.program, exits=(replace(found.program.exits[0], threshold=-128),
                                          *found.program.exits[1:]))
    assert verify(wrong, inputs).difference is not None
    taken = exits_taken(graph.exits, reference_outputs(graph, inputs))

    class Liar:
        """Says nothing of exits."""

        def __init__(self, host: HostProgram) -> None:
            self.infer = lambda batch: replace(host.infer(batch), exits=0 * taken)

    with HostProgram(found.program) as host:
        difference = compare(graph, inputs, Liar(host), None).difference  # type: ignore[arg-type]
    assert difference is not None
    assert difference.tensor == EXIT
    assert difference.sample == int(np.flatnonzero(taken)[0])
    assert f"the exit to take is {difference.expected}" in str(difference)


@pytest.mark.slow
def test_an_evaluation_counts_by_exit() -> None:
    graph, inputs = leaving(2)
    found = compiled(graph)
    outputs = reference_outputs(graph, inputs)
    taken = exits_taken(graph.exits, outputs)
    labels = answers(graph.exits, outputs, taken).argmax(1)
    labels[taken == 1] = (labels[taken == 1] + 1) % 5  # all wrong
    work = exit_macs(found.graph, found.plan)
    e = evaluated(infer(found.program, inputs), outputs, labels, None, Exits(graph, work))
    assert e.exact == SAMPLES
    assert [s.samples for s in e.exits] == [int((taken == n).sum()) for n in (1, 2, 0)]
    assert [s.correct for s in e.exits] == [0, *(int((taken == n).sum()) for n in (2, 0))]
    assert [s.macs for s in e.exits] == list(work)
    assert e.mean_macs == sum(work[n - 1] for n in taken) / SAMPLES


@pytest.mark.slow
def test_an_emulated_core_leaves_too_and_works_less() -> None:
    needs("unicorn", "capstone", "elftools", "arm-none-eabi-gcc")
    graph, inputs = leaving(2)
    found = compiled(graph, "stream")
    taken = exits_taken(graph.exits, reference_outputs(graph, inputs))
    sources = emit(found.program, EmitOptions("kws"))
    spent = {}
    for number in (0, 1, 2):
        sample = int(np.flatnonzero(taken == number)[0])
        run = emulate(sources, [x[sample] for x in inputs], "cortex-m4", profile="layers")
        assert run.exit == number
        spent[number] = run.instructions
        assert sum(layer.instructions for layer in run.layers) == run.instructions
    work = exit_macs(found.graph, found.plan)
    assert spent[1] < spent[2] < spent[0]
    assert spent[1] / spent[0] < 1.4 * work[0] / work[-1]


@pytest.mark.slow
def test_a_board_tells_the_exit() -> None:
    """The firmware's own link, built for this machine."""
    graph, inputs = leaving(2)
    firmware = HostFirmware(compiled(graph).program)
    with Board(firmware.binary) as board, link_to(board) as link:
        machine = BoardProgram(link, firmware.manifest)
        result = compare(graph, inputs, machine, machine)
    firmware.close()
    assert result.exact
    assert min(result.exits) > 0


# The command line ------------------------------------------------------------------------------


@pytest.fixture
def model(tmp_path: Path) -> tuple[str, str]:
    """A file of a network with three heads, and one with samples."""
    graph, inputs = leaving(2)
    (tmp_path / "heads.tflite").write_bytes(graph.source.flatbuffer)
    np.savez(tmp_path / "data.npz", x=inputs[0], labels=np.zeros(SAMPLES, int))
    return str(tmp_path / "heads.tflite"), str(tmp_path / "data.npz")


RULES = "0=0.3,2=margin:0.012"


def test_plan_reports_the_work_until_each_exit(
    model: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", model[0], "--early-exit", RULES, "--json"]) == 0
    exits = json.loads(capsys.readouterr().out)["exits"]
    assert [e["rule"] for e in exits] == ["margin", "score"]
    assert exits[0]["macs"] < exits[1]["macs"]
    assert main(["plan", model[0], "--early-exit", RULES]) == 0
    assert "exit 1       7,528 multiply-accumulates (49.7%)" in capsys.readouterr().out
    assert main(["plan", model[0], "--early-exit", "2=1"]) == 2


@pytest.mark.slow
def test_the_commands_tell_which_exit_was_taken(
    model: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tmp_path / "code")
    assert main(["codegen", model[0], "-o", folder, "--name", "kws", "--early-exit", RULES]) == 0
    capsys.readouterr()
    assert main(["sim", folder, "--input", model[1], "--json"]) == 0
    run = json.loads(capsys.readouterr().out)
    assert run["exit"] in (0, 1, 2)
    assert main(["sim", folder, "--input", model[1]]) == 0
    assert ("no early exit" if run["exit"] == 0 else f"exit {run['exit']}, 't"
            ) in capsys.readouterr().out
    assert main(["verify", model[0], "--data", model[1], "--early-exit", RULES]) == 0
    assert " left at exit 1, " in capsys.readouterr().out
    assert main(["evaluate", model[0], "--data", model[1], "--early-exit", RULES]) == 0
    said = capsys.readouterr().out
    assert "outputs and exits equal bit for bit: 8 of 8 samples" in said
    assert "saved)" in said
