# SPDX-License-Identifier: MIT
"""Folders of generated code: whole or not at all, nobody else's files touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.emitter.graphs import chain
from tinyeff.console.folder import (
    check_writable,
    read_folder,
    read_labels,
    write_file,
    write_folder,
)
from tinyeff.emitter import MANIFEST, EmitOptions, Sources, emit
from tinyeff.errors import UsageError
from tinyeff.ir import Limits, Target
from tinyeff.pipeline import compile_graph


@pytest.fixture(scope="module")
def sources() -> Sources:
    return emit(compile_graph(chain(), Target(), Limits()).program, EmitOptions("chain"))


@pytest.fixture(scope="module")
def renamed() -> Sources:
    return emit(compile_graph(chain(), Target(), Limits()).program, EmitOptions("other"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def expected(sources: Sources) -> dict[str, bytes]:
    return {name: text.encode() for name, text in sources.items()}


def test_a_new_folder_holds_exactly_the_sources(tmp_path: Path, sources: Sources) -> None:
    folder = tmp_path / "made" / "on the way" / "out"
    assert write_folder(folder, sources) == ()
    assert contents(folder) == expected(sources)
    assert [p.name for p in folder.parent.iterdir()] == ["out"]


def test_an_empty_folder_is_used(tmp_path: Path, sources: Sources) -> None:
    write_folder(tmp_path, sources)
    assert contents(tmp_path) == expected(sources)


def test_what_was_written_is_read_back(tmp_path: Path, sources: Sources) -> None:
    write_folder(tmp_path, sources)
    manifest, texts = read_folder(tmp_path)
    assert texts == dict(sources)
    assert (manifest.name, len(manifest.inputs), len(manifest.outputs)) == ("chain", 1, 1)
    assert manifest.interface.tensors[0].shape == (1, 9, 7, 3)


def test_a_second_generation_removes_stale_files_and_keeps_foreign_ones(
    tmp_path: Path, sources: Sources, renamed: Sources
) -> None:
    write_folder(tmp_path, sources)
    (tmp_path / "mine.txt").write_text("mine")
    removed = write_folder(tmp_path, renamed)
    assert set(removed) == set(sources) - set(renamed) == {
        "chain.c", "chain.h", "chain_weights.c", "chain_example.c"}
    assert contents(tmp_path) == {**expected(renamed), "mine.txt": b"mine"}


def test_a_file_that_was_deleted_is_made_again(tmp_path: Path, sources: Sources) -> None:
    write_folder(tmp_path, sources)
    (tmp_path / "chain.c").unlink()
    write_folder(tmp_path, sources)
    assert contents(tmp_path) == expected(sources)


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_of_others_is_never_touched(
    tmp_path: Path, sources: Sources, force: bool
) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match=r"not empty.*tinyeff\.json"):
        write_folder(tmp_path, sources, force)
    assert contents(tmp_path) == {"thesis.tex": b"years of work"}


def test_a_manifest_that_is_none_protects_the_folder(tmp_path: Path, sources: Sources) -> None:
    (tmp_path / MANIFEST).write_text("{}")
    with pytest.raises(UsageError, match="schema_version"):
        write_folder(tmp_path, sources, force=True)
    assert contents(tmp_path) == {MANIFEST: b"{}"}


def test_changed_files_are_overwritten_by_force_only(tmp_path: Path, sources: Sources) -> None:
    write_folder(tmp_path, sources)
    (tmp_path / "chain.c").write_text("improved")
    with pytest.raises(UsageError, match=r"chain\.c was changed.*--force"):
        write_folder(tmp_path, sources)
    assert (tmp_path / "chain.c").read_text() == "improved"
    write_folder(tmp_path, sources, force=True)
    assert contents(tmp_path) == expected(sources)


def test_a_foreign_file_in_the_way_is_overwritten_by_force_only(
    tmp_path: Path, sources: Sources, renamed: Sources
) -> None:
    write_folder(tmp_path, sources)
    (tmp_path / "other.c").write_text("mine")
    with pytest.raises(UsageError, match=r"other\.c was not written by tinyeff"):
        write_folder(tmp_path, renamed)
    assert (tmp_path / "other.c").read_text() == "mine"
    write_folder(tmp_path, renamed, force=True)
    assert contents(tmp_path) == expected(renamed)


def test_a_foreign_folder_in_the_way_is_never_overwritten(
    tmp_path: Path, sources: Sources, renamed: Sources
) -> None:
    write_folder(tmp_path, sources)
    (tmp_path / "other.c").mkdir()
    with pytest.raises(UsageError, match=r"other\.c"):
        write_folder(tmp_path, renamed, force=True)
    assert (tmp_path / "other.c").is_dir()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        check_writable(tmp_path / "file", (), force=True)


@pytest.mark.parametrize("stop_at", [0, 1, 2, 7, 14, 20])
def test_an_interrupted_generation_leaves_the_old_one(
    tmp_path: Path, sources: Sources, renamed: Sources, monkeypatch: pytest.MonkeyPatch,
    stop_at: int,
) -> None:
    write_folder(tmp_path, sources)
    (tmp_path / "mine.txt").write_text("mine")
    before = contents(tmp_path)
    replace, calls = os.replace, iter(range(1000))

    def interrupted(old: Path, new: Path) -> None:
        if next(calls) == stop_at:
            raise KeyboardInterrupt
        replace(old, new)

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_folder(tmp_path, renamed)
    assert contents(tmp_path) == before
    assert not [p for p in tmp_path.iterdir() if p.is_dir()]


def test_a_first_generation_that_fails_leaves_nothing(
    tmp_path: Path, sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(UsageError, match="No space left"):
        write_folder(tmp_path / "out", sources)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["edit", "delete"])
def test_changed_folders_are_not_read(tmp_path: Path, sources: Sources, damage: str) -> None:
    write_folder(tmp_path, sources)
    if damage == "edit":
        (tmp_path / "chain.c").write_bytes((tmp_path / "chain.c").read_bytes() + b"\n")
    else:
        (tmp_path / "chain.c").unlink()
    with pytest.raises(UsageError, match=r"chain\.c was changed or removed"):
        read_folder(tmp_path)


def test_a_file_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.tflite"
    write_file(path, b"one")
    write_file(path, b"two")
    assert contents(tmp_path) == {"m.tflite": b"two"}

    def interrupted(old: Path, new: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_file(path, b"three")
    assert contents(tmp_path) == {"m.tflite": b"two"}


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"m\.tflite cannot be written"):
        write_file(tmp_path / "missing" / "m.tflite", b"")


def test_labels_must_name_every_class(tmp_path: Path) -> None:
    graph, path = chain(), tmp_path / "labels.txt"
    path.write_text("cat\r\ndög  \n\n", encoding="utf-8")
    assert read_labels(path, graph) == ("cat", "dög")
    path.write_text("cat\n")
    with pytest.raises(UsageError, match=r"1 lines.*2 classes"):
        read_labels(path, graph)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="cannot be read as text"):
        read_labels(path, graph)
