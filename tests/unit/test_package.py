"""What pyproject.toml promises of the package is there."""

import tomllib
from pathlib import Path

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
