# SPDX-License-Identifier: MIT
"""Wheel, sdist, editable install and bare checkout: each plans and generates from another folder.

Each way gets a virtual environment of its own without tinyeff. Its dependencies are those of the
running Python, put on the path and not installed again: what is tested here is that the package
has all of its own files. That its list of dependencies is complete is tested by
`test_dependencies_are_complete`, which downloads them, and by `make demo`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import tinyeff
from tests.golden_files import EXAMPLES, generated
from tests.shared import CHECKOUT

pytestmark = pytest.mark.slow

MODEL = EXAMPLES / "shapes_int8.tflite"
INFO = f"tinyeff-{tinyeff.__version__}.dist-info"
SCRIPTS = "Scripts" if os.name == "nt" else "bin"
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}


def run(*command: str | Path, cwd: Path) -> str:
    """Standard output of a command that must succeed."""
    done = subprocess.run([str(c) for c in command], cwd=cwd, env=ENVIRONMENT, text=True,
                          capture_output=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist of this checkout."""
    folder = tmp_path_factory.mktemp("distributions")
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-t", "wheel", "-d", folder,
        cwd=CHECKOUT)
    return folder


class Environment:
    """A virtual environment with the dependencies of this Python, and without tinyeff."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        venv.create(folder, with_pip=False, symlinks=os.name != "nt")
        self.python = folder / SCRIPTS / Path(sys.executable).name
        if not self.python.exists():
            self.python = folder / SCRIPTS / "python"
        packages = run(self.python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))",
                       cwd=folder)
        # A .pth file on the path is not read, so that an editable tinyeff there is not seen.
        paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        (Path(packages.strip()) / "dependencies.pth").write_text("\n".join(sorted(paths)) + "\n")

    def install(self, *what: str | Path) -> None:
        """Install without dependencies, and without looking at any index."""
        run(sys.executable, "-m", "pip", "--python", self.python, "install", "--quiet", "--no-deps",
            "--no-index", "--no-build-isolation", "--ignore-installed", *what, cwd=self.folder)

    def home(self) -> Path:
        """The folder from which tinyeff is imported."""
        code = "import tinyeff.cli; print(tinyeff.__file__)"
        return Path(run(self.python, "-c", code, cwd=self.folder).strip()).resolve().parent


def check_works(*command: str | Path, folder: Path) -> None:
    """`command` plans and generates the example's reviewed code, from `folder`."""
    folder.mkdir()
    plan = json.loads(run(*command, "plan", MODEL, "--sram", "256k", "--json", cwd=folder))
    assert plan["fits"] is True
    run(*command, "codegen", MODEL, "-o", "out", "--sram", "256k", "--name", "shapes", "--labels",
        EXAMPLES / "shapes_labels.txt", cwd=folder)
    expected = generated()
    assert {f.name for f in (folder / "out").iterdir()} == set(expected)
    for name in ("shapes.c", "shapes_weights.c", "te.h", "te_softmax.c"):
        assert (folder / "out" / name).read_bytes().decode("utf-8") == expected[name]


def files_of(folder: str) -> set[str]:
    """The files of a folder of the checkout, as paths from its root."""
    return {f.relative_to(CHECKOUT).as_posix() for f in (CHECKOUT / folder).rglob("*")
            if f.is_file() and f.suffix != ".pyc"}


@pytest.mark.parametrize("suffix", [".whl", ".tar.gz"])
def test_distribution_works(suffix: str, distributions: Path, tmp_path: Path) -> None:
    (archive,) = distributions.glob(f"*{suffix}")
    environment = Environment(tmp_path / "environment")
    environment.install(archive)
    assert environment.folder.resolve() in environment.home().parents
    check_works(environment.folder / SCRIPTS / "tinyeff", folder=tmp_path / "elsewhere")


def test_editable_install_works(tmp_path: Path) -> None:
    environment = Environment(tmp_path / "environment")
    environment.install("--editable", CHECKOUT)
    assert environment.home() == CHECKOUT / "tinyeff"
    check_works(environment.folder / SCRIPTS / "tinyeff", folder=tmp_path / "elsewhere")


def test_bare_checkout_works(tmp_path: Path) -> None:
    environment = Environment(tmp_path / "environment")
    with pytest.raises(AssertionError, match="No module named 'tinyeff"):
        environment.home()
    check_works(environment.python, CHECKOUT / "cli.py", folder=tmp_path / "elsewhere")


def test_wheel_holds_the_package_and_nothing_else(distributions: Path) -> None:
    (wheel,) = distributions.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {n.split("/")[0] for n in names} == {"tinyeff", INFO}
    emitted = [f"tinyeff/{name}" for name in files_of("templates") | files_of("firmware")]
    assert len(emitted) > 20
    assert {*emitted, *files_of("tinyeff")} <= set(names)
    assert {"tinyeff/py.typed", f"{INFO}/licenses/LICENSE",
            f"{INFO}/licenses/firmware/LICENSE"} <= set(names)


def test_sdist_holds_what_the_tests_need(distributions: Path) -> None:
    (sdist,) = distributions.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {n.split("/", 1)[1] for n in archive.getnames() if "/" in n}
    assert {"pyproject.toml", "Makefile", "cli.py", "LICENSE", "examples/shapes_int8.tflite",
            "tests/golden/shapes.c", "docs/architecture.md"} <= names
    assert not [n for n in names if "__pycache__" in n or n.startswith((".venv", ".git/", "build"))]


@pytest.mark.all
def test_dependencies_are_complete(distributions: Path, tmp_path: Path) -> None:
    """A truly clean environment: pip downloads what the wheel asks for, and no more."""
    (wheel,) = distributions.glob("*.whl")
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True)
    run(environment / SCRIPTS / "python", "-m", "pip", "install", "--quiet", wheel, cwd=tmp_path)
    check_works(environment / SCRIPTS / "tinyeff", folder=tmp_path / "elsewhere")
