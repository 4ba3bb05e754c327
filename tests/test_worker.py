# SPDX-License-Identifier: MIT
"""Jobs in a process of their own: reports, errors, chatter, crashes."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from tinyeff import worker
from tinyeff.errors import Item, MissingProgramError, ModelFileError, UnsupportedError


@pytest.fixture(autouse=True)
def _pretend(monkeypatch: pytest.MonkeyPatch) -> None:
    """The jobs of these tests do without TensorFlow."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())


def run(folder: Path, do: str) -> dict[str, Any]:
    return worker.run_job("tests.jobs", folder, {"do": do}, "model.h5")


def test_a_report_comes_back_and_chatter_is_information(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.INFO, "tinyeff"):
        assert run(tmp_path, "report") == {"folder": tmp_path.name, "backend": "tensorflow"}
    assert capfd.readouterr() == ("", "")
    assert "chatter on standard output" in caplog.text
    assert "chatter of C++ on standard error" in caplog.text
    assert {r.levelno for r in caplog.records} == {logging.INFO}


def test_errors_travel_with_their_items(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(UnsupportedError, match=r"model\.h5: two things") as error:
        run(tmp_path, "refuse")
    assert error.value.items == (Item("LSTM", "x", "no"), Item("RNN", "y", "no"))
    assert "chatter" in caplog.text
    assert {r.levelno for r in caplog.records} == {logging.WARNING}


def test_other_exceptions_become_one_line(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"model\.h5: TensorFlow cannot read it: KeyError"):
        run(tmp_path, "raise")


def test_a_crash_is_an_error_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"ended with code 11 .* probably damaged"):
        run(tmp_path, "crash")


def test_a_job_that_never_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "TIMEOUT_SECONDS", 2)
    with pytest.raises(ModelFileError, match="has not finished after 2 seconds"):
        run(tmp_path, "sleep")


def test_without_tensorflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingProgramError, match=r'pip install "tinyeff\[keras\]"'):
        run(tmp_path, "report")
