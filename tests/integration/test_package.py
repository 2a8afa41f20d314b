"""The wheel, where nothing else of rgate is: it carries all that it needs, and names itself well."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from rgate._version import __version__
from tests.integration.gateway import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.any_engine, pytest.mark.slow, pytest.mark.timeout(300)]

SERVES = """
routes: [{path_prefix: /, backend: nobody}]
backends: [{name: nobody, urls: ["http://127.0.0.1:9"]}]
"""


def run(*command: str | Path, directory: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheel and the source distribution, built from what git knows, in a directory of their own."""
    directory = tmp_path_factory.mktemp("dist")
    checkout = tmp_path_factory.mktemp("checkout") / "rgate"
    run("git", "clone", "--quiet", ROOT, checkout, directory=directory)
    run(sys.executable, "-m", "build", "--outdir", directory, checkout, directory=directory)
    return {path.suffix: path for path in directory.iterdir()}


def test_the_wheel_holds_what_it_needs_and_no_tests(packages: dict[str, Path]) -> None:
    names = set(zipfile.ZipFile(packages[".whl"]).namelist())
    kept = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "rgate").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert kept <= names
    assert not [name for name in names if name.startswith("tests")]


def test_the_index_would_take_them(packages: dict[str, Path]) -> None:
    told = run(sys.executable, "-m", "twine", "check", "--strict", *packages.values(), directory=ROOT)
    assert told.count("PASSED") == len(packages) == 2


def test_it_runs_from_an_empty_directory(packages: dict[str, Path], tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", tmp_path / "venv", directory=tmp_path)
    bin_ = tmp_path / "venv" / "bin"
    run(
        bin_ / "python", "-m", "pip", "install", "--quiet", "-c", ROOT / "requirements.txt", packages[".whl"],
        directory=tmp_path,
    )  # fmt: skip
    empty = tmp_path / "empty"
    empty.mkdir()
    assert run(bin_ / "rgate", "--version", directory=empty) == f"rgate {__version__}\n"
    (empty / "config.yml").write_text(SERVES)
    assert run(bin_ / "rgate", "check", directory=empty)
    explained = subprocess.run(
        [bin_ / "python", "-m", "rgate", "explain", "/x"], cwd=empty, capture_output=True, text=True
    )
    assert (explained.returncode, explained.stderr) == (0, "")
    assert "127.0.0.1:9" in explained.stdout
