# SPDX-License-Identifier: MIT
"""Files on disk: written whole or not at all, and folders of generated code read back."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from tinyeff.emitter import MANIFEST, Manifest, Sources, read_manifest
from tinyeff.errors import UsageError
from tinyeff.ir import Graph


def write_file(path: Path, data: bytes) -> None:
    """Write `data` to `path`, whole or not at all; UsageError where that is impossible."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)


def read_folder(folder: Path) -> tuple[Manifest, Sources]:
    """The manifest and the texts of generated code, exactly as they were generated.

    Raises UsageError where the folder has no manifest, or naming every file that is missing or
    was changed.
    """
    manifest = _manifest_of(folder)
    changed = _changed(folder, manifest.files)
    if changed:
        raise UsageError(f"{folder}: {_listed(changed)} changed or removed since tinyeff "
                         f"{manifest.version} generated the folder, and only what was generated "
                         "is run; restore it, or generate the code again with tinyeff codegen")
    names = (*manifest.files, MANIFEST)
    return manifest, {name: (folder / name).read_bytes().decode("utf-8") for name in names}


def check_writable(folder: Path, names: tuple[str, ...], force: bool) -> None:
    """Raise UsageError where `write_folder` would destroy what tinyeff has not written.

    Allowed are a folder that is not there or empty, and one with a manifest of tinyeff; with
    `force` also files in it that were changed, or lie where a new file must go.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; -o takes a folder")
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not (folder / MANIFEST).is_file():
        raise UsageError(f"{folder} is not empty and has no {MANIFEST}, so tinyeff has not made "
                         "it and will not write into it; choose another folder")
    old = _manifest_of(folder).files
    changed = _changed(folder, {n: h for n, h in old.items() if (folder / n).exists()})
    foreign = [n for n in names if n not in old and n != MANIFEST and (folder / n).exists()]
    if changed and not force:
        raise UsageError(f"{folder}: {_listed(changed)} changed since the code was generated; "
                         "keep the changes elsewhere, or overwrite them with --force")
    if any((folder / n).is_dir() for n in foreign) or (foreign and not force):
        raise UsageError(f"{folder}: {_listed(foreign)} not written by tinyeff and would be "
                         "overwritten; move it, or overwrite it with --force")


def write_folder(folder: Path, sources: Sources, force: bool = False) -> tuple[str, ...]:
    """Write generated code, whole or not at all; returns the files that were removed.

    Files that an earlier generation left and that are no longer generated are removed, files of
    others are kept. Raises UsageError as `check_writable`, and where the disk refuses.
    """
    check_writable(folder, tuple(sources), force)
    try:
        if folder.exists():
            return _replace(folder, sources)
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
        try:
            _write_all(staging, sources)
            staging.rename(folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        return ()
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror}") from error


def _replace(folder: Path, sources: Sources) -> tuple[str, ...]:
    """Exchange the generated files of an existing folder; undone where anything fails."""
    stale: tuple[str, ...] = ()
    if (folder / MANIFEST).exists():
        stale = tuple(n for n in _manifest_of(folder).files
                      if n not in sources and (folder / n).exists())
    staging = folder / f".tinyeff-{secrets.token_hex(4)}"
    new, old = staging / "new", staging / "old"
    try:
        _write_all(new, sources)
        old.mkdir()
        try:
            for name in (*sources, *stale):
                if (folder / name).exists():
                    (old / name).parent.mkdir(parents=True, exist_ok=True)
                    os.replace(folder / name, old / name)
                if name in sources:
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                    os.replace(new / name, folder / name)
        except BaseException:
            _restore(folder, old, sources)
            raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return stale


def _restore(folder: Path, old: Path, sources: Sources) -> None:
    """Undo a replacement that stopped half-way: `old` holds what was there before."""
    moved = {path.relative_to(old).as_posix() for path in old.rglob("*") if path.is_file()}
    for name in sources:
        if name not in moved and not (old.parent / "new" / name).exists():
            (folder / name).unlink(missing_ok=True)
    for name in moved:
        os.replace(old / name, folder / name)


def _write_all(folder: Path, sources: Sources) -> None:
    folder.mkdir(parents=True)
    for name, text in sources.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode("utf-8"))


def _manifest_of(folder: Path) -> Manifest:
    path = folder / MANIFEST
    try:
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    return read_manifest(text, str(path))


def _changed(folder: Path, hashes: Mapping[str, str]) -> list[str]:
    """The files that are missing, or whose bytes are not those that were generated."""
    changed = []
    for name, digest in hashes.items():
        try:
            same = hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
        except OSError:
            same = False
        if not same:
            changed.append(name)
    return changed


def _listed(names: list[str]) -> str:
    return f"{', '.join(names)} {'was' if len(names) == 1 else 'were'}"


def read_labels(path: Path, graph: Graph) -> tuple[str, ...]:
    """The names of the model's classes, one per line; UsageError where their number differs."""
    try:
        labels = path.read_bytes().decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--labels {path} cannot be read as text: {error}") from error
    while labels and not labels[-1].strip():
        labels.pop()
    classes = graph.tensors[graph.outputs[0]].channels
    if len(labels) != classes:
        raise UsageError(f"--labels {path} has {len(labels)} lines; the model's output has "
                         f"{classes} classes, and needs a line for each")
    return tuple(label.strip() for label in labels)
