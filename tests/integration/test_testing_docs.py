"""What docs/testing.md shows is run as it stands there."""

import re
from inspect import signature
from textwrap import indent

import pytest

from rgate.testing.backend import HttpBackend
from rgate.testing.gateway import RunningGateway
from tests.integration.gateway import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.any_engine, pytest.mark.slow]

PAGE = (ROOT / "docs" / "testing.md").read_text()
FILES: dict[str, str] = dict(re.findall(r"^```(?:python|yaml)\n# (\S+)\n(.*?)^```$", PAGE, re.M | re.S))
"""What the page shows, by the name in its first line."""


@pytest.fixture
def written(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A directory with all files of the page."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p rgate.testing.plugin -p no:cacheprovider")
    monkeypatch.setenv("COLUMNS", "80")
    for name, text in FILES.items():
        (pytester.path / name).write_text(text)
    return pytester


def test_each_block_is_a_file() -> None:
    assert PAGE.count("\n```\n") == len(FILES) == 6


@pytest.mark.clause("11.example.docs")
def test_without_docker_it_is_green_and_the_red_one_is_reported_as_the_page_shows(
    written: pytest.Pytester,
) -> None:
    result = written.runpytest_inprocess("test_orders.py", "test_red.py", "--noconftest")
    result.assert_outcomes(passed=1, failed=1)
    said = result.stdout.str()
    section = re.search(r"^-+ rgate -+$.*?(?=^=)", said, re.M | re.S)
    assert section is not None, said
    report = re.sub(r" +$", "", indent(section[0].rstrip(), "    "), flags=re.M)
    shown = re.search(r"^    -+ rgate -+$.*?(?=\n\nWhere a gateway)", PAGE, re.M | re.S)
    assert shown is not None, report
    assert same_but_for_numbers(report) == same_but_for_numbers(shown[0]), report


def same_but_for_numbers(text: str) -> list[str]:
    text = re.sub(r"^ +(?=\d+\.\d ms)", "", re.sub(r"\b[0-9a-f]{32}\b", "ID", text), flags=re.M)
    return re.sub(r"\d+(?:[-:.+]\d+)* *", "N ", text).splitlines()


@pytest.mark.slow
@pytest.mark.docker
@pytest.mark.usefixtures("demo_image")
@pytest.mark.clause("11.example.docs")
def test_with_containers_it_is_green(written: pytest.Pytester) -> None:
    conftest = written.path / "conftest.py"
    compose = f'''

@pytest.fixture(scope="session")
def docker_compose_command():
    return "{ROOT / "scripts" / "compose"}"
'''
    conftest.write_text(conftest.read_text() + compose)
    written.runpytest_subprocess("test_shop.py").assert_outcomes(passed=2)


def test_the_tables_tell_of_all_that_there_is() -> None:
    rows = re.findall(r"^\| (`.*?) \|", PAGE, re.M)
    told = {name for row in rows for name in re.findall(r"(?:^|, )`\.?(\w+)", row)}
    arguments = {*signature(HttpBackend).parameters}
    methods = {name for name, one in vars(RunningGateway).items() if name[0] != "_" and callable(one)}
    assert told - {"rgate_backend", "url", "session"} == arguments | methods
