# SPDX-License-Identifier: MIT
"""The tables of the generated C: steps, groups, segments and the memories that they address."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from tinyeff.emitter import naming
from tinyeff.errors import Item, UnsupportedError
from tinyeff.ir import Access, ConstArray, Program, Step, StepGroup, StepSegment, Window

FORMS = {"rows": "TE_ROWS", "accumulate": "TE_ACCUMULATE", "whole": "TE_WHOLE"}
INT16_MAX = 32767
UINT16_MAX = 65535


def port_name(what: str, number: int, count: int) -> str:
    """'input', or 'input_1' where there are several."""
    return what if count == 1 else f"{what}_{number}"


def memories(program: Program) -> list[SimpleNamespace]:
    """The memories in the order of their numbers: the arena, the outputs, inputs kept outside."""
    graph = program.graph
    table = [SimpleNamespace(region="arena", index=0, pointer="arena", writable=True)]
    for n in range(len(graph.outputs)):
        table.append(SimpleNamespace(region="output", index=n, writable=True,
                                     pointer=port_name("output", n, len(graph.outputs))))
    if program.plan.input_memory == "excluded":
        for n in range(len(graph.inputs)):
            table.append(SimpleNamespace(region="input", index=n, writable=False,
                                         pointer=port_name("input", n, len(graph.inputs))))
    return table


def _memory_number(table: list[SimpleNamespace], access: Access) -> int:
    return next(number for number, entry in enumerate(table)
                if entry.region == access.region
                and (entry.region == "arena" or entry.index == access.index))


def steps(program: Program, name: str) -> list[SimpleNamespace]:
    """What the template prints of each step."""
    table = memories(program)
    return [_step(program, name, step, table) for step in program.steps]


def _step(
    program: Program, name: str, step: Step, table: list[SimpleNamespace]
) -> SimpleNamespace:
    kernel = step.kernel
    _check_sizes(program, step)
    fields = [(field, f"{name}_{step.name}_{field}" if isinstance(value, ConstArray) else value)
              for field, value in kernel.fields]
    return SimpleNamespace(
        name=step.name, comment=naming.comment_text(step.comment), params=kernel.params,
        fields=fields, form=FORMS[step.form], member=step.form,
        kernel=f"&{kernel.function}" if step.form == "accumulate" else kernel.function,
        rows_per_call=step.rows_per_call,
        inputs=[_access(program, a, table) for a in step.inputs],
        outputs=[_access(program, a, table) for a in step.outputs],
        scratch=_offset(step.scratch_offset), state=_offset(step.state_offset),
    )


def _offset(value: int | None) -> str:
    return "TE_NO_MEMORY" if value is None else str(value)


def _access(program: Program, a: Access, table: list[SimpleNamespace]) -> SimpleNamespace:
    return SimpleNamespace(
        start=a.offset_bytes, row_bytes=a.row_bytes, rows=a.rows, pixels=a.pixels,
        ring_rows=a.ring_rows, pixel_bytes=a.pixel_bytes, count=a.window.count,
        step=a.window.step, offset=a.window.offset, divisor=a.window.divisor,
        x_count=a.columns.count, x_step=a.columns.step, x_offset=a.columns.offset,
        memory=_memory_number(table, a), tensor=a.tensor,
        producer=a.producer if a.striped < 0 else _stripe_number(program, a),
        inner=int(a.inner) if a.striped < 0 else _stripe_number(program, a),
        comment=naming.comment_text(program.graph.tensors[a.tensor].name),
    )


def _stripe_number(program: Program, a: Access) -> int:
    """How te_input and te_output name the group whose present stripe is held."""
    first = next(s.first for s in program.segments if s.first <= a.striped < s.last)
    return first - a.striped - 2


def _check_sizes(program: Program, step: Step) -> None:
    """Small fields keep the tables small; a tensor beyond them is beyond a microcontroller."""
    for a in (*step.inputs, *step.outputs):
        numbers = (a.window.count, a.window.step, a.window.offset, a.window.divisor, a.tensor)
        if a.pixel_bytes > UINT16_MAX or max(map(abs, numbers)) > INT16_MAX:
            tensor = program.graph.tensors[a.tensor]
            reason = (f"a pixel of {a.pixel_bytes} bytes in {a.rows} rows is beyond what the "
                      f"generated tables hold ({UINT16_MAX} bytes, {INT16_MAX} rows)")
            raise UnsupportedError("the model is too large for generated code",
                                   (Item(f"{step.kind} '{step.name}'", tensor.name, reason),))


def order(program: Program) -> dict[str, Any]:
    """Groups, needs and segments, as the template prints them."""
    needs = [
        SimpleNamespace(group=n.group, count=n.window.count, step=n.window.step,
                        offset=n.window.offset, divisor=n.window.divisor,
                        comment=f"group {number} needs group {n.group}")
        for number, group in enumerate(program.groups) for n in group.needs
    ]
    starts = [sum(len(g.needs) for g in program.groups[:k]) for k in range(len(program.groups))]
    groups = [_group(program, g, start) for g, start in zip(program.groups, starts, strict=True)]
    stripes = [(g, s) for s in program.segments for g in _stripes(program, s)]
    starts = [next((n for n, (_, other) in enumerate(stripes) if other is s), 0)
              for s in program.segments]
    segments = [
        SimpleNamespace(first=s.first, end=s.last, progress=_offset(s.progress_offset),
                        comment=s.strategy, first_stripe=start,
                        n_stripes=len(program.groups[s.first].stripes))
        for s, start in zip(program.segments, starts, strict=True)
    ]
    return {"needs": needs, "groups": groups, "segments": segments,
            "stripes": [line for line, _ in stripes],
            "forms": sorted({FORMS[s.form] for s in program.steps}, reverse=True)}


def _stripes(program: Program, segment: StepSegment) -> Iterator[SimpleNamespace]:
    """For every stripe of a segment the columns that each group computes; none without stripes."""
    groups = program.groups[segment.first:segment.last]
    count = len(groups[0].stripes)
    for stripe in range(count if count > 1 else 0):
        for number, group in enumerate(groups, segment.first):
            x0, x1 = group.stripes[stripe]
            yield SimpleNamespace(x0=x0, x1=x1, comment=f"stripe {stripe} of group {number}")


def _group(program: Program, g: StepGroup, first_need: int) -> SimpleNamespace:
    names = " + ".join(s.name for s in program.steps[g.first:g.last]) or "rows of the input"
    first = min(g.first, len(program.steps) - 1)
    return SimpleNamespace(
        comment=naming.comment_text(names), first_stage=first, n_stages=g.last - g.first,
        first_need=first_need, n_needs=len(g.needs), rows=g.rows, pixels=g.pixels,
        tile_rows=g.tile_rows, tile_pixels=g.tile_pixels, slides=int(g.slides),
        complete=int(g.complete),
    )


def limits(program: Program) -> dict[str, Any]:
    """The sizes of the arrays on the stack of the generated loops."""
    return {
        "max_stages": max((g.last - g.first for g in program.groups), default=1),
        "max_in_rows": max((_in_rows(s) for s in program.steps), default=1),
        "max_out_rows": max((s.max_rows * len(s.outputs) for s in program.steps), default=1),
        "slides": any(g.slides for g in program.groups),
    }


def _in_rows(step: Step) -> int:
    if step.form != "rows":
        return max(1, len(step.inputs))
    return max(1, sum(_rows_of(a.window, step.rows_per_call) for a in step.inputs))


def _rows_of(window: Window, rows_per_call: int) -> int:
    """The most input rows that a call for `rows_per_call` output rows is handed."""
    return -(-(rows_per_call - 1) * window.step // window.divisor) + window.count
