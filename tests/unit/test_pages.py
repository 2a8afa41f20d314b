"""Which of rgate's own pages are answered at once, whatever is broken or hangs beside them."""

import json

import pytest
from flask import Flask

from rgate.core.candidates import BackendView
from rgate.core.config import Backend, Config
from rgate.core.fields import ClientConnection
from rgate.core.gateway import Gateway
from rgate.core.knowledge import Knowledge
from rgate.core.own import OwnPage
from rgate.core.problem import OWN_FIELDS, OwnResponse, OwnStream
from rgate.core.reasons import Reason
from rgate.web.pages import Web
from tests.unit.messages import request

INSIDER, STRANGER = ClientConnection("127.0.0.1", 80), ClientConnection("192.0.2.7", 80)
HOST = b"Host: localhost"
WITHOUT = BackendView("b", (), Reason.NO_CONTAINER)


def at_once(
    first: bytes, client: ClientConnection, *, draining: bool = False
) -> OwnResponse | OwnStream | OwnPage:
    """What *client* is told at once, of a gateway whose only backend has no candidate."""
    gateway = Gateway(Config((), (Backend("b", urls=("http://a",)),)), {"b": WITHOUT}, lambda: 0.0)
    gateway.is_draining = draining
    web = Web(gateway, Flask("web"), lambda: (Knowledge(),))
    return web.at_once(request(first + b" HTTP/1.1", HOST, client=client), client)


@pytest.mark.clause("8.pages.fields")
@pytest.mark.parametrize(
    ("first", "client", "status"),
    [
        (b"GET /_rgate/healthz", STRANGER, 200),
        (b"HEAD /_rgate/healthz", STRANGER, 200),
        (b"GET /_rgate/readyz", STRANGER, 503),
        (b"POST /_rgate/healthz", STRANGER, 405),
        (b"GET /_rgate/backends", STRANGER, 403),
        (b"GET /_rgate/nothing", INSIDER, 404),
    ],
)
def test_what_is_answered_from_memory_says_what_all_own_pages_do(
    first: bytes, client: ClientConnection, status: int
) -> None:
    own = at_once(first, client)
    assert isinstance(own, OwnResponse)
    assert own.status == status
    assert set(OWN_FIELDS) <= set(own.fields)
    names = [name for name, _ in own.fields]
    assert len(names) == len(set(names))
    assert (b"Allow", b"GET, HEAD") in own.fields or status != 405


@pytest.mark.clause("8.pages.everyone")
@pytest.mark.parametrize("draining", [False, True])
def test_the_names_in_readyz_are_for_those_allowed(draining: bool) -> None:
    for client, more in ((STRANGER, set()), (INSIDER, {"backends_without_candidates", "knowledge"})):
        own = at_once(b"GET /_rgate/readyz", client, draining=draining)
        assert isinstance(own, OwnResponse)
        said = json.loads(own.body)
        assert said["status"] == ("draining" if draining else "not ready")
        assert said.keys() - {"status"} == more
        assert said.get("backends_without_candidates", ["b"]) == ["b"]


@pytest.mark.parametrize(
    ("first", "page"), [(b"GET /stats", OwnPage.STATS), (b"GET /_rgate/backends", OwnPage.BACKENDS)]
)
def test_all_else_is_made_by_the_application(first: bytes, page: OwnPage) -> None:
    assert at_once(first, INSIDER) is page
