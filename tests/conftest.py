# SPDX-License-Identifier: MIT
"""How every test runs: hypothesis profiles, compiled objects, and a count of what was skipped."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests import objects

# No deadline: a case may compile C. CI must give the same verdict twice, so it draws no new cases.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", parent=settings.get_profile("default"), derandomize=True,
                          max_examples=200, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


def pytest_configure(config: pytest.Config) -> None:
    """Whoever starts a run makes the folder of its objects and removes it; workers inherit it."""
    if objects.STORE not in os.environ:
        os.environ[objects.STORE] = tempfile.mkdtemp(prefix="tinyeff-objects-")
        config.add_cleanup(lambda: shutil.rmtree(os.environ.pop(objects.STORE)))


@pytest.fixture(autouse=True, scope="session")
def _objects() -> Iterator[None]:
    """The package's own builds take what was compiled before as well."""
    with pytest.MonkeyPatch.context() as patch:
        objects.install(patch)
        yield


@pytest.fixture(autouse=True)
def _width_of_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are as wide as in a pipe, whatever the terminal or the test runner says."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture(autouse=True)
def _fresh_logger() -> None:
    """The command line sets up the logger for its process; the next test has another stderr."""
    logger = logging.getLogger("tinyeff")
    logger.handlers.clear()
    logger.setLevel(logging.NOTSET)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests were skipped, also where it is none."""
    skipped = len(terminalreporter.stats.get("skipped", []))
    forbidden = os.environ.get("TINYEFF_NO_SKIP") == "1"
    rule = "TINYEFF_NO_SKIP=1 forbids it" if forbidden else "see the reasons above" * bool(skipped)
    terminalreporter.write_line(f"skipped tests: {skipped}" + (f" ({rule})" if rule else ""))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Where skipping is forbidden, a skip that did not go through tests/shared.py fails as well."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("TINYEFF_NO_SKIP") == "1" and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
