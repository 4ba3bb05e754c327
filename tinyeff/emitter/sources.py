# SPDX-License-Identifier: MIT
"""From a program to the text of every generated file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import SimpleNamespace
from typing import Any

import tinyeff
from tinyeff import resources
from tinyeff.emitter import naming, tables
from tinyeff.emitter.manifest import MANIFEST, SCHEMA_VERSION, Manifest
from tinyeff.exits import describe_exit, first_exits, real_threshold
from tinyeff.ir import Buffer, ConstArray, Preprocess, Program, Region, Step, Tensor
from tinyeff.ops import operator_of
from tinyeff.ops.operator import node_of
from tinyeff.patch_mask import zero_points
from tinyeff.targets import COMPILER_LEVELS
from tinyeff.work import exit_macs

Sources = Mapping[str, str]
"""Relative path -> text, in the order in which a reader should open them."""

CTYPES = {"int8": "int8_t", "int32": "int32_t", "uint8": "uint8_t", "int16": "int16_t",
          "int64": "int64_t"}


@dataclass(frozen=True)
class EmitOptions:
    """What the user may say about the generated code; part of the manifest."""

    name: str
    labels: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    """The plan options as given, recorded in the manifest."""
    preprocess: Preprocess | None = None
    """How raw values become those that the model was trained on, where anyone said."""


def emit(program: Program, options: EmitOptions) -> Sources:
    """All generated files: the model, the kernels it uses, build files and the manifest.

    The same program and options give the same bytes.
    """
    view = model_view(program, options)
    name = options.name
    files = {
        f"{name}.h": render("model.h.j2", view),
        f"{name}.c": render("model.c.j2", view),
        f"{name}_weights.c": render("weights.c.j2", view),
        **_kernel_files(program),
        f"{name}_example.c": render("example.c.j2", view),
        "Makefile": render("Makefile.j2", view),
        "CMakeLists.txt": render("CMakeLists.txt.j2", view),
    }
    files[MANIFEST] = naming.pretty_json(_manifest(program, options, files))
    return files


def host_main(manifest: Manifest) -> str:
    """The main program that runs the generated model on this machine."""

    def ports(what: str, tensors: tuple[Tensor, ...]) -> list[SimpleNamespace]:
        many = len(tensors) > 1
        return [SimpleNamespace(number=n, size_bytes=t.size_bytes,
                                name=f"{manifest.name}_{what}" + (f"_{n}" if many else ""))
                for n, t in enumerate(tensors)]

    view = SimpleNamespace(
        name=manifest.name, PREFIX=manifest.name.upper(), input_memory=manifest.input_memory,
        arenas=arena_views(manifest.name, manifest.regions),
        inputs=ports("input", manifest.inputs), outputs=ports("output", manifest.outputs),
        given=ports("given", manifest.given), run="run_masked" if manifest.patches else "run",
    )
    return render("host_main.c.j2", view)


def render(template: str, view: SimpleNamespace) -> str:
    """A template of templates/ with `m` = view; an unknown name is an error."""
    return resources.templates().get_template(template).render(m=view)


def model_view(program: Program, options: EmitOptions) -> SimpleNamespace:
    """Everything the templates print, worked out."""
    graph, plan = program.graph, program.plan
    prefix = options.name.upper()
    inputs = [_port(program, options, "input", n) for n in range(len(graph.inputs))]
    outputs = [_port(program, options, "output", n) for n in range(len(graph.outputs))]
    steps = tables.steps(program, options.name)
    memories = tables.memories(program)
    arrays = [a for step in program.steps for a in _arrays(options, step)]
    kernels = sorted({source for step in program.steps for source in step.kernel.sources})
    outside = plan.input_memory == "excluded"
    arenas = arena_views(options.name, plan.regions)
    given = [*(inputs if outside else []), *outputs]
    pointers = [*[a.parameter for a in arenas], *[p.short_name for p in given]]
    return SimpleNamespace(
        name=options.name, PREFIX=prefix, version=tinyeff.__version__,
        source=naming.comment_text(graph.source.name), model_sha256=graph.source.sha256,
        cpu=plan.target.cpu, path=plan.target.path, optimize=plan.target.optimize,
        compiler_level=COMPILER_LEVELS[plan.target.optimize],
        strategy=plan.strategy, input_memory=plan.input_memory, arenas=arenas,
        arena_align=plan.arena_align, private_memory=tables.private_memory(program),
        arena_parameters=", ".join(f"void *{a.parameter}" for a in arenas),
        arena_arguments=", ".join(a.parameter for a in arenas),
        inputs=inputs, outputs=outputs, preprocess=options.preprocess,
        labels=[naming.string_literal(t) for t in options.labels],
        run_parameters=", ".join(_run_parameters(arenas, outside, inputs, outputs)),
        headers=["te.h", *[f"{k}.h" for k in kernels]], kernels_version=kernels_version(),
        arrays=arrays, const_bytes=sum(a.size_bytes for a in arrays), steps=steps,
        memories=len(memories), tables=tables.Tables(program), **tables.limits(program),
        pointers=pointers, memory_table=memories, copies=_copies(program, outputs),
        patches=_patches(program), masked_parameters=", ".join(_run_parameters(
            arenas, outside, inputs, outputs, program.patches is not None)),
        masked_arguments=", ".join(_masked_arguments(arenas, inputs if outside else [], outputs)),
        exits=_exits(program), left_out=_left_out(program, outputs),
        objects=[options.name, f"{options.name}_weights", *kernels],
        example_arguments=", ".join(pointers), make_flags=_make_flags(plan.target.cpu),
    )


def arena_views(name: str, regions: Sequence[Region]) -> list[SimpleNamespace]:
    """What templates print of each part of the arena: number, parameter, start of its constants."""
    parameters = naming.arena_parameters([r.name for r in regions])
    return [SimpleNamespace(number=n, name=r.name, parameter=parameter, size_bytes=r.arena_bytes,
                            PREFIX=f"{name}_{parameter}".upper())
            for n, (r, parameter) in enumerate(zip(regions, parameters, strict=True))]


def kernels_version() -> int:
    """TE_KERNELS_VERSION of firmware/kernels/te.h."""
    match = re.search(r"#define TE_KERNELS_VERSION (\d+)", resources.kernel_source("te.h"))
    assert match is not None
    return int(match.group(1))


def _make_flags(cpu: str) -> str:
    return "" if cpu == "host" else f' CPUFLAGS="-mcpu={cpu} -mthumb"'


def _port(program: Program, options: EmitOptions, what: str, number: int) -> SimpleNamespace:
    graph = program.graph
    indices = graph.inputs if what == "input" else graph.outputs
    tensor: Tensor = graph.tensors[indices[number]]
    short = tables.port_name(what, number, len(indices))
    name = f"{options.name}_{short}"
    quant = tensor.quant
    buffer = next((b for b in program.plan.buffers if indices[number] in b.tensors), None)
    return SimpleNamespace(
        number=number, tensor=naming.comment_text(tensor.name), short_name=short, name=name,
        PREFIX=name.upper(), ctype=CTYPES[tensor.dtype], size_bytes=tensor.size_bytes,
        elements=tensor.elements, shape="x".join(map(str, tensor.shape)),
        scale=naming.float_literal(quant.scale) if quant else "",
        zero_point=quant.zero_point if quant else 0,
        start=buffer.offset_bytes if buffer else 0, rows=tensor.rows,
        memory=next((n for n, r in enumerate(program.plan.regions)
                     if buffer and buffer.region == r.name), 0),
        row_bytes=tensor.row_bytes, ring_rows=min(buffer.ring_rows, tensor.rows) if buffer else 0,
    )


def _run_parameters(
    arenas: list[SimpleNamespace], outside: bool, inputs: list[SimpleNamespace],
    outputs: list[SimpleNamespace], masked: bool = False,
) -> list[str]:
    sources = [f"const {p.ctype} *{p.short_name}" for p in inputs] if outside else []
    sources += ["const uint8_t *patch_mask"] if masked else []
    parts = [f"void *{a.parameter}" for a in arenas]
    return [*parts, *sources, *[f"{p.ctype} *{p.short_name}" for p in outputs]]


def _arrays(options: EmitOptions, step: Step) -> list[SimpleNamespace]:
    return [
        SimpleNamespace(
            name=f"{options.name}_{step.name}_{name}", ctype=value.ctype, length=value.values.size,
            size_bytes=value.values.nbytes, lines=naming.number_lines(value.values),
        )
        for name, value in step.kernel.fields
        if isinstance(value, ConstArray)
    ]


def _copies(program: Program, outputs: list[SimpleNamespace]) -> list[SimpleNamespace]:
    """Outputs that lie in the arena and are handed over at the end."""
    places: dict[int, Buffer] = {t: b for b in program.plan.buffers for t in b.tensors}
    arena = {m.region: m.pointer for m in tables.memories(program)}
    return [
        SimpleNamespace(pointer=port.short_name, start=places[index].offset_bytes,
                        arena=arena[places[index].region], size_bytes=port.size_bytes)
        for port, index in zip(outputs, program.graph.outputs, strict=True)
        if index in places and places[index].in_arena
    ]


def _masked_arguments(
    arenas: list[SimpleNamespace], inputs: list[SimpleNamespace], outputs: list[SimpleNamespace]
) -> list[str]:
    """What a run without a mask hands to one with a mask."""
    return [*[a.parameter for a in arenas], *[p.short_name for p in inputs], "NULL",
            *[p.short_name for p in outputs]]


def _patches(program: Program) -> SimpleNamespace | None:
    """What the templates print of patches that can be left out, if there are any."""
    stage = program.patches
    if stage is None:
        return None
    return SimpleNamespace(
        rows=stage.rows, columns=stage.columns, count=stage.rows * stage.columns,
        operators=stage.last, zero_points=zero_points(program.graph, stage),
        share=f"{100 * sum(stage.macs) / max(sum(stage.macs) + stage.other_macs, 1):.1f} %")


def _exits(program: Program) -> list[SimpleNamespace]:
    """What the header says of each early exit."""
    graph = program.graph
    *work, whole = exit_macs(graph, program.plan)
    return [SimpleNamespace(rule=naming.comment_text(describe_exit(graph, e)),
                            share=f"{100 * macs / max(whole, 1):.1f} %")
            for e, macs in zip(graph.exits, work, strict=True)]


def _left_out(program: Program, outputs: list[SimpleNamespace]) -> dict[str, SimpleNamespace]:
    """Outputs that are missing at some exit, by the pointer to them."""
    if not program.exits:
        return {}
    graph = program.graph
    return {
        port.short_name: SimpleNamespace(
            size_bytes=port.size_bytes, first_exit=first,
            zero_point=port.zero_point if port.ctype == "int8_t" else 0)
        for port, first in zip(outputs, first_exits(graph), strict=True) if first > 1}


def _kernel_files(program: Program) -> dict[str, str]:
    names = {"te.h"}
    waiting = [f"{s}{end}" for step in program.steps for s in step.kernel.sources
               for end in (".c", ".h")]
    while waiting:
        name = waiting.pop()
        if name not in names:
            names.add(name)
        for included in re.findall(r'#include "(te[^"]*\.h)"', resources.kernel_source(name)):
            if included not in names:
                names.add(included)
                waiting.append(included)
    return {name: resources.kernel_source(name) for name in sorted(names)}


def sha256(text: str) -> str:
    """Hash of a generated file as it is written: UTF-8, line feeds."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _manifest(
    program: Program, options: EmitOptions, files: Mapping[str, str]
) -> dict[str, Any]:
    graph, plan = program.graph, program.plan

    def ports(indices: tuple[int, ...]) -> list[dict[str, Any]]:
        return [
            {
                "name": graph.tensors[i].name, "shape": list(graph.tensors[i].shape),
                "dtype": graph.tensors[i].dtype, "size_bytes": graph.tensors[i].size_bytes,
                "scale": q.scale if (q := graph.tensors[i].quant) else None,
                "zero_point": q.zero_point if q else None,
                **({"preprocess": asdict(options.preprocess)}
                   if options.preprocess and indices is graph.inputs else {}),
            }
            for i in indices
        ]

    return {
        "schema_version": SCHEMA_VERSION,
        "tinyeff": tinyeff.__version__,
        "kernels_version": kernels_version(),
        "name": options.name,
        "model": {"name": graph.source.name, "sha256": graph.source.sha256},
        "options": dict(options.options),
        "target": asdict(plan.target),
        "plan": {
            "strategy": plan.strategy, "input_memory": plan.input_memory,
            "activation_bytes": plan.activation_bytes, "scratch_bytes": plan.scratch_bytes,
            "arena_bytes": plan.arena_bytes, "arena_align": plan.arena_align,
            **_regions_entry(plan.regions),
            "macs": plan.macs, "extra_macs": plan.extra_macs,
            "steps": [_step_entry(program, step) for step in program.steps],
        },
        "inputs": ports(graph.inputs),
        "outputs": ports(graph.outputs),
        "exits": _exit_entries(program),
        **_patches_entry(program),
        "labels": list(options.labels),
        "files": {name: sha256(text) for name, text in files.items()},
    }


def _regions_entry(regions: Sequence[Region]) -> dict[str, Any]:
    """The memories that the arena lies in, where these are several."""
    if len(regions) == 1:
        return {}
    return {"regions": [{"name": r.name, "arena_bytes": r.arena_bytes} for r in regions]}


def _exit_entries(program: Program) -> list[dict[str, Any]]:
    graph, found = program.graph, []
    for record, macs in zip(graph.exits, exit_macs(graph, program.plan)[:-1], strict=True):
        tensor = graph.tensors[graph.outputs[record.output]]
        assert tensor.quant is not None
        found.append({**asdict(record), "name": tensor.name, "macs": macs,
                      "value": real_threshold(record, tensor.quant)})
    return found


def _patches_entry(program: Program) -> dict[str, Any]:
    """The patches that can be left out, where there are any."""
    stage = program.patches
    if stage is None:
        return {}
    return {"patches": {"rows": stage.rows, "columns": stage.columns, "operators": stage.last,
                        "areas": [list(area) for area in stage.areas], "macs": list(stage.macs),
                        "other_macs": stage.other_macs}}


def _step_entry(program: Program, step: Step) -> dict[str, Any]:
    node = node_of(program.graph, program.graph.ops[step.op])
    return {"name": step.name, "kind": step.kind, "macs": operator_of(step.kind).macs(node),
            "output_shape": list(node.output.shape),
            "tensors": list(program.graph.ops[step.op].outputs)}
