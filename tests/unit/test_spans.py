"""What a span tells of a request that has been."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.record import CUT, RESPONSE, Record, Try
from rgate.core.spans import told_span
from rgate.core.story import story_of
from rgate.core.traceparent import Span

SPAN = Span(b"a" * 32, b"b" * 16, b"")
MS = 1_000_000
TRIES = (
    Try("orders-1", "10.0.0.1:80", False, 1000 * MS, 0, 0, 1002 * MS, "refused", "Connection refused"),
    Try("orders-2", "10.0.0.2:80", True, 1003 * MS, 0, 1010 * MS, 1012 * MS, RESPONSE),
)
RECORD = Record(
    1700000000.5,
    "192.0.2.7",
    "GET",
    "/api/orders/7?token=secret",
    200,
    3,
    13 * MS,
    "shop.example/api",
    "orders",
    "orders-2",
    2,
    request_id="r1",
    host="shop.example:8080",
    client_port=4711,
    ended_ns=1012 * MS,
    tries=TRIES,
)


@pytest.mark.clause("10.traces.span")
def test_a_request_is_told_by_the_conventions() -> None:
    told = told_span(RECORD, SPAN)
    assert (told.name, told.error, told.span) == ("GET /api", "", SPAN)
    assert (told.start_ns, told.end_ns) == (1700000000_487000000, 1700000000_500000000)
    assert told.attributes == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "url.path": "/api/orders/7",
        "http.route": "/api",
        "http.response.status_code": 200,
        "server.address": "shop.example",
        "server.port": 8080,
        "client.address": "192.0.2.7",
        "client.port": 4711,
        "rgate.backend": "orders",
        "rgate.container": "orders-2",
        "rgate.request_id": "r1",
    }


@pytest.mark.clause("10.traces.attempts")
def test_an_attempt_is_an_event_that_says_what_the_story_says() -> None:
    told = told_span(RECORD, SPAN)
    story = story_of(RECORD, None, None)
    assert [event.name for event in told.events] == ["attempt", "attempt"]
    for event, attempt in zip(told.events, story.attempts, strict=True):
        assert event.at_ns == told.start_ns + int(attempt.start_ms * MS)
        assert event.attributes["rgate.attempt"] == attempt.number
        assert event.attributes["rgate.container"] == attempt.container
        assert event.attributes["rgate.address"] == attempt.address
        assert event.attributes["rgate.reused"] is attempt.reused
        assert event.attributes["rgate.ms"] == sum(ms for _, ms in attempt.phases)
        assert event.attributes["rgate.outcome"] == attempt.end
        assert event.attributes["rgate.text"] == attempt.text
    assert told.events[1].attributes["rgate.receive_ms"] == 2.0


@pytest.mark.clause("10.traces.span")
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"status": 404}, ""),
        ({"status": 499, "reason": "client_closed"}, ""),
        ({"status": 500}, "500"),
        ({"status": 503, "reason": "closed_early"}, "closed_early"),
        ({"status": 200, "cut": True}, CUT),
    ],
)
def test_an_error_is_what_went_wrong_on_this_side(changes: dict[str, Any], error: str) -> None:
    told = told_span(RECORD._replace(**changes), SPAN)
    assert told.error == error
    assert told.attributes.get("error.type", "") == error
    assert told.attributes.get("rgate.reason", "") == RECORD._replace(**changes).reason_or_cut


@pytest.mark.clause("10.traces.span")
@pytest.mark.parametrize(
    ("host", "address", "port"),
    [
        ("", None, None),
        ("h", "h", 80),
        ("h:8080", "h", 8080),
        ("h:", "h", None),
        ("h:x", "h", None),
        ("[::1]", "::1", 80),
        ("[::1]:9", "::1", 9),
    ],
)
def test_the_server_is_what_host_says(host: str, address: str | None, port: int | None) -> None:
    told = told_span(RECORD._replace(host=host), SPAN).attributes
    assert (told.get("server.address"), told.get("server.port")) == (address, port)


@pytest.mark.clause("10.traces.span")
@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/a?b=/c", "/a"),
        ("*", "*"),
        ("http://h:1/a?x", "/a"),
        ("http://h", "/"),
        ("/a://b", "/a://b"),
        ("//a", "//a"),
    ],
)
def test_the_path_is_that_of_the_target(target: str, path: str) -> None:
    assert told_span(RECORD._replace(target=target), SPAN).attributes["url.path"] == path


def test_a_method_that_is_not_known_makes_no_new_name() -> None:
    told = told_span(RECORD._replace(method="BREW", route=""), SPAN)
    assert told.name == "HTTP"
    assert told.attributes["http.request.method"] == "_OTHER"
    assert told.attributes["http.request.method_original"] == "BREW"


odd = st.text(st.sampled_from("/?:[]a1é\0"), max_size=6).map(lambda text: text.encode().decode("latin-1"))


@given(target=odd, host=odd, name=st.text(st.sampled_from("a\0\ud800"), max_size=3))
@example(target="", host=":", name="\ud800")
def test_whatever_was_sent_can_be_told(target: str, host: str, name: str) -> None:
    told = told_span(RECORD._replace(target=target, host=host, container=name, tries=()), SPAN)
    assert "?" not in str(told.attributes.get("url.path", ""))
    for value in told.attributes.values():
        str(value).encode()
