# SPDX-License-Identifier: MIT
"""The tables of the generated C: steps, groups, segments and the memories that they address."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from tinyeff.emitter import naming
from tinyeff.emitter.table import Column, Pool, Row, Table
from tinyeff.errors import InternalError, Item, UnsupportedError
from tinyeff.ir import Access, ConstArray, Program, Step, StepGroup, StepSegment, Window
from tinyeff.schedule import rows_at_once

FORMS = {"rows": "TE_ROWS", "accumulate": "TE_ACCUMULATE", "whole": "TE_WHOLE"}
INT16_MAX = 32767
UINT16_MAX = 65535

PLACE = (
    Column("start", "byte of row 0 in its memory"),
    Column("row_bytes", "from row to row"),
    Column("rows", "of the tensor"),
    Column("pixels", "of a row"),
    Column("ring_rows", "rows that are held: row r lies at r mod ring_rows"),
    Column("pixel_bytes", "from pixel to pixel"),
    Column("memory", "0 is the arena, then the model's outputs, then inputs kept outside"),
)
PLACE_IN_PARTS = (
    *PLACE[:-1],
    Column("memory", "the parts of the arena, then the model's outputs, then inputs kept outside"),
)
WINDOW = (
    Column("count", "rows, the first being floor((y * step + offset) / divisor)"),
    Column("step", "from output row to output row"),
    Column("offset", "before row 0 is negative"),
    Column("divisor", "more than 1 where several output rows need the same row"),
    Column("x_count", "columns likewise, where a stage of the same group computes them"),
    Column("x_step", "from output column to output column; 0: all need the same"),
    Column("x_offset", "before column 0 is negative"),
)
INPUT = (
    Column("place", "where it lies"),
    Column("window", "what an output row and column need of it"),
    Column("producer", "stage of this group that computes it tile by tile; -1: all is held; else "
           "-2 - g, where group g of the segment computes it stripe by stripe"),
)
OUTPUT = (
    Column("place", "where it lies"),
    Column("inner", "1: only columns of the present tile are held; -2 - g: those of the present "
           "stripe of group g of the segment; 0: all"),
)
STAGE = (
    Column("params", "of the kernel", "const void *"),
    Column("kernel", "its number"),
    Column("first_input", "its inputs stand one after the other"),
    Column("n_inputs", "how many"),
    Column("first_output", "its outputs stand one after the other"),
    Column("n_outputs", "how many"),
    Column("rows_per_call", "output rows, where the kernel goes row by row"),
    Column("private_start", "byte in the arena of its scratch memory or state, if it needs any"),
)
NEED = (
    Column("group", "of which rows must be there"),
    Column("window", "for rows [y, end): all up to the last that the last of them needs"),
)
GROUP = (
    Column("first_stage", "its stages stand one after the other"),
    Column("n_stages", "how many"),
    Column("first_need", "its needs stand one after the other"),
    Column("n_needs", "how many"),
    Column("rows", "of the map that the last stage writes or, accumulating, reads"),
    Column("pixels", "of a row of that map"),
    Column("tile_rows", "that are computed at once"),
    Column("tile_pixels", "that are computed at once; 0: all"),
    Column("slides", "1: columns that two neighbouring tiles need are kept"),
    Column("complete", "1: all rows are computed; 0: only those that another group needs"),
)
STRIPE = (Column("x0", "first column of a group's map"), Column("x1", "behind its last column"))
SEGMENT = (
    Column("first", "of its groups"),
    Column("end", "behind its last group, which pulls rows out of those before it"),
    Column("progress", "byte in the arena of an int32_t per group: its rows done"),
    Column("n_stripes", "the groups take their turns once for each"),
    Column("first_stripe", "that of the first group in the first stripe; one per group and stripe"),
)
EXIT = (
    Column("segment", "that it stands before"),
    Column("scores", "where they lie"),
    Column("values", "how many"),
    Column("margin", "1: what counts is the largest less the second; 0: the largest"),
    Column("threshold", "that it must reach"),
)
AREA = (
    Column("y0", "first row of the input that a patch sees"),
    Column("y1", "behind the last"),
    Column("x0", "first column"),
    Column("x1", "behind the last"),
)


def port_name(what: str, number: int, count: int) -> str:
    """'input', or 'input_1' where there are several."""
    return what if count == 1 else f"{what}_{number}"


def memories(program: Program) -> list[SimpleNamespace]:
    """The memories in the order of their numbers: the arena, the outputs, inputs kept outside."""
    graph, names = program.graph, [r.name for r in program.plan.regions]
    table = [SimpleNamespace(region=name, index=0, pointer=pointer, writable=True)
             for name, pointer in zip(names, naming.arena_parameters(names), strict=True)]
    for n in range(len(graph.outputs)):
        table.append(SimpleNamespace(region="output", index=n, writable=True,
                                     pointer=port_name("output", n, len(graph.outputs))))
    if program.plan.input_memory == "excluded":
        for n in range(len(graph.inputs)):
            table.append(SimpleNamespace(region="input", index=n, writable=False,
                                         pointer=port_name("input", n, len(graph.inputs))))
    return table


def steps(program: Program, name: str) -> list[SimpleNamespace]:
    """What the template prints of each step: its parameters."""
    for step in program.steps:
        _check_sizes(program, step)
    return [
        SimpleNamespace(
            name=step.name, comment=naming.comment_text(step.comment), params=step.kernel.params,
            fields=[(field, f"{name}_{step.name}_{field}" if isinstance(value, ConstArray)
                     else value) for field, value in step.kernel.fields],
        )
        for step in program.steps
    ]


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


def private_memory(program: Program) -> int:
    """The number of the memory that holds scratch memory, states and row counters."""
    homes = {b.region for b in program.plan.buffers if b.op is not None}
    return next((n for n, r in enumerate(program.plan.regions) if r.name in homes), 0)


class Tables:
    """All tables of a program; the attributes are named like the types of their rows."""

    def __init__(self, program: Program) -> None:
        self._program, self._memories = program, memories(program)
        self._places, self._windows, self._kernels = Pool(), Pool(), Pool()
        self.traced = [a.tensor for step in program.steps for a in step.outputs]
        inputs = [self._input(a, len(step.inputs)) for step in program.steps for a in step.inputs]
        outputs = [self._output(a) for step in program.steps for a in step.outputs]
        self.stage = Table("stage", "stages", STAGE, self._stages())
        self.need = Table("need", "needs", NEED, self._needs())
        self.group = Table("group", "groups", GROUP, self._groups())
        stripes = [row for s in program.segments for row in self._stripes(s)]
        self.stripe = Table("stripe", "stripes", STRIPE, stripes)
        self.segment = Table("segment", "segments", SEGMENT, self._segments())
        self.input = Table("input", "inputs", INPUT, inputs)
        self.output = Table("output", "outputs", OUTPUT, outputs)
        self.area = Table("area", "areas", AREA, self._areas())
        self.exit = Table("exit", "exits", EXIT, self._exits())
        place = PLACE if len(program.plan.regions) == 1 else PLACE_IN_PARTS
        self.place = Table("place", "places", place, self._places.rows)
        self.window = Table("window", "windows", WINDOW, self._windows.rows)
        self.kernels = [row.values for row in self._kernels.rows]

    @property
    def size_bytes(self) -> int:
        """Bytes of all tables on a 32-bit core, without the parameters of kernels."""
        tables = (self.place, self.window, self.input, self.output, self.stage, self.need,
                  self.group, self.stripe, self.segment, self.exit, self.area)
        forms = {str(kernel["form"]) for kernel in self.kernels}
        return sum(t.size_bytes for t in tables) + len(self.kernels) * (8 if len(forms) > 1 else 4)

    @property
    def printed(self) -> list[Table]:
        """The tables that have rows, each behind those that it refers to."""
        tables = (self.place, self.window, self.input, self.output, self.stage, self.need,
                  self.group, self.stripe, self.segment, self.exit, self.area)
        return [t for t in tables if t.rows]

    def _place(self, a: Access) -> int:
        tensor = self._program.graph.tensors[a.tensor]
        rows, pixels, ring_rows, row_bytes = a.rows, a.pixels, a.ring_rows, a.row_bytes
        if a.rows == 1 and rows * pixels == tensor.rows * tensor.pixels:
            # A map that is taken as one row lies where it lies otherwise.
            rows, pixels, ring_rows = tensor.rows, tensor.pixels, tensor.rows
            row_bytes = a.row_bytes // a.pixels * tensor.pixels
        number = next(n for n, entry in enumerate(self._memories)
                      if (entry.region, entry.index) == (a.region, a.index))
        return self._places.number(
            naming.comment_text(tensor.name), start=a.offset_bytes, row_bytes=row_bytes,
            rows=rows, pixels=pixels, ring_rows=ring_rows, pixel_bytes=a.pixel_bytes,
            memory=number)

    def _window(self, rows: Window, columns: Window) -> int:
        return self._windows.number(
            count=rows.count, step=rows.step, offset=rows.offset, divisor=rows.divisor,
            x_count=columns.count, x_step=columns.step, x_offset=columns.offset)

    def _input(self, a: Access, n_inputs: int) -> Row:
        columns = a.columns
        if a.producer < 0 or a.striped >= 0:
            # It is held: all that matters is whether its columns move with those of other inputs.
            columns = Window(step=int(n_inputs == 1 or columns.step != 0))
        if columns.divisor != 1:
            raise InternalError(f"the columns of tensor {a.tensor} are stretched within a group; "
                                "the generated loops cannot do that")
        return self._access(a, window=self._window(a.window, columns),
                            producer=a.producer if a.striped < 0 else self._stripe_number(a))

    def _output(self, a: Access) -> Row:
        return self._access(a, inner=int(a.inner) if a.striped < 0 else self._stripe_number(a))

    def _access(self, a: Access, **values: int) -> Row:
        name = self._program.graph.tensors[a.tensor].name
        return Row({"place": self._place(a), **values}, naming.comment_text(name))

    def _stripe_number(self, a: Access) -> int:
        """How inputs and outputs name the group whose present stripe is held."""
        first = next(s.first for s in self._program.segments if s.first <= a.striped < s.last)
        return first - a.striped - 2

    def _stages(self) -> list[Row]:
        rows, n_inputs, n_outputs = [], 0, 0
        for step in self._program.steps:
            private = step.state_offset if step.form == "accumulate" else step.scratch_offset
            rows.append(Row({
                "params": f"&{step.name}_params",
                "kernel": self._kernels.number(form=FORMS[step.form], member=step.form,
                                               function=step.kernel.function),
                "first_input": n_inputs, "n_inputs": len(step.inputs),
                "first_output": n_outputs, "n_outputs": len(step.outputs),
                "rows_per_call": step.rows_per_call, "private_start": private or 0,
            }, naming.comment_text(step.comment)))
            n_inputs, n_outputs = n_inputs + len(step.inputs), n_outputs + len(step.outputs)
        return rows

    def _needs(self) -> list[Row]:
        return [Row({"group": n.group, "window": self._window(n.window, Window())},
                    f"group {number} needs group {n.group}")
                for number, group in enumerate(self._program.groups) for n in group.needs]

    def _groups(self) -> list[Row]:
        rows, n_needs = [], 0
        for g in self._program.groups:
            rows.append(self._group(g, n_needs))
            n_needs += len(g.needs)
        return rows

    def _group(self, g: StepGroup, first_need: int) -> Row:
        steps = self._program.steps
        names = " + ".join(s.name for s in steps[g.first:g.last]) or "rows of the input"
        return Row({
            "first_stage": min(g.first, len(steps) - 1), "n_stages": g.last - g.first,
            "first_need": first_need, "n_needs": len(g.needs), "rows": g.rows, "pixels": g.pixels,
            "tile_rows": g.tile_rows,
            "tile_pixels": 0 if g.tile_pixels >= g.pixels else g.tile_pixels,
            "slides": int(g.slides), "complete": int(g.complete),
        }, naming.comment_text(names))

    def _stripes(self, segment: StepSegment) -> Iterator[Row]:
        """For every stripe of a segment the columns that each group computes; none without."""
        groups = self._program.groups[segment.first:segment.last]
        count = len(groups[0].stripes)
        for stripe in range(count if count > 1 else 0):
            for number, group in enumerate(groups, segment.first):
                x0, x1 = group.stripes[stripe]
                yield Row({"x0": x0, "x1": x1}, f"stripe {stripe} of group {number}")

    def _areas(self) -> list[Row]:
        patches = self._program.patches
        return [Row(dict(zip(("y0", "y1", "x0", "x1"), area, strict=True)))
                for area in (patches.areas if patches else ())]

    def _exits(self) -> list[Row]:
        return [
            Row({"segment": e.segment, "scores": self._place(e.scores),
                 "values": e.scores.rows * e.scores.pixels * e.scores.pixel_bytes,
                 "margin": int(e.margin), "threshold": e.threshold},
                naming.comment_text(self._program.graph.tensors[e.scores.tensor].name))
            for e in self._program.exits]

    def _segments(self) -> list[Row]:
        rows, n_stripes = [], 0
        for s in self._program.segments:
            rows.append(Row({
                "first": s.first, "end": s.last, "progress": s.progress_offset or 0,
                "n_stripes": len(self._program.groups[s.first].stripes),
                "first_stripe": n_stripes,
            }, s.strategy))
            n_stripes += len(list(self._stripes(s)))
        return rows


def limits(program: Program) -> dict[str, Any]:
    """The sizes of the arrays on the stack of the generated loops."""
    return {
        "forms": sorted({FORMS[s.form] for s in program.steps}, reverse=True),
        "max_stages": max((g.last - g.first for g in program.groups), default=1),
        "max_in_rows": max((_in_rows(s) for s in program.steps), default=1),
        "max_out_rows": max((s.max_rows * len(s.outputs) for s in program.steps), default=1),
    }


def _in_rows(step: Step) -> int:
    if step.form != "rows":
        return max(1, len(step.inputs))
    return max(1, sum(rows_at_once(a.window, step.rows_per_call) for a in step.inputs))
