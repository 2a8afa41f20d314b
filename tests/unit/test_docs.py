"""What the docs say of options, pages, reasons and files is so, and leaves none out."""

import argparse
import configparser
import inspect
import json
import re
import shlex
from pathlib import Path

import pytest

from rgate.cli.main import parse
from rgate.cli.options import add_serve
from rgate.cli.signals import Signals
from rgate.core.own import FOR_EVERYONE, own_page, paths
from rgate.core.problem import ANSWERS
from rgate.core.reasons import Reason
from rgate.telling.access_log import access_fields
from tests.unit.test_access_log import record

OPERATING = Path("docs/operating.md").read_text()

ROWS = re.findall(
    r"^\| (\d+|-) \| `(\w+)` \| (.+) \| (.+) \|$", Path("docs/troubleshooting.md").read_text(), re.MULTILINE
)
"""Status, reason, what it means, what to do."""


def status_of(reason: Reason) -> str:
    """What is sent or counted with *reason*; - where it is the log's alone."""
    return str(ANSWERS[reason][0]) if reason in ANSWERS else "-"


def test_each_reason_has_one_row_with_its_status() -> None:
    assert [(reason, status) for status, reason, _, _ in ROWS] == [
        (reason.value, status_of(reason)) for reason in Reason
    ]


def test_each_reason_but_that_of_the_log_alone_is_an_answer() -> None:
    assert set(Reason) - set(ANSWERS) == {Reason.STOPPED}


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "SECURITY.md", "docs/threat-model.md"]
)
def test_the_files_that_a_page_names_are_there(page: str) -> None:
    named = re.findall(r"[`(]((?:docs|rgate|tests|scripts|bench)/[\w./-]*)[)`]", Path(page).read_text())
    assert named
    assert [name for name in named if not Path(name).exists()] == []


def anchors(page: Path) -> set[str]:
    """What a browser is sent to on *page*: its headings, as GitHub names them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", sorted(Path().glob("*.md")) + sorted(Path("docs").rglob("*.md")), ids=str)
def test_links_lead_to_a_file_and_a_heading_that_are_there(page: Path) -> None:
    links = re.findall(r"\]\((?!\w+:)([^)#\s]*)#?([^)\s]*)\)", page.read_text())
    for name, anchor in links:
        target = page.parent / name if name else page
        assert target.exists(), name
        assert not anchor or anchor in anchors(target), f"{name}#{anchor}"


def rows(heading: str) -> list[list[str]]:
    """The cells of the table of docs/operating.md under *heading*, without its two first lines."""
    section = OPERATING.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    assert section, heading
    lines = re.findall(r"^\| (.*) \|$", section, re.MULTILINE)
    return [line.split(" | ") for line in lines[1:]]


def test_each_option_of_serve_has_a_row_with_its_default() -> None:
    parser = argparse.ArgumentParser()
    add_serve(parser)
    options = re.findall(r"^  (--[a-z-]+)", parser.format_help(), re.MULTILINE)
    said = {cells[0].strip("`").split()[0]: cells[1] for cells in rows("Options")}
    assert sorted(said) == sorted(options)
    in_words = {None: "none", False: "off"}
    for option, value in vars(parse(["serve"])).items():
        name = f"--{option.replace('_', '-')}"
        if name in said and name != "--db":  # which is the configuration's to say
            value = value[0] if isinstance(value, list) else value
            shown = f"{value:g}" if isinstance(value, float) else str(value)
            assert said[name] == in_words.get(value, shown), name


def test_each_page_has_a_row_that_says_who_may_read_it() -> None:
    said = {cells[0].strip("`").replace("ID", "7"): cells[1] for cells in rows("Its own pages")}
    pages = [path.replace("ID", "7") for path in paths()]
    assert set(said) == {"/stats", *pages}
    for path, who in said.items():
        page = own_page(path, "/stats")
        assert who == ("everyone" if page in FOR_EVERYONE else "`admin.allow`"), path


def test_the_fields_of_the_access_log_stand_in_their_order() -> None:
    section = OPERATING.partition("\n## The access log\n")[2].partition(".")[0]
    assert re.findall(r"`(\w+)`", section) == list(access_fields(record()))


@pytest.mark.parametrize("name", inspect.signature(Signals).parameters["names"].default)
def test_each_signal_is_told_of(name: str) -> None:
    assert name in OPERATING


def test_what_the_image_runs_is_told_word_for_word() -> None:
    [command] = re.findall(r"^CMD (.+)$", Path("Dockerfile").read_text(), re.MULTILINE)
    assert f"`{' '.join(json.loads(command))}`" in OPERATING
    assert parse(json.loads(command)).drain < parse([]).drain


def test_the_unit_of_systemd_starts_what_there_is() -> None:
    text = OPERATING.partition("# /etc/systemd/system/rgate.service\n")[2].partition("```")[0]
    unit = configparser.RawConfigParser()
    unit.read_string(text)
    program, *words = shlex.split(unit["Service"]["ExecStart"])
    assert program.endswith("/rgate")
    options = parse(words)
    assert options.drain < float(unit["Service"]["TimeoutStopSec"])
    # What no start mends is not tried again and again.
    assert unit["Service"]["RestartPreventExitStatus"] == "2"
