"""How the results of routing cases are told: as pytest tells its own, and as JUnit's XML (behaviour 9)."""

import io
import re
from collections.abc import Iterator
from itertools import chain, repeat
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.cli.case_report import Report
from rgate.cli.case_results import Result, results
from rgate.cli.junit import junit
from rgate.core.cannot_tell import CannotTell
from rgate.core.case_values import RequestLine
from rgate.core.cases import Case, Expected, PlacedCase
from rgate.core.config import Backend, Config, Route
from rgate.core.explain import Asked, Ending, explain
from rgate.web.documents import ExplanationDocument
from tests.worlds import World

BEGAN = "2026-01-02T03:04:05+00:00"
WORLD = World(Config((Route("/api", "api"),), (Backend("api", urls=("http://127.0.0.1:1",)),)), ())
GATEWAY = WORLD.gateway(can_tunnel=True)


def explained(asked: Asked) -> ExplanationDocument:
    return ExplanationDocument.of(explain(GATEWAY, asked, ()))


def case(*, passes: bool, name: str | None = None, file: str = "c.yml", line: int = 2) -> PlacedCase:
    expected = Expected(Ending.FORWARD, backend="api" if passes else "other")
    return PlacedCase(file, line, Case(RequestLine("GET", "/api/1"), expected, name))


def reported(*cases: PlacedCase, width: int = 80, colour: bool = False, deselected: int = 0) -> str:
    out = io.StringIO()
    report = Report(out, width=width, colour=colour)
    report.start("config.yml, Docker", len(cases), deselected)
    come = report.progress(results(cases, explained), len(cases))
    report.end(come, deselected, 0.021)
    return out.getvalue()


@pytest.mark.clause("9.test.report")
def test_where_all_pass_there_are_dots_and_a_sum() -> None:
    assert (
        reported(*repeat(case(passes=True), 3))
        == """\
================================ routing cases =================================
looked up: config.yml, Docker
collected 3 cases

c.yml ...                                                                 [100%]

============================== 3 passed in 0.02s ===============================
"""
    )


@pytest.mark.clause("9.test.report")
def test_a_failure_says_where_it_stands_what_differs_and_why() -> None:
    text = reported(case(passes=True), case(passes=False, name="to another", line=7), deselected=2)
    begin, told = text.split("E   ")
    assert begin.endswith("""\
collected 4 cases / 2 deselected / 2 selected

c.yml .F                                                                  [100%]

=================================== FAILURES ===================================
__________________________________ to another __________________________________
c.yml:7: GET /api/1

""")
    (result,) = results([case(passes=False)], explained)
    assert (
        told
        == f"""\
backend: expected other, got api (route /api)

{result.explained()}

=========================== short test summary info ============================
FAILED c.yml:7 to another - backend: expected other, got api (route /api)
================== 1 failed, 1 passed, 2 deselected in 0.02s ===================
"""
    )
    assert "127.0.0.1:1" in result.explained()


@pytest.mark.clause("9.test.report")
def test_each_file_has_its_line_and_says_how_far_it_came() -> None:
    text = reported(case(passes=True), case(passes=False, file="d.yml"), case(passes=True, file="d.yml"))
    assert re.findall(r"^\w\.yml .*$", text, re.MULTILINE) == [
        "c.yml ." + "[ 33%]".rjust(73),
        "d.yml F." + "[100%]".rjust(72),
    ]


def test_many_cases_go_on_in_the_next_line() -> None:
    text = reported(*repeat(case(passes=True), 40), width=30)
    assert text.split("\n")[4:7] == [
        "c.yml ................. [ 42%]",
        "....................... [100%]",
        "",
    ]


@pytest.mark.clause("9.looks.colour")
def test_colour_is_for_a_terminal_and_changes_no_word() -> None:
    plain = reported(case(passes=True), case(passes=False))
    coloured = reported(case(passes=True), case(passes=False), colour=True)
    assert "\x1b" not in plain
    assert "\x1b[31mF\x1b[0m" in coloured
    # In an explanation it stands in place of backticks.
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured).replace("`", "") == plain.replace("`", "")


def test_what_is_done_is_told_before_the_next_is_looked_up() -> None:
    out = io.StringIO()
    seen: list[str] = []

    def watched() -> Iterator[Result]:
        for result in results([case(passes=True)] * 2, explained):
            seen.append(out.getvalue())
            yield result

    Report(out, width=80, colour=False).progress(watched(), 2)
    assert seen[-1] == "c.yml ."


def test_what_ends_it_early_is_said_in_a_line_of_its_own() -> None:
    out = io.StringIO()

    def cut() -> Iterator[Result]:
        yield from results([case(passes=True)], explained)
        raise CannotTell("nobody answers")

    with pytest.raises(CannotTell):
        Report(out, width=80, colour=False).progress(cut(), 2)
    assert out.getvalue() == "c.yml .\n"


NASTY = st.text(st.sampled_from('a\x00\x1b\n\r\t\x7f\x85\u2028\ud800\ufffe\U0001f600<&>"]é'), max_size=6)


@given(name=NASTY.filter(bool), file=NASTY)
def test_no_name_steers_a_terminal_or_breaks_a_line(name: str, file: str) -> None:
    placed = case(passes=False, name=name, file=file)
    text, harmless = reported(placed), reported(case(passes=False, name="x", file="x"))
    assert text.encode().isascii() or text.replace("\n", "").isprintable()
    assert text.count("\n") == harmless.count("\n")


@pytest.mark.clause("9.test.junit")
def test_junit_has_a_suite_for_each_file_and_a_failure_with_what_is_told() -> None:
    cases = [
        case(passes=True),
        case(passes=False, name="b", file="d.yml", line=9),
        case(passes=True, file="d.yml"),
    ]
    come = list(results(cases, explained))
    root = ElementTree.fromstring(junit(come, began=BEGAN))
    assert (root.tag, root.attrib["tests"], root.attrib["failures"]) == ("testsuites", "3", "1")
    suites = [
        (one.attrib["name"], one.attrib["tests"], one.attrib["failures"], one.attrib["timestamp"])
        for one in root
    ]
    assert suites == [("c.yml", "1", "0", BEGAN), ("d.yml", "2", "1", BEGAN)]
    found = root.find("testsuite[@name='d.yml']/testcase[@name='b']")
    assert found is not None
    assert (found.attrib["classname"], found.attrib["file"], found.attrib["line"]) == ("d.yml", "d.yml", "9")
    (failure,) = found
    assert failure.attrib["message"] == "backend: expected other, got api (route /api)"
    assert failure.text == f"backend: expected other, got api (route /api)\n\n{come[1].explained()}"
    assert len(root.findall(".//failure")) == 1


@given(name=NASTY.filter(bool), file=NASTY)
@example(name="a\x1b[31m\x00", file="c.yml")
def test_junit_is_xml_whatever_names_hold(name: str, file: str) -> None:
    come = list(results([case(passes=False, name=name, file=file)], explained))
    (found,) = ElementTree.fromstring(junit(come, began=BEGAN)).findall("testsuite/testcase")
    kept = "".join(c for c in name if c in 'aé<&>"]\U0001f600')
    assert "".join(c for c in found.attrib["name"] if c in 'aé<&>"]\U0001f600') == kept


def test_junit_writes_what_xml_forbids_as_its_number() -> None:
    come = list(results([case(passes=True, name="a\x1b\x00")], explained))
    assert b'name="a#x1B#x00"' in junit(come, began=BEGAN)


def test_times_of_cases_add_up_to_those_of_suites() -> None:
    come = [Result(case(passes=True), (), explained(Asked("GET", "/api")), s) for s in (0.25, 0.5)]
    root = ElementTree.fromstring(junit(come, began=BEGAN))
    assert [one.attrib["time"] for one in chain([root], root, root.iter("testcase"))] == [
        "0.750000", "0.750000", "0.250000", "0.500000",
    ]  # fmt: skip
