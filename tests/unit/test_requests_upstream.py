"""What the flask engine asks of `requests`, with the upstream mocked by `responses`."""

import gc
import gzip
import socket
import time
from collections.abc import Iterator

import pytest
import requests
import responses
from flask import Flask

from rgate.core.candidates import Address, BackendView, Candidate
from rgate.core.config import Backend, Config, Route
from rgate.core.gateway import Gateway
from rgate.core.patience import IDLE_S
from rgate.engines.conversation import Conversation
from rgate.engines.crowd import Crowd
from rgate.engines.flask_engine import create_flask_app
from rgate.engines.requests_upstream import RequestsUpstream, _Connection, _Connections, _Made
from rgate.stats import MemoryStats
from rgate.web.pages import Web
from tests.engine_here import engine_of
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
    return app_for(Address("127.0.0.1", 9999), records)


def app_for(address: Address, records: KeptRecords) -> Flask:
    """Return the application for a route to *address*."""
    candidate = Candidate("c", "id", address)
    config = Config((Route("/", "b"),), (Backend("b", urls=("x",)),))
    gateway = Gateway(config, {"b": BackendView("b", (candidate,))}, lambda: 0.0, can_tunnel=False)
    return create_flask_app(gateway, Web(gateway, Flask("web"), tuple), records)


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


def test_content_is_passed_on_as_it_is_encoded(app: Flask, upstream: responses.RequestsMock) -> None:
    content = gzip.compress(b"hello")
    upstream.get(URL, body=content, headers={"Content-Encoding": "gzip"})
    assert app.test_client().get("/x").data == content


def test_a_request_is_sent_with_its_content(app: Flask, upstream: responses.RequestsMock) -> None:
    upstream.put(URL, body=b"taken")
    answer = app.test_client().put("/x", data=b"abc")
    assert (answer.status_code, answer.data) == (200, b"taken")
    assert upstream.calls[0].request.headers["Content-Length"] == "3"


def test_a_host_that_can_be_no_name_is_a_refusal_and_told(
    records: KeptRecords, caplog: pytest.LogCaptureFixture
) -> None:
    answer = app_for(Address("a..b", 80), records).test_client().get("/x")
    assert (answer.status_code, answer.headers["X-Rgate-Reason"]) == (503, "connect_failed")
    assert "connecting to a..b:80 failed" in caplog.text


def test_a_connection_that_nobody_used_for_a_minute_is_made_anew() -> None:
    mine, other = socket.socketpair()
    with mine, other:
        connection = _Connection("127.0.0.1", 1)
        connection.sock, connection.counted = mine, _Made(Crowd(), lambda: 9)
        pooled = _Connections(4)
        connection.idle_since_s = time.monotonic() - IDLE_S + 10
        pooled.put(connection)
        assert pooled.get() is connection
        assert connection.sock is mine
        connection.idle_since_s = time.monotonic() - IDLE_S - 1
        pooled.put(connection)
        assert pooled.get() is connection
        assert connection.sock is None
        assert other.recv(1) == b""


def test_a_pool_that_nobody_used_for_a_minute_is_forgotten() -> None:
    upstream = RequestsUpstream()
    manager = upstream._adapter.poolmanager
    old, used = (manager.connection_from_host("127.0.0.1", port) for port in (1, 2))
    now_s = time.monotonic()
    for pool in (old, used):
        pool._put_conn(pool._get_conn())
    upstream._forget_unused(now_s)
    old.used_s -= IDLE_S + 1
    upstream._forget_unused(now_s + 1)  # so soon nobody looks again
    assert len(manager.pools) == 2
    used.used_s += 1
    upstream._forget_unused(now_s + IDLE_S)
    assert manager.connection_from_host("127.0.0.1", 2) is used
    assert manager.connection_from_host("127.0.0.1", 1) is not old


def test_a_connection_that_another_thread_closes_just_now_is_not_connected() -> None:
    connection = _Connection("127.0.0.1", 1)
    with socket.socket() as sock:
        connection.sock = sock
    assert not connection.is_connected


def test_a_connection_that_rests_keeps_nothing_of_its_last_request() -> None:
    with socket.create_server(("127.0.0.1", 0)) as container, socket.create_server(("127.0.0.1", 0)) as here:
        address = Address("127.0.0.1", container.getsockname()[1])
        config = Config((Route("/a", "b"),), (Backend("b", urls=(f"http://{address}",)),))
        views = {"b": BackendView("b", (Candidate(str(address), "", address),))}
        engine = engine_of("flask", Gateway(config, views, lambda: 0.0, can_tunnel=False), MemoryStats())
        engine.start([here.dup()])
        with socket.create_connection(here.getsockname(), 5) as client:
            client.sendall(b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc")
            kept, _ = container.accept()
            with kept:
                while b"abc" not in kept.recv(65536):
                    pass
                kept.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
                client.shutdown(socket.SHUT_WR)
                while client.recv(65536):
                    pass
                gc.collect()
                assert engine.connections().upstreams_idle == 1
                assert [one for one in gc.get_objects() if type(one) is Conversation] == []
        engine.drain(5)
        engine.stop()


def test_of_a_connection_that_is_closed_its_pool_keeps_only_the_place() -> None:
    pooled = _Connections(4)
    pooled.put(_Connection("127.0.0.1", 1))
    assert pooled.get() is None
