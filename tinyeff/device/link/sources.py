# SPDX-License-Identifier: MIT
"""The program that a board runs around a generated model: its text, and its hash."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from types import SimpleNamespace

from tinyeff import resources
from tinyeff.emitter import MANIFEST, Manifest, Sources, read_manifest
from tinyeff.emitter.naming import string_literal
from tinyeff.emitter.sources import CTYPES, arena_views, render
from tinyeff.errors import UsageError
from tinyeff.ir import Tensor

APPLICATION = "te_application.c"
MODEL_SUFFIX = "_model.base64"
"""A copy of the model lies beside its code, as text, so that `verify` can compare with LiteRT."""

NO_LAYER = 0xFFFF


def link_sources(
    sources: Sources, flatbuffer: bytes, board: str, keep_input: bool = True
) -> dict[str, str]:
    """The files that make a program for a board of `sources`, which has all the rest already.

    `flatbuffer` is the int8 model. With `keep_input` the input is kept beside the arena, so that it
    can be run again; without, a board that lacks the memory is sent it for each run.
    """
    manifest = read_manifest(sources[MANIFEST], MANIFEST)
    name = manifest.name
    files = {
        file: resources.link_source(file) for file in ("te_link.h", "te_link.c")
    }
    files[f"{name}_traced.c"] = render("traced.c.j2", SimpleNamespace(
        name=name, functions=_functions(manifest)))
    build = _build_sha256(board, {**sources, **files})
    view = _view(manifest, board, keep_input, build)
    encoded = base64.encodebytes(flatbuffer).decode("ascii")
    return {**files, APPLICATION: render("te_application.c.j2", view),
            f"{name}{MODEL_SUFFIX}": encoded}


def _build_sha256(board: str, files: Mapping[str, str]) -> bytes:
    """What identifies a firmware: a hash over its board and the files that compute."""
    hashes = {name: hashlib.sha256(text.encode("utf-8")).hexdigest()
              for name, text in files.items() if name.endswith((".c", ".h"))}
    return hashlib.sha256(json.dumps([board, hashes], sort_keys=True).encode("utf-8")).digest()


def build_of(sources: Sources, where: str) -> bytes:
    """The hash of the firmware that the sources in folder `where` make, as the board will say it.

    Raises UsageError where they are no program for a board.
    """
    text = sources.get(APPLICATION, "")
    found = re.search(r"build_sha256\[\w*\] = \{([^}]*)\}", text)
    if found is None:
        raise UsageError(f"{where} holds a model and no program for a board; generate it with "
                         "tinyeff codegen --board, e.g. --board nucleo-f746zg")
    return bytes(int(byte, 16) for byte in re.findall(r"0x[0-9a-f]{2}", found[1]))


def stored_model(manifest: Manifest, sources: Sources) -> bytes:
    """The flatbuffer in a folder of generated code; UsageError where there is none."""
    text = sources.get(f"{manifest.name}{MODEL_SUFFIX}")
    if text is None:
        raise UsageError(f"the folder holds no copy of {manifest.model_name}, so there is nothing "
                         "to compare with; generate it with tinyeff codegen --board")
    return base64.b64decode(text)


def _functions(manifest: Manifest) -> list[str]:
    """The names of the model's functions, without its prefix."""
    calls = ["begin", "push_row", "finish"] if manifest.input_memory == "streamed" else ["run"]
    inputs = [p.short_name for p in _ports(manifest.name, "input", manifest.inputs)]
    calls += ["run_masked", "patch_area"] if manifest.patches else []
    return [*calls, *(inputs if manifest.input_memory == "resident" else []),
            *(["label"] if manifest.labels else [])]


def _ports(name: str, what: str, tensors: tuple[Tensor, ...]) -> list[SimpleNamespace]:
    many = len(tensors) > 1
    return [
        SimpleNamespace(number=n, short_name=short, name=f"{name}_{short}", ctype=CTYPES[t.dtype],
                        elements=t.elements, size_bytes=t.size_bytes)
        for n, t in enumerate(tensors) for short in [what + (f"_{n}" if many else "")]
    ]


def _view(manifest: Manifest, board: str, keep_input: bool, build: bytes) -> SimpleNamespace:
    """Everything the template prints, worked out."""
    inputs = _ports(manifest.name, "input", manifest.inputs)
    outputs = _ports(manifest.name, "output", manifest.outputs)
    outside, streamed = (manifest.input_memory == m for m in ("excluded", "streamed"))
    layers = layer_of_tensor(manifest)
    arenas = arena_views(manifest.name, manifest.regions)
    for a in arenas:  # C has no array of nothing; some models need no arena
        a.length = f"{a.PREFIX}_BYTES" if a.size_bytes else "1"
    given = [*[f"te_{a.parameter}" for a in arenas],
             *[p.short_name for p in (*(inputs if outside else []), *outputs)]]
    arena_parameters = [f"void *{a.parameter}" for a in arenas]
    parameters = [*arena_parameters, *([f"const {p.ctype} *{p.short_name}" for p in inputs]
                                   if outside else []),
                  *[f"{p.ctype} *{p.short_name}" for p in outputs]]
    repeatable = "TE_LINK_REPEATABLE" if outside else "(TE_KEEP_INPUT ? TE_LINK_REPEATABLE : 0)"
    return SimpleNamespace(
        name=manifest.name, PREFIX=manifest.name.upper(), input_memory=manifest.input_memory,
        arenas=arenas, arena_parameters=", ".join(arena_parameters),
        arena_arguments=", ".join(f"te_{a.parameter}" for a in arenas),
        inputs=inputs, outputs=outputs, input_bytes=sum(p.size_bytes for p in inputs),
        output_bytes=sum(p.size_bytes for p in outputs), layers=manifest.raw["plan"]["steps"],
        layer_of_tensor=layers, layer_lines=_lines([_layer_text(n) for n in layers], 12),
        model_sha256=_hash_lines(bytes.fromhex(manifest.model_sha256)),
        build_sha256=_hash_lines(build), keep_input=int(keep_input),
        # Rows that are computed as they come cannot wait for a copy that traces.
        traced_copy="TE_KEEP_INPUT" if streamed else "1",
        flags=f"{repeatable} | (TE_TRACED_COPY ? TE_LINK_CAN_TRACE : 0)",
        run_parameters=", ".join(parameters), finish_parameters=", ".join(parameters),
        run_arguments=", ".join(given), finish_arguments=", ".join(given),
        board=board, model=string_literal(manifest.model_name), version=manifest.version,
    )


def layer_of_tensor(manifest: Manifest) -> list[int]:
    """For each tensor of the graph the number of the step that writes it, or NO_LAYER."""
    writer = {tensor: number for number, step in enumerate(manifest.raw["plan"]["steps"])
              for tensor in step["tensors"]}
    return [writer.get(tensor, NO_LAYER) for tensor in range(max(writer, default=-1) + 1)]


def _layer_text(number: int) -> str:
    return "NO_LAYER" if number == NO_LAYER else str(number)


def _hash_lines(digest: bytes) -> list[str]:
    return _lines([f"0x{byte:02x}" for byte in digest], 16)


def _lines(words: list[str], per_line: int) -> list[str]:
    return [", ".join(words[i:i + per_line]) + "," for i in range(0, len(words), per_line)]
