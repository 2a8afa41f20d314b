"""What the docs say of reasons and files is so."""

import re
from pathlib import Path

import pytest

from rgate.core.problem import ANSWERS
from rgate.core.reasons import Reason

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
