"""Tunnels: from a 101 on, bytes go both ways and mean nothing to the gateway (RFC 9110 7.8)."""

import pytest

from tests.contract.http.clauses import LACKING, Capability, clause
from tests.contract.http.gateways import Gateway
from tests.contract.http.script import OK, answer, get
from tests.contract.http.site import Lane
from tests.contract.http.wire import Wire

WEBSOCKET = (
    b"Connection: keep-alive, Upgrade", b"Upgrade: websocket",
    b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)  # fmt: skip
SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
UPGRADES = Capability.UPGRADES


def _tunnel(client: Wire, backend: Lane) -> Wire:
    client.send(get(backend.path, *WEBSOCKET))
    upstream = backend.accept_for(client)
    upstream.read_request()
    upstream.send(SWITCHING)
    assert client.read_response().status == 101
    return upstream


@clause("RFC 9110 7.8", "RFC 6455 4", "behaviour 5", needs=UPGRADES)
def test_both_ends_see_each_others_handshake(client: Wire, backend: Lane) -> None:
    client.send(get(backend.path, *WEBSOCKET))
    upstream = backend.accept_for(client)
    request = upstream.read_request()
    upstream.send(SWITCHING)
    response = client.read_response()

    assert request.values(b"upgrade") == [b"websocket"]
    assert b"upgrade" in request.items(b"connection")
    assert request.values(b"sec-websocket-key") == [b"dGhlIHNhbXBsZSBub25jZQ=="]
    assert response.status == 101
    assert response.values(b"upgrade") == [b"websocket"]
    assert b"upgrade" in response.items(b"connection")
    assert response.values(b"sec-websocket-accept") == [b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]


@clause("behaviour 5", needs=UPGRADES)
def test_bytes_go_both_ways_unchanged(client: Wire, backend: Lane) -> None:
    upstream = _tunnel(client, backend)

    client.send(b"\x81\x05hello\r\n\r\n\x00")
    assert upstream.read(12 - 2) == b"\x81\x05hello\r\n\r\n\x00"[:10]
    assert upstream.read(2) == b"\n\x00"
    upstream.send(bytes(range(256)))
    assert client.read(256) == bytes(range(256))


@clause("behaviour 5", needs=UPGRADES)
def test_bytes_right_behind_the_101_are_part_of_the_tunnel(client: Wire, backend: Lane) -> None:
    client.send(get(backend.path, *WEBSOCKET))
    upstream = backend.accept_for(client)
    upstream.read_request()
    upstream.send(SWITCHING + b"early")

    assert client.read_response().status == 101
    assert client.read(5) == b"early"


@clause("behaviour 5", needs=UPGRADES)
def test_what_looks_like_a_request_in_the_tunnel_is_no_request(client: Wire, backend: Lane) -> None:
    upstream = _tunnel(client, backend)
    client.send(get(b"/nowhere"))

    assert upstream.read(len(get(b"/nowhere"))) == get(b"/nowhere")


@clause("behaviour 5", needs=UPGRADES)
def test_a_backend_that_closes_the_tunnel_closes_the_client(client: Wire, backend: Lane) -> None:
    upstream = _tunnel(client, backend)
    upstream.send(b"bye")
    upstream.close()

    assert client.read(3) == b"bye"
    assert client.is_closed()


@clause("behaviour 5", needs=UPGRADES)
def test_a_client_that_closes_the_tunnel_closes_the_backend(client: Wire, backend: Lane) -> None:
    upstream = _tunnel(client, backend)
    client.send(b"bye")
    client.close()

    assert upstream.read(3) == b"bye"
    assert upstream.is_closed()


@clause("behaviour 5", needs=UPGRADES)
def test_a_tunnel_carries_ten_megabytes_each_way(client: Wire, backend: Lane) -> None:
    upstream = _tunnel(client, backend)
    block = bytes(range(256)) * 256
    for one, other in ((client, upstream), (upstream, client)):
        for _ in range(160):
            one.send(block)
            assert other.read(len(block)) == block


@clause(
    "RFC 9110 7.8",
    "behaviour 5",
    own_choice="protocols other than WebSocket are tunnelled too",
    needs=UPGRADES,
)
def test_any_protocol_may_be_tunnelled(client: Wire, backend: Lane) -> None:
    client.send(get(backend.path, b"Connection: upgrade", b"Upgrade: echo/1"))
    upstream = backend.accept_for(client)
    assert upstream.read_request().values(b"upgrade") == [b"echo/1"]
    upstream.send(b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: echo/1\r\n\r\n")

    assert client.read_response().values(b"upgrade") == [b"echo/1"]
    client.send(b"x")
    assert upstream.read(1) == b"x"


@clause("RFC 9110 7.8", needs=UPGRADES)
@pytest.mark.parametrize("status", [b"200 OK", b"426 Upgrade Required", b"403 No"])
def test_a_backend_may_answer_without_switching(client: Wire, backend: Lane, status: bytes) -> None:
    client.send(get(backend.path, *WEBSOCKET))
    upstream = backend.accept_for(client)
    upstream.read_request()
    upstream.send(b"HTTP/1.1 %b\r\nContent-Length: 2\r\n\r\nno" % status)

    response = client.read_response()

    assert (response.status, response.content) == (int(status[:3]), b"no")


@clause("RFC 9110 7.8", "RFC 9110 7.6.1")
def test_an_upgrade_that_connection_does_not_name_is_no_upgrade(client: Wire, backend: Lane) -> None:
    client.send(get(backend.path, b"Upgrade: websocket"))
    upstream = backend.accept_for(client)

    assert b"upgrade" not in upstream.read_request().names()
    upstream.send(OK)
    assert client.read_response().content == b"ok"


@clause("RFC 9110 7.8")
def test_an_http_1_0_client_cannot_upgrade(client: Wire, backend: Lane) -> None:
    client.send(get(backend.path, *WEBSOCKET, version=b"HTTP/1.0"))
    upstream = backend.accept_for(client)
    assert b"upgrade" not in upstream.read_request().names()
    upstream.send(OK)

    assert client.read_response().content == b"ok"


@clause("behaviour 5", needs=UPGRADES)
def test_a_tunnels_connection_serves_no_other_request(gateway: Gateway, client: Wire, backend: Lane) -> None:
    upstream = _tunnel(client, backend)
    client.close()
    assert upstream.is_closed()
    other = gateway.client()
    other.send(get(backend.path))

    assert answer(other, backend.accept(), b"GET").response.content == b"ok"


@clause("RFC 9110 15.6.2", own_choice="what an engine cannot tunnel it says so of")
def test_an_engine_that_cannot_tunnel_says_501(gateway: Gateway, client: Wire, backend: Lane) -> None:
    if UPGRADES not in LACKING.get(gateway.name, {}):
        pytest.skip("it can")
    client.send(get(backend.path, *WEBSOCKET))

    gateway.check_answer(client.read_response(), 501, "not_implemented")
    assert backend.is_unvisited()
