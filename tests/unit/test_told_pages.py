"""Problems, stories and explanations as pages: what happened and what to do first, and all of it text."""

import json
from collections.abc import Iterator
from datetime import UTC
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.facts import FORWARDED, Level
from rgate.core.problem import ANSWERS, ToldProblem
from rgate.core.reasons import Reason
from rgate.web.documents import ExplanationDocument, StoryDocument
from rgate.web.told_pages import explanation_page, problem_page, story_page
from tests.html_pages import Page, parsed, words

HOSTILE = "</main><script>alert('x')</script>\" onclick=\"x\x1b[2J\u202e`b`"

ATTEMPT = {
    "n": 1,
    "container": "orders-2",
    "address": "127.0.0.1:2",
    "reused": False,
    "start_ms": 0.4,
    "phases": [["connect", 0.3], ["wait", 29.1]],
    "end": "closed_early",
    "text": "closed after 29.4 ms, without one byte",
}

STORY = {
    "id": "a8k-2fx-0",
    "at": 1764164520.25,
    "method": "POST",
    "target": "/api/orders/4711",
    "target_cut": False,
    "host": "localhost",
    "status": 503,
    "reason": "closed_early",
    "by": "rgate",
    "route": "/api/orders",
    "backend": "orders",
    "container": "orders-2",
    "tries": 1,
    "ms": 31.2,
    "bytes": 231,
    "client": "127.0.0.1:51884",
    "generation": 41,
    "docker_age_s": 4.1,
    "told": "The container accepted, and closed `without` one byte.",
    "do": "Read its log.",
    "command": "docker logs --since 15m orders-2",
    "candidates": [
        {"name": "orders-1", "address": "127.0.0.1:1", "in": True, "picked": None, "why": "has all labels"},
        {"name": "orders-2", "address": "127.0.0.1:2", "in": True, "picked": 1, "why": "has all labels"},
        {"name": "orders-3", "address": None, "in": False, "picked": None, "why": "`env=prod`"},
    ],
    "attempts": [ATTEMPT],
    "facts": [
        {"level": "ok", "is": "Route", "text": "`/api/orders`", "at": None},
        {"level": "warn", "is": "Answer", "text": "503 made by rgate", "at": None},
    ],
}


def story(**changed: object) -> StoryDocument:
    return StoryDocument.model_validate(STORY | changed)


def told(reason: Reason, *, insider: bool, detail: str = "What happened.", backend: str = "b") -> ToldProblem:
    return ToldProblem(reason, detail, backend, "an-id", insider)


ANSWERED = [reason for reason in Reason if reason in ANSWERS]


def lines(page: Page) -> list[str]:
    """What a reader of *page* reads first: its heading, and the first paragraph."""
    return [words(next(e for e in page.elements if e.name == name).text) for name in ("h1", "p")]


@pytest.mark.clause("10.page.problem", "6.own.page")
@pytest.mark.parametrize("reason", ANSWERED)
@pytest.mark.parametrize("insider", [False, True])
def test_a_problem_says_what_happened_and_what_to_do_in_its_first_lines(
    reason: Reason, insider: bool
) -> None:
    page = parsed(problem_page(told(reason, insider=insider)))
    status, title = ANSWERS[reason]
    heading, paragraph = lines(page)
    assert heading.endswith(f"{status}. {title}")
    assert paragraph.startswith("What happened.")
    says_itself = reason in (Reason.FORBIDDEN, Reason.NOT_FOUND, Reason.BAD_QUERY, Reason.NOT_IMPLEMENTED)
    assert (paragraph != "What happened.") is not says_itself
    text = words(page.one("main").text)
    assert f"reason {reason.value}" in text
    assert "request id an-id" in text
    assert page.one("title").text == f"{status} {title}"


@pytest.mark.clause("10.page.problem", "6.detail.strangers")
@pytest.mark.parametrize("reason", ANSWERED)
def test_a_stranger_is_told_nothing_of_docker(reason: Reason) -> None:
    page = problem_page(told(reason, insider=False)).lower()
    assert b"docker" not in page.replace(b"docker_unavailable", b"")
    assert b"_rgate/requests" not in page


@pytest.mark.clause("10.page.problem")
def test_below_stand_the_attempts_and_who_was_a_candidate() -> None:
    page = parsed(problem_page(told(Reason.CLOSED_EARLY, insider=True), story()))
    assert lines(page)[1] == "What happened. Read its log."
    assert "docker logs --since 15m orders-2" in page.one("main").text
    text = words(page.one("main").text)
    assert "1. orders-2 127.0.0.1:2" in text
    assert "connect 0.3 ms, wait 29 ms, then closed_early" in text
    assert "orders-3 out: env=prod" in text
    assert page.one("a", href="/_rgate/requests/a8k-2fx-0")


@pytest.mark.clause("10.page.story")
def test_a_story_is_told_whole() -> None:
    page = parsed(story_page(story(), UTC, "python rgate.py", "http://127.0.0.1:8081"))
    text = words(page.one("main").text)
    for said in (
        "503 closed_early POST /api/orders/4711",
        "2025-11-26 13:42:00 UTC",
        "id a8k-2fx-0",
        "The container accepted, and closed without one byte.",
        "Read its log.",
        "docker logs --since 15m orders-2",
        "then closed_early: closed after 29.4 ms, without one byte",
        "generation 41, full list 4.1 s old",
        "orders-2 in, asked as number 1, 127.0.0.1:2: has all labels",
        "orders-3 out: env=prod",
        "Answer 503 made by rgate",
        "python rgate.py why a8k-2fx-0 --gateway http://127.0.0.1:8081",
    ):
        assert said in text


@pytest.mark.clause("10.page.story")
def test_the_parts_of_an_attempt_are_drawn_to_scale_by_attributes_alone() -> None:
    bars = [e.attributes for e in parsed(story_page(story(), UTC)).all("rect") if "x" in e.attributes]
    assert [(bar["class"], bar["x"], bar["width"]) for bar in bars] == [
        ("connect", "1.28", "0.96"),
        ("wait", "2.24", "93.27"),
    ]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"attempts": [], "candidates": []}, "None: no container was asked."),
        ({"reason": None, "by": "container", "status": 500}, "500 by container"),
        ({"target_cut": True}, "/api/orders/4711…"),
        ({"ms": 0.0, "docker_age_s": None, "generation": 0, "command": ""}, "Candidates then ● orders-1"),
    ],
)
def test_a_story_may_lack_what_was_not_there(changed: dict[str, object], said: str) -> None:
    assert said in words(parsed(story_page(story(**changed), UTC)).one("main").text)


@pytest.mark.clause("10.page.story")
@pytest.mark.parametrize(
    ("changed", "target"),
    [
        ({}, "/api/orders/4711"),
        ({"route": "shop.example/api", "host": "shop.example"}, "http://shop.example/api/orders/4711"),
        ({"target": "*"}, "*"),
    ],
)
def test_a_story_leads_to_the_explanation_of_the_same_as_of_now(
    changed: dict[str, object], target: str
) -> None:
    (link,) = parsed(story_page(story(**changed), UTC)).all("a", data_do="again")
    url = urlsplit(link.attributes["href"])
    assert url.path == "/_rgate/explain"
    assert parse_qs(url.query) == {"method": ["POST"], "target": [target]}
    assert json.loads(link.attributes["data-arg"]) == ["POST", target]


EXPLANATION = {
    "method": "GET",
    "target": "/a",
    "host": "localhost",
    "outcome": "forward",
    "status": None,
    "reason": None,
    "detail": "",
    "route": None,
    "shadowed": [],
    "backend": "b",
    "candidates": [],
    "left_out": [],
    "near_misses": [],
    "forwarded": {"method": "GET", "target": "/a", "fields": [["Host", "x"], ["Via", "1.1 rgate"]]},
    "knowledge": [],
    "facts": [
        {"level": "ok", "is": "Route", "text": "`/a`; no other one matches", "at": None},
        {"level": "info", "is": FORWARDED, "text": "`GET /a`, with the fields", "at": None},
        {"level": "bad", "is": "Answer", "text": "what `c` says", "at": None},
    ],
}


def explanation(**changed: object) -> ExplanationDocument:
    return ExplanationDocument.model_validate(EXPLANATION | changed)


@pytest.mark.clause("10.page.explain")
def test_an_explanation_is_its_facts_and_the_fields_below_the_forwarded_line() -> None:
    page = parsed(explanation_page(explanation(), "/a"))
    abouts = [e.text for e in page.all("dt")]
    assert abouts == ["Route", FORWARDED, "", "Answer"]
    assert [e.text for e in page.all("li")] == ["Host: x", "Via: 1.1 rgate"]
    assert all("main" in e.inside for e in page.all("dt"))
    form = page.one("form", action="/_rgate/explain")
    assert "main" not in form.inside  # page.js takes the content of main alone
    assert page.one("input", name="target").attributes["value"] == "/a"
    assert [e.text for e in page.all("option") if "selected" in e.attributes] == ["GET"]


def hostile_pages(hostile: str) -> Iterator[bytes]:
    attempt = ATTEMPT | dict.fromkeys(("container", "address", "end", "text"), hostile)
    then = {"name": hostile, "address": hostile, "in": True, "picked": 1, "why": hostile}
    fact = {"level": "ok", "is": hostile, "text": hostile, "at": None}
    keys = (
        "id",
        "method",
        "target",
        "host",
        "route",
        "backend",
        "container",
        "client",
        "told",
        "do",
        "command",
    )
    hurt = story(
        **dict.fromkeys((*keys, "reason"), hostile), attempts=[attempt], candidates=[then], facts=[fact]
    )
    yield story_page(hurt, UTC)
    for insider in (True, False):
        problem = ToldProblem(Reason.NO_CONTAINER, hostile, hostile, hostile, insider)
        yield problem_page(problem, hurt if insider else None)
    forwarded = {"method": hostile, "target": hostile, "fields": [[hostile, hostile]]}
    facts = [fact, {"level": "info", "is": FORWARDED, "text": hostile, "at": None}]
    changed = explanation(method=hostile, target=hostile, host=hostile, forwarded=forwarded, facts=facts)
    yield explanation_page(changed, hostile)


@pytest.mark.clause("10.page.escaped")
@given(st.text(st.sampled_from("<>&\"'`/ab \x1b\u202e\ud800\x00%{}"), min_size=1, max_size=6))
@example(HOSTILE)
@example("<script>alert(1)</script>")
@example("{{ 7 * 7 }}")
def test_no_string_of_others_is_markup_in_any_page(hostile: str) -> None:
    for content, plain in zip(hostile_pages(hostile), hostile_pages("x"), strict=True):
        page, harmless = parsed(content), parsed(plain)
        shown = ("code", "wbr", "option")  # what backticks and slashes become
        assert [e.name for e in page.elements if e.name not in shown] == [
            e.name for e in harmless.elements if e.name not in shown
        ]
        assert not set("\x1b\u202e\x00") & set(content.decode())


def test_every_level_of_a_fact_can_be_told() -> None:
    facts = [{"level": level.value, "is": level.name, "text": "x", "at": None} for level in Level]
    assert len(parsed(explanation_page(explanation(facts=facts), "/")).all("dt")) == len(Level)
