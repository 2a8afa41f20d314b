"""The pages of rgate's own, as HTTP: asked often, all at once, and while rgate ends (behaviour 8)."""

import json

import pytest

from tests.contract.http.clauses import clause
from tests.contract.http.conftest import Launch
from tests.contract.http.script import OK, get, post
from tests.contract.http.test_draining import DRAINING, LONG, _asked, _terminate
from tests.contract.http.wire import Wire

OWN = "these pages are rgate's own"
HEALTHZ, READYZ = b"/_rgate/healthz", b"/_rgate/readyz"


def asked(path: bytes, *lines: bytes, method: bytes = b"GET") -> bytes:
    return get(path, *lines, method=method, host=b"localhost")


@clause("8.pages.healthz", "8.pages.readyz", own_choice=OWN)
@pytest.mark.parametrize(("path", "status"), [(HEALTHZ, "ok"), (READYZ, "ready")])
def test_a_connection_is_used_for_as_many_questions_as_are_asked(
    client: Wire, path: bytes, status: str
) -> None:
    for _ in range(3):
        client.send(asked(path))
        response = client.read_response()
        assert (response.status, json.loads(response.content)["status"]) == (200, status)
        assert response.values(b"content-type") == [b"application/json"]
        assert response.values(b"cache-control") == [b"no-store"]
        assert len(response.values(b"x-request-id")) == 1


@clause("RFC 9110 9.3.2", "8.pages.healthz", own_choice=OWN)
@pytest.mark.parametrize("path", [HEALTHZ, READYZ])
def test_head_gets_the_fields_of_get_and_no_content(client: Wire, path: bytes) -> None:
    fields = []
    for method in (b"GET", b"HEAD"):
        client.send(asked(path, b"X-Request-ID: same", method=method))
        response = client.read_response(to=method)
        assert bool(response.content) == (method == b"GET")
        fields.append([field for field in response.fields if field[0].lower() != b"date"])
    assert fields[0] == fields[1]


@clause("RFC 9110 15.5.6", own_choice=OWN)
@pytest.mark.parametrize("path", [HEALTHZ, READYZ])
@pytest.mark.parametrize("method", [b"POST", b"DELETE", b"OPTIONS", b"PURGE"])
def test_other_methods_get_405(client: Wire, path: bytes, method: bytes) -> None:
    client.send(asked(path, method=method))
    response = client.read_response()
    assert response.status == 405
    assert response.values(b"allow") == [b"GET, HEAD"]
    client.send(asked(path))
    assert client.read_response().status == 200


@clause("RFC 9112 9.3.2", "8.pages.healthz", own_choice=OWN)
def test_questions_that_are_sent_at_once_are_answered_in_their_order(client: Wire) -> None:
    paths = [HEALTHZ, b"/stats", READYZ, b"/nowhere", b"/_rgate/backends", HEALTHZ] * 20
    client.send(b"".join(asked(path, b"X-Request-ID: %d" % number) for number, path in enumerate(paths)))
    for number, path in enumerate(paths):
        response = client.read_response()
        assert response.values(b"x-request-id") == [b"%d" % number]
        assert response.status == (403 if path == b"/nowhere" else 200)


@clause("RFC 9112 9.6", own_choice=OWN)
def test_a_question_with_content_is_answered_and_what_is_behind_it_is_no_request(client: Wire) -> None:
    client.send(post(HEALTHZ, asked(READYZ)))
    assert client.read_response().status == 405
    assert client.is_closed()


@clause("8.pages.draining", own_choice=DRAINING)
def test_readyz_is_503_while_the_gateway_drains_and_healthz_goes_on(launch: Launch) -> None:
    gateway = launch(*LONG, single=1)
    waiting, upstream = _asked(gateway, gateway.lane())  # so that it does not end meanwhile
    asking = {path: gateway.client() for path in (HEALTHZ, READYZ)}
    for path, client in asking.items():
        client.send(asked(path)[:-2])  # a request that has begun is waited for
    _terminate(gateway)
    answers = {}
    for path, client in asking.items():
        client.send(asked(path)[-2:])
        response = client.read_response()
        assert b"close" in response.items(b"connection")
        answers[path] = (response.status, json.loads(response.content)["status"])
    assert answers == {HEALTHZ: (200, "ok"), READYZ: (503, "draining")}
    upstream.send(OK)
    assert waiting.read_response().content == b"ok"
    assert gateway.exit_status() == 0
