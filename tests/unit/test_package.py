"""What pyproject.toml promises of the package is there."""

import tomllib
from pathlib import Path

import pytest

from rgate.core.own import STATIC_FILES

PROJECT = tomllib.loads(Path("pyproject.toml").read_text())


def test_each_entry_of_package_data_is_of_files_that_are_there() -> None:
    declared = PROJECT["tool"]["setuptools"]["package-data"]
    for package, patterns in declared.items():
        for pattern in patterns:
            assert list(Path(package.replace(".", "/")).glob(pattern)), (
                f"{package}: {pattern} matches nothing"
            )


def test_the_package_says_that_it_has_types() -> None:
    assert "py.typed" in PROJECT["tool"]["setuptools"]["package-data"]["rgate"]


def test_what_is_no_code_is_in_the_package_too() -> None:
    declared = PROJECT["tool"]["setuptools"]["package-data"]
    shipped = {
        file
        for package, patterns in declared.items()
        for pattern in patterns
        for file in Path(package.replace(".", "/")).glob(pattern)
    }
    data = {
        file for file in Path("rgate").rglob("*") if file.is_file() and file.suffix not in (".py", ".pyc")
    }
    assert data - shipped == set()


@pytest.mark.clause("10.page.static")
def test_each_file_that_is_served_is_there_and_the_licence_of_what_is_not_ours_is_declared() -> None:
    static = Path("rgate/web/static")
    assert {file.name for file in static.iterdir() if file.suffix in (".css", ".js")} == STATIC_FILES
    for pattern in PROJECT["project"]["license-files"]:
        assert list(Path().glob(pattern)), pattern
    assert str(static / "uPlot.LICENSE") in PROJECT["project"]["license-files"]
