"""docs/routing-tests.md says what `test` does: its example is run, and its report is the one that comes."""

import re
import shlex
from dataclasses import fields
from pathlib import Path
from textwrap import dedent

import pytest

from rgate.cli.main import run
from rgate.core.address import HostView
from rgate.core.cases import Case, Expected
from rgate.core.containers import Container, Health, PublishedPort, State
from rgate.core.recording import Recording, recorded_source, written

PAGE = Path("docs/routing-tests.md").read_text()
BLOCKS = [dedent(block).lstrip("\n") for block in re.findall(r"(?:^    .*\n|^\n)+", PAGE, re.M)]


def container(name: str, port: int, health: Health = Health.HEALTHY) -> Container:
    labels = {"app_name": name.partition("-")[0], "env": "production"}
    published = (PublishedPort(8000, "127.0.0.1", port),)
    return Container(name.ljust(12, "0"), name, labels, State.RUNNING, health, published=published)


CONTAINERS = [
    container("orders-1", 32768),
    container("orders-2", 32769, Health.UNHEALTHY),
    container("payment-1", 32770),
]


@pytest.mark.clause("9.test.cases", "9.test.report")
def test_the_example_ends_as_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = next(block for block in BLOCKS if block.startswith("# cases.yml"))
    session = next(block for block in BLOCKS if "rgate test" in block)
    (tmp_path / "config.yml").write_text(Path("config.yml").read_text())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    Path("cases.yml").write_text(cases)
    recording = Recording(0.0, (recorded_source(CONTAINERS, HostView()),))
    Path("docker.json").write_text(written(recording))
    command, report = re.findall(r"^\$ rgate (test .*)\n((?:(?!\$ ).*\n)*)", session, re.M)[0]
    with pytest.raises(SystemExit) as ended:
        run(shlex.split(command))
    assert ended.value.code == 1
    assert without_times(capsys.readouterr().out).rstrip() == without_times(report).rstrip()


def test_each_key_is_told() -> None:
    rows = re.findall(r"^\| (`.*?) \|", PAGE, re.M)
    told = [key for row in rows for key in re.findall(r"`(\w+)`", row)]
    assert sorted(told) == sorted(field.name for kind in (Case, Expected) for field in fields(kind))


def without_times(text: str) -> str:
    return re.sub(r"\d+\.\d+ ?s( old)?\b", "some time", text)
