"""The pages that rgate answers itself never show a page of the library they are made with."""

import json
import logging
from collections.abc import Mapping
from typing import Any, cast

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from rgate.core.config import Config
from rgate.core.config import Stats as StatsConfig
from rgate.core.fields import ClientConnection
from rgate.core.gateway import Gateway
from rgate.core.knowledge import Knowledge
from rgate.core.message import parse_request_head
from rgate.core.problem import OWN_FIELDS
from rgate.stats import Stats
from rgate.telling.rings import Rings
from rgate.telling.siblings import Alone
from rgate.web.app import create_web

PEER = ClientConnection("127.0.0.1", 80)


def broken() -> tuple[Knowledge, ...]:
    raise RuntimeError("of nobody's business")


@pytest.fixture
def client() -> FlaskClient:
    """A client on whose side everything breaks that can: the figures, and Docker's status."""
    gateway = Gateway(Config(routes=(), backends=()), {}, lambda: 0.0)
    return create_web(
        gateway, cast(Stats, None), broken, stories=Rings(broken), siblings=Alone()
    ).test_client()


def ask(client: FlaskClient, path: str, method: str = "GET", **fields: str) -> TestResponse:
    overrides = {
        "REMOTE_ADDR": PEER.peer,
        "rgate.client": PEER,
        "rgate.head": parse_request_head(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()),
        "rgate.path": path,
        "rgate.request_id": "abc",
    }
    return client.open(path, method=method, headers=fields, environ_overrides=overrides)


def document(response: TestResponse) -> Mapping[str, Any]:
    assert response.content_type == "application/problem+json"
    found: Mapping[str, Any] = json.loads(response.data)
    assert found["status"] == response.status_code
    assert found["reason"] == response.headers["X-Rgate-Reason"]
    assert found["request_id"] == response.headers["X-Request-ID"] == "abc"
    assert_said_always(response)
    return found


def assert_said_always(response: TestResponse) -> None:
    for name, value in OWN_FIELDS:
        assert response.headers.getlist(name.decode()) == [value.decode()]


@pytest.mark.parametrize(
    "path", ["/_rgate", "/_rgate/", "/_rgate/nothing", "/_rgate//healthz", "/_rgate/healthz/", "/_rgate/%0A"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "PURGE"])
def test_an_unknown_path_is_a_problem_document_whatever_the_method(
    client: FlaskClient, path: str, method: str
) -> None:
    response = ask(client, path, method)
    assert response.status_code == 404
    assert document(response)["reason"] == "not_found"


@pytest.mark.parametrize("path", ["/stats", "/_rgate/backends"])
def test_a_defect_is_a_problem_document_that_tells_nothing_of_it(
    client: FlaskClient, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "rgate"):
        response = ask(client, path)
    assert path in caplog.text
    assert response.status_code == 500
    assert document(response)["reason"] == "internal_error"
    assert b"business" not in response.data


def test_a_defect_is_a_page_for_browsers(client: FlaskClient) -> None:
    response = ask(client, "/_rgate/backends", Accept="text/html")
    assert (response.status_code, response.headers["X-Rgate-Reason"]) == (500, "internal_error")
    assert response.content_type.startswith("text/html")
    assert b"internal_error" in response.data


def test_what_the_library_refuses_is_a_problem_document(client: FlaskClient) -> None:
    # Another server hands Upgrade on, and werkzeug then wants a rule for WebSockets.
    response = ask(client, "/_rgate/healthz", Connection="Upgrade", Upgrade="websocket")
    assert response.status_code == 400
    assert document(response)["reason"] == "bad_request"


@pytest.mark.clause("9.http.config")
def test_the_configuration_in_force_is_told_without_secrets() -> None:
    config = Config((), (), stats=StatsConfig("postgresql://user:secret@h/d?sslpassword=secret"))
    gateway = Gateway(config, {}, lambda: 0.0)
    client = create_web(
        gateway, cast(Stats, None), broken, stories=Rings(broken), siblings=Alone()
    ).test_client()
    told = ask(client, "/_rgate/config")
    assert (told.status_code, told.content_type) == (200, "application/json")
    assert b"secret" not in told.data
    assert json.loads(told.data)["stats"]["database"] == "postgresql://user:***@h/d?sslpassword=***"
    gateway.swap(Config((), (), stats=StatsConfig(path="/figures")), {})
    assert json.loads(ask(client, "/_rgate/config").data)["stats"]["path"] == "/figures"
