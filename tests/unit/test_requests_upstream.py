"""What the flask engine asks of `requests`, with the upstream mocked by `responses`."""

from collections.abc import Iterator

import pytest
import requests
import responses
from flask import Flask

from rgate.core.candidates import Address, BackendView, Candidate
from rgate.core.config import Backend, Config, Route
from rgate.core.gateway import Gateway
from rgate.engines.flask_engine import create_flask_app
from tests.kept_records import KeptRecords

URL = "http://127.0.0.1:9999/x"


@pytest.fixture
def records() -> KeptRecords:
    return KeptRecords()


@pytest.fixture
def upstream() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


@pytest.fixture
def app(records: KeptRecords) -> Flask:
    candidate = Candidate("c", "id", Address("127.0.0.1", 9999))
    config = Config((Route("/", "b"),), (Backend("b", urls=("x",)),))
    gateway = Gateway(config, {"b": BackendView("b", (candidate,))}, lambda: 0.0)
    return create_flask_app(gateway, Flask("web"), records)


def test_a_response_is_passed_on_with_its_status_fields_and_content(
    app: Flask, upstream: responses.RequestsMock, records: KeptRecords
) -> None:
    upstream.get(URL, body=b"hello", status=203, headers={"A": "b"}, content_type="text/x")
    answer = app.test_client().get("/x?q=1")
    assert (answer.status_code, answer.data, answer.headers["A"]) == (203, b"hello", "b")
    assert answer.headers["Content-Type"] == "text/x"
    assert upstream.calls[0].request.url == URL + "?q=1"
    assert [(record.status, record.container, record.bytes_sent) for record in records] == [(203, "c", 5)]


def test_a_redirect_is_passed_on_and_not_followed(app: Flask, upstream: responses.RequestsMock) -> None:
    upstream.get(URL, status=302, headers={"Location": "http://elsewhere/"})
    answer = app.test_client().get("/x")
    assert (answer.status_code, answer.headers["Location"]) == (302, "http://elsewhere/")
    assert len(upstream.calls) == 1


def test_several_cookies_stay_several(app: Flask, upstream: responses.RequestsMock) -> None:
    upstream.get(URL, headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
    assert app.test_client().get("/x").headers.getlist("Set-Cookie") == ["a=1", "b=2"]


def test_nothing_of_requests_own_is_added(app: Flask, upstream: responses.RequestsMock) -> None:
    upstream.get(URL)
    app.test_client().get("/x", headers={"User-Agent": "me"})
    names = {name.lower() for name in upstream.calls[0].request.headers}
    assert names == {
        "host",
        "user-agent",
        "via",
        "x-request-id",
        *(f"x-forwarded-{part}" for part in ("for", "proto", "host", "port")),
    }


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (requests.ConnectionError("refused"), 503, "connect_failed"),
        (requests.ConnectTimeout(), 503, "connect_failed"),
        (requests.ReadTimeout(), 504, "timeout"),
    ],
)
def test_a_failure_is_told_with_its_reason(
    app: Flask,
    upstream: responses.RequestsMock,
    records: KeptRecords,
    error: requests.RequestException,
    status: int,
    reason: str,
) -> None:
    upstream.get(URL, body=error)
    answer = app.test_client().get("/x")
    assert (answer.status_code, answer.headers["X-Rgate-Reason"]) == (status, reason)
    assert answer.get_json()["backend"] == "b"
    assert records[0].reason == reason
