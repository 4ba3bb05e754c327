# SPDX-License-Identifier: MIT
"""Layouts: each gives a project of its kind all that it needs, and the same code."""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path, PurePosixPath

import pytest

from tests.shared import CHECKOUT, needs
from tinyeff import pipeline
from tinyeff.console.folder import read_folder, write_folder
from tinyeff.emitter import (
    LAYOUTS,
    MANIFEST,
    EmitOptions,
    Sources,
    arrange,
    emit,
    in_one_folder,
    read_manifest,
)
from tinyeff.errors import UsageError
from tinyeff.ir import Limits

MEMORIES = ["resident", "excluded", "streamed"]


@cache
def _sources(memory: str = "resident") -> Sources:
    model = CHECKOUT / "examples" / "shapes_int8.tflite"
    strategy = "stream" if memory == "streamed" else "auto"
    compiled = pipeline.compile_model(model, None, Limits(input_memory=memory, strategy=strategy))
    return emit(compiled.program, EmitOptions("shapes"))


def _written(folder: Path, layout: str, memory: str = "resident") -> Path:
    write_folder(folder, arrange(_sources(memory), layout))
    return folder


def _run(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("layout", LAYOUTS)
def test_all_code_is_there_and_unchanged(layout: str, tmp_path: Path) -> None:
    folder = _written(tmp_path / "out", layout)
    manifest, sources = read_folder(folder)
    assert manifest.name == "shapes"
    flat = in_one_folder(sources)
    code = {p: t for p, t in _sources().items()
            if p.endswith((".c", ".h")) and p != "shapes_example.c"}
    assert {p: flat[p] for p in code} == code
    assert len({PurePosixPath(p).name for p in sources}) == len(sources)


def test_layouts_replace_each_other(tmp_path: Path) -> None:
    folder = _written(tmp_path / "out", "zephyr")
    removed = write_folder(folder, arrange(_sources(), "arduino"))
    assert {"zephyr/module.yml", "include/shapes.h", "Kconfig"} <= set(removed)
    assert not (folder / "zephyr" / "module.yml").exists()
    assert (folder / "examples" / "shapes" / "shapes.ino").is_file()
    (folder / "src" / "te.h").write_text("changed")
    with pytest.raises(UsageError, match=r"src/te.h was changed"):
        write_folder(folder, _sources())


def test_names_that_leave_the_folder_are_refused() -> None:
    raw = json.loads(_sources()[MANIFEST])
    for name in ("../x.c", "/etc/x", "a//b.c", "a/../b.c", ".git/config"):
        raw["files"] = {name: ""}
        with pytest.raises(UsageError, match="is not the name of a generated file"):
            read_manifest(json.dumps(raw), "tinyeff.json")


@pytest.mark.slow
def test_a_cmake_project_takes_it_in_and_installs_it(tmp_path: Path) -> None:
    needs("cmake", "make")
    _written(tmp_path / "shapes", "cmake")
    (tmp_path / "main.c").write_text(
        '#include "shapes.h"\nint main(void) { return SHAPES_ARENA_BYTES > 0 ? 0 : 1; }\n')
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.13)\nproject(app C)\nadd_subdirectory(shapes)\n"
        "add_executable(app main.c)\ntarget_link_libraries(app PRIVATE tinyeff::shapes)\n")
    _run("cmake", "-S", ".", "-B", "build", "-G", "Unix Makefiles", cwd=tmp_path)
    _run("cmake", "--build", "build", cwd=tmp_path)
    _run("build/app", cwd=tmp_path)
    _run("cmake", "--install", "build", "--prefix", "installed", cwd=tmp_path)
    assert (tmp_path / "installed" / "include" / "shapes.h").is_file()
    assert list((tmp_path / "installed").rglob("shapesConfig.cmake"))


def test_what_platformio_reads(tmp_path: Path) -> None:
    folder = _written(tmp_path / "out", "platformio")
    library = json.loads((folder / "library.json").read_text())
    assert (library["name"], library["headers"]) == ("shapes", "shapes.h")
    assert (folder / library["build"]["includeDir"] / "shapes.h").is_file()
    assert (folder / library["build"]["srcDir"] / "shapes.c").is_file()


def test_what_zephyr_reads(tmp_path: Path) -> None:
    folder = _written(tmp_path / "out", "zephyr")
    module = (folder / "zephyr" / "module.yml").read_text()
    assert "kconfig: Kconfig" in module and "cmake: ." in module
    lists = (folder / "CMakeLists.txt").read_text()
    for path in (folder / "src").glob("*.c"):
        assert f"src/{path.name}\n" in lists
    symbol = "TINYEFF_SHAPES"
    assert f"if(CONFIG_{symbol})" in lists
    assert f"config {symbol}\n\tbool" in (folder / "Kconfig").read_text()


@pytest.mark.parametrize("memory", MEMORIES)
def test_the_arduino_sketch_compiles(memory: str, tmp_path: Path) -> None:
    compiler = shutil.which("g++")
    if compiler is None:
        needs("g++")
    folder = _written(tmp_path / "out", "arduino", memory)
    properties = dict(line.split("=", 1) for line in
                      (folder / "library.properties").read_text().splitlines())
    assert properties["name"] == "shapes" and properties["includes"] == "shapes.h"
    # What the Arduino core puts before a sketch.
    (tmp_path / "Arduino.h").write_text(
        "#include <stdint.h>\n#include <string.h>\nunsigned long micros();\n"
        "void delay(unsigned long);\nstruct Port { void begin(long); void print(const char *);\n"
        "void print(int); void println(unsigned long); };\nextern Port Serial;\n")
    _run("g++", "-std=gnu++17", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-include",
         str(tmp_path / "Arduino.h"), "-Isrc", "-x", "c++", "examples/shapes/shapes.ino",
         cwd=folder)
