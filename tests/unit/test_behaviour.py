"""docs/behaviour.md and the tests know each other: each clause has a test, and each name is of a clause."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

PAGE = Path("docs/behaviour.md").read_text()
ID = r"[1-9][0-9]?\.[a-z0-9_]+\.[a-z0-9_]+"
HEADS = re.findall(rf"^(?:- |\| )\[({ID})\](.*)$", PAGE, re.MULTILINE)
"""Of each clause its id and the rest of its first line."""

CLAUSES = [identity for identity, _ in HEADS]
LATER = {identity for identity, rest in HEADS if "*(not yet)*" in rest}
SECTIONS = {*re.findall(r"^## (\d+)\. ", PAGE, re.MULTILINE)}
SUBJECTS = re.findall(r"^### (\S+)$", PAGE, re.MULTILINE)
# How code, tests and docs point at a section: "(behaviour 5)", "behaviour 5 and 6", "behaviour 3, 7, 8".
REFERENCE = re.compile(r"\bbehaviour ([0-9]+(?:(?:, | and )[0-9]+)*)", re.IGNORECASE)


def named(source: str) -> Iterator[str]:
    """Yield the sources that marks in *source* name: `clause(…)`, `pytest.mark.clause(…)`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("clause", "pytest.mark.clause"):
            for argument in node.args:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield argument.value


def files(*places: str) -> list[Path]:
    return [path for place in places for path in sorted(Path().glob(place))]


NAMED = {
    path: [name for name in named(path.read_text()) if not name.startswith(("RFC ", "WHATWG "))]
    for path in files("tests/**/test_*.py")
}
"""Of each file of tests the clauses that it names."""


def test_each_id_is_that_of_one_clause_and_stands_under_its_section_and_subject() -> None:
    assert [identity for identity, times in Counter(CLAUSES).items() if times > 1] == []
    place = ""
    for line in PAGE.splitlines():
        if line.startswith("#"):
            place = line.lstrip("# ").partition(". ")[0]
        elif found := re.match(rf"(?:- |\| )\[({ID})\]", line):
            assert found[1].rpartition(".")[0] == place, line
    assert Counter(SUBJECTS) == Counter({identity.rpartition(".")[0] for identity in CLAUSES})


def test_what_looks_like_an_id_begins_a_clause() -> None:
    assert len(re.findall(rf"\[{ID}\]", PAGE)) == len(CLAUSES)
    assert len(re.findall(r"^\S+ \[[^]]*\] ", PAGE, re.MULTILINE)) == len(CLAUSES)


@pytest.mark.parametrize("path", [path for path, names in NAMED.items() if names], ids=str)
def test_what_a_test_names_is_a_clause(path: Path) -> None:
    assert [name for name in NAMED[path] if name not in CLAUSES] == []


def test_each_clause_is_named_by_a_test_unless_it_is_not_there_yet() -> None:
    tested = {name for names in NAMED.values() for name in names}
    assert [identity for identity in CLAUSES if identity not in tested | LATER] == []


def test_no_clause_that_a_test_names_is_said_to_be_not_there_yet() -> None:
    assert sorted(LATER & {name for names in NAMED.values() for name in names}) == []


@pytest.mark.parametrize("path", files("rgate/**/*.py", "tests/**/*.py", "docs/**/*.md", "*.md"), ids=str)
def test_what_points_at_a_section_finds_one(path: Path) -> None:
    text = path.read_text()
    told = {number for found in REFERENCE.finditer(text) for number in re.findall(r"\d+", found[1])}
    assert told <= SECTIONS


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ('@clause("RFC 9110 7.6", "5.fields.host", own_choice="x")\ndef test() -> None: ...', 2),
        ('pytestmark = [pytest.mark.docker, pytest.mark.clause("4.events.second")]', 1),
        ('X = [pytest.param(1, marks=pytest.mark.clause("4.events.second"))]', 1),
        ('"""clause("5.fields.host")"""', 0),
    ],
)
def test_marks_are_found_wherever_they_stand(source: str, names: int) -> None:
    assert len(list(named(source))) == names
