"""rgate's own answers: each reason has its status, and says what happened to who may know (behaviour 6)."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.accept import prefers_html
from rgate.core.config import DefaultResponse
from rgate.core.config_values import ResponseBody
from rgate.core.problem import (
    ANSWERS,
    CLOSES_CONNECTION,
    NO_SERVICE_URLS,
    OWN_FIELDS,
    Problem,
    ToldProblem,
    default_response,
    problem_response,
)
from rgate.core.reasons import Reason
from rgate.web.told_pages import problem_page
from tests.html_pages import POLICY

REFUSED = Problem(Reason.CONNECT_FAILED, "Nobody at <c> (10.0.0.1:80).", "b")
PAGE = b"text/html"
NAMES_CONTAINERS = {
    *(Reason.NO_CONTAINER, Reason.UNHEALTHY, Reason.NO_ADDRESS, Reason.DOCKER_UNAVAILABLE),
    *(Reason.CONNECT_FAILED, Reason.CLOSED_EARLY, Reason.BAD_RESPONSE, Reason.TIMEOUT),
}


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.STOPPED])
def test_each_reason_is_a_problem_document(reason: Reason) -> None:
    own = problem_response(Problem(reason, "why", "b"), request_id="i", insider=True)
    status, title = ANSWERS[reason]
    assert json.loads(own.body) == {
        "type": f"urn:rgate:{reason.value}",
        "title": title,
        "status": status,
        "detail": "why",
        "reason": reason.value,
        "backend": "b",
        "request_id": "i",
    }
    fields = {
        b"Content-Type": b"application/problem+json",
        **dict(OWN_FIELDS),
        b"X-Rgate-Reason": reason.value.encode(),
        b"X-Request-ID": b"i",
        **({b"Retry-After": b"1"} if status == 503 else {}),
        **({b"Allow": b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"} if status == 405 else {}),
    }
    assert dict(own.fields) == fields
    assert (own.status, own.reason, own.closes) == (status, reason, reason in CLOSES_CONNECTION)


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        *((reason, 503) for reason in (Reason.NO_CONTAINER, Reason.UNHEALTHY, Reason.NO_ADDRESS)),
        *(
            (reason, 503)
            for reason in (Reason.DOCKER_UNAVAILABLE, Reason.CONNECT_FAILED, Reason.CLOSED_EARLY)
        ),
        *((Reason.BAD_RESPONSE, 502), (Reason.TIMEOUT, 504), (Reason.CLIENT_CLOSED, 499)),
        *((Reason.BAD_REQUEST, 400), (Reason.PATH_NOT_NORMALIZED, 400), (Reason.BAD_QUERY, 400)),
        *((Reason.REQUEST_TIMEOUT, 408), (Reason.BODY_TOO_LARGE, 413), (Reason.URI_TOO_LONG, 414)),
        *(
            (Reason.FIELDS_TOO_LARGE, 431),
            (Reason.VERSION_NOT_SUPPORTED, 505),
            (Reason.METHOD_NOT_ALLOWED, 405),
        ),
        *((Reason.FORBIDDEN, 403), (Reason.NOT_FOUND, 404), (Reason.NOT_IMPLEMENTED, 501)),
        (Reason.INTERNAL_ERROR, 500),
    ],
)
def test_each_reason_has_the_status_that_the_contract_says(reason: Reason, status: int) -> None:
    assert ANSWERS[reason][0] == status
    made_elsewhere = reason in list(Reason)[:4]
    assert (ANSWERS[reason][1] == NO_SERVICE_URLS) is made_elsewhere


@pytest.mark.parametrize("reason", list(Reason)[:8])
def test_a_stranger_reads_nothing_of_containers_addresses_and_labels(reason: Reason) -> None:
    problem = Problem(reason, "orders-1 (10.0.0.1:80) has not env=production", "b")
    told = problem_response(problem, request_id="i").body + (
        problem_response(problem, request_id="i", accept=PAGE, page=problem_page).body
    )
    assert not any(word in told for word in (b"orders-1", b"10.0.0.1", b"env", b"production"))
    assert problem.detail_for(insider=False).endswith(".")
    assert (
        json.loads(problem_response(problem, request_id="i", insider=True).body)["detail"] == problem.detail
    )


def test_what_the_client_did_is_told_to_anybody() -> None:
    problem = Problem(Reason.BAD_REQUEST, "No Host field.")
    document = json.loads(problem_response(problem, request_id="i").body)
    assert document["detail"] == "No Host field."
    assert "backend" not in document


def test_a_document_is_utf_8() -> None:
    assert "ü".encode() in problem_response(Problem(Reason.BAD_REQUEST, "ü"), request_id="i").body


@given(st.text() | st.text(st.sampled_from('a\x1b\x7f\x9b\u202e\ud800\U0001f600\U000e0001"\\')))
@example("\x1b[31m\x9b\u202e\x07\ud800\U000e0001")
def test_a_document_steers_no_terminal_and_says_what_was_said(detail: str) -> None:
    body = problem_response(Problem(Reason.BAD_REQUEST, detail), request_id="i").body.decode()
    assert body.removesuffix("\n").isprintable()
    assert json.loads(body)["detail"] == detail


@pytest.mark.clause("6.own.page", "8.pages.policy", "10.page.policy")
def test_who_prefers_a_page_gets_one_of_what_it_may_know() -> None:
    seen: list[ToldProblem] = []

    def page(told: ToldProblem) -> bytes:
        seen.append(told)
        return b"a page"

    for insider in (False, True):
        own = problem_response(REFUSED, request_id="i", accept=PAGE, insider=insider, page=page)
        fields = dict(own.fields)
        assert own.body == b"a page"
        assert fields[b"Content-Type"] == b"text/html; charset=utf-8"
        assert fields[b"Content-Security-Policy"].decode() == POLICY
        assert fields[b"Retry-After"] == b"1"
    assert [(told.status, told.detail, told.backend, told.insider) for told in seen] == [
        (503, REFUSED.detail_for(insider=False), "b", False),
        (503, REFUSED.detail, "b", True),
    ]


def test_no_page_is_made_for_who_prefers_a_document() -> None:
    def page(told: ToldProblem) -> bytes:
        raise AssertionError(told)

    own = problem_response(REFUSED, request_id="i", accept=b"*/*", page=page)
    assert json.loads(own.body)["reason"] == "connect_failed"


def test_what_is_always_said_of_an_own_answer_lets_no_other_site_use_it() -> None:
    assert (
        (b"Cache-Control", b"no-store"),
        (b"Vary", b"Accept"),
        (b"X-Content-Type-Options", b"nosniff"),
        (b"Cross-Origin-Resource-Policy", b"same-origin"),
        (b"Content-Security-Policy", POLICY.encode()),
    ) == OWN_FIELDS


@pytest.mark.clause("8.pages.fields", "8.pages.policy", "6.detail.strangers")
@pytest.mark.parametrize("insider", [True, False])
@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.STOPPED])
def test_each_reason_is_told_with_all_of_it_and_names_a_container_to_insiders_only(
    reason: Reason, insider: bool
) -> None:
    for accept in (b"*/*", PAGE):
        detail = "orders-1 (10.0.0.1:80)" if reason in NAMES_CONTAINERS else ""
        own = problem_response(
            Problem(reason, detail, "b"), request_id="i", insider=insider, accept=accept, page=problem_page
        )
        assert set(OWN_FIELDS) <= set(own.fields)
        assert (b"orders-1" in own.body) == (insider and bool(detail))


def test_the_default_response_is_as_it_was_configured() -> None:
    configured = DefaultResponse(ResponseBody(b"no", "a/b"), 403)
    own = default_response(configured, request_id="i")
    assert (own.status, own.body, own.reason, own.closes) == (403, b"no", None, False)
    assert own.fields == ((b"Content-Type", b"a/b"), (b"X-Request-ID", b"i"))


@pytest.mark.parametrize(
    ("accept", "page"),
    [
        (b"text/html,application/xhtml+xml,*/*;q=0.8", True),
        (b"*/*", False),
        (b"", False),
        (b"application/json, text/html", False),
        (b"text/html;q=0.5, application/json;q=0.4", True),
        (b"text/html;q=0.5, application/problem+json;q=0.6", False),
        (b"text/html;q=x", False),
        (b"text/html;q=0", False),
        *((b"application/json, text/html;q=" + wrong, False) for wrong in (b"8", b"inf", b"1.5", b"-1")),
        (b"text/html;q=.2, */*;q=.1", True),
        (b"TEXT/HTML", True),
        (b"text/*", True),
        (b"text/*;q=0.5, application/*;q=0.6", False),
        (b"text/html;q=0.2, text/*, */*;q=0.3", False),
        (b"text/html; level=1 ; q=0.9", True),
        (b"application/*;q=0, */*", True),
        (b"a/b," * 500 + b"text/html", True),
        (b"a/b," * 600 + b"text/html", False),  # nobody sends so much
    ],
)
def test_a_page_is_for_those_who_prefer_one(accept: bytes, page: bool) -> None:
    assert prefers_html(accept) is page
