"""Configurations as files: the good ones are taken, the bad ones told with the text beside them."""

from pathlib import Path

import pytest

from rgate.cli.config_file import load_config
from rgate.core.config_errors import ConfigErrors

HERE = Path(__file__).parent


@pytest.mark.parametrize("path", sorted((HERE / "good").glob("*.yml")), ids=lambda path: str(path.stem))
def test_a_good_file_is_taken(path: Path) -> None:
    load_config(str(path))


@pytest.mark.parametrize("path", sorted((HERE / "bad").glob("*.yml")), ids=lambda path: str(path.stem))
def test_a_bad_file_is_told_with_every_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    with pytest.raises(ConfigErrors) as raised:
        load_config(path.name)
    assert str(raised.value) + "\n" == path.with_suffix(".expected").read_text()


@pytest.mark.parametrize("name", ["missing.yml", "."])
def test_a_file_that_cannot_be_read_is_told_too(name: str) -> None:
    with pytest.raises(ConfigErrors, match="cannot be read"):
        load_config(str(HERE / name))
