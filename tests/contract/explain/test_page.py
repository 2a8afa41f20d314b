"""`/_rgate/explain` on both engines: what `explain` says, as JSON, for `admin.allow` (behaviour 9)."""

import json
from dataclasses import replace
from ipaddress import ip_network
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, seed, settings

from rgate.core.config import Admin, Backend, Config, Route
from rgate.core.explain import Asked, explain
from rgate.web.documents import ExplanationDocument
from tests.contract.explain.conftest import Running
from tests.contract.http.wire import Message, connect
from tests.engine_here import KNOWN
from tests.worlds import World, asked

CONFIG = Config(
    routes=(Route("/a", "f", strip_prefix=True), Route("/b", "l", host="shop.example")),
    backends=(Backend("f", urls=("http://127.0.0.1:81",)), Backend("l", match_labels=(("a", "1"),))),
    admin=Admin((ip_network("127.0.0.1/32"),)),
)


def page(
    running: Running, query: str, *, peer: str = "127.0.0.1", method: str = "GET", lines: str = ""
) -> Message:
    with connect(running.port, peer) as client:
        client.send(f"{method} /_rgate/explain{query} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n".encode())
        return client.read_response(to=method.encode())


def document(answer: Message) -> Any:
    assert answer.status == 200, answer.content
    assert answer.values(b"content-type") == [b"application/json"]
    return json.loads(answer.content)


@pytest.fixture(autouse=True)
def configured(running: Running) -> None:
    running.gateway.swap(CONFIG, World(CONFIG, ()).views)


def query_of(request: Asked) -> str:
    """The query that asks about *request*."""
    parts = [
        ("method", request.method),
        ("target", request.target),
        ("host", request.host),
        ("client", request.peer),
    ]
    query = "&".join(f"{key}={quote(value, safe='')}" for key, value in parts)
    for name, value in request.fields:
        query += "&header=" + quote(name + b": " + value, safe="")
    return "?" + query


@pytest.mark.clause("9.http.explain")
@seed(9)
@settings(max_examples=60, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(request=asked(80).filter(lambda request: request.target != ""))
def test_the_page_says_what_explain_says(running: Running, request: Asked) -> None:
    told = explain(running.gateway, replace(request, port=running.port), (KNOWN,))
    assert document(page(running, query_of(request))) == ExplanationDocument.of(told).as_json()


@pytest.mark.clause("9.http.explain")
def test_what_is_not_said_is_a_get_for_localhost_by_who_asks(running: Running) -> None:
    asked = Asked("GET", "/a/%C3%A9?b=c d".replace(" ", "%20"), "localhost", (), "127.0.0.1", running.port)
    told = document(page(running, "?target=" + quote(asked.target)))
    assert told == ExplanationDocument.of(explain(running.gateway, asked, (KNOWN,))).as_json()
    assert (told["method"], told["host"], told["outcome"]) == ("GET", "localhost", "forward")
    assert ["X-Forwarded-For", "127.0.0.1"] in told["forwarded"]["fields"]
    assert told["forwarded"]["target"] == "/%C3%A9?b=c%20d"


def test_bytes_that_are_no_text_are_told_as_they_can_be_written(running: Running) -> None:
    told = document(page(running, "?target=/a/%FF&header=X:%20%FE"))
    assert (told["target"], told["forwarded"]["target"]) == ("/a/\\xff", "/\\xff")
    assert ["X", "\\xfe"] in told["forwarded"]["fields"]


@pytest.mark.clause("9.http.explain")
@pytest.mark.parametrize(
    ("query", "detail"),
    [
        (
            "",
            "The query has no `target`, such as /api/orders/7; it may have `method`, `target`, ",
        ),
        ("?target=", "The target is empty: name a path, such as /api/orders/7."),
        (
            "?target=/&path=/",
            "The query may have `method`, `target`, `host`, `client`, and `header` as often ",
        ),
        ("?target=/&target=/a", "The query says `target` more than once."),
        ("?target=/&header=X", "A header is `Name: value`, and not 'X'."),
        (
            "?target=/&client=localhost",
            "The client is an IP address, such as 192.0.2.7, and not 'localhost'.",
        ),
        ("?target=/&client=fe80::1%25a%0D%0Ab", "The client is an IP address, such as 192.0.2.7, and not "),
        (
            "?target=/a%0D%0AX:y",
            "The target holds a line break: what stands behind it would be another line.",
        ),
        (
            "?target=/&header=X:a%0Ab",
            "The header holds a line break: what stands behind it would be another ",
        ),
        (
            "?target=/&%FF=1",
            "The query may have `method`, `target`, `host`, `client`, and `header` as often ",
        ),
    ],
)
def test_a_doubtful_query_is_told_what_is_allowed(running: Running, query: str, detail: str) -> None:
    answer = page(running, query)
    assert (answer.status, answer.values(b"x-rgate-reason")) == (400, [b"bad_query"])
    assert json.loads(answer.content)["detail"].startswith(detail)


@pytest.mark.clause("9.http.explain")
@pytest.mark.parametrize(("peer", "lines"), [("127.0.0.2", ""), ("127.0.0.1", "Via: 1.1 x\r\n")])
def test_strangers_are_told_nothing(running: Running, peer: str, lines: str) -> None:
    answer = page(running, "?target=/a", peer=peer, lines=lines)
    assert (answer.status, answer.values(b"x-rgate-reason")) == (403, [b"forbidden"])


def test_asking_is_for_get_and_head(running: Running) -> None:
    assert page(running, "?target=/a", method="POST").status == 405
    head = page(running, "?target=/a", method="HEAD")
    assert (head.status, head.content) == (200, b"")
