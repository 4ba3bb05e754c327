# SPDX-License-Identifier: MIT
"""The model's files in the shape that a project of the user's own takes in.

    library      all files in one folder, with a CMakeLists.txt and a Makefile
    cmake        src/ and include/, a target tinyeff::NAME to add, to fetch or to install
    platformio   a library for lib/: library.json, src/, include/
    zephyr       a module: zephyr/module.yml, Kconfig, CMakeLists.txt, src/, include/
    arduino      a library: library.properties, src/, an example sketch
"""

from __future__ import annotations

import json
import re
from pathlib import PurePosixPath
from types import SimpleNamespace

import tinyeff
from tinyeff.emitter import naming
from tinyeff.emitter.manifest import MANIFEST, Manifest, read_manifest
from tinyeff.emitter.sources import CTYPES, Sources, arena_views, render, sha256
from tinyeff.emitter.tables import port_name
from tinyeff.ir import Tensor

LAYOUTS = ("library", "cmake", "platformio", "zephyr", "arduino")

_FILES = {
    "cmake": {"CMakeLists.txt": "layout_cmake.txt.j2"},
    "platformio": {"library.json": "layout_library.json.j2"},
    "zephyr": {"zephyr/module.yml": "layout_module.yml.j2", "Kconfig": "layout_Kconfig.j2",
               "CMakeLists.txt": "layout_zephyr.txt.j2"},
    "arduino": {"library.properties": "layout_library.properties.j2",
                "examples/{name}/{name}.ino": "layout_sketch.ino.j2"},
}


def arrange(sources: Sources, layout: str) -> Sources:
    """The generated `sources` of a model, which lie in one folder, in another layout.

    Build files are the layout's, the example is left out where the layout has one of its own, and
    the manifest names the new places.
    """
    if layout == "library":
        return sources
    manifest = read_manifest(sources[MANIFEST], MANIFEST)
    name = manifest.name
    files = {_place(path, name, layout): text for path, text in sources.items()
             if path.endswith((".c", ".h")) and path != f"{name}_example.c"}
    view = _view(manifest, [p for p in files if p.endswith(".c")])
    for path, template in _FILES[layout].items():
        files[path.format(name=name)] = render(template, view)
    raw = json.loads(sources[MANIFEST])
    raw["layout"] = layout
    raw["files"] = {path: sha256(text) for path, text in files.items()}
    return {**files, MANIFEST: naming.pretty_json(raw)}


def in_one_folder(sources: Sources) -> Sources:
    """The files of any layout by their names alone, as compilers of ours expect them."""
    if "layout" not in json.loads(sources[MANIFEST]):
        return sources
    return {PurePosixPath(path).name: text for path, text in sources.items()}


def _view(manifest: Manifest, paths: list[str]) -> SimpleNamespace:
    inputs, outputs = (_ports(manifest.name, what, tensors) for what, tensors in
                       (("input", manifest.inputs), ("output", manifest.outputs)))
    outside = [p.short_name for p in inputs] if manifest.input_memory == "excluded" else []
    arenas = arena_views(manifest.name, manifest.regions)
    parameters = [a.parameter for a in arenas]
    return SimpleNamespace(
        arenas=arenas, arena_arguments=", ".join(parameters),
        name=manifest.name, PREFIX=manifest.name.upper(), version=_version(),
        model=re.sub(r"[^\w.+-]", "_", manifest.model_name), cpu=manifest.target.cpu, sources=paths,
        input_memory=manifest.input_memory, inputs=inputs, outputs=outputs,
        arguments=", ".join([*parameters, *outside, *[p.short_name for p in outputs]]))


def _ports(name: str, what: str, tensors: tuple[Tensor, ...]) -> list[SimpleNamespace]:
    return [
        SimpleNamespace(short_name=short, name=f"{name}_{short}", ctype=CTYPES[t.dtype],
                        elements=t.elements, size_bytes=t.size_bytes,
                        row_elements=t.elements // t.rows)
        for n, t in enumerate(tensors) for short in [port_name(what, n, len(tensors))]
    ]


def _place(path: str, name: str, layout: str) -> str:
    public = path == f"{name}.h" and layout != "arduino"
    return f"include/{path}" if public else f"src/{path}"


def _version() -> str:
    """The version as package managers want it: three numbers."""
    numbers = re.findall(r"\d+", tinyeff.__version__)
    return ".".join([*numbers, "0", "0", "0"][:3])
