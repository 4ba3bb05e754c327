# SPDX-License-Identifier: MIT
"""What was compiled before is taken only where compiling again would make the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests import objects
from tests.emitter.graphs import chain, inputs_of, program_of
from tests.ops.harness import compiler
from tests.shared import needs
from tinyeff.emitter import EmitOptions, emit
from tinyeff.simulator.emulator import emulate
from tinyeff.simulator.host import HostProgram

FILES = {"a.c": '#include "a.h"\nint f(void) { return A; }\n', "a.h": '#include "b.h"\n',
         "b.h": "enum { A = 3 };\n"}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty store."""
    folder = tmp_path / "store"
    folder.mkdir()
    monkeypatch.setenv(objects.STORE, str(folder))
    return folder


def compiled(folder: Path, flags: Sequence[str] = (), **changed: str) -> bytes | None:
    """The object of a.c in a new folder, with the text of some files changed; None: refused."""
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(changed.get(name[0] + name[2], text), encoding="utf-8")
    done = objects.compile_c([*compiler(), *flags, "-c", "a.c", "-o", "a.o"], folder)
    assert (done.returncode == 0) == (folder / "a.o").exists()
    return (folder / "a.o").read_bytes() if done.returncode == 0 else None


def test_equal_files_are_compiled_once(tmp_path: Path, store: Path) -> None:
    first = compiled(tmp_path / "1")
    (kept,) = store.iterdir()
    assert kept.read_bytes() == first
    kept.write_bytes(b"from the store")
    assert compiled(tmp_path / "2") == b"from the store"
    # A name that occurs nowhere changes nothing.
    assert compiled(tmp_path / "3", ["-DTINYEFF_TRACE"]) == b"from the store"


def test_whatever_the_compiler_reads_makes_another_object(tmp_path: Path, store: Path) -> None:
    found = {compiled(tmp_path / "1"), compiled(tmp_path / "2", ["-O2"]),
             compiled(tmp_path / "3", ["-Df=g"]), compiled(tmp_path / "4", ["-DA"]),
             compiled(tmp_path / "5", bh="enum { A = 4 };\n"),
             compiled(tmp_path / "6", ac=FILES["a.c"] + "int unused;\n")}
    assert len(found) == 6
    assert len(list(store.iterdir())) == len(found - {None})


def test_what_fails_or_complains_is_compiled_each_time(tmp_path: Path, store: Path) -> None:
    for number in range(2):
        assert compiled(tmp_path / f"bad {number}", ac="nonsense") is None
        assert compiled(tmp_path / f"loud {number}", ac="#warning no\n") is not None
        assert compiled(tmp_path / f"unknown {number}", ac='#include "none.h"\n') is None
    assert list(store.iterdir()) == []


def test_builds_of_the_package_use_it(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("unicorn", "elftools", "arm-none-eabi-gcc")
    compiler()
    program = program_of(chain())
    inputs = inputs_of(program.graph)
    results = []
    for _ in range(2):
        with HostProgram(program) as host:
            (outputs,) = host.run(inputs)
        found = emulate(emit(program, EmitOptions("m")), [x[0] for x in inputs], compiler="gcc")
        results.append((outputs.tobytes(), found.outputs, found.frames))
        monkeypatch.delattr(objects._Object, "keep", raising=False)
    assert results[0] == results[1]
    assert found.frames
    assert any(path.suffix == ".su" for path in store.iterdir())
